"""The gateway: S3 over HTTP on an encrypted store, obeying records."""
