"""Measurements. They print and are kept in the docs; they never fail on time."""
