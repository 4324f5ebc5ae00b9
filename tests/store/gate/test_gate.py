"""The gate before VASP: by hand, by rule, within a budget, and never twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

pytest.importorskip("atomate2", reason="install wyckflow[dft]")

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import CampaignError, QueryError
from wyckflow.schemas.campaign import CampaignDoc, CampaignSpec, CampaignState
from wyckflow.schemas.dft import GateOpener
from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.screening import Verdict
from wyckflow.store.campaign.record import mark_campaign
from wyckflow.store.candidates.builder import new_candidate
from wyckflow.store.gate import sending as gates
from wyckflow.store.gate.approvals import keep_gate, list_approvals
from wyckflow.store.gate.keeper import GateKeeper
from wyckflow.store.gate.progress import read_dft_progress
from wyckflow.store.gate.sending import approve_candidates, list_waiting, open_gate
from wyckflow.store.gate.stopped import audit_stopped

pytestmark = pytest.mark.mongo

FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
SALTS = {"NaCl": 0.0, "KCl": 0.02, "LiF": 0.04, "RbBr": 0.2}
JOBS_EACH = 7


def salt(formula):
    cation, anion = WyckoffGene.from_text(text_of(formula)).elements
    places = FACES + [[x + 0.5 for x in face] for face in FACES]
    return Structure(Lattice.cubic(5.6), [cation] * 4 + [anion] * 4, places)


def text_of(formula):
    cation, anion = {
        "NaCl": "Na Cl", "KCl": "K Cl", "LiF": "Li F", "RbBr": "Rb Br"
    }[formula].split()  # fmt: skip
    return f"225 {cation}:a {anion}:b"


@pytest.fixture
def mongo(database):
    with database.client() as client:
        yield client[database.name]


@pytest.fixture
def begin(database, mongo):
    """Store a campaign with relaxed salts at known distances to the hull."""

    def call(candidates=SALTS, *, changes=None, **spec):
        made = CampaignSpec.model_validate({"name": "salts", **spec})
        document = CampaignDoc(name="salts", spec=made)
        mongo.campaigns.insert_one(document.model_dump())
        for formula, distance in candidates.items():
            gene = WyckoffGene.from_text(text_of(formula))
            known = {
                "energy_above_hull": distance,
                "verdict": Verdict.PASS,
                "structure": salt(formula).as_dict(),
                **(changes or {}),
            }
            item = new_candidate("salts", gene).model_copy(update=known)
            mongo.candidates.insert_one(item.model_dump())

    return call


def rule(opens_below=0.05, vasp_jobs=700, **more):
    return {
        "dft": {"opens_below": opens_below, **more},
        "budget": {"vasp_jobs": vasp_jobs},
    }


def formulas(approvals):
    return [item.formula_pretty for item in approvals]


# --- by rule -------------------------------------------------------------------------


def test_the_rule_lets_the_best_through_first_and_only_once(database, mongo, begin):
    begin(**rule())
    opened = open_gate(database, "salts")
    assert formulas(opened.sent) == ["NaCl", "KCl", "LiF"]
    assert {item.opened_by for item in opened.sent} == {GateOpener.RULE}
    assert mongo.workflows.count_documents({}) == 3
    assert open_gate(database, "salts").sent == ()
    assert mongo.workflows.count_documents({}) == 3
    assert formulas(list_waiting(database, "salts")) == ["RbBr"]


def test_not_all_have_to_go_at_once(database, begin):
    begin(**rule())
    first = open_gate(database, "salts", limit=2)
    assert (formulas(first.sent), first.is_partial) == (["NaCl", "KCl"], True)
    rest = open_gate(database, "salts", limit=2)
    assert (formulas(rest.sent), rest.is_partial) == (["LiF"], False)


def test_a_budget_counts_jobs_and_is_never_exceeded(database, begin):
    begin(**rule(vasp_jobs=2 * JOBS_EACH + 6))
    assert formulas(open_gate(database, "salts").sent) == ["NaCl", "KCl"]
    assert open_gate(database, "salts").sent == ()
    spent = [item.n_jobs_spent for item in list_approvals(database, "salts")]
    assert spent == [0, JOBS_EACH]


def test_what_the_rule_does_not_cover_waits(database, begin, mongo):
    cases = {
        "nothing asked": ({}, {}),
        "no rule": ({"dft": {}}, {}),
        "no budget": ({"dft": {"opens_below": 0.05}}, {}),
        "rejected": (rule(), {"verdict": Verdict.FAIL}),
        "not judged": (rule(), {"verdict": Verdict.CANNOT_JUDGE}),
        "no distance": (rule(), {"energy_above_hull": None}),
        "not relaxed": (rule(), {"structure": None}),
        "too large": (rule(max_atoms=1), {}),
        "other condition": (rule(where="band_gap > 1"), {}),
        "no phonons yet": (rule() | {"phonon": {}}, {}),
    }
    sent = {}
    for case, (spec, changes) in cases.items():
        mongo.campaigns.delete_many({})
        mongo.candidates.delete_many({})
        begin({"NaCl": 0.0}, changes=changes, **spec)
        sent[case] = open_gate(database, "salts").sent
    assert sent == dict.fromkeys(cases, ())
    assert mongo.fireworks.count_documents({}) == 0


def test_with_phonons_the_gate_waits_for_them(database, begin):
    changes = {"lattice_stability": LatticeStability.STABLE}
    begin({"NaCl": 0.0}, changes=changes, phonon={}, **rule())
    assert formulas(open_gate(database, "salts").sent) == ["NaCl"]


@pytest.mark.parametrize("state", [CampaignState.PAUSED, CampaignState.CANCELLED])
def test_a_campaign_that_is_held_sends_nothing(state, database, begin):
    begin(**rule())
    mark_campaign(database, "salts", state, reason="by hand")
    assert open_gate(database, "salts").sent == ()
    (first, *_) = list_waiting(database, "salts")
    with pytest.raises(CampaignError, match="by hand"):
        approve_candidates(database, [first], approved_by="ada")


# --- by hand -------------------------------------------------------------------------


def test_a_user_lets_through_what_no_rule_would(database, mongo, begin):
    begin()
    chosen = list_waiting(database, "salts")[2:]
    done = approve_candidates(database, chosen, approved_by="ada")
    assert formulas(done.sent) == ["LiF", "RbBr"]
    assert {item.approved_by for item in done.sent} == {"ada"}
    again = approve_candidates(database, chosen, approved_by="bob")
    assert (again.sent, formulas(again.known)) == ((), ["LiF", "RbBr"])
    assert again.known[0].approved_by == "ada"
    assert mongo.workflows.count_documents({}) == 2


def test_what_users_approve_counts_for_the_budget_of_the_rule(database, begin):
    begin(**rule(vasp_jobs=2 * JOBS_EACH))
    waiting = {item.formula_pretty: item for item in list_waiting(database, "salts")}
    approve_candidates(database, [waiting["RbBr"]], approved_by="ada")
    assert formulas(open_gate(database, "salts").sent) == ["NaCl"]


def test_what_was_not_relaxed_cannot_be_approved(database, begin, mongo):
    begin({"NaCl": None}, changes={"structure": None})
    from wyckflow.store.candidates.query import find_candidates

    with pytest.raises(QueryError, match="was not relaxed"):
        approve_candidates(
            database, find_candidates(database, campaign="salts"), approved_by="ada"
        )
    assert mongo.approvals.count_documents({}) == 0


def test_the_file_says_what_is_left_out(database, begin, mongo):
    begin({"NaCl": 0.0}, **rule(without=["hull", "vibrations"]))
    (approval,) = open_gate(database, "salts").sent
    assert approval.n_vasp_jobs == 4
    names = set(mongo.fireworks.distinct("name"))
    assert not names & {"vasp dfpt", "gamma phonon", "vasp mp relax", "dft hull"}
    assert {"vasp bands", "dft audit"} <= names


# --- at the same moment, and after a crash -------------------------------------------


def test_a_crash_between_approval_and_sending_is_mended(
    database, mongo, begin, monkeypatch
):
    begin({"NaCl": 0.0}, **rule())

    def die(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gates, "submit", die)
        with pytest.raises(KeyboardInterrupt):
            open_gate(database, "salts")
    assert mongo.approvals.count_documents({}) == 1
    (progress,) = read_dft_progress(database, "salts")
    assert progress.state == "not sent"
    assert formulas(open_gate(database, "salts").sent) == ["NaCl"]
    assert mongo.workflows.count_documents({}) == 1


def test_two_at_one_gate_do_not_both_send(database, mongo, begin):
    begin(**rule())
    with keep_gate(database, "salts") as renew:
        assert renew is not None
        assert open_gate(database, "salts").is_busy
        waiting = list_waiting(database, "salts")
        with pytest.raises(CampaignError, match="moment"):
            approve_candidates(database, waiting, approved_by="ada")
    assert mongo.workflows.count_documents({}) == 0
    assert len(open_gate(database, "salts").sent) == 3


def test_a_keeper_that_died_is_not_waited_for_and_cannot_go_on(database, mongo, begin):
    begin(**rule())
    with keep_gate(database, "salts") as renew:
        past = datetime.now(UTC) - timedelta(seconds=1)
        mongo.leases.update_one({}, {"$set": {"until": past}})
        assert len(open_gate(database, "salts").sent) == 3
        with pytest.raises(CampaignError, match="taken over"):
            renew()


def test_what_stopped_gets_one_audit_of_what_there_is(database, mongo, begin):
    begin({"NaCl": 0.0}, **rule())
    open_gate(database, "salts")
    assert audit_stopped(database, "salts") == ()
    change = {"$set": {"state": "FIZZLED"}}
    mongo.fireworks.update_one({"name": "vasp relax normal"}, change)
    mark_campaign(database, "salts", CampaignState.CANCELLED)
    assert audit_stopped(database, "salts") == ()
    mark_campaign(database, "salts", CampaignState.ACTIVE)
    assert formulas(audit_stopped(database, "salts")) == ["NaCl"]
    assert audit_stopped(database, "salts") == ()
    added = mongo.fireworks.find_one({"name": "dft audit", "state": "READY"})
    assert added["spec"]["_category"] == "cpu"
    assert "vasp mp static" in str(added["spec"]["_tasks"][0]["job"])


# --- between the jobs of a worker ----------------------------------------------------


def test_a_worker_looks_only_where_something_has_ended(database, mongo, begin):
    begin(**rule())
    said = []
    keeper = GateKeeper(database, said.append)
    keeper.look()
    assert len(said) == 3
    assert "goes to VASP, 7 jobs" in said[0]
    later = new_candidate("salts", WyckoffGene.from_text("225 Cs:a I:b"))
    known = {"energy_above_hull": 0.0, "verdict": Verdict.PASS}
    known["structure"] = salt("NaCl").as_dict()
    mongo.candidates.insert_one(later.model_copy(update=known).model_dump())
    keeper.look()
    assert len(said) == 3
    mongo.outputs.insert_one({"metadata": {"campaign": "salts"}, "name": "dft hull"})
    keeper.look()
    assert len(said) == 3


def test_the_funnel_counts_what_dft_said(database, mongo):
    from wyckflow.store.campaign.funnel import read_funnel

    rows = [
        ("gamma phonon", "stable", ""),
        ("gamma phonon", "unstable", "2 imaginary modes at Gamma"),
        ("dft hull", "fail", "80 meV/atom above the hull"),
        ("dft hull", "cannot_judge", "a simulator wrote this energy, not DFT"),
    ]
    for place, (name, verdict, reason) in enumerate(rows):
        output = {"verdict": verdict, "reason": reason}
        known = {"uuid": str(place), "index": 1, "name": name, "output": output}
        mongo.outputs.insert_one({**known, "metadata": {"campaign": "salts"}})
    lattice, hull = read_funnel(database, "salts")
    assert (lattice.n_in, lattice.n_pass, lattice.n_fail) == (2, 1, 1)
    assert (hull.n_in, hull.n_fail, hull.n_cannot_judge) == (2, 1, 1)
    assert {item.reason for item in hull.reasons} == {
        "farther above", "a simulator wrote this energy, not DFT"
    }  # fmt: skip


def test_progress_says_where_each_crystal_stands(database, mongo, begin):
    begin({"NaCl": 0.0}, **rule())
    open_gate(database, "salts")
    (progress,) = read_dft_progress(database, "salts")
    assert (progress.n_jobs, progress.n_done, progress.state) == (14, 0, "waiting")
    mongo.fireworks.update_one({"name": "vasp static"}, {"$set": {"state": "FIZZLED"}})
    (progress,) = read_dft_progress(database, "salts")
    assert progress.state == "failed: vasp static"
