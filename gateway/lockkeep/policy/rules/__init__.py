"""Forms become rules: what each entry says about each tool, checked against the tool's schema."""
