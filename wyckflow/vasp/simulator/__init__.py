"""A program with VASP's files and no physics of VASP, to try everything around it.

It reads the folder of a run and writes what VASP would write there, with energies and
forces of a toy potential or of CHGNet. Everything it writes says SIMULATED, by which
the audit knows it: such a run gets no distance to a hull and no verdict.

``wyckflow-vasp-simulator`` in the place of ``vasp_std`` starts it.
"""
