"""Trial structures: the right gene, room for every atom, seeds, limits and reasons."""

import csv
import gzip
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import spglib
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pymatgen.core import Element, Structure

from wyckflow.crystal.build import trials as build
from wyckflow.crystal.build.pyxtal_engine import build_with_pyxtal
from wyckflow.crystal.build.sampler import Sample
from wyckflow.crystal.build.trials import (
    BLOCK_SIZE,
    BuildEngine,
    BuildOutcome,
    Engine,
    build_trials,
    trial_seed,
)
from wyckflow.crystal.equivalence import canonical_gene, equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure, contact_radii
from wyckflow.crystal.tables import load_space_group

DATA = os.environ.get("WYCKFLOW_DATA")
ENGINES = [BuildEngine.SAMPLER, BuildEngine.PYXTAL]

# One or two of every crystal system, up to forty atoms.
GENES = [
    "1 K:a Cl:a2",
    "2 Ti:a O:i2",
    "14 Zr:e O:e2",
    "5 Na:a S:b,c",
    "62 Ca:c Ti:b O:c,d",
    "43 Th:a Si:b S:b2",
    "141 Ti:a O:e",
    "82 Zn:a Ga:b,c S:g",
    "166 Bi:c Te:a,c",
    "152 Si:a O:c",
    "186 Zn:b S:b",
    "198 Fe:a Si:a",
    "225 Na:a Cl:b",
]
PEROVSKITE = WyckoffGene.from_text("62 Ca:c Ti:b O:c,d")
CROWDED = WyckoffGene.from_text("164 Pr:c,e,g Al:b,h Si:d2,g")


def gene_by_spglib(structure, symprec):
    """Find the gene with spglib alone: in the standard setting, one site per orbit."""
    cell = (
        structure.lattice.matrix,
        structure.frac_coords,
        [site.specie.Z for site in structure],
    )
    number = spglib.get_symmetry_dataset(cell, symprec=symprec).number
    dataset = spglib.get_symmetry_dataset(
        cell, symprec=symprec, hall_number=load_space_group(number).hall_number
    )
    firsts = np.unique(dataset.crystallographic_orbits, return_index=True)[1]
    pairs = [(str(structure[int(k)].specie), dataset.wyckoffs[k]) for k in firsts]
    return WyckoffGene.from_pairs(number, pairs)


def assert_keeps_distance(reduced, ratio):
    """Measure with pymatgen's distance matrix and its neighbour search."""
    structure = reduced.to_structure()
    radii = contact_radii(reduced.gene)[reduced.orbit_table.site_indices]
    sums = radii[:, None] + radii[None, :]
    ratios = structure.distance_matrix / sums
    ratios[np.diag_indices(len(structure))] = np.inf
    assert ratios.min() >= ratio - 1e-6
    centres, others, _, distances = structure.get_neighbor_list(float(sums.max()))
    assert (distances / sums[centres, others]).min(initial=np.inf) >= ratio - 1e-6


