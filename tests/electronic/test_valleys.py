"""Valley degeneracies, and the masses of whole pockets, on crystals known by heart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from model_bands import CRYSTALS, FCC_POINTS, SCALE, kane, make_bands, pockets_at, walk
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from wyckflow.electronic.analyse import ElectronicOptions, analyse_bands
from wyckflow.electronic.bands import Bands, read_atoms
from wyckflow.electronic.hessian import dense_points, sphere_masses
from wyckflow.electronic.point_group import PointGroup
from wyckflow.errors import BandsError
from wyckflow.schemas.electronic import Carrier, FitQuality

LONG_PATH = ["Γ", "X", "W", "L", "Γ", "K"]

KNOWN = {
    "Si": ("Δ", 0.92, 0.19, "Γ", 6, "4mm"),
    "Ge": ("L", 1.6, 0.08, "Γ", 4, "-3m"),
    "GaAs": ("Γ", 0.09, 0.09, "Γ", 1, "m-3m"),
    "PbTe": ("L", 0.24, 0.13, "L", 4, "-3m"),
    "Mg2Si": ("X", 0.7, 0.25, "Γ", 3, "4/mmm"),
    "SnTe": ("L", 0.3, 0.12, "L", 4, "-3m"),
}


def crystal_bands(name, **options):
    """Bands of a known crystal on a path with the directions across."""
    kind, along, across, valence, *_ = KNOWN[name]
    kpoints, labels = walk(FCC_POINTS, LONG_PATH, n=60)
    top = [pockets_at(name, valence, 0.5, 0.4 if valence == "L" else 0.5)]
    bottom = [pockets_at(name, kind, along, across, bottom=0.9)]
    return make_bands(
        CRYSTALS[name], top, bottom, kpoints=kpoints, labels=labels, **options
    )


@pytest.mark.parametrize("name", KNOWN)
def test_the_number_of_valleys_is_the_textbook_one(name):
    """Where the edge lies is given; how often symmetry repeats it is found."""
    *_, valence, n_valleys, little = KNOWN[name]
    document = analyse_bands(crystal_bands(name))
    electrons = document.electrons
    assert (electrons.n_k, electrons.n_b, electrons.spin_degeneracy) == (
        n_valleys,
        1,
        2,
    )
    assert document.holes.n_valleys == (4 if valence == "L" else 1)
    edge = next(one for one in document.valleys if one.carrier is Carrier.ELECTRON)
    assert edge.little_group == little
    assert document.is_gap_direct == (KNOWN[name][0] == valence)


@pytest.mark.parametrize("name", ["Ge", "GaAs", "PbTe", "Mg2Si", "SnTe"])
def test_lines_and_the_little_group_determine_the_ellipsoid(name):
    _, along, across, *_ = KNOWN[name]
    document = analyse_bands(crystal_bands(name))
    edge = next(one for one in document.valleys if one.carrier is Carrier.ELECTRON)
    assert edge.quality is FitQuality.GOOD
    np.testing.assert_allclose(
        edge.principal_masses, sorted([along, across, across]), rtol=0.02
    )
    mean = (along * across**2) ** (1 / 3)
    assert edge.dos_mass == pytest.approx(mean, rel=0.02)
    assert document.electrons.dos_mass == pytest.approx(
        edge.n_k ** (2 / 3) * mean, rel=0.02
    )
    harmonic = 3 / (1 / along + 2 / across)
    assert edge.conductivity_mass == pytest.approx(harmonic, rel=0.02)
    complexity = edge.n_k * (mean / harmonic) ** 1.5
    assert document.electrons.complexity == pytest.approx(complexity, rel=0.05)
    assert document.electrons.valleys_per_mass == pytest.approx(
        edge.n_k / harmonic, rel=0.02
    )


def test_where_the_path_cannot_know_there_is_no_mass_but_a_dense_mesh_gives_it():
    """Silicon's valleys lie on the line to X: nothing on the path leads across."""
    bands = crystal_bands("Si")
    edge = next(
        one for one in analyse_bands(bands).valleys if one.carrier is Carrier.ELECTRON
    )
    assert edge.dos_mass is None
    assert "dense mesh" in edge.reason
    assert edge.path_mass == pytest.approx(0.92, rel=0.01)
    points = dense_points(bands.reciprocal, np.array(edge.kpoint), radius=0.05)
    dense = make_bands(
        CRYSTALS["Si"],
        [pockets_at("Si", "Γ", 0.5, 0.5)],
        [pockets_at("Si", "Δ", 0.92, 0.19, bottom=0.9)],
        kpoints=points,
    )
    whole = analyse_bands(bands, dense=[dense])
    edge = next(one for one in whole.valleys if one.carrier is Carrier.ELECTRON)
    np.testing.assert_allclose(edge.principal_masses, [0.19, 0.19, 0.92], rtol=0.01)
    assert edge.quality is FitQuality.GOOD
    assert next(iter(whole.valleys)).carrier is Carrier.ELECTRON
    hole = next(one for one in whole.valleys if one.carrier is Carrier.HOLE)
    assert hole.dos_mass == pytest.approx(0.5, rel=0.01)  # not touched by that mesh


