"""Phonons with CHGNet: what they cost, and which known crystals they would reject.

    WYCKFLOW_DATA=FOLDER python benchmarks/phonon.py [--quick] [--json FILE]

One process, one thread, CPU seconds. The crystals are drawn from
``mp20_biternary_test.csv.gz`` (cost), and from the stable ones of
``mp20_biternary_train.csv.gz`` and all of ``mpts52_train.csv.gz`` (rejections; those of
MPTS-52 were made in a laboratory). Without the folder a few well-known crystals are
used. If ``WYCKFLOW_FIGURES`` names a folder, the bands of the first part are drawn
there.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record, run_script

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.stability import Crystal, Plan, compute_phonons, plan_crystal
from wyckflow.relax.potential import load_potential
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.relaxation import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from wyckflow.relax.phonon.analysis import CrystalPhonons
    from wyckflow.relax.potential import Potential

SEED = 0
PACKAGES = ("chgnet", "torch", "phonopy", "seekpath", "ase", "numpy")
MAX_ATOMS = 12
LIMITS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)
N_TIMED = 2
ON_HULL = 1e-6  # eV/atom
WELL_KNOWN = (
    ("225 Na:a Cl:b", 5.7),
    ("225 Mg:a O:b", 4.24),
    ("227 Si:a", 5.46),
    ("221 Sr:a Ti:b O:c", 3.95),
    ("225 Cu:a", 3.6),
)


def main() -> int:
    """Measure both."""
    warnings.simplefilter("ignore")  # of the peer
    return run_script(__doc__.splitlines()[0], measure_cost, measure_rejections)


# --- cost -----------------------------------------------------------------------------


def measure_cost(quick: bool) -> list[Record]:
    """Judge crystals, and time the peer on the same supercells."""
    potential, options = load_potential(device="cpu"), PhononOptions()
    crystals = relax(draw("mp20_biternary_test", 3 if quick else 20), potential)
    list(compute_phonons([well_known()[0]], potential, options))  # all is loaded
    print(f"{len(crystals)} crystals of at most {MAX_ATOMS} atoms, {options}")
    ours = peer = 0.0
    n_judged = 0
    for crystal in crystals:
        clock = time.process_time()
        (found,) = compute_phonons([crystal], potential, options)
        seconds = time.process_time() - clock
        draw_bands(found, options)
        plan = plan_crystal(crystal, potential, options)
        theirs = float("nan")
        if isinstance(plan, Plan):
            theirs = time_ase(plan, potential)
            ours, peer, n_judged = ours + seconds, peer + theirs, n_judged + 1
        print(
            f"  {describe(found)}: {seconds:.1f} s, ASE about {theirs:.0f} s",
            flush=True,
        )
    ratio = peer / ours
    print(
        f"  all: {ours / n_judged:.2f} s/crystal, ASE {peer / n_judged:.1f}: "
        f"{ratio:.0f}x"
    )
    name = f"ase.phonons with chgnet's calculator, {N_TIMED} cells timed, rest counted"
    return [
        make_record(
            "phonons",
            ours / n_judged,
            "CPU s/crystal",
            (name, peer / n_judged),
            n=n_judged,
            seed=SEED,
            packages=PACKAGES,
        )
    ]


def time_ase(plan: Plan, potential: Potential) -> float:
    """Return the seconds that ASE's Phonons needs for the forces of a crystal.

    It displaces every atom of the primitive cell along three axes, to and fro, and the
    supercell at rest. Some of these cells are evaluated, the others counted.
    """
    from ase import Atoms

    task = plan.task
    seconds = []
    for atom in range(N_TIMED):
        atoms = Atoms(
            numbers=task.numbers,
            cell=task.lattice,
            scaled_positions=task.coordinates,
            pbc=True,
        )
        atoms.positions[atom % len(atoms), 0] += 0.05
        atoms.calc = potential.calculator()
        clock = time.process_time()
        atoms.get_forces()
        seconds.append(time.process_time() - clock)
    return float(np.mean(seconds)) * (6 * plan.cell.n_atoms + 1)


def draw_bands(found: CrystalPhonons, options: PhononOptions) -> None:
    """Draw the bands of a crystal, if figures are wanted."""
    folder = os.environ.get("WYCKFLOW_FIGURES")
    if not folder or found.spectrum is None:
        return
    from wyckflow.report.phonon_bands import plot_phonons
    from wyckflow.schemas.phonon import PhononSettings

    names = PhononSettings.model_fields
    settings = PhononSettings(**{name: getattr(options, name) for name in names})
    Path(folder).mkdir(parents=True, exist_ok=True)
    item = found.document
    path = Path(folder) / f"{item.formula_pretty}-{item.name}.png"
    title = f"{item.formula_pretty} ({item.name}): {item.verdict}"
    plot_phonons(item, found.spectrum, settings, path, title=title)


# --- rejections -----------------------------------------------------------------------


def measure_rejections(quick: bool) -> list[Record]:
    """Count how many crystals that exist would be called unstable."""
    potential, options = load_potential(device="cpu"), PhononOptions()
    n_each = 2 if quick else 35
    for name, keep in (
        ("mp20_biternary_train", lambda row: float(row["e_above_hull"]) <= ON_HULL),
        ("mpts52_train", lambda _: True),
    ):
        crystals = relax(draw(name, n_each, keep), potential)
        found = []
        for one in compute_phonons(crystals, potential, options):
            found.append(one)
            print(f"  {describe(one)}", flush=True)
        print_rejections(name, found)
    return []


def print_rejections(name: str, found: list[CrystalPhonons]) -> None:
    """Print the share of crystals below each limit."""
    judged = [
        one.document
        for one in found
        if one.document.verdict is not LatticeStability.CANNOT_JUDGE
    ]
    if not judged:
        print(f"{name}: nothing could be judged")
        return
    exact = np.array([one.min_frequency_thz or 0.0 for one in judged])
    every = np.array([one.min_interpolated_thz or 0.0 for one in judged])
    print(f"{name}: {len(judged)} of {len(found)} judged; share below -limit (THz):")
    for limit in LIMITS:
        shares = [float((values < -limit).mean()) for values in (exact, every)]
        print(f"  {limit:5.2f}: fitting {shares[0]:.0%}, interpolated {shares[1]:.0%}")


# --- crystals -------------------------------------------------------------------------


def draw(
    name: str, n_crystals: int, keep: Callable[[Any], bool] = lambda _: True
) -> list[tuple[str, ReducedStructure]]:
    """Return some crystals of a data set, the same ones each time."""
    folder = os.environ.get("WYCKFLOW_DATA")
    if not folder:
        return [(one.name, one.structure) for one in well_known() if one.structure]
    with gzip.open(Path(folder) / f"{name}.csv.gz", "rt", newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if keep(row)]
    random.Random(SEED).shuffle(rows)  # noqa: S311 (not for secrets)
    return [found for found, _ in zip(read(rows), range(n_crystals), strict=False)]


def read(rows: list[dict[str, str]]) -> Iterator[tuple[str, ReducedStructure]]:
    """Yield the crystals whose primitive cell is small."""
    from pymatgen.core.structure import Structure

    for row in rows:
        structure = Structure.from_str(row["cif"], fmt="cif")
        try:
            if len(structure.get_primitive_structure()) > MAX_ATOMS:
                continue
            reduced = ReducedStructure.from_structure(structure, symprec=0.01)
        except StructureError:
            continue
        yield row["material_id"], reduced


def well_known() -> list[Crystal]:
    """Return crystals that need no data."""
    crystals = []
    for text, edge in WELL_KNOWN:
        gene = WyckoffGene.from_text(text)
        zeros = np.zeros((gene.n_orbits, 3))
        structure = ReducedStructure(gene, np.eye(3) * edge, zeros)
        crystals.append(Crystal.of(gene.formula, structure))
    return crystals


def relax(
    drawn: list[tuple[str, ReducedStructure]], potential: Potential
) -> list[Crystal]:
    """Bring crystals to their minima."""
    options = RelaxOptions(fmax=0.005, max_stress_gpa=0.05)
    ends = QuotientBackend(potential).relax([one for _, one in drawn], options)
    return [
        Crystal(
            name,
            start.gene.formula,
            start.gene,
            end.structure if end.state.outcome is Outcome.CONVERGED else None,
            f"relaxation: {end.state.outcome}",
        )
        for (name, start), end in zip(drawn, ends, strict=True)
    ]


def describe(found: CrystalPhonons) -> str:
    """Return one crystal in one line."""
    item = found.document
    words = f"{item.name} {item.gene}: {item.verdict} {item.reason}"
    if item.min_frequency_thz is None:
        return words
    return (
        f"{words} [lowest {item.min_frequency_thz:.2f} (interpolated "
        f"{item.min_interpolated_thz:.2f}), highest {item.max_frequency_thz:.1f} THz, "
        f"{item.n_displacements} x {item.n_atoms_supercell} atoms]"
    )


if __name__ == "__main__":
    sys.exit(main())