# --- the right structure --------------------------------------------------------------


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("text", GENES)
def test_every_built_structure_has_the_gene_and_room_for_its_atoms(text, engine):
    gene = WyckoffGene.from_text(text)
    n_trials = 8 if engine is BuildEngine.SAMPLER else 2
    trials = build_trials(gene, n_trials, seed=1, engine=engine)
    assert [trial.number for trial in trials] == list(range(n_trials))
    for trial in trials:
        assert trial.outcome is BuildOutcome.BUILT, trial.reason
        assert trial.engine is engine
        assert trial.structure.gene == gene
        structure = trial.structure.to_structure()
        found = gene_by_spglib(structure, symprec=0.01)
        assert canonical_gene(found) == canonical_gene(gene)
        assert structure.composition.as_dict() == gene.composition
        assert_keeps_distance(trial.structure, 0.65)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    number=st.integers(1, 230),
    choices=st.lists(
        st.tuples(st.sampled_from(["Na", "Ti", "S", "Cl"]), st.integers(0, 26)),
        min_size=1,
        max_size=4,
    ),
)
def test_random_genes_are_built_right_or_refused_with_a_reason(number, choices):
    positions = load_space_group(number).positions
    pairs, taken = [], set()
    for element, index in choices:
        position = positions[index % len(positions)]
        if position.degrees_of_freedom or position.letter not in taken:
            pairs.append((element, position.letter))
            taken.add(position.letter)
    gene = WyckoffGene.from_pairs(number, pairs)
    assume(gene.n_sites <= 120)
    (trial,) = build_trials(gene, 1, seed=5, engine="sampler", cpu_limit_s=60)
    if trial.outcome is BuildOutcome.BUILT:
        found = gene_by_spglib(trial.structure.to_structure(), symprec=0.01)
        assert canonical_gene(found) == canonical_gene(gene)
        assert_keeps_distance(trial.structure, 0.65)
    else:
        assert trial.structure is None
        assert trial.reason


def test_gene_that_implies_a_higher_symmetry_is_reported_with_what_was_found():
    gene = WyckoffGene.from_text("189 Mg:b Ga:d")
    for engine in ENGINES:
        trials = build_trials(gene, 2, seed=1, engine=engine)
        assert {trial.outcome for trial in trials} == {BuildOutcome.GENE_MISMATCH}
        assert all("191 Mg:b Ga:d" in trial.reason for trial in trials)
        assert all(trial.structure is None for trial in trials)


def test_loose_tolerance_finds_more_mismatches_than_a_tight_one():
    gene = WyckoffGene.from_text("14 Zr:e O:e2")
    tight, loose = (
        build_trials(gene, 8, seed=1, engine="sampler", symprec=symprec)
        for symprec in (0.001, 1.5)
    )
    assert {trial.outcome for trial in tight} == {BuildOutcome.BUILT}
    assert BuildOutcome.GENE_MISMATCH in {trial.outcome for trial in loose}


def test_moyopy_passes_the_same_structures():
    pytest.importorskip("moyopy")
    for text in GENES[:6]:
        gene = WyckoffGene.from_text(text)
        by_spglib, by_moyopy = (
            build_trials(gene, 4, seed=2, symmetry_engine=engine) for engine in Engine
        )
        assert by_spglib == by_moyopy


@pytest.mark.skipif(not DATA, reason="WYCKFLOW_DATA is not set")
def test_real_genes_are_built_right():
    path = Path(DATA) / "mp20_biternary_test.csv.gz"
    with gzip.open(path, "rt") as stream:
        cifs = [row["cif"] for row in csv.DictReader(stream)]
    for k in np.random.default_rng(30).choice(len(cifs), 30, replace=False):
        structure = Structure.from_str(cifs[k], fmt="cif")
        gene = gene_by_spglib(structure, symprec=0.1)
        (trial,) = build_trials(gene, 1, seed=0)
        assert trial.outcome is BuildOutcome.BUILT, (gene, trial.reason)
        built = trial.structure.to_structure()
        found = gene_by_spglib(built, symprec=0.01)
        assert canonical_gene(found) == canonical_gene(gene)
        assert (
            built.composition.reduced_formula == structure.composition.reduced_formula
        )
        assert_keeps_distance(trial.structure, 0.65)


def test_elements_known_only_by_a_guess_are_built():
    for text in ("225 Ra:a O:b", "216 At:a Fr:c", "225 Kr:a", "221 Xe:a He:b"):
        (trial,) = build_trials(WyckoffGene.from_text(text), 1, seed=0)
        assert trial.outcome is BuildOutcome.BUILT, (text, trial.reason)


def test_hydrogen_atoms_do_not_sit_on_each_other():
    gene = WyckoffGene.from_text("14 Li:e H:e4")
    for trial in build_trials(gene, 8, seed=0):
        distances = trial.structure.to_structure().distance_matrix
        assert distances[np.triu_indices(len(distances), 1)].min() > 0.6


