"""Orders, stock and the warehouse, as tools."""
