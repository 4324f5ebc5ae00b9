"""VASP input sets, preflight checks and DFT entries."""
