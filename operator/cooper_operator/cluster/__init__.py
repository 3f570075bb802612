"""The one port to a cluster, and its adapters."""
