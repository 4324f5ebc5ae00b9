"""Lattice stability by finite displacements, for crystals at their minimum.

Frequencies are in THz, and those of modes whose energy falls (imaginary ones) are
written as negative numbers. CHGNet makes phonons too soft; see `verdict`.
"""
