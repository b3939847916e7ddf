"""The policy gateway for agent tool calls."""
