"""How the packaged space-group tables are made: run as ``python -m`` this package."""
