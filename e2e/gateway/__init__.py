"""A gateway whose records come from a real cluster."""
