"""Band edges, masses, valleys and descriptors."""
