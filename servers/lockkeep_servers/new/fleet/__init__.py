"""Vans and the depots they stand at."""