@pytest.mark.parametrize(("name", "n_valleys"), [("Si", 6), ("PbTe", 4), ("Mg2Si", 3)])
def test_a_whole_mesh_finds_the_same_pockets_and_their_tensors(name, n_valleys):
    """Only the irreducible points are given, as VASP writes them."""
    structure = CRYSTALS[name]
    counts = (40, 40, 40)
    spacegroup = SpacegroupAnalyzer(structure)
    points = np.array([k for k, _ in spacegroup.get_ir_reciprocal_mesh(counts)])
    kind, along, across, valence, *_ = KNOWN[name]
    bands = make_bands(
        structure,
        [pockets_at(name, valence, 0.5, 0.5)],
        [pockets_at(name, kind, along, across, bottom=0.9)],
        kpoints=points,
    )
    document = analyse_bands(bands)
    assert "40 x 40 x 40" in " ".join(document.notes)
    assert document.electrons.n_valleys == n_valleys
    edge = next(one for one in document.valleys if one.carrier is Carrier.ELECTRON)
    np.testing.assert_allclose(
        edge.principal_masses, sorted([along, across, across]), rtol=0.05
    )


def test_warped_bands_are_averaged_and_flagged():
    """Heavy and light holes after Dresselhaus, Kip and Kittel, with silicon's numbers.

    The mean over the path is held against the one over the whole sphere.
    """
    a, b, c = 4.27, 0.63, 4.93

    def split(k):
        x, y, z = np.atleast_2d(k).T ** 2
        total = x + y + z
        root = np.sqrt(b**2 * total**2 + c**2 * (x * y + y * z + z * x))
        return SCALE / 2 * (a * total - root), SCALE / 2 * (a * total + root)

    kpoints, labels = walk(FCC_POINTS, ["L", "Γ", "X", "W", "K", "Γ"], n=60)
    structure = CRYSTALS["Si"]
    reciprocal = 2 * np.pi * np.linalg.inv(structure.lattice.matrix).T
    heavy, light = split(kpoints @ reciprocal)
    bands = Bands(
        lattice=structure.lattice.matrix,
        kpoints=kpoints,
        energies=np.array([[-light, -heavy, 1 + heavy]]),
        fermi=0.5,
        labels=labels,
        atoms=read_atoms(structure),
    )
    document = analyse_bands(bands)
    assert (document.holes.n_k, document.holes.n_b) == (1, 2)
    assert document.holes.quality is FitQuality.UNCERTAIN
    assert "warped" in document.holes.reason
    masses = [
        sphere_masses(lambda k, i=i: float(split(k)[i][0]), np.zeros(3)) for i in (0, 1)
    ]
    truth = sum(dos**1.5 for dos, _ in masses) ** (2 / 3)
    assert document.holes.dos_mass == pytest.approx(truth, rel=0.05)
    flow = sum(dos**1.5 / conductivity for dos, conductivity in masses)
    harmonic = truth**1.5 / flow
    assert document.holes.conductivity_mass == pytest.approx(harmonic, rel=0.2)


