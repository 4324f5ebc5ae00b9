"""DFT energies on the scale of the Materials Project, and what may get there.

The corrections of 2020 mix PBE with PBE+U and mend anions. They are fitted to runs with
the settings and POTCARs of the Materials Project, so nothing else is corrected; a
simulated or incomplete run never gets an energy on that scale.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.schemas.dft import EnergyCorrection, RunMark
from wyckflow.vasp.audit import is_simulated

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymatgen.entries.computed_entries import ComputedEntry

SCALE: Final = "mp2020-gga-u"
"""Scale of corrected energies."""


@dataclass(frozen=True)
class CorrectedEnergy:
    """An energy on the scale of the Materials Project, or why there is none.

    Attributes
    ----------
    composition
        Atoms of the cell by symbol.
    uncorrected_per_atom
        As VASP gave it, eV/atom.
    energy_per_atom
        With the corrections, eV/atom; None if refused.
    corrections
        What was added to the cell.
    warnings
        What the scheme had to guess.
    refusal
        Why there is no energy; empty if there is one.
    """

    composition: Mapping[str, float]
    uncorrected_per_atom: float | None = None
    energy_per_atom: float | None = None
    corrections: tuple[EnergyCorrection, ...] = ()
    warnings: tuple[str, ...] = ()
    refusal: str = ""


def correct_energy(entry: ComputedEntry, *, mark: RunMark) -> CorrectedEnergy:
    """Return the energy of a run on the scale of the Materials Project.

    Corrections that an entry already carries are replaced, never added to.

    Parameters
    ----------
    entry
        Of a static run with the settings of the Materials Project.
    mark
        What the audit said of the run.
    """
    from pymatgen.entries.compatibility import (
        CompatibilityError,
        MaterialsProject2020Compatibility,
    )

    composition = {
        str(symbol): float(amount)
        for symbol, amount in entry.composition.get_el_amt_dict().items()
    }
    if refusal := _refuse(entry, mark):
        return CorrectedEnergy(composition, refusal=refusal)
    n_atoms = entry.composition.num_atoms
    plain = entry.uncorrected_energy / n_atoms
    scheme = MaterialsProject2020Compatibility(check_potcar=True)
    copied = entry.copy()
    copied.energy_adjustments = []
    try:
        with warnings.catch_warnings(record=True) as guesses:
            warnings.simplefilter("always", UserWarning)
            # By default an entry that does not fit is dropped without a word.
            (done,) = scheme.process_entries([copied], clean=True, on_error="raise")
    except (CompatibilityError, ValueError, KeyError) as error:
        reason = f"the corrections of 2020 do not fit this run: {error}"
        return CorrectedEnergy(composition, plain, refusal=reason)
    return CorrectedEnergy(
        composition,
        plain,
        done.energy / n_atoms,
        tuple(_describe(item) for item in done.energy_adjustments),
        tuple(
            dict.fromkeys(
                str(item.message)
                for item in guesses
                if issubclass(item.category, UserWarning)
            )
        ),
    )


def titles_of(entry: ComputedEntry) -> tuple[str, ...]:
    """Return the titles of the POTCARs of a run.

    Parameters
    ----------
    entry
        With the parameters of its run.
    """
    specs: list[dict[str, Any]] = entry.parameters.get("potcar_spec") or []
    return tuple(str(item.get("titel")) for item in specs if item)


def _refuse(entry: ComputedEntry, mark: RunMark) -> str:
    """Say why a run gets no energy, or nothing."""
    titles = titles_of(entry)
    if mark is RunMark.SIMULATED or is_simulated(None, titles):
        return "a simulator wrote this energy, not DFT"
    if mark is RunMark.INCOMPLETE:
        return "the run did not converge, or its evidence is not there"
    if mark is RunMark.DEVIATES:
        return "the run is not compatible with the Materials Project, see its audit"
    if not titles:
        return "the run does not say which POTCARs it used"
    return ""


def _describe(adjustment: Any) -> EnergyCorrection:
    value, spread = float(adjustment.value), float(adjustment.uncertainty)
    return EnergyCorrection(
        name=adjustment.name,
        value=value,
        uncertainty=spread if spread == spread else None,  # noqa: PLR0124 - NaN
    )
