"""Encryption: envelope and keyring."""
