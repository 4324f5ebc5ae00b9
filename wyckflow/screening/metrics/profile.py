"""What is measured of each gene, and the statistics of any selection of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal.elements import N_ATOMIC_NUMBERS
from wyckflow.crystal.tables import N_SPACE_GROUPS, load_space_group
from wyckflow.schemas.evaluation import Distribution
from wyckflow.screening.metrics.distances import chi_squared, kolmogorov_smirnov
from wyckflow.screening.neutrality import DEFAULT_RULE, find_neutrality
from wyckflow.screening.neutrality.judge import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from wyckflow.screening.table import GeneTable

QUANTILES: Final = (50, 90, 99)
"""Percentages at which the sizes of cells are told."""

COUNTED: Final = ("sites", "elements", "degrees_of_freedom")
"""Whole numbers per gene that are compared by Kolmogorov-Smirnov."""


@dataclass(frozen=True, eq=False, slots=True)
class Profile:
    """Many genes, as far as the metrics look at them; one entry per gene.

    Attributes
    ----------
    counted
        Occupied orbits (``sites``), different elements, and free coordinates without
        those of the lattice.
    space_groups
        1 to 230.
    n_atoms
        Atoms in the conventional cell.
    fractions
        Atomic fraction by atomic number, (n, 119).
    flags
        Truth values whose shares are asked for.
    """

    counted: Mapping[str, NDArray[np.int64]]
    space_groups: NDArray[np.int64]
    n_atoms: NDArray[np.int64]
    fractions: NDArray[np.float32]
    flags: Mapping[str, NDArray[np.bool_]]

    @classmethod
    def of(cls, table: GeneTable) -> Self:
        """Measure genes.

        Parameters
        ----------
        table
            At least one gene.
        """
        groups = table.space_group_numbers.astype(np.int64)
        compositions = table.compositions
        counts = compositions.counts.astype(np.float64)
        fractions = np.zeros((len(table), N_ATOMIC_NUMBERS), np.float32)
        rows = np.arange(len(table))[:, None]
        shares = counts / counts.sum(axis=1, keepdims=True)
        # Slots without an element all point to column 0.
        np.add.at(fractions, (rows, compositions.atomic_numbers), shares)
        return cls(
            counted={
                "sites": (table.codes > 0).sum(axis=1),
                "elements": compositions.n_elements,
                "degrees_of_freedom": table.degrees_of_freedom
                - _lattice_freedoms()[groups],
            },
            space_groups=groups,
            n_atoms=table.n_sites,
            fractions=fractions,
            flags={"p1": groups == 1, "neutral": find_neutral(table)[0]},
        )

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_groups)

    def statistics(
        self, rows: NDArray[np.int64], reference: Profile
    ) -> dict[str, float]:
        """Return every metric of some of the genes.

        Parameters
        ----------
        rows
            Which genes; one that comes twice counts twice.
        reference
            What to hold the distributions against.
        """
        found = {
            f"{name}_share": float(v[rows].mean()) for name, v in self.flags.items()
        }
        for name in COUNTED:
            own, theirs = self.counted[name][rows], reference.counted[name]
            size = int(max(own.max(), theirs.max())) + 1
            pair = (np.bincount(values, minlength=size) for values in (own, theirs))
            found[f"ks_{name}"] = kolmogorov_smirnov(*pair)
        groups = (
            np.bincount(values, minlength=N_SPACE_GROUPS + 1)
            for values in (self.space_groups[rows], reference.space_groups)
        )
        found["chi2_space_groups"] = chi_squared(*groups)
        weights = np.bincount(rows, minlength=len(self)).astype(np.float32)
        found["chi2_elements"] = chi_squared(
            weights @ self.fractions, reference.fractions.sum(axis=0, dtype=np.float64)
        )
        sizes = np.percentile(self.n_atoms[rows], QUANTILES, method="lower")
        for percentage, size in zip(QUANTILES, sizes.tolist(), strict=True):
            found[f"atoms_p{percentage}"] = float(size)
        return found

    def distributions(self, rows: NDArray[np.int64]) -> list[Distribution]:
        """Return how some of the genes are distributed.

        Parameters
        ----------
        rows
            Which genes.
        """
        quantities = {name: self.counted[name][rows] for name in COUNTED}
        quantities |= {
            "atoms": self.n_atoms[rows],
            "space_groups": self.space_groups[rows],
        }
        found = []
        for name, values in quantities.items():
            present, counts = np.unique(values, return_counts=True)
            shares = (counts / counts.sum()).tolist()
            found.append(
                Distribution(name=name, values=present.tolist(), shares=shares)
            )
        weights = self.fractions[rows].mean(axis=0, dtype=np.float64)
        present = np.flatnonzero(weights)
        shares = weights[present].tolist()
        found.append(
            Distribution(name="element", values=present.tolist(), shares=shares)
        )
        return found


def find_neutral(table: GeneTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which genes are charge neutral, and which cannot be judged.

    The rule is the default of smact 4; what cannot be judged does not pass it.

    Parameters
    ----------
    table
        Any genes.
    """
    found = find_neutrality(table.compositions, DEFAULT_RULE)
    return found.passes, found.findings == Finding.UNKNOWN


@lru_cache(maxsize=1)
def _lattice_freedoms() -> NDArray[np.int64]:
    """Return the free lattice parameters by space-group number."""
    groups = (load_space_group(number) for number in range(1, N_SPACE_GROUPS + 1))
    return np.array([0, *(group.lattice_degrees_of_freedom for group in groups)])
