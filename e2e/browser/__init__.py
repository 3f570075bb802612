"""What only a browser can tell: pages that use a bucket of another origin, and what is stored opened as a page."""
