"""A campaign to a folder and into another database, where it is the same."""

from __future__ import annotations

import csv
import json
import sys

import pytest

from wyckflow.errors import CampaignError, ExportError
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.file import parse_campaign, read_campaign_file
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.local import run_round_locally
from wyckflow.store.campaign.progress import advance_campaign, read_usage
from wyckflow.store.campaign.record import mark_campaign, read_campaign
from wyckflow.store.campaign.register import register_campaign
from wyckflow.store.campaign.rounds import extend_campaign, submit_campaign
from wyckflow.store.candidates.builder import CANDIDATES, build_candidates
from wyckflow.store.candidates.explain import explain_candidate
from wyckflow.store.candidates.files import COLUMNS, column_types
from wyckflow.store.candidates.query import Candidates, find_candidates
from wyckflow.store.connect import Database
from wyckflow.store.embedded.server import temporary_server
from wyckflow.store.exchange import folder as layout
from wyckflow.store.exchange.exporting import export_campaign
from wyckflow.store.exchange.importing import import_campaign
from wyckflow.store.indexes import create_indexes
from wyckflow.store.references import ReferenceLedger

pytestmark = pytest.mark.mongo


@pytest.fixture(scope="module")
def source(tmp_path_factory, tiny_model):
    """A database of its own with a campaign that ran, and stands on a layer."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from wyckflow.errors import ServerError
    from wyckflow.thermo.bundled import load_bundled_reference

    folder = tmp_path_factory.mktemp("source")
    spec = parse_campaign(
        {
            "name": "salts",
            "model": str(tiny_model),
            "target": {"space_groups": "221, 225", "n_elements": {"max": 2}},
            "n_genes": 4,
            "generate": {"keep_known": True, "max_atoms": 8},
            "screen": {"name": "easy", "filters": ["uniqueness"]},
            "relax": {"n_trials": 1, "max_steps": 4, "n_coarse_stages": 0},
            "hull": {"threshold": 9.0},
            "shard_minutes": 1e-6,
            "budget": {"relaxations": 3},
        }
    )
    try:
        with temporary_server(folder / "mongo", ephemeral=False) as server:
            database = Database.from_uri(server.uri, server.database_name)
            create_indexes(database)
            campaign = register_campaign(database, spec)
            run_round_locally(
                database, campaign, campaign.rounds[0], folder=folder / "jobs"
            )
            with ReferenceLedger(database) as ledger:
                ledger.start_layer("salts", load_bundled_reference("chgnet-0.3.0"))
            advance_campaign(database, "salts")
            yield database
    except ServerError as error:
        pytest.skip(f"no MongoDB server can run here: {error}")


@pytest.fixture(scope="module")
def exported(source, tmp_path_factory):
    """The campaign in a folder; tests that change it take a copy."""
    folder = tmp_path_factory.mktemp("exported") / "salts"
    export_campaign(source, "salts", folder, parquet=False)
    return folder


@pytest.fixture
def copy(exported, tmp_path):
    import shutil

    return shutil.copytree(exported, tmp_path / "copy")


def stored(database):
    """All candidates as they are stored, by gene id."""
    with database.client() as client:
        found = client[database.name][CANDIDATES].find({}, {"_id": 0})
        return {item["gene_id"]: item for item in found}


def count(database):
    names = ("campaigns", "models", "outputs", "blobs", "candidates", "references")
    with database.client() as client:
        mongo = client[database.name]
        return {name: mongo[name].count_documents({}) for name in names}


def test_what_is_imported_is_what_was_exported_and_exports_the_same(
    source, exported, database, tmp_path
):
    done = import_campaign(database, exported)
    assert done.n_candidates == 4
    assert done.models_missing == ()
    assert stored(database) == stored(source)
    assert count(database) == count(source)
    again = export_campaign(database, "salts", tmp_path / "again", parquet=False)
    assert again.manifest == layout.read_manifest(exported)
    first = {item.path: item.sha256 for item in layout.list_files(exported)}
    assert {i.path: i.sha256 for i in layout.list_files(tmp_path / "again")} == first


def test_an_imported_campaign_answers_like_the_first(source, exported, database):
    import_campaign(database, exported)
    assert build_candidates(database, campaign="salts").n_outputs == 0
    assert read_funnel(database, "salts") == read_funnel(source, "salts")
    assert read_usage(database, "salts") == read_usage(source, "salts")
    here, there = read_campaign(database, "salts"), read_campaign(source, "salts")
    assert here.state is CampaignState.PAUSED  # an import alone spends nothing
    assert (here.spec, here.rounds) == (there.spec, there.rounds)
    for gene_id in stored(source):
        there = explain_candidate(source, gene_id)
        assert explain_candidate(database, gene_id) == there
        assert there.links
    with ReferenceLedger(database) as here, ReferenceLedger(source) as there:
        (state,) = here.states("salts")
        assert here.states("salts") == there.states("salts")
        assert here.hull(state.hull_version).version == state.hull_version


def test_candidates_joined_anew_from_imported_outputs_are_the_same(
    source, exported, database
):
    import_campaign(database, exported)
    advance_campaign(database, "salts", from_scratch=True)
    left_out = {"updated_at", "provenance"}

    def plain(items):
        return {
            key: {name: value for name, value in item.items() if name not in left_out}
            for key, item in items.items()
        }

    assert plain(stored(database)) == plain(stored(source))


def test_an_imported_campaign_can_be_extended_with_its_model(exported, database):
    import_campaign(database, exported)
    with database.client() as client:
        more = {"$set": {"spec.budget.relaxations": 9}}
        client[database.name].campaigns.update_one({}, more)
    sent = extend_campaign(database, "salts", 2)
    assert sent.round.number == 1
    assert sent.round.model_id == sent.campaign.rounds[0].model_id
    assert len(sent.fw_ids) == 3


def test_crystals_that_went_to_vasp_are_not_sent_again(exported, database, tmp_path):
    """An imported campaign is paused, and its gates that were passed stay passed."""
    from wyckflow.makers._identity import job_uuid
    from wyckflow.store.gate.approvals import APPROVALS, GATE_JOB, identity_of
    from wyckflow.store.gate.sending import approve_candidates, open_gate

    pytest.importorskip("atomate2", reason="install wyckflow[dft]")
    import_campaign(database, exported)
    assert open_gate(database, "salts").sent == ()
    relaxed = [item for item in find_candidates(database) if item.structure]
    with pytest.raises(CampaignError, match="is paused"):
        approve_candidates(database, relaxed[:1], approved_by="Ada")
    mark_campaign(database, "salts", CampaignState.ACTIVE)
    approve_candidates(database, relaxed[:1], approved_by="Ada")
    uuid = job_uuid(identity_of("salts", relaxed[0].gene_id), GATE_JOB)
    with database.client() as client:
        mongo = client[database.name]
        gate = {"uuid": uuid, "index": 1, "name": GATE_JOB, "output": {}}
        gate |= {"metadata": {"campaign": "salts"}, "completed_at": "2026-01-01"}
        mongo.outputs.insert_one(gate)
    export_campaign(database, "salts", tmp_path / "moved", parquet=False)
    with database.client() as client:
        client[database.name].command("dropDatabase")
    create_indexes(database)
    import_campaign(database, tmp_path / "moved")
    with database.client() as client:
        assert client[database.name][APPROVALS].count_documents({}) == 1
    mark_campaign(database, "salts", CampaignState.ACTIVE)
    assert open_gate(database, "salts").sent == ()


def test_what_was_imported_is_not_run_again(source, exported, database, tmp_path):
    import_campaign(database, exported)
    spec = read_campaign(source, "salts").spec
    (model,) = (exported / layout.MODELS).iterdir()
    again = submit_campaign(database, spec.model_copy(update={"model": str(model)}))
    assert again.fw_ids == ()
    with database.client() as client:
        assert client[database.name].fireworks.count_documents({}) == 0


def test_importing_twice_changes_nothing(exported, database):
    assert import_campaign(database, exported).n_new > 0
    before = count(database)
    assert import_campaign(database, exported).n_new == 0
    assert count(database) == before


def test_an_import_that_broke_off_is_completed_by_the_next(exported, database):
    import_campaign(database, exported)
    before, candidates = count(database), stored(database)
    with database.client() as client:
        mongo = client[database.name]
        mongo.campaigns.delete_many({})
        mongo.candidates.delete_one({})
        mongo.outputs.delete_one({"name": "hull distance"})
        mongo.built.delete_many({})
        mongo.models.delete_many({})
    import_campaign(database, exported)
    assert count(database) == before
    assert stored(database) == candidates


@pytest.mark.parametrize(
    ("collection", "change", "says"),
    [
        ("campaigns", {"spec.seed": 7}, "its request or rounds differ"),
        ("candidates", {"energy_per_atom": -1.5}, "the candidate .* differs"),
        ("outputs", {"output.n_asked": 99}, "of 'outputs' differs"),
        ("references", {"n_entries": 1}, "of 'references' differs"),
    ],
    ids=lambda value: str(value)[:12],
)
def test_other_content_under_the_same_name_is_refused_and_left_alone(
    exported, database, collection, change, says
):
    import_campaign(database, exported)
    name = {"outputs": {"name": "gene generate"}, "references": {"record": "layer"}}
    with database.client() as client:
        mongo = client[database.name]
        mongo[collection].update_one(name.get(collection, {}), {"$set": change})
    before, candidates = count(database), stored(database)
    with pytest.raises(CampaignError, match=rf"another campaign 'salts'.*{says}"):
        import_campaign(database, exported)
    assert count(database) == before
    assert stored(database) == candidates


@pytest.mark.parametrize(
    ("collection", "extra", "says"),
    [
        ("candidates", {"gene_id": "f" * 16}, "1 candidates are not in the folder"),
        ("outputs", {"uuid": "other"}, "1 outputs of jobs are not in the folder"),
    ],
    ids=["candidate", "output"],
)
def test_what_the_folder_does_not_know_is_a_clash(
    exported, database, collection, extra, says
):
    import_campaign(database, exported)
    with database.client() as client:
        mongo = client[database.name]
        chosen = {"name": "hull distance"} if collection == "outputs" else {}
        item = mongo[collection].find_one(chosen, {"_id": 0})
        mongo[collection].insert_one(item | extra)
        mongo.campaigns.delete_many({})
    with pytest.raises(CampaignError, match=says):
        import_campaign(database, exported)


def test_jobs_of_that_name_without_a_campaign_are_a_clash(exported, database):
    from toy_jobs import ToyMaker

    from wyckflow.store.submit import submit

    submit(ToyMaker().make(1), campaign="salts", database=database)
    with pytest.raises(CampaignError, match="jobs carry this name"):
        import_campaign(database, exported)


@pytest.mark.parametrize(
    "name", [layout.CANDIDATES_LINES, "records/outputs.bson", "README.md"]
)
@pytest.mark.parametrize("harm", ["changed", "torn", "gone", "linked"])
def test_a_folder_that_is_not_as_exported_is_refused(copy, name, harm):
    path = copy / name
    content = path.read_bytes()
    if harm == "changed":
        path.write_bytes(content[:-2] + b"x\n")
    elif harm == "torn":
        path.write_bytes(content[: len(content) // 2])
    else:
        path.unlink()
    if harm == "linked":
        path.symlink_to("/etc/hostname")
    with pytest.raises(ExportError, match=rf"not as it was exported: {name}"):
        layout.read_manifest(copy)


def test_a_torn_folder_leaves_the_database_as_it_was(copy, database):
    (copy / layout.CANDIDATES_LINES).write_text("")
    with pytest.raises(ExportError, match="Nothing was imported"):
        import_campaign(database, copy)
    assert not any(count(database).values())


def test_a_manifest_that_was_changed_is_refused(copy):
    path = copy / layout.MANIFEST
    text = path.read_text()
    first = json.loads(text)["files"][0]["sha256"]
    path.write_text(text.replace(first, "0" * 64))
    with pytest.raises(ExportError, match="manifest was changed"):
        layout.read_manifest(copy)
    path.write_text(text[:100])
    with pytest.raises(ExportError, match="damaged"):
        layout.read_manifest(copy)
    newer = json.loads(text) | {"folder_version": 9}
    path.write_text(json.dumps(newer))
    with pytest.raises(ExportError, match="install a newer one"):
        layout.read_manifest(copy)
    path.unlink()
    with pytest.raises(ExportError, match="no exported campaign"):
        layout.read_manifest(copy)


def test_nothing_is_overwritten_and_nothing_half_written(source, tmp_path, monkeypatch):
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "mine.txt").write_text("precious")
    with pytest.raises(ExportError, match="something at"):
        export_campaign(source, "salts", folder, parquet=False)
    assert (folder / "mine.txt").read_text() == "precious"

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("wyckflow.store.exchange.exporting.write_readme", fail)
    with pytest.raises(ExportError, match="No space left"):
        export_campaign(source, "salts", tmp_path / "new", parquet=False)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_an_unknown_campaign_leaves_no_folder(source, tmp_path):
    with pytest.raises(CampaignError, match="Did you mean 'salts'"):
        export_campaign(source, "salt", tmp_path / "new", parquet=False)
    assert list(tmp_path.iterdir()) == []


def test_the_tables_hold_what_the_database_holds(source, exported):
    with (exported / layout.CANDIDATES_CSV).open() as stream:
        rows = list(csv.DictReader(stream))
    found = find_candidates(source, campaign="salts", sort=[("gene_id", 1)])
    assert [row["gene_id"] for row in rows] == [item.gene_id for item in found]
    assert tuple(rows[0]) == COLUMNS
    for row, item in zip(rows, found, strict=True):
        energy = row["energy_per_atom"]
        assert (float(energy) if energy else None) == item.energy_per_atom
    lines = (exported / layout.CANDIDATES_LINES).read_text().splitlines()
    assert [json.loads(line)["gene_id"] for line in lines] == [
        item.gene_id for item in found
    ]


def test_structures_can_be_read_by_others(source, exported):
    from pymatgen.analysis.structure_matcher import StructureMatcher
    from pymatgen.core import Structure

    with Candidates(source, campaign="salts") as candidates:
        known = candidates.structures()
    files = list((exported / layout.STRUCTURES).glob("*.cif"))
    assert len(files) == len(known) == 3
    for path in files:
        gene_id = path.stem.split("_")[1]
        assert StructureMatcher().fit(Structure.from_file(path), known[gene_id])


def test_the_campaigns_file_in_it_can_be_submitted(source, exported, database):
    spec = read_campaign_file(exported / layout.CAMPAIGN_FILE)
    assert spec.content == read_campaign(source, "salts").spec.content
    sent = submit_campaign(database, spec)
    assert sent.round.model_id == read_campaign(source, "salts").rounds[0].model_id


def test_provenance_names_jobs_models_hulls_and_software(source, exported):
    folder = exported / "provenance"
    jobs = [json.loads(line) for line in (folder / "jobs.jsonl").open()]
    names = [item["name"] for item in jobs]
    assert names[:3] == ["gene generate", "gene screen", "campaign plan"]
    assert all(item["provenance"]["wall_s"] >= 0 for item in jobs)
    (card,) = json.loads((folder / "models.json").read_text())
    assert card["model_id"] == read_campaign(source, "salts").rounds[0].model_id
    (hull,) = json.loads((folder / "hulls.json").read_text())
    versions = {item.hull_version for item in find_candidates(source)} - {None}
    assert {hull["hull_version"]} == versions
    assert hull["n_candidates"] == 3
    software = json.loads((folder / "software.json").read_text())
    assert any(name.startswith("wyckflow ") for name in software)
    readme = (exported / "README.md").read_text()
    assert "# Campaign salts" in readme
    for path in exported.iterdir():
        assert f"`{path.name}`" in readme or path.name in {"README.md", "provenance"}


def test_no_password_and_no_address_is_in_the_folder(source, exported):
    secret = source.uri.split(":")[2].split("@")[0].encode()
    for path in exported.rglob("*"):
        if path.is_file():
            assert secret not in path.read_bytes(), path
            assert b"mongodb://" not in path.read_bytes(), path


def test_without_models_the_card_stays_and_the_import_says_so(
    source, database, tmp_path
):
    folder = tmp_path / "light"
    done = export_campaign(source, "salts", folder, parquet=False, with_models=False)
    assert done.models_left_out == ["tiny"]
    assert not (folder / layout.MODELS).exists()
    assert import_campaign(database, folder).models_missing == ("tiny",)
    assert stored(database) == stored(source)


def test_parquet_is_refused_with_a_remedy_where_pyarrow_is_missing(
    source, tmp_path, monkeypatch
):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ExportError, match=r"pip install wyckflow\[parquet\]"):
        export_campaign(source, "salts", tmp_path / "new", parquet=True)
    assert list(tmp_path.iterdir()) == []


def test_parquet_has_the_columns_of_the_csv_with_types(source, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="install pyarrow")
    folder = tmp_path / "new"
    assert export_campaign(source, "salts", folder, parquet=True).has_parquet
    table = parquet.read_table(folder / layout.CANDIDATES_PARQUET)
    assert tuple(table.column_names) == COLUMNS
    words = {bool: "bool", int: "int64", float: "double", str: "string"}
    assert [str(field.type) for field in table.schema] == [
        words[kind] for kind in column_types().values()
    ]
    found = find_candidates(source, campaign="salts", sort=[("gene_id", 1)])
    energies = [item.energy_per_atom for item in found]
    assert table.column("energy_per_atom").to_pylist() == energies
