"""How a worker lives, leaves, and is missed."""
