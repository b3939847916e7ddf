"""The condition language: text becomes a checked tree, and the tree one Python function."""
