"""A real kind cluster, also on a machine without Docker and without an image registry."""
