"""The gateway's certificate on a cluster, where the operator is to make it: a private authority, and what it signs."""
