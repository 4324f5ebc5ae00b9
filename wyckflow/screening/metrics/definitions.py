"""The metrics by name: what each means, and how it is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HULL_DISTANCES: Final = (0.08, 0.1)
"""Energies above the hull in eV/atom up to which a crystal counts as metastable."""


@dataclass(frozen=True, slots=True)
class Definition:
    """What a metric is.

    Attributes
    ----------
    label
        A few words for the head of a row.
    description
        A sentence.
    """

    label: str
    description: str


def energy_name(kind: str, distance: float) -> str:
    """Return the name of a metric that depends on an energy above the hull.

    Parameters
    ----------
    kind
        ``metastable`` or ``sun``.
    distance
        In eV/atom.
    """
    return f"{kind}_{round(1000 * distance)}mev_share"


_OF_ENERGIES: Final = {
    energy_name("metastable", d): Definition(
        f"at most {d} eV/atom above hull",
        "Share of the different genes with an energy that lie at most "
        f"{d} eV/atom above the hull.",
    )
    for d in HULL_DISTANCES
} | {
    energy_name("sun", d): Definition(
        f"S.U.N. at {d} eV/atom",
        f"Share of all genes that are unique, novel and at most {d} eV/atom above the "
        "hull; the last is taken from the novel ones with an energy.",
    )
    for d in HULL_DISTANCES
}

DEFINITIONS: Final = {
    "validity_share": Definition(
        "valid", "Share of the attempts that gave a gene which can exist."
    ),
    "uniqueness_share": Definition(
        "unique",
        "Different genes by all valid genes, in samples of this size; descriptions "
        "and mirror images of one arrangement count as one.",
    ),
    "new_gene_share": Definition(
        "new gene", "Share of the different genes that are not known."
    ),
    "new_formula_share": Definition(
        "new formula",
        "Share of the different genes of a reduced formula that is not known.",
    ),
    "new_prototype_share": Definition(
        "new prototype",
        "Share of the different genes that are no element substitution of a known one.",
    ),
    "new_parent_share": Definition(
        "new parent",
        "Share of the different genes that are not an ordering of a known prototype "
        "either.",
    ),
    "neutral_share": Definition(
        "charge neutral", "Share that passes SMACT's test with its default options."
    ),
    "p1_share": Definition("in P1", "Share without any symmetry (space group 1)."),
    "in_target_share": Definition(
        "in target", "Share whose predicted properties meet the target."
    ),
    **_OF_ENERGIES,
    "ks_sites": Definition(
        "sites (KS)",
        "Kolmogorov-Smirnov distance of the numbers of occupied orbits.",
    ),
    "ks_elements": Definition(
        "elements (KS)",
        "Kolmogorov-Smirnov distance of the numbers of different elements.",
    ),
    "ks_degrees_of_freedom": Definition(
        "degrees of freedom (KS)",
        "Kolmogorov-Smirnov distance of the numbers of free coordinates, without those "
        "of the lattice.",
    ),
    "chi2_space_groups": Definition(
        "space groups (chi2)",
        "Sum of (p - q)^2 / q over the space groups of the reference.",
    ),
    "chi2_elements": Definition(
        "which elements (chi2)",
        "Sum of (p - q)^2 / q over the elements of the reference, each weighted by its "
        "mean atomic fraction.",
    ),
    **{
        f"atoms_p{percentage}": Definition(
            f"atoms, {percentage} % have at most",
            f"Atoms in the conventional cell that {percentage} % do not exceed.",
        )
        for percentage in (50, 90, 99)
    },
}
"""All metrics, in the order in which they are shown."""
