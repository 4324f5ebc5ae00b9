"""Genes to arrays and back."""
