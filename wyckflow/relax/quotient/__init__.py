"""Crystals divided by their symmetry: orbits, classes of edges, classes of angles.

CHGNet describes atoms, bonds and angles by numbers that no rotation changes, so what is
equal by symmetry carries equal features in every layer, whatever the weights. One
member of each class with the size of its class gives the energy of the whole cell.
"""
