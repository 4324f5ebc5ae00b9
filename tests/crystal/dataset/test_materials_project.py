"""Downloads from the Materials Project, with a stand-in for the network."""

from __future__ import annotations

import gzip
import json
import sys
from types import SimpleNamespace

import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.dataset.importing import import_dataset
from wyckflow.crystal.dataset.materials_project import (
    FIELDS,
    MaterialsProjectQuery,
    fetch_materials_project,
    open_client,
)
from wyckflow.errors import ConfigurationError, DatasetError


def material(material_id, cation, **fields):
    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    return {
        "material_id": material_id,
        "formula_pretty": f"{cation}Cl",
        "structure": Structure(Lattice.cubic(4.1), [cation, "Cl"], points),
        "formation_energy_per_atom": -2.0,
        "energy_above_hull": 0.0,
        "band_gap": 5.0,
        "is_gap_direct": True,
        "theoretical": False,
        **fields,
    }


class StandInClient:
    """Answers like the client of the Materials Project, and notes what it was asked."""

    def __init__(self, answer):
        self.answer, self.asked, self.is_closed = answer, None, False
        self.materials = SimpleNamespace(summary=SimpleNamespace(search=self.search))

    def __enter__(self):
        return self

    def __exit__(self, *reason):
        self.is_closed = True

    def get_database_version(self):
        return "2025.09.25"

    def search(self, **arguments):
        self.asked = arguments
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize("as_object", [False, True], ids=["dicts", "documents"])
def test_what_was_fetched_can_be_imported(tmp_path, as_object):
    found = [material("mp-2", "K"), material("mp-1", "Cs", band_gap=None)]
    answer = [SimpleNamespace(**one) for one in found] if as_object else found
    client = StandInClient(answer)
    path = tmp_path / "mp.json.gz"
    query = MaterialsProjectQuery(n_elements=(2, 2), chemsys=("*-Cl",))
    assert fetch_materials_project(path, query, client=client) == 2
    assert client.is_closed

    document = json.loads(gzip.decompress(path.read_bytes()))
    assert document["database_version"] == "2025.09.25"
    assert document["query"]["n_elements"] == [2, 2]
    dataset = import_dataset([path], tmp_path / "mp").dataset
    assert dataset.metadata.licence == "CC-BY-4.0"
    assert dataset.arrays.texts["material_id"].tolist() == ["mp-1", "mp-2"]
    assert dataset.formulas == ("CsCl", "KCl")
    assert dataset[0].properties == {
        "formation_energy_per_atom": -2,
        "energy_above_hull": 0,
    }
    assert dataset[1].properties["band_gap"] == 5


def test_query_is_passed_on_in_the_words_of_the_client(tmp_path):
    client = StandInClient([material("mp-1", "Cs")])
    query = MaterialsProjectQuery(
        n_elements=(1, 4),
        max_n_sites=12,
        max_energy_above_hull=0.1,
        chemsys=("Cs-Cl",),
        is_theoretical=False,
    )
    fetch_materials_project(tmp_path / "mp.json", query, client=client)
    assert client.asked == {
        "num_elements": (1, 4),
        "num_sites": (1, 12),
        "energy_above_hull": (0.0, 0.1),
        "chemsys": ["Cs-Cl"],
        "theoretical": False,
        "deprecated": False,
        "fields": list(FIELDS),
    }


def test_same_answer_makes_the_same_file(tmp_path):
    found = [material("mp-2", "K"), material("mp-1", "Cs")]
    for name, answer in (("a.json.gz", found), ("b.json.gz", found[::-1])):
        fetch_materials_project(tmp_path / name, client=StandInClient(answer))
    first, second = (tmp_path / name for name in ("a.json.gz", "b.json.gz"))
    assert first.read_bytes() == second.read_bytes()


def test_failure_of_the_server_is_one_sentence(tmp_path):
    client = StandInClient(ConnectionError("no route"))
    with pytest.raises(
        DatasetError, match=r"did not answer \(ConnectionError: no route"
    ):
        fetch_materials_project(tmp_path / "mp.json", client=client)
    assert list(tmp_path.iterdir()) == []


def test_nothing_found_is_told(tmp_path):
    with pytest.raises(DatasetError, match="has nothing for"):
        fetch_materials_project(tmp_path / "mp.json", client=StandInClient([]))


def test_missing_key_and_missing_package_say_what_to_do(monkeypatch):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(ConfigurationError, match="export MP_API_KEY"):
        open_client()
    monkeypatch.setenv("MP_API_KEY", "secret-key")
    monkeypatch.setitem(sys.modules, "mp_api.client", None)
    with pytest.raises(ConfigurationError, match="pip install mp-api") as caught:
        open_client()
    assert "secret-key" not in str(caught.value)


def test_client_is_opened_with_the_key_of_the_user(monkeypatch):
    opened = SimpleNamespace(MPRester=lambda key: f"client with {key}")
    monkeypatch.setitem(sys.modules, "mp_api.client", opened)
    monkeypatch.setitem(sys.modules, "mp_api", SimpleNamespace(client=opened))
    monkeypatch.setenv("MP_API_KEY", "my key")
    assert open_client() == "client with my key"
