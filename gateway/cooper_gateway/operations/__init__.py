"""One file per S3 operation or family."""
