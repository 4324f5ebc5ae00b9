"""Pairs of distances: by CHGNet to our reference, and by DFT to the full hull."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from _hull_bundle import PEERS, TEST, TRAINING, read_rows

from wyckflow.thermo.bundled import load_bundled_reference
from wyckflow.thermo.calibration import Pairs, count_compounds
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull.completeness import measure_completeness
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SCALE = "chgnet-0.3.0"


@dataclass(frozen=True)
class Group:
    """Pairs of one origin, with what else is known of them."""

    name: str
    pairs: Pairs
    systems: NDArray[np.str_]
    hull_energies: NDArray[np.float64]
    """Total energy of our hull at each composition, eV/atom."""


def known_groups(data: Path, work: Path) -> dict[str, Group]:
    """Return rows of the data; those in the reference are judged without themselves."""
    reference = load_bundled_reference(SCALE)
    hull = Hull(reference)
    own = set(reference.ids.tolist())
    groups = {}
    for part in (*TRAINING, *TEST):
        truth = {
            row.material_id: row.energy_above_hull for row in read_rows(part.file(data))
        }
        if part in TRAINING:
            rows = reference.take(reference.sources == part.source)
        elif (work / f"{part.stem}.npz").exists():
            rows = ReferenceSet.load(work / f"{part.stem}.npz")
            # Rows of a test part that stand in the reference test nothing.
            rows = rows.take([str(name) not in own for name in rows.ids])
        else:
            continue
        groups[part.stem] = make_group(
            part.stem, rows, truth, hull, is_own=part in TRAINING, is_generated=False
        )
    return groups


def generated_group(data: Path, work: Path) -> Group:
    """Return the generated crystals that DFT has judged."""
    part = PEERS[0]
    table = pd.read_csv(part.file(data))
    truth = dict(
        zip(
            table.material_id.astype(str),
            table.dft_e_above_hull_corrected,
            strict=True,
        )
    )
    rows = ReferenceSet.load(work / "dft_relaxed_dev.npz")
    hull = Hull(load_bundled_reference(SCALE))
    return make_group("generated", rows, truth, hull, is_own=False, is_generated=True)


def make_group(
    name: str,
    rows: ReferenceSet,
    truth: Mapping[str, float],
    hull: Hull,
    *,
    is_own: bool,
    is_generated: bool,
) -> Group:
    """Measure the distances of compounds whose true distance is known."""
    is_compound = np.diff(rows.compositions.offsets) > 1
    has_truth = np.array([str(name) in truth for name in rows.ids])
    rows = rows.take(is_compound & has_truth)
    ids = [str(name) for name in rows.ids]
    answer = hull.energies_above_hull(
        rows.compositions, rows.energies, scale=SCALE, own_ids=ids if is_own else None
    )
    judged = np.flatnonzero(answer.can_judge)
    counts, systems = [], []
    for place in judged.tolist():
        known = measure_completeness(hull.reference, rows.compositions.counts_of(place))
        counts.append(count_compounds(known) - int(is_own))
        systems.append(known.chemsys)
    distances = answer.energies_above_hull[judged]
    pairs = Pairs(
        distances=distances,
        n_compounds=np.array(counts),
        true_distances=np.array([truth[ids[place]] for place in judged]),
        is_generated=np.full(len(judged), is_generated),
    )
    totals = rows.energies[judged] - distances
    return Group(name, pairs, np.array(systems), totals)


def join(*groups: Group) -> Group:
    """Return several groups as one."""
    names = ("distances", "n_compounds", "true_distances", "is_generated")
    pairs = Pairs(
        *(np.concatenate([getattr(g.pairs, name) for g in groups]) for name in names)
    )
    return Group(
        " and ".join(group.name for group in groups),
        pairs,
        np.concatenate([group.systems for group in groups]),
        np.concatenate([group.hull_energies for group in groups]),
    )


def full_hull_energies(data: Path) -> list[tuple[str, dict[str, int], float, float]]:
    """Return published energies, and what the full hull has at their compositions.

    Each is the name of the set, the composition, the energy of the crystal and that of
    the full hull, eV/atom; both sets subtract the hull of the Materials Project.
    """
    found = []
    relaxed = pd.read_csv(PEERS[1].file(data))
    for row in relaxed.itertuples():
        energy = row.chgnet_energy_per_atom
        hull = energy - row.chgnet_e_above_hull_corrected
        found.append(("CHGNet, generated", read_formula(row), energy, hull))
    for row in pd.read_csv(PEERS[0].file(data)).itertuples():
        composition = read_formula(row)
        energy = row.dft_e_corrected / atoms_of(row.structure)
        hull = energy - row.dft_e_above_hull_corrected
        found.append(("DFT, generated", composition, energy, hull))
    return found


def read_formula(row: object) -> dict[str, int]:
    """Return the composition of a row of genes."""
    symbols = json.loads(row.species)  # type: ignore[attr-defined]  # a named tuple
    counts = json.loads(row.numIons)  # type: ignore[attr-defined]
    composition: dict[str, int] = {}
    for symbol, count in zip(symbols, counts, strict=True):
        composition[symbol] = composition.get(symbol, 0) + int(count)
    return composition


def atoms_of(structure: str) -> int:
    """Return how many atoms the structure of a row has."""
    return len(json.loads(structure)["sites"])
