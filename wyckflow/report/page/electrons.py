"""Gap, masses and thermoelectric descriptors of a candidate, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.report.page.markup import Html, facts, join, note, table, tag
from wyckflow.report.page.words import (
    ALPHA,
    MISSING,
    TIMES,
    formula,
    number,
    quantity,
    space_group,
    symbol,
)
from wyckflow.schemas.electronic import BandKind, FitQuality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.electronic import CarrierSummary, ElectronicDoc

_GAPS: Final = {True: "direct", False: "indirect", None: ""}


def describe_electrons(document: ElectronicDoc) -> Html:
    """Return what the bands of one crystal say, in numbers.

    Parameters
    ----------
    document
        Of the crystal.
    """
    if document.kind is not BandKind.SEMICONDUCTOR:
        words = document.kind.replace("_", " ")
        return note(f"{words}: {document.reason}" if document.reason else words)
    parts: list[Html | None] = [
        facts(
            [
                ("gap", f"{number(document.band_gap)} eV {_kind(document)}"),
                ("direct gap", quantity(document.direct_gap, "eV")),
                (
                    "gap enough up to (gap / 10 k)",
                    quantity(document.max_temperature, "K", 0),
                ),
            ]
        ),
        _descriptors(document),
        _masses(document),
    ]
    reasons = [document.reason, *document.notes]
    reasons += [
        f"{one.carrier}s: {one.reason}"
        for one in (document.holes, document.electrons)
        if one.reason
    ]
    parts += [note(reason) for reason in reasons if reason]
    return join(parts)


def band_table(rows: Sequence[tuple[CandidateDoc, ElectronicDoc]]) -> Html:
    """Return a row per crystal in the manner of Table 3 of the WyCryst+ paper.

    Parameters
    ----------
    rows
        Candidates with their electrons.
    """
    heads: list[object] = ["crystal", "space group", "gap (eV)", ""]
    heads += ["above hull, DFT (eV/atom)"]
    valleys, unit = symbol("N", "v"), " (m₀)"
    heads += ["holes at", join([symbol("m", "h"), unit]), valleys]
    heads += ["electrons at", join([symbol("m", "e"), unit]), valleys]
    body = []
    for candidate, document in rows:
        link = tag(
            "a", formula(candidate.formula_pretty), href=f"#c-{candidate.gene_id}"
        )
        body.append(
            [
                link,
                space_group(candidate.space_group_number),
                number(document.band_gap),
                _kind(document),
                number(candidate.dft_energy_above_hull),
                *_carrier_cells(document.holes),
                *_carrier_cells(document.electrons),
            ]
        )
    return table(heads, body, numbers=(2, 4, 6, 9), caption="band edges and masses")


def _kind(document: ElectronicDoc) -> str:
    if document.kind is not BandKind.SEMICONDUCTOR:
        return document.kind.replace("_", " ")
    return _GAPS[document.is_gap_direct]


def _carrier_cells(one: CarrierSummary) -> tuple[str, str, str]:
    """Return where, how heavy, how many; marks say how far to trust it."""
    if one.n_k is None:
        return MISSING, MISSING, MISSING
    valleys = f"{one.n_k} {TIMES} {one.n_b} ({one.spin_degeneracy})"
    return one.label or MISSING, _mass(one), valleys


def _mass(one: CarrierSummary) -> str:
    if one.conductivity_mass is not None:
        doubt = "" if one.quality is FitQuality.GOOD else "?"
        return f"{number(one.conductivity_mass)}{doubt}"
    if one.band_mass is not None:
        return f"~{number(one.band_mass)}"
    return MISSING


def _descriptors(document: ElectronicDoc) -> Html:
    """Return what both carriers promise a thermoelectric, side by side."""
    pair = (document.holes, document.electrons)
    rows: list[list[object]] = [
        ["band edge at", *(one.label or MISSING for one in pair)],
        [
            f"valleys N_v = pockets {TIMES} bands",
            *(_carrier_cells(one)[2] for one in pair),
        ],
        [
            "valleys within the window",
            *(_whole(one.n_valleys_in_window) for one in pair),
        ],
        ["valleys at 300 K", *(number(one.n_valleys_thermal, 1) for one in pair)],
        ["conductivity mass (m₀)", *(_mass(one) for one in pair)],
        ["density-of-states mass (m₀)", *(number(one.dos_mass) for one in pair)],
        ["N_v / mass (1/m₀)", *(number(one.valleys_per_mass, 1) for one in pair)],
        ["Fermi surface complexity", *(number(one.complexity, 1) for one in pair)],
        ["quality of the fits", *(one.quality.replace("_", " ") for one in pair)],
    ]
    return table(
        ["", "holes (p-type)", "electrons (n-type)"],
        rows,
        numbers=(1, 2),
        caption="thermoelectric descriptors",
    )


def _whole(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _masses(document: ElectronicDoc) -> Html | None:
    """Return the mass along each direction of each pocket."""
    rows = [
        [
            f"{valley.carrier} {valley.label}",
            number(valley.energy_from_edge),
            fit.direction,
            number(fit.mass),
            number(fit.alpha, 2),
            MISSING if fit.mass_error is None else f"{100 * fit.mass_error:.0f} %",
            fit.quality.replace("_", " "),
        ]
        for valley in document.valleys
        for fit in valley.lines
    ]
    if not rows:
        return None
    heads = ["pocket", "from edge (eV)", "direction", "mass (m₀)", f"{ALPHA} (1/eV)"]
    heads += ["error", "quality"]
    whole = table(heads, rows, numbers=(1, 3, 4, 5), caption="masses by direction")
    return tag("details", tag("summary", f"{len(rows)} fitted masses"), whole)
