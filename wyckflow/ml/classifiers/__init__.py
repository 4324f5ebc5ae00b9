"""Classifiers of genes: metals, and what could be synthesised."""
