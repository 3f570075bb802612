"""The one port to gateways: probes, usage, closing and destroying buckets."""