# --- seeds ----------------------------------------------------------------------------


@pytest.mark.parametrize("engine", [*ENGINES, BuildEngine.AUTO])
def test_same_seed_gives_the_same_trials_and_another_seed_others(engine):
    first, again, other = (
        build_trials(PEROVSKITE, 2, seed=seed, engine=engine) for seed in (7, 7, 8)
    )
    assert first == again
    for trial, another in zip(first, other, strict=True):
        assert trial.seed != another.seed
        assert trial.structure != another.structure


@pytest.mark.parametrize("engine", ENGINES)
def test_a_trial_does_not_depend_on_how_many_are_asked_for(engine):
    n_trials = BLOCK_SIZE + 4 if engine is BuildEngine.SAMPLER else 3
    together = build_trials(PEROVSKITE, n_trials, seed=3, engine=engine)
    assert build_trials(PEROVSKITE, 1, seed=3, engine=engine) == together[:1]
    later = build_trials(PEROVSKITE, n_trials - 2, seed=3, engine=engine, first_trial=2)
    assert later == together[2:]


def test_all_trials_differ():
    trials = build_trials(PEROVSKITE, 3 * BLOCK_SIZE, seed=3)
    assert len({trial.seed for trial in trials}) == len(trials)
    assert len({trial.structure for trial in trials}) == len(trials)


def test_seed_is_alike_for_equivalent_genes_and_fits_a_database():
    seeds = {trial_seed(gene, 1, 2) for gene in equivalent_genes(PEROVSKITE)}
    assert len(seeds) == 1
    assert 0 <= seeds.pop() < 2**63
    numbers = [trial_seed(PEROVSKITE, 1, n) for n in range(1000)]
    assert len(set(numbers)) == 1000


# --- failures are values --------------------------------------------------------------


@pytest.mark.parametrize("engine", [*ENGINES, BuildEngine.AUTO])
def test_atoms_that_cannot_keep_apart_are_reported(engine):
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    trials = build_trials(gene, 2, seed=0, engine=engine, min_contact_ratio=6.0)
    assert {trial.outcome for trial in trials} == {BuildOutcome.TOO_CLOSE}
    assert all(trial.reason and trial.structure is None for trial in trials)


@pytest.mark.parametrize("engine", ENGINES)
def test_time_limit_is_reported_with_the_limit(engine):
    limit = 0.02 if engine is BuildEngine.PYXTAL else 1e-6
    (trial,) = build_trials(CROWDED, 1, seed=0, engine=engine, cpu_limit_s=limit)
    assert trial.outcome is BuildOutcome.TIME_LIMIT
    assert f"within {limit:g} CPU seconds" in trial.reason


def test_time_limit_of_pyxtal_holds_outside_the_main_thread():
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(
            build_trials, CROWDED, 1, seed=0, engine="pyxtal", cpu_limit_s=0.02
        )
        (trial,) = future.result()
    assert trial.outcome is BuildOutcome.TIME_LIMIT
    assert trial.cpu_s < 5


def test_auto_turns_to_pyxtal_where_the_sampler_finds_no_room(monkeypatch):
    def find_nothing(gene, n_structures, *, min_contact_ratio, **_):
        nothing = np.empty((0, 3, 3))
        return Sample(gene, nothing, nothing, 10, min_contact_ratio)

    expected = build_trials(PEROVSKITE, 2, seed=1, engine="pyxtal")
    monkeypatch.setattr(build, "sample_structures", find_nothing)
    assert build_trials(PEROVSKITE, 2, seed=1, engine="auto") == expected
    (trial,) = build_trials(PEROVSKITE, 1, seed=1, engine="sampler")
    assert trial.outcome is BuildOutcome.TOO_CLOSE
    assert "In 10 cells" in trial.reason


