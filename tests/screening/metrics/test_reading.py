"""Sets in the forms in which people keep them."""

from __future__ import annotations

import csv
import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.errors import DatasetError
from wyckflow.schemas.generation import GeneChunk, GenerationDoc
from wyckflow.schemas.target import Target
from wyckflow.screening.metrics import read_set

TEXTS = ["225 Na:a Cl:b", "221 Sr:a Ti:b O:c", "194 Ti:a,g Sn:c"]
GENES = [WyckoffGene.from_text(text) for text in TEXTS]


def write_table(path, header, rows):
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def texts_of(found):
    return [gene.to_text() for gene in found.genes]


def canonical(texts):
    return [WyckoffGene.from_text(text).to_text() for text in texts]


def test_a_text_file_with_comments(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text(f"# wanted\n{TEXTS[0]}\n\n{TEXTS[1]}  # perovskite\n225 Na:z\n")
    found = read_set(path)
    assert texts_of(found) == canonical(TEXTS[:2])
    assert (found.n_rows, found.reasons) == (3, {"unknown_letter": 1})


def test_a_table_of_genes_with_predictions(tmp_path):
    rows = [
        [text, gap, "word"] for text, gap in zip(TEXTS, ("1.5", "", "0"), strict=True)
    ]
    path = write_table(tmp_path / "mine.csv", ["gene", "band_gap", "note"], rows)
    found = read_set(path)
    assert texts_of(found) == canonical(TEXTS)
    assert list(found.columns) == ["band_gap"]
    np.testing.assert_array_equal(found.columns["band_gap"], [1.5, np.nan, 0])


def test_columns_stay_with_their_genes_when_rows_are_lost(tmp_path):
    rows = [[TEXTS[0], 1], ["225 Na:a Cl:a", 2], ["nonsense", 3], [TEXTS[1], 4]]
    found = read_set(write_table(tmp_path / "x.csv", ["gene", "gap"], rows))
    assert found.columns["gap"].tolist() == [1, 4]
    assert found.table.rows.tolist() == [0, 3]
    assert found.reasons == {"impossible_gene": 2}
    assert [row.row for row in found.unreadable] == [2, 3]


def test_the_table_of_wycryst(tmp_path):
    header = ["", "reconstructed_sg", "reconstructed_wyckoff", "n_sites"]
    rows = [
        [4, 12, "{'Na': ['2a', '2d', '4h'], 'O': ['4i', '8j']}", 20.0],
        [5, 194, "{'Ti': ['2a', '6g'], 'Sn': ['2c']}", 10.0],
        [6, 194, "{'Ti': ['3a']}", 3.0],
        [7, 194, "{'Ti': [", 3.0],
    ]
    found = read_set(write_table(tmp_path / "wycryst.csv", header, rows))
    assert texts_of(found) == canonical(["12 Na:a,d,h O:i,j", TEXTS[2]])
    assert found.columns["n_sites"].tolist() == found.table.n_sites.tolist()
    assert found.reasons == {"impossible_gene": 1, "unreadable": 1}


@pytest.mark.parametrize("ending", ["csv", "json"])
def test_arguments_for_pyxtal(tmp_path, ending):
    records = []
    for gene in GENES:
        group, species, n_ions, sites = gene.to_pyxtal()
        lists = {"species": species, "numIons": n_ions, "sites": sites}
        records.append({"group": group, **lists, "dof": 3})
    records.append({**records[0], "numIons": [1, 1]})
    path = tmp_path / f"x.{ending}"
    if ending == "json":
        path.write_text(json.dumps(records))
    else:
        rows = [
            [v if isinstance(v, int) else json.dumps(v) for v in record.values()]
            for record in records
        ]
        write_table(path, list(records[0]), rows)
    found = read_set(path)
    assert texts_of(found) == canonical(TEXTS)
    assert list(found.columns) == ["dof"]
    assert found.reasons == {"impossible_gene": 1}
    assert "num_ions" in found.unreadable[0].message


def test_a_list_of_genes_as_json(tmp_path):
    path = tmp_path / "x.json"
    path.write_text(json.dumps(TEXTS))
    assert texts_of(read_set(path)) == canonical(TEXTS)


def test_arrays_of_a_blob(tmp_path):
    numbers, codes = pack_genes(GENES)
    codes = np.vstack([codes, codes[:1]])
    codes[3, 0] = codes[3, 1] & ~31 | 12  # group 1 has no m
    path = tmp_path / "x.npz"
    arrays = {"predicted band_gap": np.array([1, 2, 3, 4], np.float32)}
    np.savez(path, space_groups=[*numbers, 1], codes=codes, **arrays)
    found = read_set(path)
    assert texts_of(found) == canonical(TEXTS)
    assert found.columns["band_gap"].tolist() == [1, 2, 3]
    assert found.reasons == {"impossible_gene": 1}
    assert found.n_rows == 4


def test_a_generation_document_says_how_often_it_tried(tmp_path):
    nothing = np.zeros(3, np.float32)
    chunk = GeneChunk.pack(
        GENES,
        log_probabilities=nothing,
        seeds=np.zeros(3, np.int32),
        predictions={"band_gap": nothing + 1},
        deviations={"band_gap": nothing},
    )
    document = GenerationDoc(
        model_id="m",
        model_name="m",
        method="prior",
        target=Target(),
        seed=0,
        level=1,
        temperature=1,
        n_asked=3,
        n_decoded=5,
        n_genes=3,
        failures={"fixed_site_used_twice": 2},
        properties=["band_gap"],
        chunks=[chunk],
    )
    path = tmp_path / "x.json"
    path.write_text(document.model_dump_json())
    found = read_set(path)
    assert texts_of(found) == canonical(TEXTS)
    assert found.columns["band_gap"].tolist() == [1, 1, 1]
    assert (found.n_attempts, found.n_rows) == (5, 5)
    assert found.reasons == {"fixed_site_used_twice": 2}


def test_structures_in_a_folder_and_in_a_table(tmp_path):
    salt = Structure.from_spacegroup(
        "Fm-3m", Lattice.cubic(5.6), ["Na", "Cl"], [[0, 0, 0], [0.5, 0, 0]]
    )
    mixed = Structure(Lattice.cubic(4), [{"Na": 0.5, "K": 0.5}], [[0, 0, 0]])
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.cif").write_text(salt.to(fmt="cif"))
    (folder / "b.cif").write_text(mixed.to(fmt="cif"))
    rows = [[json.dumps(s.as_dict())] for s in (salt, mixed)]
    table = write_table(tmp_path / "x.csv", ["structure"], rows)
    for path in (folder, table):
        found = read_set(path)
        assert [gene.gene_id for gene in found.genes] == [GENES[0].gene_id]
        assert found.reasons == {"disordered": 1}


def test_an_empty_list_is_one_sentence(tmp_path):
    path = tmp_path / "x.json"
    path.write_text("[]")
    with pytest.raises(DatasetError, match=r"No gene .*x\.json .*it is empty"):
        read_set(path)


def test_progress_is_told(tmp_path):
    path = tmp_path / "x.txt"
    path.write_text("\n".join(TEXTS * 50))
    told = []
    read_set(path, report=lambda n, total: told.append((n, total)))
    assert told == [(100, 150), (150, 150)]


def test_a_file_without_genes_is_one_sentence(tmp_path):
    path = write_table(tmp_path / "x.csv", ["a", "b"], [[1, 2]])
    with pytest.raises(DatasetError, match=r"No gene .*x\.csv .*a, b hold no genes"):
        read_set(path)
    for name in ("gone.npz", "gone.csv", "gone.txt"):
        with pytest.raises(DatasetError, match="gone"):
            read_set(tmp_path / name)
    (tmp_path / "broken.npz").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"broken\.npz"):
        read_set(tmp_path / "broken.npz")


needs_data = pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="no data")


@needs_data
def test_published_sets_are_read_to_the_last_row():
    """The number of sites and free coordinates stands in the files themselves."""
    peers = Path(os.environ["WYCKFLOW_DATA"]) / "peers"
    relaxed = read_set(peers / "cryspr_relaxed_dev.csv.gz")
    assert (len(relaxed), relaxed.reasons) == (200, {})
    with gzip.open(peers / "cryspr_relaxed_dev.csv.gz", "rt") as stream:
        rows = list(csv.DictReader(stream))
    sites = [sum(map(int, json.loads(row["numIons"]))) for row in rows]
    assert relaxed.table.n_sites.tolist() == sites
