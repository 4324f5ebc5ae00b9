"""Letting crystals through to VASP at the command line."""

from __future__ import annotations

import json

import pytest
import typer
from pymatgen.core import Lattice, Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec
from wyckflow.schemas.screening import Verdict
from wyckflow.store.candidates.builder import CANDIDATES, new_candidate

pytestmark = pytest.mark.mongo

SALT, OXIDE = "225 Na:a Cl:b", "225 Mg:a O:b"
ROWS = {SALT: ("NaCl", 5.6, 0.0), OXIDE: ("MgO", 4.2, 0.06)}


def id_of(text):
    return WyckoffGene.from_text(text).gene_id


@pytest.fixture
def waiting(project, monkeypatch):
    """A project with a campaign of two relaxed crystals; go there."""
    spec = CampaignSpec.model_validate(
        {
            "name": "salts",
            "dft": {"opens_below": 0.05},
            "budget": {"vasp_jobs": 7},
        }
    )
    rows = []
    for text, (_, size, distance) in ROWS.items():
        gene = WyckoffGene.from_text(text)
        cell = Structure.from_spacegroup(
            225, Lattice.cubic(size), list(gene.elements), [[0, 0, 0], [0.5, 0.5, 0.5]]
        )
        known = {
            "structure": cell.as_dict(),
            "energy_above_hull": distance,
            "verdict": Verdict.PASS,
        }
        rows.append(new_candidate("salts", gene).model_copy(update=known).model_dump())
    with project.database().client() as client:
        mongo = client[project.database().name]
        mongo[CANDIDATES].insert_many(rows)
        mongo["campaigns"].insert_one(CampaignDoc(name="salts", spec=spec).model_dump())
        # Outputs are what makes a campaign known to those that never were submitted.
        mongo["outputs"].insert_one({"metadata": {"campaign": "salts"}, "name": "toy"})
    monkeypatch.chdir(project.folder)
    return project.database()


def n_workflows(database):
    with database.client() as client:
        return client[database.name]["workflows"].count_documents({})


def test_without_words_it_shows_what_waits_and_sends_nothing(waiting, wyckflow):
    done = wyckflow("approve")
    assert done.code == 0, done.err
    assert "NaCl" in done.out
    assert "2 crystals wait; nothing was sent" in done.out
    assert n_workflows(waiting) == 0


def test_an_id_a_condition_and_a_second_time(waiting, wyckflow):
    done = wyckflow("approve", id_of(OXIDE)[:6], "--by", "ada", "--yes")
    assert done.code == 0, done.err
    assert "1 crystals approved, 7 VASP jobs" in done.out
    assert "on this machine" in done.out  # no POTCARs here, VASP may be elsewhere
    again = wyckflow("approve", id_of(OXIDE), "-w", "nsites > 0", "--yes")
    assert again.code == 0, again.err
    assert "1 crystals approved" in again.out
    assert "1 were before" in again.out
    assert n_workflows(waiting) == 2
    rows = json.loads(wyckflow("dft", "status", "--json").out)
    assert [row["formula_pretty"] for row in rows] == ["MgO", "NaCl"]
    assert (rows[0]["approved_by"], rows[0]["state"]) == ("ada", "waiting")
    assert "waiting" in wyckflow("dft", "status", "--campaign", "salts").out


def test_a_trial_run_and_a_no_send_nothing(waiting, wyckflow, monkeypatch):
    assert wyckflow("approve", "-w", "nsites > 0", "--dry-run").code == 0

    def refuse(*_, **__):
        raise typer.Abort

    monkeypatch.setattr(typer, "confirm", refuse)
    assert wyckflow("approve", "-w", "nsites > 0").code == 1
    assert n_workflows(waiting) == 0


def test_where_vasp_runs_here_all_that_is_missing_stops_it(waiting, wyckflow):
    done = wyckflow("approve", id_of(SALT), "--here", "--yes")
    assert done.code == 1
    assert "srun" in done.err
    assert "POTCARs" in done.err
    assert n_workflows(waiting) == 0


def test_the_check_covers_every_element_of_a_campaign(waiting, wyckflow):
    done = wyckflow("dft", "preflight", "--campaign", "salts", "--elsewhere")
    assert done.code == 1  # there are no POTCARs
    assert "4 elements in 2 crystals; POTCARs: Cl, Mg_pv, Na_pv, O" in done.out
    assert "PMG_VASP_PSP_DIR" in done.out
    done = wyckflow("dft", "preflight", "--campaign", "none")
    assert "no relaxed candidate" in done.err
    assert "Name a file" in wyckflow("dft", "preflight", "--elsewhere").err


def test_advance_sends_what_the_rule_lets_through_and_no_more(waiting, wyckflow):
    done = wyckflow("advance", "salts")
    assert done.code == 0, done.err
    assert "1 crystals sent to VASP" in done.out
    assert n_workflows(waiting) == 1
    (row,) = json.loads(wyckflow("advance", "--json").out)
    assert row["sent"] == []
    assert n_workflows(waiting) == 1


def test_a_mistake_is_one_sentence(waiting, wyckflow):
    mistakes = {
        "no id of a gene": ["approve", "zzzz"],
        "at least 4": ["approve", "ab"],
        "No candidate has an id": ["approve", "ffffffff"],
        "Nothing that waits meets": ["approve", "-w", "nsites > 900", "-y"],
        "Did you mean 'nsites'": ["approve", "-w", "nsits > 9", "-y"],
        "Did you mean 'salts'": ["advance", "salt"],
    }
    for text, words in mistakes.items():
        done = wyckflow(*words)
        assert done.code == 1
        assert text in done.err
