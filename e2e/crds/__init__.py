"""The CRDs on a real API server, and the models beside them: both are to take the same manifests."""
