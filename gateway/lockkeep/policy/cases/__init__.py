"""Test files: what people expect of the rules, run against them."""
