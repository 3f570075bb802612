"""Observe, plan, apply; and the queue that says when."""
