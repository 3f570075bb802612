"""Documentation about clusters."""
