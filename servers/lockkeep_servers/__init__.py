"""The tool servers; each package here is one MCP server that runs alone, too."""
