"""Energies and relaxation of structures with CHGNet."""
