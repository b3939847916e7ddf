"""What every tool server is built from; it imports none of them."""
