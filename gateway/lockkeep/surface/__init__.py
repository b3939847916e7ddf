"""The MCP server side, sign-in, the inbox, health."""
