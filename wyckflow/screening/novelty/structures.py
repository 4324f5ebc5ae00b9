"""Whether a crystal with coordinates is known: compared with all of its formula.

Two crystals with one gene may differ in their free coordinates, and two forms of nearly
the same crystal may have different genes. So candidates are found by formula, never by
gene, and each pair is matched.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymatgen.core.structure import Structure

    from wyckflow.crystal.dataset import Dataset


@dataclass(frozen=True, slots=True)
class MatchTolerances:
    """Tolerances of pymatgen's StructureMatcher; these are its defaults.

    Attributes
    ----------
    length
        Relative difference of cell lengths.
    site
        Distance of atoms by the cube root of the volume per atom.
    angle
        Degrees.
    """

    length: float = 0.2
    site: float = 0.3
    angle: float = 5.0


@dataclass(frozen=True, slots=True)
class KnownStructure:
    """What was found for one structure.

    Attributes
    ----------
    matches
        Rows of the dataset that it matches.
    n_compared
        Rows of the same reduced formula.
    tolerances
        How far two crystals may differ and match.
    """

    matches: tuple[int, ...]
    n_compared: int
    tolerances: MatchTolerances

    @property
    def is_known(self) -> bool:
        """Whether it matches at least one row."""
        return bool(self.matches)


def find_known_structures(
    structures: Iterable[Structure],
    dataset: Dataset,
    *,
    tolerances: MatchTolerances | None = None,
) -> list[KnownStructure]:
    """Look structures up in a dataset.

    Parameters
    ----------
    structures
        Ordered structures.
    dataset
        What is known.
    tolerances
        How far two crystals may differ and match.

    Returns
    -------
    list
        One entry per structure, in their order.
    """
    from pymatgen.analysis.structure_matcher import StructureMatcher

    from wyckflow.crystal.elements import reduced_formula

    tolerances = tolerances or MatchTolerances()
    matcher = StructureMatcher(
        ltol=tolerances.length, stol=tolerances.site, angle_tol=tolerances.angle
    )
    rows_of_formula: dict[str, list[int]] = defaultdict(list)
    for row, formula in enumerate(dataset.formulas):
        rows_of_formula[formula].append(row)
    known: dict[int, Structure] = {}
    found = []
    for structure in structures:
        amounts = structure.composition.get_el_amt_dict()
        formula = reduced_formula({e: round(n) for e, n in amounts.items()})
        rows = rows_of_formula.get(formula, [])
        for row in rows:
            if row not in known:
                known[row] = dataset.structure(row).to_structure()
        matches = tuple(row for row in rows if matcher.fit(structure, known[row]))
        found.append(KnownStructure(matches, len(rows), tolerances))
    return found
