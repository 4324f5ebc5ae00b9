"""Training: rows, batches, the loop, and what is trained in it."""
