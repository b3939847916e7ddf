"""The story of lockkeep, played against a real gateway: `python -m demo [--once]`."""
