"""The carrier server: quotes, labels, tracking, and parcels booked anew."""
