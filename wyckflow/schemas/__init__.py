"""Documents: what every job emits and MongoDB holds."""
