"""The behaviour suite of the port, on a real API server."""

from unit.cluster.test_cluster_behaviour import *  # noqa: F403
