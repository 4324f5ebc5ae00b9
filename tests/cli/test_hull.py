"""``wyckflow hull``, called as a person calls it."""

from __future__ import annotations

import json

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.candidate import StageOutcome
from wyckflow.store.candidates.builder import new_candidate
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.references import ReferenceLedger
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

TABLE = """id,formula,energy_per_atom
na,Na,-1.3
cl,Cl2,-1.8
nacl,NaCl,-3.4
"""


@pytest.fixture
def reference(tmp_path):
    entries = [
        ReferenceEntry({"Na": 1}, -1.3, "na", "by hand", "2026-01-31"),
        ReferenceEntry({"Cl": 1}, -1.8, "cl"),
        ReferenceEntry({"Na": 1, "Cl": 1}, -3.4, "nacl"),
        ReferenceEntry({"Na": 1, "Cl": 3}, -2.0, "nacl3"),
    ]
    found = ReferenceSet.from_entries(
        "toy", entries, scale="chgnet-0.3.0", kind="total", provenance={"how": "toy"}
    )
    found.save(tmp_path / "toy.npz")
    return tmp_path / "toy.npz"


def test_a_distance_comes_with_products_and_completeness(wyckflow, reference):
    done = wyckflow(
        *("hull", "distance", "NaCl=-3.35", "Na3Cl=-2.5", "NaO=-3", "-r", reference),
        *("--scale", "chgnet-0.3.0"),
    )
    assert done.code == 0, done.err
    assert "NaCl 50.0 meV/atom" in done.out
    assert "50% Na (na) + 50% NaCl (nacl)" in done.out
    assert "no energy of O" in done.out
    assert "a lower bound" in done.out


def test_the_same_for_programs(wyckflow, reference):
    done = wyckflow(
        *("hull", "distance", "NaCl=-3.35", "NaO=-3", "-r", reference),
        *("--scale", "chgnet-0.3.0", "--json"),
    )
    salt, oxide = json.loads(done.out)
    assert salt["energy_above_hull"] == pytest.approx(0.05)
    assert salt["decomposition"] == [{"id": "nacl", "formula": "NaCl", "fraction": 1.0}]
    assert oxide["energy_above_hull"] is None
    assert oxide["missing_elements"] == ["O"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["NaCl=-3", "--scale", "mp2020-gga-u"], "cannot be compared"),
        (["NaCl", "--scale", "chgnet-0.3.0"], "such as SrTiO3=-8.40"),
        (["NaCl=low", "--scale", "chgnet-0.3.0"], "such as SrTiO3=-8.40"),
        (["Xx=-1", "--scale", "chgnet-0.3.0"], "no chemical formula"),
        (["NaCl=-3", "--scale", "chgnet-0.3.0", "--kind", "formation"], "total"),
    ],
)
def test_what_cannot_be_asked_is_refused(wyckflow, reference, words, expected):
    done = wyckflow("hull", "distance", *words, "-r", reference)
    assert done.code == 1
    assert expected in done.err


def test_show_tells_what_a_file_holds(wyckflow, reference):
    whole = wyckflow("hull", "show", reference)
    assert "chgnet-0.3.0" in whole.out
    assert "how toy" in whole.out
    assert "4, 4 of them relaxed" in whole.out
    system = wyckflow("hull", "show", reference, "--chemsys", "Na-Cl")
    assert "NaCl nacl -1.850 stable" in system.out
    assert "NaCl3 nacl3" in system.out
    assert "Cl-Na: 4 known phases" in system.out
    missing = wyckflow("hull", "show", reference, "--chemsys", "Na-O")
    assert "cannot judge: no energy of O" in missing.out


@pytest.mark.mongo
def test_a_set_goes_into_the_database_and_out_again(wyckflow, project, tmp_path):
    table = tmp_path / "phases.csv"
    table.write_text(TABLE)
    refused = wyckflow("hull", "import", table, "-p", project.folder)
    assert "give --scale" in refused.err
    done = wyckflow(
        *("hull", "import", table, "--scale", "pbe-fine", "-p", project.folder)
    )
    assert done.code == 0, done.err
    version = done.out.split()[-1]
    listed = wyckflow("hull", "list", "-p", project.folder)
    assert f"{version} phases pbe-fine total 3 2" in listed.out
    shown = wyckflow("hull", "show", version, "-p", project.folder)
    assert "phases.csv" in shown.out
    file = tmp_path / "out.npz"
    assert wyckflow("hull", "export", version, file, "-p", project.folder).code == 0
    assert ReferenceSet.load(file).version == version
    again = wyckflow("hull", "import", file, "-p", project.folder)
    assert again.out.split()[-1] == version


@pytest.mark.mongo
def test_the_hull_of_a_campaign_goes_where_jobs_look(wyckflow, project, reference):
    new = ReferenceEntry({"Na": 1, "Cl": 2}, -3.0, "c/1")
    with ReferenceLedger(project.database()) as ledger:
        ledger.start_layer("c", ReferenceSet.load(reference))
        state, _ = ledger.insert("c", "chgnet-0.3.0", [new])
    done = wyckflow("hull", "export", state.hull_version, "-p", project.folder)
    assert done.code == 0, done.err
    (file,) = (project.folder / "references").iterdir()
    assert ReferenceSet.load(file).version == state.hull_version
    listed = wyckflow("hull", "list", "-p", project.folder, "--json")
    layers = json.loads(listed.out)["layers"]
    assert [item["hull_version"] for item in layers][-1] == state.hull_version


@pytest.mark.mongo
def test_the_stable_crystals_of_a_campaign_compete_when_told_to(
    wyckflow, project, reference
):
    database = project.database()
    gene = WyckoffGene.from_text("221 Na:a Cl:b")
    other = WyckoffGene.from_text("225 Na:a Cl:b")
    with database.client() as client:
        for item, energy, distance in ((gene, -3.5, -0.1), (other, -3.4, 0.0)):
            fields = {
                "energy_per_atom": energy,
                "energy_scale": "chgnet-0.3.0",
                "energy_above_hull": distance,
                "hull_scale": "chgnet-0.3.0",
                "hull_version": ReferenceSet.load(reference).version,
                "outcomes": [StageOutcome(stage="chgnet relax", outcome="converged")],
            }
            candidate = new_candidate("c", item).model_copy(update=fields)
            client[database.name]["candidates"].insert_one(candidate.model_dump())
    words = ("hull", "layer", "c", "-p", project.folder, "--limit", "-0.05")
    shown = wyckflow(*words, "--base", reference)
    assert shown.code == 0, shown.err
    assert f"NaCl {gene.gene_id} -3.500" in shown.out
    assert "nothing was written" in shown.out
    done = wyckflow(*words, "--base", reference, "--write")
    assert "1 new phases" in done.out
    assert "2 candidates judged again" in done.out
    found = {item.gene_id: item for item in find_candidates(database, campaign="c")}
    assert found[gene.gene_id].energy_above_hull == pytest.approx(-0.1)
    assert found[other.gene_id].energy_above_hull == pytest.approx(0.1)
    again = wyckflow(*words, "--write")
    assert "0 new phases" in again.out
    assert "0 candidates judged again" in again.out
