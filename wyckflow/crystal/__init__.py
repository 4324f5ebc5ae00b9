"""Genes, space-group tables, and structures in and out.

The floor that everything else stands on: what a gene is (`gene`), which space groups
and Wyckoff positions there are (`tables`), which genes are the same (`equivalence`,
`keys`), and the way from a structure to a gene and back. Letters, coordinates and
operators are those of the ITA standard setting throughout.
"""

from __future__ import annotations

from wyckflow.crystal.gene import WyckoffGene, WyckoffSite

__all__ = ["WyckoffGene", "WyckoffSite"]
