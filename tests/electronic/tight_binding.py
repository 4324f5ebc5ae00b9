"""Silicon and gallium arsenide as five orbitals per atom, after Vogl and others (1983).

Bands as real ones are: warped, mixed, neither parabolic nor of Kane's form.
"""

from __future__ import annotations

import numpy as np

# On-site energies of anion and cation (s, p, s*) and overlaps, all in eV.
PARAMETERS = {
    "Si": (
        (-4.2, 1.715, 6.685),
        (-4.2, 1.715, 6.685),
        (-8.3, 1.715, 4.575, 5.7292, 5.7292, 5.3749, 5.3749),
    ),
    "GaAs": (
        (-8.3431, 1.0414, 8.5914),
        (-2.6569, 3.6686, 6.7386),
        (-6.4513, 1.9546, 5.0779, 4.48, 5.7839, 4.8422, 4.8077),
    ),
}
NEIGHBOURS = np.array([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]) / 4
SIGNS = np.array([[1, 1, 1, 1], [1, 1, -1, -1], [1, -1, 1, -1], [1, -1, -1, 1]])


def energies(name, k, edge):
    """All ten bands at Cartesian wave vectors in 1/A, shape (10, points), ascending."""
    anion, cation, overlap = PARAMETERS[name]
    ss, xx, xy, s_p, p_s, t_p, p_t = overlap
    phases = np.exp(1j * np.atleast_2d(k) @ NEIGHBOURS.T * edge)
    g = phases @ SIGNS.T / 4
    block = np.zeros((len(phases), 5, 5), dtype=complex)
    block[:, 0, 0] = ss * g[:, 0]
    for i in range(3):
        block[:, 0, 1 + i] = s_p * g[:, 1 + i]
        block[:, 1 + i, 0] = -p_s * g[:, 1 + i]
        block[:, 4, 1 + i] = t_p * g[:, 1 + i]
        block[:, 1 + i, 4] = -p_t * g[:, 1 + i]
        for j in range(3):
            block[:, 1 + i, 1 + j] = xx * g[:, 0] if i == j else xy * g[:, 4 - i - j]
    sites = [np.diag([e[0], e[1], e[1], e[1], e[2]]) for e in (anion, cation)]
    matrix = np.zeros((len(phases), 10, 10), dtype=complex)
    matrix[:, :5, :5], matrix[:, 5:, 5:] = sites
    matrix[:, :5, 5:] = block
    matrix[:, 5:, :5] = block.conj().transpose(0, 2, 1)
    return np.linalg.eigvalsh(matrix).T
