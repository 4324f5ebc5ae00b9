"""Between which two values the distance to a full hull lies, knowing a part of it.

From above the hull is bounded by any mixture of known phases. From below it is bounded
where its energy is known exactly at other compositions, since it is convex: if a known
point is a mixture of a candidate's composition and of other phases, the hull cannot dip
so low at the candidate that it would undercut that point.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.composition import Compositions
from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.hull import Hull

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.thermo.composition import System
    from wyckflow.thermo.reference import ReferenceSet

    Floats = NDArray[np.float64]

_SAME: Final = 1e-9
_SOLVED: Final = 0


@dataclass(frozen=True, eq=False)
class HullBounds:
    """Bounds of distances to a full hull.

    Attributes
    ----------
    lower
        The distance is at least this, eV/atom; not below zero; NaN where an element
        is not known.
    upper
        It is at most this, eV/atom; infinite where nothing is known.
    """

    lower: Floats
    upper: Floats


def bound_energies_above_hull(
    reference: ReferenceSet,
    is_exact: ArrayLike,
    compositions: Sequence[Mapping[str, float]],
    formation_energies: ArrayLike,
    *,
    scale: str,
) -> HullBounds:
    """Bound distances to the full hull of which a reference is a part.

    Parameters
    ----------
    reference
        Formation energies of phases of the full hull's database, and points of the
        full hull; the elements are at zero.
    is_exact
        Per entry, whether the full hull has exactly its energy at its composition.
    compositions
        Of phases of that database, so of distance zero or more; atoms by symbol.
    formation_energies
        eV/atom.
    scale
        Their scale.

    Raises
    ------
    ReferenceDataError
        If the reference holds total energies, or the arrays do not fit together.
    ScaleMismatchError
        If the scales differ.
    """
    exact = np.asarray(is_exact, bool)
    if reference.kind is not EnergyKind.FORMATION or exact.shape != (len(reference),):
        raise ReferenceDataError(
            f"Bounds need formation energies and one truth value per entry; "
            f"{reference.name!r} has {len(reference)} {reference.kind} energies, and "
            f"{exact.size} truth values came."
        )
    chosen = Compositions.from_counts(compositions)
    energies = np.asarray(formation_energies, np.float64)
    answer = Hull(reference).energies_above_hull(
        chosen, energies, scale=scale, kind=EnergyKind.FORMATION
    )
    lowest = np.full(len(chosen), -np.inf)
    for system, places in chosen.systems.items():
        known = _Known.of_system(reference, exact, system)
        fractions = chosen.fractions(places, system)
        lowest[places] = [known.lowest_hull_energy(row) for row in fractions]
    return HullBounds(
        lower=np.where(
            answer.can_judge, np.maximum(answer.energies_above_hull, 0.0), np.nan
        ),
        upper=np.maximum(energies - lowest, 0.0),
    )


@dataclass(frozen=True, eq=False)
class _Known:
    """What is known of the hull of one chemical system.

    Attributes
    ----------
    points, point_energies
        Where all elements of the system occur and the hull is known exactly.
    phases, phase_energies
        What the hull is not above: elements, phases and points, of all subsystems.
    """

    points: Floats
    point_energies: Floats
    phases: Floats
    phase_energies: Floats

    @classmethod
    def of_system(
        cls, reference: ReferenceSet, exact: NDArray[np.bool_], system: System
    ) -> _Known:
        """Collect what a reference knows.

        Parameters
        ----------
        reference, exact
            As for `bound_energies_above_hull`.
        system
            Atomic numbers, ascending.
        """
        held = reference.compositions.systems
        rows, energies = [np.eye(len(system))], [np.zeros(len(system))]
        for width in range(2, len(system) + 1):
            for part in combinations(system, width):
                if part in held:
                    rows.append(reference.compositions.fractions(held[part], system))
                    energies.append(reference.energies[held[part]])
        own = held.get(system, np.empty(0, np.int64))
        own = own[exact[own]] if len(system) > 1 else own[:0]
        return cls(
            points=reference.compositions.fractions(own, system),
            point_energies=reference.energies[own],
            phases=np.vstack(rows),
            phase_energies=np.concatenate(energies),
        )

    def lowest_hull_energy(self, composition: Floats) -> float:
        """Return what the full hull is not below, eV/atom; minus infinity if nothing.

        Parameters
        ----------
        composition
            Atomic fractions.
        """
        best = -np.inf
        for point, energy in zip(self.points, self.point_energies, strict=True):
            if np.abs(point - composition).max() < _SAME:
                return float(energy)
            best = max(best, self._extend(point, float(energy), composition))
        return best

    def _extend(self, point: Floats, energy: float, composition: Floats) -> float:
        """Return the bound by one point: s of it is the composition and other phases.

        So the hull there is at least s times the energy of the point, less that of the
        other phases; the best other phases are found by a linear programme.
        """
        from scipy.optimize import linprog

        answer: Any = linprog(
            np.concatenate([[-energy], self.phase_energies]),
            A_eq=np.column_stack([point, -self.phases.T]),
            b_eq=composition,
            bounds=(0, None),
            method="highs",
        )
        return float(-answer.fun) if answer.status == _SOLVED else -np.inf
