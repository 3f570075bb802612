"""Reading a whole store back, while it is written: what `cooper store verify` does."""
