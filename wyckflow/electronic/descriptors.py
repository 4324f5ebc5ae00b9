"""What a thermoelectric asks of the carriers of a semiconductor.

The power factor goes as the valley degeneracy over the conductivity mass; the Fermi
surface complexity ``N_v K*`` is the 1.5th power of the ratio of density-of-states and
conductivity masses; and a gap below ten ``kT`` lets the other carrier spoil both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.schemas.electronic import CarrierSummary, FitQuality

if TYPE_CHECKING:
    from wyckflow.schemas.electronic import Carrier, Valley

BOLTZMANN: Final = 8.617333262e-5
"""In eV/K."""
TEMPERATURE: Final = 300.0
"""Default at which pockets above the edge are weighted, in K."""

_ORDER: Final = {quality: place for place, quality in enumerate(FitQuality)}


def max_temperature(gap: float) -> float:
    """Return the temperature at which a gap is ten kT, in K.

    Parameters
    ----------
    gap
        In eV.
    """
    return gap / (10 * BOLTZMANN)


def summarise_carrier(
    carrier: Carrier,
    valleys: list[Valley],
    *,
    degeneracy: float,
    temperature: float,
    reason: str = "",
) -> CarrierSummary:
    """Put the pockets of one carrier together.

    Pockets within ``degeneracy`` of the edge make the edge; the masses are theirs.

    Parameters
    ----------
    carrier
        Which.
    valleys
        Of this carrier.
    degeneracy
        In eV.
    temperature
        In K.
    reason
        Why there are no pockets, where there are none.
    """
    if not valleys:
        return CarrierSummary(
            carrier=carrier,
            quality=FitQuality.CANNOT_FIT,
            reason=reason or "no extremum of a band lies at the edge",
        )
    at_edge = [one for one in valleys if one.energy_from_edge <= degeneracy]
    at_edge = at_edge or valleys[:1]
    first = at_edge[0]
    weights = [
        np.exp(-one.energy_from_edge / (BOLTZMANN * temperature)) for one in valleys
    ]
    pairs = zip(weights, valleys, strict=True)
    n_edge = sum(one.n_valleys for one in at_edge)
    dos_mass, conductivity_mass = _add_pockets(at_edge)
    return CarrierSummary(
        carrier=carrier,
        label=" + ".join(dict.fromkeys(one.label for one in at_edge)),
        n_k=first.n_k,
        n_b=first.n_b,
        spin_degeneracy=first.spin_degeneracy,
        n_valleys=n_edge,
        n_valleys_in_window=sum(one.n_valleys for one in valleys),
        n_valleys_thermal=float(sum(w * one.n_valleys for w, one in pairs)),
        band_mass=_mean([one.path_mass for one in at_edge]),
        dos_mass=dos_mass,
        conductivity_mass=conductivity_mass,
        valleys_per_mass=None if not conductivity_mass else n_edge / conductivity_mass,
        complexity=(
            (dos_mass / conductivity_mass) ** 1.5
            if dos_mass and conductivity_mass
            else None
        ),
        mass_error=max((one.mass_error or 0.0 for one in at_edge), default=None),
        quality=max((one.quality for one in at_edge), key=_ORDER.__getitem__),
        reason="; ".join(dict.fromkeys(one.reason for one in at_edge if one.reason)),
    )


def _add_pockets(valleys: list[Valley]) -> tuple[float | None, float | None]:
    """Return both masses of all pockets together; None unless all are known."""
    density = flow = 0.0
    for one in valleys:
        if one.dos_mass is None or one.conductivity_mass is None:
            return None, None
        states = one.n_k * one.dos_mass**1.5
        density += states
        flow += states / one.conductivity_mass
    return density ** (2 / 3), density / flow


def _mean(masses: list[float | None]) -> float | None:
    """Return the harmonic mean of the masses that are known."""
    inverse = [1 / one for one in masses if one]
    return float(1 / np.mean(inverse)) if inverse else None
