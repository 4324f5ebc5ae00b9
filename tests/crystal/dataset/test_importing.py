"""Files to datasets: what is read, refused, left out, and done only once."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from pymatgen.entries.computed_entries import ComputedStructureEntry

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.errors import ConfigurationError, DatasetError


def rock_salt(cation, anion="O", a=4.2):
    return Structure.from_spacegroup(
        225, Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )


def caesium_chloride(cation, anion="Cl", a=4.1):
    return Structure(Lattice.cubic(a), [cation, anion], [[0, 0, 0], [0.5, 0.5, 0.5]])


CATIONS = ["Mg", "Ca", "Sr", "Ba", "Fe", "Co", "Ni", "Mn", "V", "Ti"]
CRYSTALS = {f"{cation}O": caesium_chloride(cation, "O") for cation in CATIONS}


def write_table(path, rows, columns=None):
    """A CSV of dicts; structures become CIF texts."""
    columns = columns or list(rows[0])
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "wt", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    k: v.to(fmt="cif") if isinstance(v, Structure) else v
                    for k, v in row.items()
                }
            )
    return path


def oxide_rows():
    return [
        {"material_id": name, "e_form": -1 - 0.1 * i, "band_gap": i, "cif": structure}
        for i, (name, structure) in enumerate(CRYSTALS.items())
    ]


@pytest.fixture
def oxides(tmp_path):
    return write_table(tmp_path / "oxides.csv.gz", oxide_rows())


def formulas(dataset):
    return sorted(dataset.formulas)


# --- what is read ------------------------------------------------------------------


def test_table_becomes_a_dataset_with_properties_under_our_names(oxides, tmp_path):
    result = import_dataset([oxides], tmp_path / "oxides")
    assert result.path == tmp_path / "oxides.npz"
    dataset = load_dataset(result.path)
    assert dataset.dataset_id == result.dataset.dataset_id
    assert len(dataset) == len(CATIONS)
    row = dataset[3]
    assert row.texts == {"material_id": "BaO"}
    assert row.properties == {"formation_energy_per_atom": -1.3, "band_gap": 3}
    assert row.gene.space_group_number == 221
    assert row.gene.composition == {"Ba": 1, "O": 1}
    assert dataset.structure(3).to_structure().matches(CRYSTALS["BaO"])
    assert dataset.metadata.units["formation_energy_per_atom"] == "eV/atom"
    assert dataset.metadata.sources[0].n_records == len(CATIONS)


def as_json(structure):
    return structure.as_dict()


@pytest.mark.parametrize(
    "document",
    [
        [as_json(s) for s in CRYSTALS.values()],
        {name: as_json(s) for name, s in CRYSTALS.items()},
        [{"material_id": n, "structure": as_json(s)} for n, s in CRYSTALS.items()],
        {n: {"structure": as_json(s), "gap": 1} for n, s in CRYSTALS.items()},
        {"records": [{"cif": s.to(fmt="cif")} for s in CRYSTALS.values()]},
        {"cif": {str(i): s.to(fmt="cif") for i, s in enumerate(CRYSTALS.values())}},
        {"structure": [as_json(s) for s in CRYSTALS.values()]},
        {
            "columns": ["cif", "gap"],
            "data": [[s.to(fmt="cif"), 1] for s in CRYSTALS.values()],
        },
        [
            ComputedStructureEntry(s, -6.0 * len(s), entry_id=n).as_dict()
            for n, s in CRYSTALS.items()
        ],
    ],
    ids=[
        "list of structures",
        "structures by name",
        "records",
        "records by name",
        "records with a header",
        "frame by column",
        "lists by column",
        "frame by row",
        "entries",
    ],
)
def test_every_form_of_json_gives_the_same_genes(document, oxides, tmp_path):
    path = tmp_path / "crystals.json"
    path.write_text(json.dumps(document, default=str))
    dataset = import_dataset([path], tmp_path / "out").dataset
    expected = import_dataset([oxides], tmp_path / "expected").dataset
    assert dataset.genes == expected.genes


def test_entries_bring_their_name_and_energy_per_atom(tmp_path):
    entry = ComputedStructureEntry(
        CRYSTALS["MgO"], -12.0, entry_id="mp-1", data={"e_above_hull": 0.25}
    )
    path = tmp_path / "entries.json.gz"
    path.write_bytes(gzip.compress(json.dumps([entry.as_dict()], default=str).encode()))
    row = import_dataset([path], tmp_path / "out").dataset[0]
    assert row.texts["material_id"] == "mp-1"
    assert row.properties == {"energy_per_atom": -6, "energy_above_hull": 0.25}


def test_folder_of_structure_files_is_read_in_the_order_of_names(tmp_path):
    folder = tmp_path / "crystals"
    (folder / "more").mkdir(parents=True)
    CRYSTALS["MgO"].to(filename=str(folder / "b.cif"))
    CRYSTALS["CaO"].to(filename=str(folder / "a.cif"), symprec=0.01)
    CRYSTALS["SrO"].to(fmt="poscar", filename=str(folder / "more" / "POSCAR"))
    (folder / "notes.txt").write_text("nothing")
    dataset = import_dataset([folder], tmp_path / "out").dataset
    assert dataset.formulas == ("CaO", "MgO", "SrO")
    labels = dataset.arrays.texts["material_id"].tolist()
    assert labels == ["a.cif", "b.cif", "more/POSCAR"]


def test_single_structure_file_and_several_sources_make_one_dataset(oxides, tmp_path):
    cif = tmp_path / "extra.cif"
    rock_salt("Na", "Cl").to(filename=str(cif))
    dataset = import_dataset([oxides, cif], tmp_path / "out").dataset
    assert len(dataset) == len(CATIONS) + 1
    assert dataset[-1].gene.space_group_number == 225
    assert dataset[-1].properties == {}
    assert dataset.arrays.sources.tolist() == [0] * len(CATIONS) + [1]
    assert [source.name for source in dataset.metadata.sources] == [
        "oxides.csv.gz",
        "extra.cif",
    ]


def test_licence_comes_from_the_file_or_from_the_user(tmp_path):
    path = tmp_path / "mp.json"
    records = [{"structure": as_json(CRYSTALS["MgO"])}]
    path.write_text(json.dumps({"licence": "CC-BY-4.0", "records": records}))
    assert (
        import_dataset([path], tmp_path / "a").dataset.metadata.licence == "CC-BY-4.0"
    )
    options = ImportOptions(licence="ours", energy_scale="chgnet-0.3.0")
    metadata = import_dataset([path], tmp_path / "b", options=options).dataset.metadata
    assert (metadata.licence, metadata.energy_scale) == ("ours", "chgnet-0.3.0")


# --- columns -----------------------------------------------------------------------


def test_columns_are_named_by_hand_kept_or_left_out(tmp_path):
    rows = [
        {"mine": s, "Eg": 1.5, "band_gap": 0.7, "Note here": f"n{i}", "T c": i}
        for i, s in enumerate(CRYSTALS.values())
    ]
    path = write_table(tmp_path / "odd.csv", rows)
    options = ImportOptions(
        columns={"structure": "mine", "band_gap": "Eg"}, kept=("Note here", "T c")
    )
    result = import_dataset([path], tmp_path / "out", options=options)
    row = result.dataset[2]
    assert row.properties == {"band_gap": 1.5, "t_c": 2}
    assert row.texts == {"material_id": "", "note_here": "n2"}
    assert result.unused_columns == ("band_gap",)

    options = ImportOptions(columns={"structure": "mine", "band_gap": ""})
    result = import_dataset([path], tmp_path / "bare", options=options)
    assert result.dataset[2].properties == {}
    assert set(result.unused_columns) == {"Eg", "band_gap", "Note here", "T c"}


def test_empty_cells_are_unknown_not_zero(tmp_path):
    rows = oxide_rows()
    for row, gap in zip(rows, ["", "nan", "None", "0"], strict=False):
        row["band_gap"] = gap
    dataset = import_dataset(
        [write_table(tmp_path / "t.csv", rows)], tmp_path / "out"
    ).dataset
    gaps = dataset.properties["band_gap"]
    assert np.isnan(gaps[:3]).all()
    assert gaps[3] == 0


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"structure": "cfi"}, "no file has a column 'cfi'.*did you mean 'cif'"),
        ({"Band gap": "band_gap"}, "cannot name a column.*'band_gap'"),
    ],
)
def test_wrong_choice_of_columns_says_what_there_is(oxides, tmp_path, columns, message):
    with pytest.raises(DatasetError, match=f"(?i){message}"):
        import_dataset(
            [oxides], tmp_path / "out", options=ImportOptions(columns=columns)
        )


def test_table_without_structures_and_ambiguous_table_are_refused(tmp_path):
    bare = write_table(tmp_path / "bare.csv", [{"formula": "MgO", "band_gap": 1}])
    with pytest.raises(DatasetError, match=r"bare.csv has no column of structures"):
        import_dataset([bare], tmp_path / "out")
    twice = [{"cif": CRYSTALS["MgO"], "gap": 1, "bandgap": 1}]
    path = write_table(tmp_path / "twice.csv", twice)
    with pytest.raises(DatasetError, match=r"two columns for band_gap.*--column"):
        import_dataset([path], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "factor", "hint"),
    [("e_form", 96.485, "kJ/mol"), ("band_gap", 1000, "meV")],
)
def test_column_in_another_unit_is_refused_with_a_guess(tmp_path, name, factor, hint):
    rows = oxide_rows()
    for row in rows:
        row[name] *= factor
    path = write_table(tmp_path / "units.csv", rows)
    with pytest.raises(DatasetError, match=f"'{name}' of units.csv cannot be.*{hint}"):
        import_dataset([path], tmp_path / "out")
    assert not (tmp_path / "out.npz").exists()


def test_single_implausible_value_refuses_the_row_only(tmp_path):
    rows = oxide_rows()
    rows[4]["e_form"] = -250
    rows[5]["band_gap"] = "wide"
    path = write_table(tmp_path / "t.csv", rows)
    metadata = import_dataset([path], tmp_path / "out").dataset.metadata
    found = [(row.record, row.label, row.reason.value) for row in metadata.refused]
    assert found == [
        (5, "FeO", "implausible_property"),
        (6, "CoO", "implausible_property"),
    ]
    assert "-250" in metadata.refused[0].message
    assert "'wide'" in metadata.refused[1].message


# --- refusals ------------------------------------------------------------------------


def test_faulty_rows_are_refused_one_by_one_and_listed(tmp_path):
    rows = oxide_rows()
    rows[1]["cif"] = "data_broken"
    rows[3]["cif"] = ""
    rows[5]["cif"] = Structure(Lattice.cubic(3), [{"Fe": 0.5, "Ni": 0.5}], [[0, 0, 0]])
    rows[7]["cif"] = Structure(Lattice.cubic(3), ["Cf"], [[0, 0, 0]])
    path = write_table(tmp_path / "t.csv", rows)
    dataset = import_dataset([path], tmp_path / "out").dataset
    metadata = load_dataset(tmp_path / "out.npz").metadata
    assert [(row.record, row.reason.value) for row in metadata.refused] == [
        (2, "unreadable"),
        (4, "missing_structure"),
        (6, "disordered"),
        (8, "unsupported_element"),
    ]
    assert len(dataset) == len(rows) - 4
    assert dataset[1].texts["material_id"] == "SrO"
    assert dataset[1].properties["band_gap"] == 2


def test_nothing_to_take_is_an_error_with_the_first_reason(tmp_path):
    path = write_table(tmp_path / "t.csv", [{"cif": "data_x"}, {"cif": ""}])
    with pytest.raises(DatasetError, match=r"None of the 2 rows .*no readable CIF"):
        import_dataset([path], tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "0 rows"),
        ("a.csv", b"cif\n", "0 rows"),
        ("a.csv.gz", b"no gzip", "cannot be read"),
        ("a.csv", b"cif\n\xff\xfe\n", "cannot be read"),
        ("a.json", b"{", "no JSON"),
        ("a.json", b"[]", "holds no records"),
        ("a.json", b"3", "holds no records"),
        ("a.xlsx", b"", "of no kind that can be imported"),
    ],
)
def test_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=f"{name}.*{message}"):
        import_dataset([path], tmp_path / "out")


def test_missing_files_and_folders_are_named(tmp_path, oxides):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DatasetError, match=r"no file or folder.*gone.csv"):
        import_dataset([tmp_path / "gone.csv"], tmp_path / "out")
    with pytest.raises(DatasetError, match="holds no CIF or POSCAR files"):
        import_dataset([empty], tmp_path / "out")
    with pytest.raises(DatasetError, match=r"no folder.*to write to"):
        import_dataset([oxides], tmp_path / "nowhere" / "out")
    with pytest.raises(DatasetError, match="at least one file"):
        import_dataset([], tmp_path / "out")


def test_missing_engine_is_told_before_the_work(monkeypatch, oxides, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "moyopy", None)
    with pytest.raises(ConfigurationError, match="not installed"):
        import_dataset([oxides], tmp_path / "o", options=ImportOptions(engine="moyopy"))


def test_options_that_cannot_be_met_are_bad_arguments():
    with pytest.raises(ValueError, match="symprec"):
        ImportOptions(symprec=0)
    with pytest.raises(ValueError, match="n_jobs"):
        ImportOptions(n_jobs=0)


# --- duplicates ----------------------------------------------------------------------


def equal_rows():
    """Five descriptions of two crystals, the third of lowest energy."""
    oxide = CRYSTALS["MgO"]
    double = oxide.make_supercell([[1, 0, 0], [0, 1, 0], [1, 0, 2]], in_place=False)
    moved = oxide.copy().translate_sites([0, 1], [0.5, 0.5, 0.5])
    larger = caesium_chloride("Mg", "O", a=4.3)
    return [
        {"id": "high", "e_above_hull": 0.3, "cif": oxide},
        {"id": "other", "e_above_hull": 0.1, "cif": CRYSTALS["CaO"]},
        {"id": "low", "e_above_hull": 0.0, "cif": double},
        {"id": "middle", "e_above_hull": 0.1, "cif": moved},
        {"id": "unknown", "e_above_hull": "", "cif": larger},
    ]


def labels(dataset):
    return dataset.arrays.texts["material_id"].tolist()


def test_of_equal_genes_the_lowest_above_the_hull_is_kept(tmp_path):
    path = write_table(tmp_path / "t.csv", equal_rows())
    dataset = import_dataset([path], tmp_path / "out").dataset
    assert labels(dataset) == ["other", "low"]
    assert dataset.metadata.n_duplicates == 3
    assert not dataset.metadata.has_duplicates


def test_without_hull_the_formation_energy_decides_and_without_it_the_first(tmp_path):
    rows = equal_rows()
    for row in rows:
        row["formation_energy"] = -1 - (row["id"] == "middle")
        row["e_above_hull"] = ""
    path = write_table(tmp_path / "t.csv", rows)
    assert labels(import_dataset([path], tmp_path / "a").dataset) == ["other", "middle"]
    bare = write_table(
        tmp_path / "b.csv", [{"id": r["id"], "cif": r["cif"]} for r in rows]
    )
    assert labels(import_dataset([bare], tmp_path / "b").dataset) == ["high", "other"]


def test_of_equal_genes_without_energies_the_one_with_values_is_kept(tmp_path):
    rows = equal_rows()
    for row in rows:
        row["bulk_modulus"] = 160.0 if row["id"] in {"middle", "other"} else ""
        del row["e_above_hull"]
    path = write_table(tmp_path / "t.csv", rows)
    dataset = import_dataset([path], tmp_path / "out").dataset
    assert labels(dataset) == ["other", "middle"]
    assert dataset.properties["bulk_modulus_gpa"].tolist() == [160.0, 160.0]


def test_duplicates_are_kept_on_request(tmp_path):
    path = write_table(tmp_path / "t.csv", equal_rows())
    options = ImportOptions(keep_duplicates=True)
    dataset = import_dataset([path], tmp_path / "out", options=options).dataset
    assert len(dataset) == 5
    assert dataset.metadata.n_duplicates == 0
    assert dataset.metadata.has_duplicates
    assert len(np.unique(dataset.keys)) == 2


@pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="WYCKFLOW_DATA not set")
@pytest.mark.parametrize(
    ("name", "columns", "kept"),
    [
        ("aflow/bulk_modulus_val.csv.gz", {"bulk_modulus_gpa"}, ()),
        (
            "peers/cryspr_relaxed_dev.csv.gz",
            {"energy_above_hull", "group"},
            ("group",),
        ),
    ],
)
def test_public_files_are_imported(name, columns, kept, tmp_path):
    pytest.importorskip("moyopy", reason="moyopy is not installed")
    chosen = {"energy_above_hull": "chgnet_e_above_hull_corrected"} if kept else {}
    options = ImportOptions(engine="moyopy", kept=kept, columns=chosen)
    path = Path(os.environ["WYCKFLOW_DATA"]) / name
    dataset = import_dataset([path], tmp_path / "out", options=options).dataset
    assert set(dataset.properties) == columns
    assert not dataset.metadata.refused
    if kept:  # The structures were relaxed with the symmetry that the file names.
        numbers = dataset.arrays.space_group_numbers
        assert (numbers == dataset.properties["group"]).mean() > 0.97
