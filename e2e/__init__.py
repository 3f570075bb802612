"""End to end: Cooper on a real Kubernetes cluster."""
