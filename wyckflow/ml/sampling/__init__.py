"""Genes from a trained model: for no target, or for one."""
