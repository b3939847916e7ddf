"""Recorded calls decided again, with other rules."""