@pytest.mark.parametrize("engine", [*ENGINES, BuildEngine.AUTO])
@pytest.mark.parametrize(
    ("text", "name"), [("225 Na:a Og:b", "Og"), ("225 Am:a O:b", "Am")]
)
def test_unsupported_elements_are_named(text, name, engine):
    trials = build_trials(WyckoffGene.from_text(text), 3, seed=0, engine=engine)
    assert {trial.outcome for trial in trials} == {BuildOutcome.UNSUPPORTED}
    assert all(name in trial.reason for trial in trials)
    assert [trial.number for trial in trials] == [0, 1, 2]


def test_every_supported_element_can_be_built():
    symbols = [Element.from_Z(number).symbol for number in range(1, 95)]
    for symbol in symbols:
        gene = WyckoffGene.from_pairs(225, [(symbol, "a")])
        (trial,) = build_trials(gene, 1, seed=0, engine="sampler")
        assert trial.outcome is BuildOutcome.BUILT, (symbol, trial.reason)


# --- wrong arguments ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_trials": 0}, ValueError, "n_trials=0 must be positive"),
        ({"n_trials": -3}, ValueError, "n_trials=-3 must be positive"),
        ({"n_trials": 2.5}, TypeError, "n_trials=2.5 must be an integer"),
        ({"n_trials": True}, TypeError, "n_trials=True must be an integer"),
        ({"seed": "x"}, TypeError, "seed='x' must be an integer"),
        ({"seed": None}, TypeError, "seed=None must be an integer"),
        ({"first_trial": -1}, ValueError, "must not be negative"),
        ({"engine": "pyxtl"}, ValueError, "Did you mean 'pyxtal'"),
        ({"engine": "sampling"}, ValueError, "Did you mean 'sampler'"),
        ({"symprec": 0}, ValueError, "symprec=0 must be positive"),
        ({"cpu_limit_s": float("inf")}, ValueError, "must be positive and finite"),
        (
            {"min_contact_ratio": float("nan")},
            ValueError,
            "must be positive and finite",
        ),
        ({"gene": "225 Na:a Cl:b"}, TypeError, "WyckoffGene.from_text"),
    ],
    ids=lambda value: str(value)[:30] if isinstance(value, dict) else "",
)
def test_wrong_arguments_are_refused_with_what_to_do(arguments, error, message):
    given_arguments = {"gene": PEROVSKITE, "n_trials": 1, "seed": 0, **arguments}
    with pytest.raises(error, match=message):
        build_trials(**given_arguments)


# --- PyXtal alone ---------------------------------------------------------------------


def test_pyxtals_structure_is_taken_over_atom_by_atom():
    """The reduced form must hold the atoms that PyXtal itself hands out."""
    from pyxtal.crystal import random_crystal
    from pyxtal.tolerance import Tol_matrix

    for text in GENES:
        gene = WyckoffGene.from_text(text)
        number, species, n_ions, sites = gene.to_pyxtal()
        crystal = random_crystal(
            group=number,
            species=species,
            numIons=n_ions,
            sites=sites,
            tm=Tol_matrix(prototype="atomic", factor=1.3),
            random_state=np.random.default_rng(4),
        )
        theirs = np.concatenate([site.coords for site in crystal.atom_sites])
        ours = build_with_pyxtal(
            gene,
            rng=np.random.default_rng(4),
            min_contact_ratio=0.65,
            cpu_limit_s=60,
        )
        assert isinstance(ours, ReducedStructure)
        points = ours.expand()[0]
        gaps = points[:, None] - theirs[None]
        gaps = np.abs(gaps - np.rint(gaps)).max(axis=2)
        assert gaps.min(axis=1).max() < 1e-6
        assert gaps.min(axis=0).max() < 1e-6
        assert ours.volume == pytest.approx(crystal.lattice.volume, rel=1e-6)
