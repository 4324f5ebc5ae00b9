"""The gate before VASP: which crystals pass it, and what becomes of them."""
