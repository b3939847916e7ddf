"""The ticketing server: what customers ask for, who sees to it, and what they are told."""
