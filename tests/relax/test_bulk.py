"""Entries through a relaxer and into a folder, with a fast calculator of ASE."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

pytest.importorskip("ase", reason="install wyckflow[ml]")

from ase.build import bulk
from ase.calculators.emt import EMT
from ase.io import read
from pymatgen.io.cif import CifFile

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ConfigurationError
from wyckflow.relax.backends import AseBackend
from wyckflow.relax.bulk import BulkOptions, count_starts, relax_entries
from wyckflow.relax.contract import RelaxOptions
from wyckflow.relax.free import FreeOptions
from wyckflow.relax.halving import HalvingOptions
from wyckflow.relax.intake import Entry, open_intake
from wyckflow.relax.result_folder import ResultFolder, prepare_folder

METALS = frozenset({13, 28, 29, 46, 47, 78, 79})


@pytest.fixture
def backend():
    return AseBackend(
        EMT, energy_scale="emt", identity="EMT", supported_atomic_numbers=METALS
    )


def make_entry(text, edge, name=None):
    gene = WyckoffGene.from_text(text)
    parameters = np.zeros((gene.n_orbits, 3))
    structure = ReducedStructure(gene, np.eye(3) * edge, parameters)
    return Entry(name or gene.formula, "here", gene, structure)


COPPER = make_entry("225 Cu:a", 3.75)
REFUSED = Entry("broken", "there", refusal="unreadable: nothing in it")
IRON = make_entry("229 Fe:a", 2.87)
BARE = Entry("Cu3Au", "a line", WyckoffGene.from_text("221 Cu:c Au:a"))


def energy_of(symbol):
    """Return the lowest energy of an fcc metal in EMT, by looking at many cells."""
    energies = []
    for edge in np.linspace(3.5, 4.2, 141):
        atoms = bulk(symbol, "fcc", a=edge)
        atoms.calc = EMT()
        energies.append(atoms.get_potential_energy())
    return min(energies)


def test_every_entry_comes_back_in_order_with_its_end(backend):
    entries = [REFUSED, COPPER, IRON, BARE]
    options = BulkOptions(n_trials=3, seed=1)
    refused, copper, iron, bare = relax_entries(entries, backend, options)
    assert refused.best is None
    assert (refused.cpu_s, refused.n_starts) == (0, 0)
    assert copper.best.state.outcome == "converged"
    assert copper.best.state.energy_per_atom == pytest.approx(energy_of("Cu"), abs=1e-4)
    assert iron.best.state.outcome == "unsupported_element"
    assert bare.n_starts == 3
    assert bare.best.structure.gene == BARE.gene
    assert copper.cpu_s > 0
    assert bare.n_evaluations > bare.best.state.n_evaluations


def test_entries_do_not_change_each_other(backend):
    (alone,) = relax_entries([COPPER], backend, BulkOptions())
    *_, beside = relax_entries([REFUSED, IRON, COPPER], backend, BulkOptions())
    assert beside.best.structure == alone.best.structure


def test_genes_get_more_starts_the_freer_they_are():
    options = BulkOptions()
    assert count_starts(REFUSED, options) == 0
    assert count_starts(COPPER, options) == 1
    assert count_starts(BARE, options) == 2
    free = Entry("free", "", WyckoffGene.from_text("2 Cu:i3"))
    assert count_starts(free, options) == 20
    assert count_starts(free, BulkOptions(n_trials=4)) == 4


def test_progress_rises_to_the_number_of_entries(backend):
    seen = []
    entries = [COPPER, REFUSED] * 9  # more than one portion of a backend like this
    ends = list(relax_entries(entries, backend, BulkOptions(), seen.append))
    assert len(ends) == len(entries)
    assert seen == sorted(seen)
    assert seen[-1] == len(entries)
    assert len(seen) > 9


def test_a_crystal_that_breaks_the_software_harms_nobody_else(backend):
    class Fragile(EMT):
        def calculate(self, atoms, *rest):
            if "Au" in atoms.symbols:
                raise ZeroDivisionError
            super().calculate(atoms, *rest)

    fragile = AseBackend(Fragile, energy_scale="fragile", identity="a test")
    gold = make_entry("225 Au:a", 4.1)
    before, broken, after = relax_entries(
        [COPPER, gold, COPPER], fragile, BulkOptions()
    )
    assert broken.best.state.outcome == "error"
    assert "ZeroDivisionError" in broken.best.state.reason
    assert before.best == after.best
    assert before.best.state.outcome == "converged"


def test_starts_of_a_gene_may_race_and_a_crystal_never_does(backend):
    gene = WyckoffGene.from_text("62 Cu:c Au:c")
    bare = Entry("CuAu", "a line", gene)
    raced, everything = (
        list(
            relax_entries(
                [COPPER, bare, IRON], backend, BulkOptions(n_trials=8, halving=halving)
            )
        )
        for halving in (HalvingOptions(), None)
    )
    assert raced[0].best == everything[0].best
    assert raced[0].n_evaluations == everything[0].n_evaluations
    assert raced[1].n_starts == everything[1].n_starts == 8
    assert raced[1].best.state.outcome == everything[1].best.state.outcome
    assert raced[1].best.structure.gene == gene
    assert raced[1].n_evaluations < everything[1].n_evaluations
    lowest = everything[1].best.state.energy_per_atom
    assert raced[1].best.state.energy_per_atom >= lowest - 1e-4
    assert raced[2].best.state.outcome == "unsupported_element"


def test_progress_only_grows_and_ends_at_the_end(backend):
    gene = WyckoffGene.from_text("62 Cu:c Au:c")
    entries = [COPPER, Entry("CuAu", "a line", gene), REFUSED, BARE]
    for halving in (HalvingOptions(), None):
        told = []
        options = BulkOptions(n_trials=4, halving=halving)
        list(relax_entries(entries, backend, options, told.append))
        assert told == sorted(told)
        assert told[-1] == len(entries)
        assert len({round(value, 6) for value in told}) > 3


@pytest.fixture
def written(tmp_path, backend):
    """A run with one crystal, one refusal and a check, and its folder."""
    options = BulkOptions(relax=RelaxOptions(fmax=0.005), free=FreeOptions())
    folder = ResultFolder(tmp_path / "out", backend, options)
    intake = open_intake([], ["225 Cu:a"])
    results = relax_entries([COPPER, REFUSED], backend, options)
    assert len(list(folder.write(results, intake))) == 2
    return folder.path


def test_the_table_says_what_became_of_everything(written):
    with (written / "results.csv").open(newline="") as stream:
        copper, refused = csv.DictReader(stream)
    assert (copper["name"], copper["formula"], copper["outcome"]) == (
        "Cu",
        "Cu",
        "converged",
    )
    assert copper["space_group_before"] == copper["space_group_after"] == "225"
    assert float(copper["energy_ev_per_atom"]) == pytest.approx(
        energy_of("Cu"), abs=1e-4
    )
    assert copper["energy_scale"] == "emt"
    assert copper["symmetry"] == "kept"
    assert copper["file"] == "structures/Cu.cif"
    assert refused["outcome"] == "refused"
    assert refused["reason"] == REFUSED.refusal
    assert refused["energy_ev_per_atom"] == refused["file"] == refused["symmetry"] == ""


class Magnetic(AseBackend):
    """Copper whose atoms have a moment, and gold whose atoms have none."""

    def magnetic_moments(self, structures):
        sizes = {"Cu": 1.25, "Au": 0.0}
        return [[sizes[site.element] for site in s.gene.sites] for s in structures]


@pytest.mark.filterwarnings("ignore")
def test_moments_are_in_the_table_and_beside_the_sites(tmp_path):
    backend = Magnetic(
        EMT, energy_scale="emt", identity="EMT", supported_atomic_numbers=METALS
    )
    options = BulkOptions(n_trials=1)
    folder = ResultFolder(tmp_path, backend, options)
    results = relax_entries([BARE, REFUSED, IRON], backend, options)
    rows = list(folder.write(results, open_intake([], ["225 Cu:a"])))
    assert [row["magnetic_moments_mu_b"] for row in rows] == ["1.250 0.000", "", ""]
    assert [site.element for site in BARE.gene.sites] == ["Cu", "Au"]
    path = tmp_path / "structures" / "Cu3Au.cif"
    block = CifFile.from_file(path).data["Cu3Au"]
    assert block["_atom_site_type_symbol"] == ["Cu", "Au"]
    assert block["_atom_site_wyckflow_moment_size"] == ["1.250", "0.000"]
    assert len(read(path)) == 4  # other programs pass over it


@pytest.mark.filterwarnings("ignore")
def test_the_structure_has_the_energy_of_the_table(written):
    atoms = read(written / "structures" / "Cu.cif")
    atoms.calc = EMT()
    energy = atoms.get_potential_energy() / len(atoms)
    assert energy == pytest.approx(energy_of("Cu"), abs=1e-4)


def test_the_metadata_say_what_made_the_numbers(written):
    content = json.loads((written / "metadata.json").read_text())
    assert content["is_complete"]
    assert content["energy_scale"] == "emt"
    assert content["options"]["relax"]["fmax"] == 0.005
    assert content["outcomes"] == {"converged": 1, "refused": 1}
    names = {item["name"] for item in content["provenance"]["packages"]}
    assert {"numpy", "spglib"} <= names


def test_a_run_that_was_stopped_is_not_called_complete(tmp_path, backend):
    folder = ResultFolder(tmp_path, backend, BulkOptions())
    results = relax_entries([COPPER, COPPER], backend, BulkOptions())
    rows = folder.write(results, open_intake([], ["225 Cu:a"]))
    next(rows)
    rows.close()
    assert not json.loads((tmp_path / "metadata.json").read_text())["is_complete"]
    assert len((tmp_path / "results.csv").read_text().splitlines()) == 2


def test_results_are_replaced_only_if_allowed_and_nothing_else_is(written):
    with pytest.raises(ConfigurationError, match="--overwrite"):
        prepare_folder(written, [], overwrite=False)
    (written / "structures" / "mine.cif").write_text("mine")
    prepare_folder(written, [], overwrite=True)
    left = {path.name for path in written.rglob("*") if path.is_file()}
    assert left == {"mine.cif"}


def test_what_is_read_is_never_replaced(written):
    for inside in (written / "structures", written / "structures" / "Cu.cif", written):
        with pytest.raises(ConfigurationError, match="read and replaced"):
            prepare_folder(written, [inside], overwrite=True)
    assert (written / "structures" / "Cu.cif").exists()


def test_folders_of_others_are_left_alone(tmp_path):
    prepare_folder(tmp_path / "new", [], overwrite=False)
    (tmp_path / "notes.txt").write_text("mine")
    prepare_folder(tmp_path, [], overwrite=False)
    (tmp_path / "structures").mkdir()
    with pytest.raises(ConfigurationError, match="not written by an earlier run"):
        prepare_folder(tmp_path, [], overwrite=True)
    with pytest.raises(ConfigurationError, match="is a file"):
        prepare_folder(tmp_path / "notes.txt", [], overwrite=True)
