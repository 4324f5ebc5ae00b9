"""P1 to P3: relaxing and evaluating structures with CHGNet under their symmetry.

    WYCKFLOW_DATA=FOLDER python benchmarks/relax.py [--quick] [--json FILE]

One process, one thread, CPU seconds. Structures are those of
``mp20_biternary_test.csv.gz`` and genes those of ``peers/cryspr_relaxed_dev.csv.gz`` in
the folder; without it a few well-known crystals are used. The peers are written down
here as their users call them.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import time
import warnings
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from _bench import Record, make_record, run_script

from wyckflow.crystal.build.trials import BuildEngine, build_trials
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError
from wyckflow.relax.batched import BatchLimits, relax_structures
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.guards import covalent_radii_per_atom, find_geometry_problem
from wyckflow.relax.potential import load_potential
from wyckflow.relax.variables import allowed_strains

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from wyckflow.relax.contract import Relaxed

SEED = 0
PACKAGES = ("chgnet", "torch", "ase", "numpy")
MAX_ATOMS = 60
WELL_KNOWN = (
    ("225 Na:a Cl:b", (5.6, 5.6, 5.6), [[0] * 3] * 2),
    ("221 Sr:a Ti:b O:c", (3.95, 3.95, 3.95), [[0] * 3] * 3),
    ("136 Ti:a O:f", (4.65, 4.65, 2.97), [[0] * 3, [0.305, 0, 0]]),
    ("141 Ti:a O:e", (3.8, 3.8, 9.6), [[0] * 3, [0, 0, 0.207]]),
    ("227 Si:a", (5.47, 5.47, 5.47), [[0] * 3]),
)


def main() -> int:
    """Measure all figures."""
    warnings.simplefilter("ignore")  # of the peers
    return run_script(
        __doc__.splitlines()[0], measure_perturbed, measure_random, measure_evaluations
    )


# --- P1 -------------------------------------------------------------------------------


def measure_perturbed(quick: bool) -> list[Record]:
    """Relax known structures that were moved, ours and ASE's BFGS."""
    starts = perturb_structures(6 if quick else 40)
    potential, options = load_potential(device="cpu"), RelaxOptions()
    relax_structures(starts[:1], potential, options)  # everything is loaded
    print(f"P1: {len(starts)} perturbed structures, fmax {options.fmax} eV/A")
    for size in (1, 8):
        limits = BatchLimits(max_structures=size)
        with Stopwatch() as watch:
            relax_structures(starts, potential, options, limits=limits)
        print(f"  in batches of {size}: {watch.seconds / len(starts):.4f} s")
    ours, peer = 0.0, 0.0
    for name, part in split_by_symmetry(starts).items():
        with Stopwatch() as watch:
            ends = relax_structures(part, potential, options)
        seconds = watch.seconds
        with Stopwatch() as watch:
            peers = [relax_with_bfgs(s, potential, fmax=options.fmax) for s in part]
        ours, peer = ours + seconds, peer + watch.seconds
        print(f"  {len(part)} {name}: {describe_times(seconds, watch.seconds, part)}")
        print(f"    {describe_ends(ends)}")
        print(f"    {compare_energies(part, ends, peers)}")
        kept = sum(keeps_symmetry(s, e) for s, e in zip(part, ends, strict=True))
        print(f"    space group kept at symprec 1e-5: {kept} of {len(part)}")
    print(f"  all: {describe_times(ours, peer, starts)}")
    print_by_size(starts, potential, options)
    shipped = starts[: 2 if quick else 10]
    with Stopwatch() as watch:
        relax_structures(shipped, potential, options)
    shipped_ours = watch.seconds / len(shipped)
    shipped_peer = relax_as_shipped(shipped, potential, fmax=options.fmax)
    print(f"  StructOptimizer, {len(shipped)}: {shipped_peer / shipped_ours:.1f}x")
    name = "ASE BFGS, FixSymmetry, FrechetCellFilter"
    return [
        make_record(
            "P1",
            ours / len(starts),
            "CPU s/structure",
            (name, peer / len(starts)),
            n=len(starts),
            seed=SEED,
            packages=PACKAGES,
        ),
        make_record(
            "P1",
            shipped_ours,
            "CPU s/structure",
            ("StructOptimizer, which keeps no symmetry", shipped_peer),
            n=len(shipped),
            seed=SEED,
            packages=PACKAGES,
        ),
    ]


