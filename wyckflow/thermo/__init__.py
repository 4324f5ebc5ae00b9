"""Reference energies, energy scales and energy above hull."""
