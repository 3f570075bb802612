"""Operator and gateways together on a cluster, used as their users do."""
