"""HTTP: connection, pipeline, rendering."""