def test_pockets_above_the_edge_count_by_window_and_by_temperature():
    kpoints, labels = walk(FCC_POINTS, LONG_PATH, n=60)
    bands = make_bands(
        CRYSTALS["PbTe"],
        [pockets_at("PbTe", "L", 0.3, 0.2)],
        [pockets_at("PbTe", "L", 0.3, 0.2, bottom=0.8)],
        kpoints=kpoints,
        labels=labels,
    )
    second = pockets_at("PbTe", "Γ", 0.4, 0.4, bottom=0.86)
    both = np.minimum(
        bands.energies[0, 1],
        second.energy(kpoints @ bands.reciprocal, bands.reciprocal),
    )
    energies = np.array([[bands.energies[0, 0], both]])
    document = analyse_bands(replace(bands, energies=energies))
    electrons = document.electrons
    assert (electrons.n_valleys, electrons.n_valleys_in_window) == (4, 5)
    kt = 8.617333e-5 * 300
    assert electrons.n_valleys_thermal == pytest.approx(4 + np.exp(-0.06 / kt))
    near = analyse_bands(
        replace(bands, energies=energies), ElectronicOptions(valley_window=0.03)
    )
    assert near.electrons.n_valleys_in_window == 4


def test_a_saddle_is_no_pocket():
    """Along the first line the point is lowest, along the second it is highest."""
    x = np.linspace(0, 0.5, 30)
    kpoints = np.concatenate(
        [np.stack([x, 0 * x, 0 * x], 1), np.stack([0 * x, x, 0 * x], 1)]
    )
    wave = np.cos(2 * np.pi * kpoints)
    empty = 2 - 0.05 * wave[:, 0] + 0.05 * wave[:, 1]
    bands = Bands(4 * np.eye(3), kpoints, np.array([[-2 + 0 * empty, empty]]), 0.0)
    document = analyse_bands(bands, ElectronicOptions(valley_window=1.0))
    found = [one for one in document.valleys if one.carrier is Carrier.ELECTRON]
    assert [one.kpoint[:2] for one in found] == [pytest.approx([0.0, 0.5])]


def test_bands_that_cross_make_no_pocket_at_the_crossing():
    x = np.linspace(0, 0.5, 41)
    kpoints = np.stack([x, 0 * x, 0 * x], axis=1)
    rising, falling = 0.3 * x, 0.06 - 0.3 * (x - 0.02)
    empty = np.sort([1 + rising, 1 + falling], axis=0)
    bands = Bands(4 * np.eye(3), kpoints, np.array([[-1 + 0 * x, *empty]]), 0.0)
    document = analyse_bands(bands, ElectronicOptions(valley_window=0.3))
    places = {
        round(one.kpoint[0], 3)
        for one in document.valleys
        if one.carrier is Carrier.ELECTRON
    }
    assert all(place in {0.0, 0.5} for place in places)


@pytest.mark.parametrize("name", CRYSTALS)
def test_stars_and_little_groups_are_those_of_pymatgen_and_make_the_group(name):
    structure = CRYSTALS[name]
    bands = make_bands(
        structure,
        [pockets_at(name, "Γ", 1, 1)],
        [pockets_at(name, "Γ", 1, 1, bottom=1)],
    )
    group = PointGroup.of(bands)
    analyser = SpacegroupAnalyzer(structure)
    operations = analyser.get_point_group_operations(cartesian=True)
    n_with_inversion = len(group.rotations)
    assert n_with_inversion == (48 if len(operations) in (24, 48) else len(operations))
    for k in itertools.chain(FCC_POINTS.values(), [(0.1, 0.2, 0.37)]):
        star, little = group.star(k), group.little(k)
        assert len(star) * len(little) == n_with_inversion
        cartesian = np.array(k) @ bands.reciprocal
        theirs = {
            tuple(np.round(sign * op.operate(cartesian), 4) + 0.0)
            for op in operations
            for sign in (1, -1)
        }
        images = np.array(sorted(theirs)) @ np.linalg.inv(bands.reciprocal)
        distinct = {tuple(np.round(one % 1.0, 4) % 1.0) for one in images}
        assert len(star) == len(distinct)