def print_by_size(
    starts: list[ReducedStructure], potential: Any, options: RelaxOptions
) -> None:
    """Print how the time grows with the atoms of the conventional cell."""
    ordered = sorted(starts, key=lambda start: start.n_atoms)
    third = -(-len(ordered) // 3)
    for low in range(0, len(ordered), third):
        part = ordered[low : low + third]
        with Stopwatch() as watch:
            relax_structures(part, potential, options)
        sizes = f"{part[0].n_atoms} to {part[-1].n_atoms} atoms"
        print(f"  {sizes}: {watch.seconds / len(part):.4f} s/structure")


def relax_as_shipped(
    starts: list[ReducedStructure], potential: Any, *, fmax: float
) -> float:
    """Relax with the optimiser of chgnet; return CPU seconds per structure."""
    from chgnet.model import StructOptimizer

    with redirect_stdout(io.StringIO()):
        optimizer = StructOptimizer(model=potential.model, use_device="cpu")
    with Stopwatch() as watch:
        for start in starts:
            optimizer.relax(start.to_structure(), fmax=fmax, steps=500, verbose=False)
    return watch.seconds / len(starts)


def split_by_symmetry(
    structures: list[ReducedStructure],
) -> dict[str, list[ReducedStructure]]:
    """Set apart the cells without any symmetry, which no quotient makes smaller."""
    is_symmetric = [s.gene.space_group_number > 1 for s in structures]
    parts = {
        "with symmetry": [
            s for s, is_it in zip(structures, is_symmetric, strict=True) if is_it
        ],
        "without": [
            s for s, is_it in zip(structures, is_symmetric, strict=True) if not is_it
        ],
    }
    return {name: part for name, part in parts.items() if part}


def relax_with_bfgs(
    start: ReducedStructure, potential: Any, *, fmax: float
) -> tuple[float, bool]:
    """Relax as ASE's users do; return energy per atom and whether it converged."""
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    atoms = to_atoms(start)
    atoms.calc = potential.calculator()
    atoms.set_constraint(FixSymmetry(atoms))
    try:
        done = BFGS(FrechetCellFilter(atoms), logfile=None).run(fmax=fmax, steps=500)
    except (RuntimeError, ValueError):  # a step that FixSymmetry refuses
        done = False
    return float(atoms.get_potential_energy()) / len(atoms), bool(done)


# --- P2 -------------------------------------------------------------------------------


def measure_random(quick: bool) -> list[Record]:
    """Relax what PyXtal has built, ours and by the recipe of CrySPR."""
    starts = build_starts(3 if quick else 12)
    potential = load_potential(device="cpu")
    options = RelaxOptions(fmax=0.05, max_stress_gpa=0.5, max_steps=500)
    relax_structures(starts[:1], potential, options)
    with Stopwatch() as watch:
        ends = relax_structures(starts, potential, options)
    ours = watch.seconds / len(starts)
    with Stopwatch() as watch:
        peers = [relax_like_cryspr(s, potential, fmax=options.fmax) for s in starts]
    peer = watch.seconds / len(starts)
    print(f"P2: {len(starts)} PyXtal starts, fmax {options.fmax} eV/A")
    print(f"  ours {ours:.4f} s, CrySPR's recipe {peer:.3f} s: {peer / ours:.1f}x")
    print(f"  {describe_ends(ends)}")
    print(f"  {compare_energies(starts, ends, peers)}")
    name = "CrySPR's recipe: FIRE in two stages"
    return [
        make_record(
            "P2",
            ours,
            "CPU s/structure",
            (name, peer),
            n=len(starts),
            seed=SEED,
            packages=(*PACKAGES, "pyxtal"),
        )
    ]


def relax_like_cryspr(
    start: ReducedStructure, potential: Any, *, fmax: float
) -> tuple[float, bool]:
    """Relax the atoms, then atoms and cell, each by FIRE with the symmetry fixed."""
    from ase.constraints import FixSymmetry
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    atoms = to_atoms(start)
    atoms.calc = potential.calculator()
    done = False
    for with_cell in (False, True):
        atoms.set_constraint(FixSymmetry(atoms))
        target = FrechetCellFilter(atoms) if with_cell else atoms
        try:
            done = FIRE(target, logfile=None).run(fmax=fmax, steps=500)
        except (RuntimeError, ValueError):  # a step that FixSymmetry refuses
            done = False
    return float(atoms.get_potential_energy()) / len(atoms), bool(done)


# --- P3 -------------------------------------------------------------------------------


def measure_evaluations(quick: bool) -> list[Record]:
    """Evaluate energies, forces and stresses; neighbours are known beforehand."""
    structures = list(read_structures(12 if quick else 64))
    potential = load_potential(device="cpu")
    evaluate = prepare_evaluation(structures, potential)
    ours = min(time_one(evaluate) for _ in range(4)) / len(structures)
    graphs = [potential.model.graph_converter(s.to_structure()) for s in structures]
    peer = min(
        time_one(lambda size=size: predict(potential.model, graphs, size))
        for size in (1, 4)
    ) / len(structures)
    print(f"P3: {len(structures)} mixed structures, energy, forces and stress")
    print(
        f"  ours {1 / ours:.0f} per CPU s, CHGNet.predict_graph {1 / peer:.1f}: "
        f"{peer / ours:.1f}x"
    )
    return [
        make_record(
            "P3",
            ours * 1e3,
            "CPU ms/evaluation",
            ("CHGNet.predict_graph", peer * 1e3),
            n=len(structures),
            seed=SEED,
            packages=PACKAGES,
        )
    ]


def prepare_evaluation(
    structures: list[ReducedStructure], potential: Any
) -> Callable[[], None]:
    """Return a function that evaluates all structures at once."""
    from wyckflow.relax.network import QuotientNetwork
    from wyckflow.relax.quotient.cells import stack_lattices, stack_parameters
    from wyckflow.relax.quotient.neighborhood import Neighborhood
    from wyckflow.relax.variables import Variables, find_forces, find_stresses

    network = QuotientNetwork(potential)
    variables = Variables.from_structures(structures, "cpu")
    cells = variables.cells
    parameters = stack_parameters(structures, "cpu")
    lattices = stack_lattices(structures, "cpu")
    around = Neighborhood(network.edge_cutoff, network.angle_cutoff)

    def evaluate() -> None:
        topology = around.look_around(cells, parameters, lattices)
        found = network.evaluate(cells, topology, parameters, lattices)
        find_forces(cells, lattices, found)
        find_stresses(variables.strains, lattices, found)

    evaluate()
    return evaluate


def predict(model: Any, graphs: list[Any], batch_size: int) -> None:
    """Evaluate graphs as CHGNet does, at the batch size that suits it."""
    model.predict_graph(graphs, task="efs", batch_size=batch_size)


# --- structures -----------------------------------------------------------------------


def data_file(name: str) -> Path | None:
    """Return a file of the data folder, if there is one."""
    path = Path(os.environ.get("WYCKFLOW_DATA") or "/nowhere") / name
    return path if path.exists() else None


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read a table in an order of our own, the same in every run."""
    csv.field_size_limit(10_000_000)
    with gzip.open(path, "rt") as stream:
        rows = list(csv.DictReader(stream))
    order = np.random.default_rng(SEED).permutation(len(rows))
    return [rows[i] for i in order]


def read_structures(n_structures: int) -> Iterator[ReducedStructure]:
    """Yield known structures."""
    path = data_file("mp20_biternary_test.csv.gz")
    found = read_known() if path is None else read_cifs(read_rows(path))
    for _, structure in zip(range(n_structures), found, strict=False):
        yield structure


def read_known() -> Iterator[ReducedStructure]:
    """Yield well-known crystals, again and again."""
    while True:
        for text, lengths, parameters in WELL_KNOWN:
            gene = WyckoffGene.from_text(text)
            yield ReducedStructure(gene, np.diag(lengths), np.array(parameters, float))


def read_cifs(rows: Iterable[dict[str, str]]) -> Iterator[ReducedStructure]:
    """Yield the structures of a table that are not too large."""
    from pymatgen.core.structure import Structure

    for row in rows:
        try:
            structure = ReducedStructure.from_structure(
                Structure.from_str(row["cif"], fmt="cif")
            )
        except StructureError:
            continue
        if structure.n_atoms <= MAX_ATOMS:
            yield structure


def perturb_structures(n_structures: int) -> list[ReducedStructure]:
    """Move known structures within their symmetry, without driving atoms together."""
    rng = np.random.default_rng(SEED)
    moved = (perturb(s, rng) for s in read_structures(2 * n_structures))
    return [structure for structure in moved if is_sensible(structure)][:n_structures]


def perturb(structure: ReducedStructure, rng: np.random.Generator) -> ReducedStructure:
    """Move atoms by 0.15 A, the volume by up to 15 % and the shape by up to 3 %."""
    strains = allowed_strains(structure.gene.crystal_system)
    shape = np.einsum("k,kij->ij", rng.uniform(-0.03, 0.03, len(strains)), strains)
    lattice = (
        structure.lattice @ (np.eye(3) + shape) * rng.uniform(0.85, 1.15) ** (1 / 3)
    )
    table, parameters = structure.orbit_table, np.array(structure.parameters)
    for orbit, is_free in enumerate(table.is_free):
        if is_free.any():
            paths = lattice.T @ table.rotations[table.first_atoms[orbit]][:, is_free]
            move = rng.normal(0, 0.15, is_free.sum())
            parameters[orbit, is_free] += np.linalg.solve(np.linalg.qr(paths)[1], move)
    return ReducedStructure(structure.gene, lattice, parameters)


def is_sensible(structure: ReducedStructure) -> bool:
    """Return whether the guards let a structure pass."""
    positions = structure.expand()[0] @ structure.lattice
    radii = covalent_radii_per_atom(structure.gene)
    return (
        find_geometry_problem(structure.lattice, positions, radii, cutoff=6.0) is None
    )


def build_starts(n_structures: int) -> list[ReducedStructure]:
    """Build one structure per gene with PyXtal."""
    path = data_file("peers/cryspr_relaxed_dev.csv.gz")
    if path is None:
        genes = [WyckoffGene.from_text(text) for text, _, _ in WELL_KNOWN]
    else:
        keys = ("species", "numIons", "sites")
        genes = [
            WyckoffGene.from_pyxtal(
                int(row["group"]), *(json.loads(row[k]) for k in keys)
            )
            for row in read_rows(path)
        ]
    trials = (
        build_trials(gene, 1, seed=SEED, engine=BuildEngine.PYXTAL)[0]
        for gene in genes
        if gene.n_sites <= MAX_ATOMS
    )
    built = (trial.structure for trial in trials if trial.structure is not None)
    return [structure for _, structure in zip(range(n_structures), built, strict=False)]


def to_atoms(structure: ReducedStructure) -> Any:
    """Convert to ASE."""
    from ase import Atoms

    coordinates, numbers = structure.expand()
    cell = structure.lattice
    return Atoms(numbers=numbers, cell=cell, scaled_positions=coordinates, pbc=True)


# --- figures --------------------------------------------------------------------------


class Stopwatch:
    """CPU seconds of a block."""

    seconds: float

    def __enter__(self) -> Self:
        """Start."""
        self._start = time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.seconds = time.process_time() - self._start


def time_one(work: Callable[[], None]) -> float:
    """Return the CPU seconds of a call."""
    with Stopwatch() as watch:
        work()
    return watch.seconds


def describe_times(ours: float, peer: float, structures: list[ReducedStructure]) -> str:
    """Compare CPU seconds."""
    n = len(structures)
    return f"ours {ours / n:.4f} s, ASE BFGS {peer / n:.3f} s: {peer / ours:.1f}x"


def describe_ends(ends: list[Relaxed]) -> str:
    """Say how structures ended and what it took."""
    n_evaluations = [end.state.n_evaluations for end in ends]
    outcomes = dict(Counter(str(end.state.outcome) for end in ends))
    return (
        f"{outcomes}; evaluations: mean {np.mean(n_evaluations):.1f}, median "
        f"{np.median(n_evaluations):.0f}, largest {max(n_evaluations)}"
    )


def compare_energies(
    starts: list[ReducedStructure], ends: list[Relaxed], peers: list[tuple[float, bool]]
) -> str:
    """Say how far the energies are from the peer's where both converged."""
    differences = {}
    for start, end, (energy, is_done) in zip(starts, ends, peers, strict=True):
        ours = end.state.energy_per_atom
        if ours is not None and is_done:
            differences[str(start.gene)] = 1e3 * (ours - energy)
    values = np.array(list(differences.values()))
    near = np.abs(values) < 1  # farther apart it is another minimum
    text = f"both converged: {len(values)}"
    if len(values):
        text += f"; mean |energy difference| {np.abs(values).mean():.3f} meV/atom"
    if near.any():
        mean = np.abs(values[near]).mean()
        text += f"; within 1 meV/atom {near.sum()}, their mean {mean:.4f}"
    others = {k: round(v, 1) for k, v in differences.items() if abs(v) >= 1}
    return f"{text}; others (ours - peer): {others}" if others else text


def keeps_symmetry(start: ReducedStructure, end: Relaxed) -> bool:
    """Return whether spglib finds the group of the gene, at a tight tolerance."""
    import spglib

    if end.structure is None:
        return False
    cell = (end.structure.lattice, *end.structure.expand())
    found = spglib.get_symmetry_dataset(cell, symprec=1e-5)
    return found is not None and found.number == start.gene.space_group_number


if __name__ == "__main__":
    sys.exit(main())
