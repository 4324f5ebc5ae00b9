"""Bands as arrays: from pymatgen, from files, and the lines in them."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pytest
from model_bands import CRYSTALS, FCC_PATH, FCC_POINTS, make_bands, pockets_at, walk
from pymatgen.core import Lattice
from pymatgen.electronic_structure.bandstructure import BandStructureSymmLine
from pymatgen.electronic_structure.core import Spin

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Bands, plain_label, split_lines
from wyckflow.electronic.edges import find_edges
from wyckflow.electronic.vasprun import load_bands
from wyckflow.errors import BandsError
from wyckflow.schemas.electronic import BandKind


def to_pymatgen(bands, names, points):
    """The same bands as pymatgen holds them."""
    return BandStructureSymmLine(
        kpoints=bands.kpoints,
        eigenvals=dict(zip((Spin.up, Spin.down), bands.energies, strict=False)),
        lattice=Lattice(bands.reciprocal),
        efermi=bands.fermi,
        labels_dict={name: points[name] for name in names},
        structure=CRYSTALS["GaAs"],
    )


@pytest.fixture
def gallium_arsenide():
    valence = [pockets_at("GaAs", "Γ", 0.5, 0.5)]
    conduction = [pockets_at("GaAs", "X", 0.9, 0.3, bottom=1.2)]
    return make_bands(CRYSTALS["GaAs"], valence, conduction)


def test_lines_are_split_at_doubled_points_corners_and_jumps():
    x = np.linspace(0, 1, 6)
    first = np.stack([x, 0 * x, 0 * x], axis=1)
    second = np.stack([1 + 0 * x, x, 0 * x], axis=1)
    doubled = np.concatenate([first, second])
    assert split_lines(doubled) == [(0, 5), (6, 11)]
    single = np.concatenate([first, second[1:]])
    assert split_lines(single) == [(0, 5), (5, 10)]
    far = np.concatenate([first, second + np.array([0, 0, 3])])
    assert split_lines(far) == [(0, 5), (6, 11)]
    assert split_lines(doubled[:1]) == []


def test_pymatgen_agrees_on_the_branches(gallium_arsenide):
    names = list(dict.fromkeys(FCC_PATH))
    theirs = to_pymatgen(gallium_arsenide, names, FCC_POINTS)
    branches = [(one["start_index"], one["end_index"]) for one in theirs.branches]
    assert gallium_arsenide.lines() == branches


def test_pymatgen_agrees_on_gap_edges_and_directness(gallium_arsenide):
    theirs = to_pymatgen(gallium_arsenide, list(dict.fromkeys(FCC_PATH)), FCC_POINTS)
    ours = analyse_bands(Bands.from_pymatgen(theirs))
    gap = theirs.get_band_gap()
    assert ours.band_gap == pytest.approx(gap["energy"])
    assert ours.is_gap_direct == gap["direct"] is False
    assert ours.direct_gap == pytest.approx(theirs.get_direct_band_gap())
    assert ours.vbm == pytest.approx(theirs.get_vbm()["energy"])
    assert ours.cbm == pytest.approx(theirs.get_cbm()["energy"])
    assert ours.electrons.label == theirs.get_cbm()["kpoint"].label == "X"
    assert ours.holes.label == "Γ"
    degeneracy = theirs.get_kpoint_degeneracy(theirs.get_cbm()["kpoint"].frac_coords)
    assert ours.electrons.n_k == degeneracy == 3


@pytest.mark.parametrize(
    ("label", "plain"),
    [("\\Gamma", "Γ"), ("GAMMA", "Γ"), ("$\\Gamma$", "Γ"), ("S_2", "S_2"), (None, "")],
)
def test_labels_read_as_people_write_them(label, plain):
    assert plain_label(label) == plain


@pytest.mark.parametrize(
    "change",
    [
        {"lattice": np.eye(2)},
        {"energies": np.zeros((1, 2, 7))},
        {"energies": np.zeros((3, 2, 4))},
        {"energies": np.full((1, 2, 4), np.nan)},
        {"fermi": float("nan")},
        {"labels": ("Γ",)},
    ],
    ids=["cell", "points", "spins", "nan", "fermi", "labels"],
)
def test_arrays_that_do_not_fit_are_refused(change):
    right = {
        "lattice": np.eye(3),
        "kpoints": np.zeros((4, 3)),
        "energies": np.zeros((1, 2, 4)),
        "fermi": 0.0,
    }
    Bands(**right)
    with pytest.raises(BandsError, match=r"expected|no numbers|give one each"):
        Bands(**right | change)


def test_missing_and_torn_files_are_refused_with_what_to_do(tmp_path):
    with pytest.raises(BandsError, match="does not exist"):
        load_bands(tmp_path / "vasprun.xml")
    with pytest.raises(BandsError, match="finished VASP run"):
        load_bands(tmp_path)
    (tmp_path / "vasprun.xml").write_text("<modeling><incar>")
    with pytest.raises(BandsError, match="ended early"):
        load_bands(tmp_path)


def test_a_real_run_that_was_cut_short_is_refused(vasp_outputs, tmp_path):
    with gzip.open(vasp_outputs / "Si_uniform" / "vasprun.xml.gz", "rt") as stream:
        text = stream.read()
    (tmp_path / "vasprun.xml").write_text(text[: len(text) // 2])
    with pytest.raises(BandsError, match="ended early"):
        load_bands(tmp_path)


def test_a_real_run_of_silicon_is_read(vasp_outputs, tmp_path):
    """The gap of pymatgen, and six valleys on the lines to X."""
    from pymatgen.io.vasp.outputs import Vasprun

    file = vasp_outputs / "Si_uniform" / "vasprun.xml.gz"
    shutil.copy(file, tmp_path)
    bands = load_bands(tmp_path)
    document = analyse_bands(bands)
    theirs = Vasprun(file, parse_potcar_file=False)
    assert document.band_gap == pytest.approx(theirs.eigenvalue_band_properties[0])
    assert bands.n_electrons == 8
    assert document.formula_pretty == "Si"
    assert document.space_group_number == 227
    assert (document.electrons.n_k, document.electrons.n_b) == (6, 1)
    assert (document.holes.n_k, document.holes.n_b) == (1, 3)
    assert document.is_gap_direct is False
    assert "8 x 8 x 8" in " ".join(document.notes)
    assert "too coarse" in document.electrons.reason
    assert not document.is_simulated


def test_a_real_magnetic_setting_without_moments_is_counted_as_one(vasp_outputs):
    document = analyse_bands(load_bands(vasp_outputs / "GaAs_r2scan_static"))
    assert document.is_gap_direct
    assert document.band_gap == pytest.approx(1.228, abs=0.002)
    assert "both spins" in document.notes[0]
    assert document.electrons.spin_degeneracy == 2


def test_points_of_no_weight_are_the_path_of_a_hybrid_run(monkeypatch, tmp_path):
    from pymatgen.io.vasp import outputs

    class Run:
        """What pymatgen reads of a run with a mesh and a path."""

        def __init__(self, *_, **__):
            self.actual_kpoints = [[0, 0, 0], [0.5, 0, 0], [0, 0, 0], [0.1, 0, 0]]
            self.actual_kpoints_weights = [0.5, 0.5, 0, 0]
            levels = np.array([[-1, 2], [-2, 3], [-1, 2], [-1.5, 2.5]], dtype=float)
            self.eigenvalues = {Spin.up: np.stack([levels, levels], axis=2)}
            self.final_structure = CRYSTALS["GaAs"]
            self.efermi = 0.0
            self.parameters = {"NELECT": 2.0}
            self.vasp_version = "6.4.2-SIMULATED"
            self.converged_electronic = False

    monkeypatch.setattr(outputs, "Vasprun", Run)
    (tmp_path / "vasprun.xml").touch()
    (tmp_path / "KPOINTS").write_text(
        "bands\n2\nLine_mode\nReciprocal\n0 0 0 \\Gamma\n0.1 0 0 S\n"
    )
    bands = load_bands(tmp_path)
    assert bands.kpoints[:, 0].tolist() == [0, 0.1]
    assert bands.labels == ("Γ", "S")
    assert bands.is_simulated
    document = analyse_bands(bands)
    assert document.kind is BandKind.CANNOT_JUDGE
    assert "not converged" in document.reason
    assert document.band_gap is None
    assert document.is_simulated


def test_a_path_as_vasp_writes_it_has_its_points_twice():
    kpoints, labels = walk(FCC_POINTS, ["Γ", "X", "W"], n=5)
    bands = Bands(np.eye(3), kpoints, np.zeros((1, 1, 10)), 1.0, labels)
    assert bands.lines() == [(0, 4), (5, 9)]
    assert bands.name_of(4) == "X"
    assert find_edges(bands).kind is BandKind.CANNOT_JUDGE


def kpoints_opt_block(places, levels):
    """Bands at extra points as VASP 6.3 writes them into its vasprun.xml."""
    points = "".join(f"<v>{' '.join(map(str, place))}</v>" for place in places)
    weights = "".join("<v>1.0</v>" for _ in places)
    sets = "".join(
        f'<set comment="kpoint {n}">{"".join(f"<r>{e} 1.0</r>" for e in column)}</set>'
        for n, column in enumerate(levels, start=1)
    )
    return (
        '<eigenvalues_kpoints_opt comment="kpoints_opt"><kpoints>'
        f'<varray name="kpointlist">{points}</varray>'
        f'<varray name="weights">{weights}</varray></kpoints>'
        "<eigenvalues><array><field>eigene</field><field>occ</field>"
        f'<set><set comment="spin 1">{sets}</set></set></array></eigenvalues>'
        "</eigenvalues_kpoints_opt>"
    )


def test_points_of_a_kpoints_opt_are_taken_instead_of_the_mesh(vasp_outputs, tmp_path):
    """Through pymatgen's parser: a real run with such a block put in."""
    file = vasp_outputs / "Si_uniform" / "vasprun.xml.gz"
    with gzip.open(file, "rt") as stream:
        text = stream.read()
    places = [(0.0, 0.0, 0.0), (0.25, 0.0, 0.25), (0.5, 0.0, 0.5)]
    levels = [[-6.0, 5.0, 5.1, 5.2, 8.0], [-5.0, 4.0, 4.1, 4.2, 7.0], [1, 2, 3, 3, 6.5]]
    end = text.rindex("</calculation>")
    block = kpoints_opt_block(places, levels)
    (tmp_path / "vasprun.xml").write_text(text[:end] + block + text[end:])
    (tmp_path / "KPOINTS").write_text("mesh\n0\nGamma\n8 8 8\n")
    (tmp_path / "KPOINTS_OPT").write_text(
        "path\n3\nLine_mode\nReciprocal\n0 0 0 GAMMA\n0.5 0 0.5 X\n"
    )
    bands = load_bands(tmp_path)
    np.testing.assert_allclose(bands.kpoints, places)
    np.testing.assert_allclose(bands.energies[0].T, levels)
    assert bands.labels == ("Γ", "", "X")
    assert bands.lines() == [(0, 2)]
    assert len(load_bands(file).kpoints) > len(places)
