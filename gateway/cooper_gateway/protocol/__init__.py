"""Sans-IO protocol rules: bytes and values in and out."""
