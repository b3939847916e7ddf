"""A call and its rules become a verdict: select, look up, combine, change, count."""
