"""One store port and its backends."""
