"""P7: energy above hull, CPU microseconds per candidate; re-ranking after an insert.

Candidates and competing phases are rows of MP-20 (formation energies) where
``WYCKFLOW_DATA`` names a folder with the files, and made at random otherwise. The peer
is pymatgen's PhaseDiagram, built per candidate from the entries of its own chemical
system; both get compositions that were read before the clock starts. Cold: no facet is
known. Warm: all are. Every answer is compared with the peer's.
"""

from __future__ import annotations

import csv
import gzip
import os
import random
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from _bench import Record, make_record, run_script
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import ServerError
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate
from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import temporary_server
from wyckflow.store.indexes import create_indexes
from wyckflow.store.references import ReferenceLedger
from wyckflow.store.rerank import insert_phases
from wyckflow.thermo.composition import Compositions, parse_system
from wyckflow.thermo.entry import EnergyKind, ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.reference import ReferenceSet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SEED = 0
TOLERANCE = 1e-9
SCALE = "mp2020-gga-u"
N_CANDIDATES = 3_000
N_PEER = 600
N_LEDGER = 100_000
N_STORED = 10_000
CAMPAIGN = "benchmark"

Row = tuple[str, dict[str, int], float]
Source = random.Random


@dataclass(frozen=True)
class Task:
    """Competing phases, and candidates to be judged."""

    source: str
    reference: ReferenceSet
    candidates: list[Row]

    @property
    def compositions(self) -> Compositions:
        """Those of the candidates."""
        return Compositions.from_counts(counts for _, counts, _ in self.candidates)

    @property
    def energies(self) -> np.ndarray:
        """Those of the candidates, eV/atom."""
        return np.array([energy for _, _, energy in self.candidates])


def measure_distances(quick: bool) -> list[Record]:
    """Print cold and warm figures, and return the records."""
    task = make_task(quick=quick)
    compositions, energies = task.compositions, task.energies
    index_s, hull = clock(lambda: Hull(task.reference))
    cold_s, first = clock(lambda: ask(hull, compositions, energies))
    warm_s = min(clock(lambda: ask(hull, compositions, energies))[0] for _ in range(20))

    peer_s, n_peer, worst = ask_peer(task, first, n=100 if quick else N_PEER)
    if worst > TOLERANCE:
        raise SystemExit(f"differs from PhaseDiagram by {worst:.1e} eV/atom")
    n = len(energies)
    print(
        f"{task.source}: {len(task.reference):,} entries, {n:,} candidates "
        f"({int((~first.can_judge).sum())} cannot be judged) in "
        f"{len(compositions.systems):,} systems; index {index_s:.2f} s once"
    )
    print(f"largest difference to PhaseDiagram ({n_peer}): {worst:.1e} eV/atom")
    records = []
    for state, seconds in (("cold", cold_s), ("warm", warm_s)):
        peer = (f"PhaseDiagram per candidate, {state}", peer_s / n_peer * 1e6)
        row = make_record(
            "P7",
            seconds / n * 1e6,
            "us/candidate",
            peer,
            n=n,
            seed=SEED,
            packages=("numpy", "scipy", "pymatgen"),
        )
        print(
            f"{state}: {row['value']:.3g} us per candidate; PhaseDiagram "
            f"{row['peer_value']:.4g} us ({row['ratio']:.3g}x)"
        )
        records.append(row)
    return records


def measure_systems_of_many_elements(quick: bool) -> list[Record]:
    """Print cold figures for two to six elements, made at random."""
    source = seeded()
    for width in range(2, 7):
        system = source.sample(SYMBOLS[:60], width)
        rows = list(random_rows(source, 20 * width, system))
        candidates = list(random_rows(source, 50, system, widths=(width,)))
        task = Task("random", make_reference(rows), candidates)
        hull = Hull(task.reference)
        cold_s, found = clock(partial(ask, hull, task.compositions, task.energies))
        n = 3 if quick else 10
        peer_s, n_peer, worst = ask_peer(task, found, n=n)
        print(
            f"{width} elements, {len(rows)} entries: {cold_s * 1e3:.2f} ms cold for "
            f"the system and 50 candidates; PhaseDiagram {peer_s / n_peer * 1e3:.2f} "
            f"ms each; difference {worst:.1e} eV/atom"
        )
        if worst > TOLERANCE:
            raise SystemExit(f"differs from PhaseDiagram by {worst:.1e} eV/atom")
    return []


