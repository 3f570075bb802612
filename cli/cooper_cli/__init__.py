"""The cooper command."""
