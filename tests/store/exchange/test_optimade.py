"""OPTIMADE entries, held against the models of OPTIMADE's own tools."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.store.candidates.builder import new_candidate
from wyckflow.store.exchange.optimade import head_lines, structure_entry

FACES = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
CRYSTALS = {
    "221 Sr:a Ti:b O:c": (
        ["Sr", "Ti", "O", "O", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]],
    ),
    "225 Na:a Cl:b": (
        ["Na"] * 4 + ["Cl"] * 4,
        [*FACES, *([x + 0.5, y, z] for x, y, z in FACES)],
    ),
}


def make_candidate(text):
    species, coordinates = CRYSTALS[text]
    structure = Structure(Lattice.cubic(4.1), species, coordinates)
    candidate = new_candidate("salts", WyckoffGene.from_text(text))
    return candidate.model_copy(
        update={
            "structure": structure.as_dict(),
            "energy_per_atom": -3.5,
            "energy_scale": "chgnet-0.3.0",
        }
    )


@pytest.fixture(params=CRYSTALS, ids=lambda text: text.split()[0])
def candidate(request):
    return make_candidate(request.param)


def test_an_entry_is_one_to_optimades_own_models(candidate):
    models = pytest.importorskip("optimade.models", reason="install optimade")
    entry = json.loads(json.dumps(structure_entry(candidate)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they warn of what should be there and is not
        found = models.StructureResource.model_validate(entry)
    assert found.attributes.nsites == len(candidate.structure["sites"])


def test_optimades_own_tools_read_the_crystal_back(candidate):
    models = pytest.importorskip("optimade.models", reason="install optimade")
    from optimade.adapters.structures.pymatgen import get_pymatgen

    entry = models.StructureResource.model_validate(structure_entry(candidate))
    known = Structure.from_dict(candidate.structure)
    read = get_pymatgen(entry)
    assert read.composition == known.composition
    np.testing.assert_allclose(read.lattice.matrix, known.lattice.matrix)
    np.testing.assert_allclose(read.cart_coords, known.cart_coords, atol=1e-12)


def test_formulas_are_as_the_specification_writes_them():
    perovskite = structure_entry(make_candidate("221 Sr:a Ti:b O:c"))["attributes"]
    assert perovskite["chemical_formula_reduced"] == "O3SrTi"
    assert perovskite["chemical_formula_anonymous"] == "A3BC"
    assert perovskite["elements"] == ["O", "Sr", "Ti"]
    assert perovskite["elements_ratios"] == [0.6, 0.2, 0.2]
    salt = structure_entry(make_candidate("225 Na:a Cl:b"))["attributes"]
    assert salt["chemical_formula_reduced"] == "ClNa"
    assert salt["chemical_formula_descriptive"] == "Cl4Na4"
    assert salt["chemical_formula_anonymous"] == "AB"


def test_what_optimade_has_no_word_for_has_our_prefix_and_is_described(candidate):
    header, info = head_lines()
    assert header["x-optimade"]["meta"]["api_version"] == "1.2.0"
    own = {k for k in structure_entry(candidate)["attributes"] if k[0] == "_"}
    assert "_wyckflow_energy_above_hull" in own
    assert own == set(info["properties"])
    assert all(item["description"] for item in info["properties"].values())


def test_the_described_types_are_those_of_the_values(candidate):
    _, info = head_lines()
    python = {
        "string": str,
        "float": float,
        "integer": int,
        "boolean": bool,
        "list": list,
        "dictionary": dict,
    }
    for name, value in structure_entry(candidate)["attributes"].items():
        if name in info["properties"] and value is not None:
            assert isinstance(value, python[info["properties"][name]["type"]]), name


def test_a_candidate_without_a_structure_is_no_entry(candidate):
    assert structure_entry(candidate.model_copy(update={"structure": None})) is None


def test_optimades_own_reader_takes_the_file(candidate, tmp_path):
    pytest.importorskip("optimade.utils", reason="install optimade")
    try:
        from optimade.utils import insert_from_jsonl
    except ImportError as error:
        pytest.skip(f"this optimade cannot read files ({error})")

    class Collection(list):
        insert = list.extend

    path = tmp_path / "optimade.jsonl"
    lines = [*head_lines(), structure_entry(candidate)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    collections = {"structures": Collection()}
    try:
        insert_from_jsonl(path, collections)
    except ImportError as error:
        pytest.skip(f"this optimade has no server ({error})")
    assert [item["id"] for item in collections["structures"]] == [candidate.gene_id]