def measure_insert(quick: bool) -> list[Record]:
    """Print how long one new phase takes at 100,000 entries, in a real database."""
    source = seeded()
    n = N_LEDGER // 10 if quick else N_LEDGER
    systems = [source.sample(SYMBOLS[:60], 5) for _ in range(n // 20)]
    rows = [row for system in systems for row in random_rows(source, 20, system)]
    rows = [(f"{name}-{at}", *rest) for at, (name, *rest) in enumerate(rows)]
    elements = [({symbol: 1}, 0.0) for symbol in SYMBOLS[:60]]
    rows += [(f"element-{at}", *rest) for at, rest in enumerate(elements)]
    reference = make_reference(rows, kind=EnergyKind.TOTAL)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        try:
            server = stack.enter_context(temporary_server(folder, ephemeral=False))
        except ServerError as error:
            print(f"no re-ranking measured: {error}")
            return []
        database = Database.from_uri(server.uri, server.database_name)
        create_indexes(database)
        chosen = systems[0][:2]
        n_affected = put_candidates(database, source, chosen, reference.version)
        ledger = stack.enter_context(ReferenceLedger(database))
        store_s, _ = stopwatch(lambda: ledger.start_layer(CAMPAIGN, reference))
        fresh = stack.enter_context(ReferenceLedger(database))
        times = {}
        for number, (state, one) in enumerate(
            (("cold", fresh), ("warm", fresh), ("warm", fresh))
        ):
            counts = dict.fromkeys(chosen, 1)
            entry = ReferenceEntry(counts, -3.0 - number, f"new-{number}")
            work = partial(insert_phases, one, CAMPAIGN, [entry], scale=SCALE)
            times[state], report = stopwatch(work)
            if report.n_ranked_again != n_affected:
                raise SystemExit(f"{report.n_ranked_again} of {n_affected} ranked")
    print(
        f"{len(reference):,} entries in the database (stored in {store_s:.2f} s), "
        f"{N_STORED:,} candidates: one phase inserted, the {n_affected} candidates of "
        f"its chemical system and those around it ranked and written again in "
        f"{times['warm']:.2f} s; {times['cold']:.2f} s with reading the entries first "
        "(elapsed, target 1 s)"
    )
    return []


def put_candidates(
    database: Database, source: Source, chosen: list[str], version: str
) -> int:
    """Write judged candidates, a fiftieth of them with two elements; return those."""
    rows = []
    for number in range(N_STORED):
        is_affected = number % 50 == 0
        rest = [symbol for symbol in SYMBOLS[:60] if symbol not in chosen]
        letters = iter("abcdefgh")
        part = [*chosen, source.choice(rest)] if is_affected else source.sample(rest, 3)
        sites = [(symbol, next(letters)) for symbol in part]
        gene = WyckoffGene.from_pairs(47, sites)
        candidate = new_candidate(CAMPAIGN, gene).model_dump()
        candidate |= {
            "gene_id": f"{number:016x}",
            "energy_per_atom": source.gauss(-2.0, 0.5),
            "energy_scale": SCALE,
            "hull_scale": SCALE,
            "hull_version": version,
        }
        rows.append(candidate)
    with database.client() as client:
        client[database.name][CANDIDATES].insert_many(rows)
    return sum(number % 50 == 0 for number in range(N_STORED))


def ask(hull: Hull, compositions: Compositions, energies: np.ndarray) -> Any:
    """Return the distances of all candidates."""
    return hull.energies_above_hull(
        compositions, energies, scale=SCALE, kind=EnergyKind.FORMATION
    )


def ask_peer(task: Task, found: Any, *, n: int) -> tuple[float, int, float]:
    """Return seconds, number and largest difference of the peer on some candidates."""
    by_system = defaultdict(list)
    for entry in task.reference:
        counts = {symbol: int(count) for symbol, count in entry.composition.items()}
        energy = entry.energy_per_atom * sum(counts.values())
        by_system[parse_system(counts)].append(PDEntry(Composition(counts), energy))
    judged = np.flatnonzero(found.can_judge).tolist()
    chosen = seeded().sample(judged, min(n, len(judged)))
    seconds, worst = 0.0, 0.0
    for place in chosen:
        _, counts, energy = task.candidates[place]
        system = parse_system(counts)
        entries = [
            entry
            for width in range(1, len(system) + 1)
            for part in combinations(system, width)
            for entry in by_system[part]
        ]
        entries += [PDEntry(Composition(SYMBOLS[z - 1]), 0.0) for z in system]
        composition = Composition(counts)
        took, hull_energy = clock(partial(ask_phase_diagram, entries, composition))
        seconds += took
        distance = found.energies_above_hull[place]
        worst = max(worst, abs(energy - hull_energy - distance))
    return seconds, len(chosen), worst


def ask_phase_diagram(entries: list[PDEntry], composition: Composition) -> float:
    """Return the peer's energy of the hull, eV/atom."""
    return float(PhaseDiagram(entries).get_hull_energy_per_atom(composition))


def make_task(*, quick: bool) -> Task:
    """Return rows of MP-20 as competing phases and candidates, or random ones."""
    folder = Path(os.environ.get("WYCKFLOW_DATA", "/nowhere"))
    names = ("mp20_biternary_train.csv.gz", "mp20_biternary_test.csv.gz")
    source = seeded()
    if all((folder / name).exists() for name in names):
        rows = [row for name in names for row in read_rows(folder / name)]
        label = "MP-20, binary and ternary"
    else:
        systems = [source.sample(SYMBOLS[:60], 3) for _ in range(3_000)]
        rows = [row for part in systems for row in random_rows(source, 3, part)]
        rows = [(f"{name}-{at}", *rest) for at, (name, *rest) in enumerate(rows)]
        label = "random"
    source.shuffle(rows)
    n = 300 if quick else N_CANDIDATES
    return Task(label, make_reference(rows[n:]), rows[:n])


def make_reference(
    rows: list[Row], kind: EnergyKind = EnergyKind.FORMATION
) -> ReferenceSet:
    """Return rows as a reference set."""
    entries = [ReferenceEntry(counts, energy, name) for name, counts, energy in rows]
    return ReferenceSet.from_entries("rows", entries, scale=SCALE, kind=kind)


def read_rows(path: Path) -> Iterator[Row]:
    """Yield id, composition and formation energy of a published file."""
    with gzip.open(path, "rt") as stream:
        for row in csv.DictReader(stream):
            formula = Composition(row["pretty_formula"]).reduced_composition
            counts = {str(key): int(n) for key, n in formula.as_dict().items()}
            yield row["material_id"], counts, float(row["formation_energy_per_atom"])


def random_rows(
    source: Source,
    n: int,
    system: list[str],
    widths: tuple[int, ...] = (2, 3, 4, 5, 6),
) -> Iterator[Row]:
    """Yield phases of the subsystems of a chemical system."""
    fitting = [width for width in widths if width <= len(system)]
    for place in range(n):
        part = source.sample(system, source.choice(fitting))
        counts = {symbol: source.randint(1, 8) for symbol in part}
        yield f"random-{place}", counts, source.gauss(-1.0, 0.5)


def seeded() -> Source:
    """Return a source of the same random numbers in every run."""
    return random.Random(SEED)  # noqa: S311 - a fixed sample, no secret


def clock(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return CPU seconds and result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def stopwatch(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return elapsed seconds, those of the database included, and result."""
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


if __name__ == "__main__":
    raise SystemExit(
        run_script(
            "P7: energy above hull against pymatgen's PhaseDiagram.",
            measure_distances,
            measure_systems_of_many_elements,
            measure_insert,
        )
    )
