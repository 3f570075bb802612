"""Cooper in Pods, in a cluster's weather: what befalls clusters, while a tenant works and clients write."""
