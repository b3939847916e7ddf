"""The conformance kit: ten points, three levels, the same for every server and every adapter of it."""
