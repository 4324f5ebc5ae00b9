"""Band edges, effective masses, carrier pockets and thermoelectric descriptors.

Energies are in eV, masses in units of the free electron's, wave vectors fractions of
the reciprocal vectors of the cell that came. A carrier's energy rises away from its
band edge, so holes and electrons both have positive masses.
"""
