"""Predicates on genes, each with its reason."""
