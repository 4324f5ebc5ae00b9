"""Trial structures of a gene by PyXtal: the one place where PyXtal is called.

PyXtal places orbit after orbit by rejection. Its loops are bounded but can take very
long in crowded cells, so the clearance table that it asks for every pair of orbits also
watches the CPU time of the calling thread: that works in any thread, needs no signal,
and does not depend on how busy the machine is.
"""

from __future__ import annotations

import time
import warnings
from copy import copy
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal._geometry import fit_parameters
from wyckflow.crystal.build._outcome import BuildOutcome, Fault
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError

if TYPE_CHECKING:
    from numpy.random import Generator

    from wyckflow.crystal.gene import WyckoffGene

# PyXtal's "atomic" clearances are half the sum of the covalent radii.
_CLEARANCE_OF_PYXTAL: Final = 0.5

# How far in A PyXtal's coordinates may be from a Wyckoff position: rounding only.
_LARGEST_MISFIT: Final = 1e-3


class _TimeOverError(Exception):
    """The CPU time of one structure is used up."""


def prepare_pyxtal(space_group_number: int, min_contact_ratio: float) -> None:
    """Import PyXtal and build what it needs, so that no trial pays for it.

    Parameters
    ----------
    space_group_number
        1 to 230.
    min_contact_ratio
        As for `build_with_pyxtal`.
    """
    import pyxtal.crystal  # noqa: F401 - so that it is loaded

    _load_group(space_group_number)
    _tolerances(min_contact_ratio)


def build_with_pyxtal(
    gene: WyckoffGene,
    *,
    rng: Generator,
    min_contact_ratio: float,
    cpu_limit_s: float,
) -> ReducedStructure | Fault:
    """Build one trial structure with PyXtal.

    Parameters
    ----------
    gene
        What to build.
    rng
        Source of all randomness.
    min_contact_ratio
        Shortest distance allowed, over the sum of PyXtal's covalent radii.
    cpu_limit_s
        CPU seconds of this thread after which to give up.

    Returns
    -------
    ReducedStructure | Fault
        A structure, or that PyXtal found no room or no end.

    Raises
    ------
    StructureError
        If PyXtal's atoms are not on the positions that were asked for.
    """
    from pyxtal.crystal import random_crystal

    number, species, n_ions, sites = gene.to_pyxtal()
    deadline = time.thread_time() + cpu_limit_s
    tolerances = _watched(_tolerances(min_contact_ratio), deadline)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PyXtal tells of every enlarged volume
            crystal = random_crystal(
                dim=3,
                group=_load_group(number),
                species=species,
                numIons=n_ions,
                sites=sites,
                tm=tolerances,
                random_state=rng,
            )
    except _TimeOverError:
        return Fault(
            BuildOutcome.TIME_LIMIT,
            "PyXtal found no place for all orbits",
        )
    except RuntimeError as error:  # its guess of the volume failed ten times
        return Fault(BuildOutcome.TOO_CLOSE, f"PyXtal gave up: {error}")
    if not crystal.valid:
        return Fault(
            BuildOutcome.TOO_CLOSE,
            f"PyXtal found no place for all orbits in {crystal.lattice_attempts} cells",
        )
    return _reduce(crystal, gene)


@lru_cache(maxsize=230)
def _load_group(space_group_number: int) -> Any:
    """Return PyXtal's group; building one takes far longer than a small structure."""
    from pyxtal.symmetry import Group

    return Group(space_group_number)


@lru_cache(maxsize=8)
def _tolerances(min_contact_ratio: float) -> Any:
    from pyxtal.tolerance import Tol_matrix

    factor = min_contact_ratio / _CLEARANCE_OF_PYXTAL
    return Tol_matrix(prototype="atomic", factor=factor)


def _watched(tolerances: Any, deadline: float) -> Any:
    """Return the table with a look at the clock whenever it is asked."""
    watched = copy(tolerances)
    look_up = watched.get_tol

    def look_up_in_time(first: Any, second: Any) -> Any:
        if time.thread_time() > deadline:
            raise _TimeOverError
        return look_up(first, second)

    watched.get_tol = look_up_in_time
    return watched


def _reduce(crystal: Any, gene: WyckoffGene) -> ReducedStructure:
    """Read cell and free coordinates off PyXtal's crystal."""
    lattice = np.asarray(crystal.lattice.matrix, dtype=np.float64)
    points: dict[tuple[str, str], list[Any]] = {}
    for placed in crystal.atom_sites:
        points.setdefault((placed.specie, placed.wp.letter), []).append(placed.position)
    rows = []
    for site, position in zip(gene.sites, gene.positions, strict=True):
        point = np.asarray(points[site.element, site.letter].pop(0), dtype=np.float64)
        row, misfit = fit_parameters(position, point[None], lattice)
        if misfit > _LARGEST_MISFIT:
            raise StructureError(
                f"PyXtal put {site.element} {misfit:.3g} A away from {position.label} "
                f"of {gene}; its tables and ours differ. Please report this gene."
            )
        rows.append(row)
    return ReducedStructure(gene, lattice, np.array(rows))
