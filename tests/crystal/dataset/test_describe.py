"""What is said and drawn of a dataset, against counting by hand."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from wyckflow.crystal.dataset.describe import describe_dataset
from wyckflow.crystal.dataset.importing import import_dataset
from wyckflow.crystal.dataset.plot import _place_in_table, plot_dataset
from wyckflow.crystal.dataset.split import split_dataset
from wyckflow.errors import ConfigurationError, DatasetError

COLUMNS = {"Sr": 1, "O": 15, "He": 17, "La": 2, "Lu": 16, "Hf": 3, "Pu": 7, "Ti": 3}
ROWS = {"Sr": 4, "O": 1, "He": 0, "La": 7.4, "Lu": 7.4, "Hf": 5, "Pu": 8.4, "Ti": 3}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("describe")
    points = [[0, 0, 0], [0.5, 0.5, 0.5]]
    structures = [
        Structure(Lattice.cubic(4.1), [cation, "Cl"], points) for cation in ("Cs", "K")
    ]
    structures.append(
        Structure.from_spacegroup(225, Lattice.cubic(4.2), ["Mg", "O"], points)
    )
    structures.append(Structure(Lattice.cubic(3), [{"Fe": 0.5}], [[0, 0, 0]]))
    cifs = [structure.to(fmt="cif").replace('"', '""') for structure in structures]
    rows = "".join(
        f'"{cif}",{gap}\n' for cif, gap in zip(cifs, (1, 2, ""), strict=False)
    )
    table = folder / "t.csv"
    table.write_text(f'cif,band_gap\n{rows}"{cifs[3]}",0\n')
    return split_dataset(import_dataset([table], folder / "d").dataset)


def test_counts_are_those_of_the_rows(dataset):
    summary = describe_dataset(dataset)
    assert (summary.n_rows, summary.n_genes, summary.n_formulas) == (3, 3, 3)
    assert summary.n_prototypes == 2
    assert summary.crystal_systems == {"cubic": 3}
    assert summary.space_groups == {221: 2, 225: 1}
    assert summary.elements == {"Cl": 2, "Cs": 1, "K": 1, "Mg": 1, "O": 1}
    assert summary.n_elements == {2: 3}
    assert summary.n_orbits == {2: 3}
    assert summary.n_atoms == {2: 3}
    assert summary.refused == {"partially_occupied": 1}
    assert sum(summary.parts.values()) == 3


def test_properties_are_summarised_over_the_rows_that_have_them(dataset):
    (gap,) = describe_dataset(dataset).properties
    assert (gap.name, gap.unit, gap.n_known, gap.mean) == ("band_gap", "eV", 2, 1.5)
    np.testing.assert_allclose(gap.quantiles, (1, 1.05, 1.5, 1.95, 2))


@pytest.mark.parametrize("element", COLUMNS)
def test_elements_are_at_their_place_in_the_periodic_table(element):
    from wyckflow.crystal.elements import ATOMIC_NUMBERS

    place = _place_in_table(ATOMIC_NUMBERS[element])
    assert place == (COLUMNS[element], ROWS[element])


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_figure_is_drawn(dataset, tmp_path, ending):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / f"figure.{ending}"
    plot_dataset(dataset, path)
    content = path.read_bytes()
    assert len(content) > 10_000
    if ending == "svg":
        assert b"Pm-3m" in content or b"svg" in content


def test_figure_that_cannot_be_written_is_an_error(dataset, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    with pytest.raises(DatasetError, match="cannot be drawn"):
        plot_dataset(dataset, tmp_path / "figure.docx")
    with pytest.raises(DatasetError, match="cannot be drawn"):
        plot_dataset(dataset, tmp_path / "nowhere" / "figure.png")


def test_missing_matplotlib_says_what_to_install(dataset, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigurationError, match="pip install matplotlib"):
        plot_dataset(dataset, tmp_path / "figure.png")
