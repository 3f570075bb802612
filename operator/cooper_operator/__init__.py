"""The operator: watches resources, decides purely, writes records and credentials, proves them, reports status."""
