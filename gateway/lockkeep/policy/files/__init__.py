"""Policy files as they are written: YAML nodes with marks become frozen, readable forms."""