@pytest.mark.parametrize(
    ("k", "n_free"),
    [((0, 0, 0), 1), ((0.5, 0.5, 0.5), 2), ((0.5, 0, 0.5), 2), ((0.1, 0.2, 0.37), 6)],
)
def test_the_little_group_says_how_many_masses_are_free(k, n_free):
    bands = crystal_bands("PbTe")
    basis = PointGroup.of(bands).tensor_basis(k)
    assert len(basis) == n_free
    np.testing.assert_allclose(basis, basis.transpose(0, 2, 1), atol=1e-9)


def test_a_folded_cell_is_noticed_and_the_product_stays():
    """A doubled cell folds some pockets on others, and says so."""
    doubled = CRYSTALS["PbTe"].copy()
    doubled.make_supercell([2, 1, 1])
    bands = replace(
        crystal_bands("PbTe"), lattice=doubled.lattice.matrix, atoms=read_atoms(doubled)
    )
    assert "folded" in " ".join(analyse_bands(bands).notes)


def test_moments_lower_the_symmetry_of_each_spin():
    """Antiferromagnetic: a corner and the centre of a cube are no longer equal."""
    cell = Structure(Lattice.cubic(3), ["Cr", "Cr"], [(0, 0, 0), (0.5, 0.5, 0.5)])
    cell.add_site_property("magmom", [1.0, 1.0])
    x = np.linspace(0, 0.5, 10)
    kpoints = np.stack([x, 0 * x, 0 * x], axis=1)
    levels = np.stack([-1 - x**2, 1 + x**2])
    bands = Bands(
        cell.lattice.matrix,
        kpoints,
        np.array([levels, levels + 0.5 * levels**2]),
        0.0,
        atoms=read_atoms(cell),
    )
    assert PointGroup.of(bands).n_translations == 2
    cell.add_site_property("magmom", [1.0, -1.0])
    assert PointGroup.of(replace(bands, atoms=read_atoms(cell))).n_translations == 1
    cell.remove_site_property("magmom")
    notes = PointGroup.of(replace(bands, atoms=read_atoms(cell))).notes
    assert "without moments" in notes[0]


def test_spin_orbit_pairs_count_as_one_band_with_two_spins():
    bands = crystal_bands("PbTe")
    paired = np.repeat(bands.energies, 2, axis=1)
    document = analyse_bands(
        replace(bands, energies=paired, is_noncollinear=True, n_electrons=2.0)
    )
    edge = document.electrons
    assert (edge.n_k, edge.n_b, edge.spin_degeneracy) == (4, 1, 2)
    plain = analyse_bands(bands).electrons
    assert edge.dos_mass == pytest.approx(plain.dos_mass)
    assert edge.quality is plain.quality is FitQuality.GOOD


def test_spin_orbit_bands_that_split_count_one_by_one():
    """Away from a pair's common point the two differ, as after Rashba."""
    bands = crystal_bands("GaAs")
    shifted = np.repeat(bands.energies, 2, axis=1)
    away = np.linalg.norm(bands.kpoints, axis=1)
    shifted[0, 3] += 0.5 * away
    shifted[0, 0] -= 0.5 * away
    document = analyse_bands(
        replace(bands, energies=shifted, is_noncollinear=True, n_electrons=2.0)
    )
    assert (document.electrons.n_b, document.electrons.spin_degeneracy) == (2, 1)


@pytest.mark.parametrize("field", ElectronicOptions.__dataclass_fields__)
def test_options_without_meaning_are_refused(field):
    with pytest.raises(BandsError, match=field):
        ElectronicOptions(**{field: 0.0})


def test_kane_pockets_keep_their_alpha():
    kpoints, labels = walk(FCC_POINTS, LONG_PATH, n=60)
    bands = make_bands(
        CRYSTALS["PbTe"],
        [pockets_at("PbTe", "L", 0.3, 0.2)],
        [pockets_at("PbTe", "L", 0.3, 0.2, bottom=0.8, alpha=0.7)],
        kpoints=kpoints,
        labels=labels,
    )
    edge = next(
        one for one in analyse_bands(bands).valleys if one.carrier is Carrier.ELECTRON
    )
    assert edge.lines
    for line in edge.lines:
        assert line.alpha == pytest.approx(0.7, rel=0.01)
    assert kane(0.0, 0.7) == 0.0
