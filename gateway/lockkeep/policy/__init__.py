"""The rules: files become a checked set, and the set decides."""
