"""Cooper's image, also on a machine without an image registry."""
