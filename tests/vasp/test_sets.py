"""Every input against the values that the papers state, written here by hand."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from pymatgen.io.vasp.inputs import Kpoints
from pymatgen.io.vasp.sets import MPRelaxSet, MPStaticSet

from wyckflow.makers import vasp as makers
from wyckflow.vasp.path import find_primitive_structure
from wyckflow.vasp.sets import PublishedSetGenerator, count_divisions

EVERY_STEP = {"GGA": "PE", "ISYM": 2, "SYMPREC": 1e-5}
PRECISE = EVERY_STEP | {"ENCUT": 520, "EDIFF": 1e-8}
GAUSSIAN = {"ISMEAR": 0, "SIGMA": 0.01}
PUBLISHED = {
    "vasp relax normal": EVERY_STEP
    | GAUSSIAN
    | {"EDIFF": 1e-6, "EDIFFG": -1e-3, "IBRION": 2, "ISIF": 3, "ISPIN": 2},
    "vasp relax precise": PRECISE
    | GAUSSIAN
    | {"EDIFFG": -1e-4, "IBRION": 2, "ISIF": 3},
    "vasp static": PRECISE | {"ISMEAR": -5, "NSW": 0, "LCHARG": True},
    "vasp bands": PRECISE | GAUSSIAN | {"ICHARG": 11, "NSW": 0},
    "vasp dfpt": PRECISE | {"IBRION": 8, "NSW": 1},
}
SPACINGS = {
    "vasp relax normal": 0.20,
    "vasp relax precise": 0.15,
    "vasp static": 0.10,
    "vasp dfpt": 0.15,
}
HUBBARD = {
    "Co": 3.32, "Cr": 3.7, "Fe": 5.3, "Mn": 3.9, "Mo": 4.38, "Ni": 6.2, "V": 3.25,
    "W": 6.2,
}  # fmt: skip
OURS = {
    maker.name: maker
    for maker in (
        makers.relax_normal_maker(),
        makers.relax_precise_maker(),
        makers.static_maker(),
        makers.bands_maker(),
        makers.dfpt_maker(),
    )
}
each_step = pytest.mark.parametrize("step", PUBLISHED)


def write(maker, structure):
    """Return the inputs that a job would write."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return maker.input_set_generator.get_input_set(structure, potcar_spec=True)


def row_of(species):
    """Return a crystal of some elements, one atom each, that no symmetry relates."""
    places = [[0, 0, 0.1 * n + 0.003 * n**2] for n in range(len(species))]
    return Structure(Lattice.orthorhombic(3.1, 3.7, 25), species, places)


def same(found, expected):
    if isinstance(expected, str):
        return str(found).upper() == expected
    return found == pytest.approx(expected, rel=1e-12)


@each_step
def test_the_settings_are_the_published_ones(step, gallium_arsenide):
    incar = write(OURS[step], gallium_arsenide)["INCAR"]
    for tag, value in PUBLISHED[step].items():
        assert same(incar[tag], value), f"{tag}: {incar[tag]} instead of {value}"


def test_the_normal_setting_leaves_the_cut_off_to_the_potcars(gallium_arsenide):
    incar = write(OURS["vasp relax normal"], gallium_arsenide)["INCAR"]
    assert "ENCUT" not in incar


@pytest.mark.parametrize("step", SPACINGS)
def test_meshes_are_centred_on_gamma_and_as_dense_as_published(step, wustite):
    """By the rule of VASP's wiki for KSPACING: ceil of |b| with 2 pi over spacing."""
    primitive = wustite.get_primitive_structure()
    kpoints = write(OURS[step], primitive)["KPOINTS"]
    reciprocal = 2 * np.pi * np.linalg.inv(primitive.lattice.matrix).T
    lengths = np.linalg.norm(reciprocal, axis=1)
    mesh = np.array(kpoints.kpts[0])
    assert kpoints.style == Kpoints.supported_modes.Gamma
    assert (lengths / mesh <= SPACINGS[step] * 1.0001).all()
    assert (lengths / (mesh - 1) > SPACINGS[step]).all()


def test_cubic_perovskite_has_the_known_meshes():
    cube = Structure(Lattice.cubic(3.89), ["Ca"], [[0, 0, 0]])
    meshes = {spacing: count_divisions(cube, spacing) for spacing in (0.2, 0.15, 0.1)}
    assert meshes == {0.2: (9, 9, 9), 0.15: (11, 11, 11), 0.1: (17, 17, 17)}


def test_equal_axes_get_equal_numbers_in_spite_of_rounding():
    """One axis a hair longer than the spacing fits, the other a hair shorter."""
    size = 2 * np.pi / (0.15 * 10)
    lattice = Lattice.orthorhombic(size * (1 + 1e-12), size * (1 - 1e-12), size)
    assert count_divisions(Structure(lattice, ["Cu"], [[0, 0, 0]]), 0.15) == (10,) * 3


def test_bands_run_along_segments_of_forty_points(gallium_arsenide):
    kpoints = write(OURS["vasp bands"], gallium_arsenide)["KPOINTS"]
    assert kpoints.style == Kpoints.supported_modes.Line_mode
    assert kpoints.num_kpts == 40
    assert len(kpoints.kpts) % 2 == 0
    assert kpoints.labels[0] == "GAMMA"


@each_step
@pytest.mark.parametrize("anion", ["O", "F"])
def test_oxides_and_fluorides_get_the_published_u(step, anion):
    """All eight metals at once, and one that gets none."""
    species = [*HUBBARD, "Ti", anion]
    inputs = write(OURS[step], row_of(species))
    incar, order = inputs["INCAR"], inputs["POSCAR"].site_symbols
    assert (incar["LDAU"], incar["LDAUTYPE"]) == (True, 2)
    assert dict(zip(order, incar["LDAUU"], strict=True)) == HUBBARD | {
        "Ti": 0,
        anion: 0,
    }
    assert set(incar["LDAUJ"]) == {0}


@each_step
@pytest.mark.parametrize("species", [[*HUBBARD, "S"], [*HUBBARD, "Cl"], ["Ti", "O"]])
def test_nothing_else_gets_a_u(step, species):
    incar = write(OURS[step], row_of(species))["INCAR"]
    assert not [tag for tag in incar if tag.startswith("LDAU")]


def test_the_first_run_starts_ferromagnetic_and_high_spin():
    moments = write(OURS["vasp relax normal"], row_of(["Co", "O"]))["INCAR"]["MAGMOM"]
    assert list(moments) == [5, 0.6]


def test_the_first_run_ignores_moments_that_came_along(wustite):
    wustite.add_site_property("magmom", [0.0] * len(wustite))
    incar = write(OURS["vasp relax normal"], wustite)["INCAR"]
    assert max(incar["MAGMOM"]) == 5


@pytest.mark.parametrize("step", [name for name in PUBLISHED if "normal" not in name])
def test_later_runs_have_spin_where_the_sites_have_moments(step, wustite):
    bare = write(OURS[step], wustite)["INCAR"]
    assert (bare["ISPIN"], "MAGMOM" in bare) == (1, False)
    wustite.add_site_property("magmom", [3.5] * 4 + [0.1] * 4)
    spun = write(OURS[step], wustite)["INCAR"]
    assert spun["ISPIN"] == 2
    assert list(spun["MAGMOM"]) == [3.5] * 4 + [0.1] * 4


def test_linear_response_has_room_for_its_cycles():
    """pymatgen calls a run of NELM cycles unconverged; VASP lists all responses."""
    two = write(OURS["vasp dfpt"], row_of(["Na", "Cl"]))["INCAR"]["NELM"]
    assert two == 60 + 40 * 3 * 2


def test_a_user_can_override_a_setting(gallium_arsenide):
    from dataclasses import replace

    base = OURS["vasp static"].input_set_generator
    changed = replace(base, user_incar_settings={"ALGO": "All", "ENCUT": 600})
    incar = changed.get_input_set(gallium_arsenide, potcar_spec=True)["INCAR"]
    assert (incar["ALGO"], incar["ENCUT"]) == ("All", 600)


@pytest.mark.parametrize(
    ("maker", "published"),
    [(makers.mp_relax_maker(), MPRelaxSet), (makers.mp_static_maker(), MPStaticSet)],
    ids=["relax", "static"],
)
def test_the_runs_of_the_materials_project_are_its_own(maker, published, wustite):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = published(wustite, force_gamma=True).get_input_set(potcar_spec=True)
    ours = write(maker, wustite)
    assert ours["INCAR"] == theirs["INCAR"]
    assert ours["KPOINTS"] == theirs["KPOINTS"]
    assert ours["POTCAR.spec"] == theirs["POTCAR.spec"]


def test_potcars_are_those_of_the_materials_project(wustite):
    spec = write(OURS["vasp static"], wustite)["POTCAR.spec"].split()
    assert spec == ["Fe_pv", "O"]


@pytest.mark.parametrize("options", [{"spin": "hihg"}, {"kspacing": 15}])
def test_nonsense_is_refused_when_it_is_given(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PublishedSetGenerator(**options)


def test_a_primitive_cell_is_the_one_of_the_path(gallium_arsenide):
    primitive = find_primitive_structure(gallium_arsenide, symprec=1e-3)
    assert len(primitive) == 2
    assert primitive.volume == pytest.approx(gallium_arsenide.volume / 4)


def test_a_path_means_the_same_points_in_every_cell(gallium_arsenide):
    """In Cartesian coordinates, whatever basis the cell has."""
    from wyckflow.vasp.path import find_line_points

    standard = find_primitive_structure(gallium_arsenide, symprec=1e-3)
    skewed = standard.copy()
    skewed.make_supercell([[1, 0, 0], [1, 1, 0], [0, 1, 1]])
    found = []
    for cell in (standard, skewed):
        points, labels = find_line_points(cell, symprec=1e-4)
        cartesian = cell.lattice.reciprocal_lattice.get_cartesian_coords(points)
        found.append((labels, np.linalg.norm(cartesian, axis=1)))
    assert len(skewed) == len(standard)
    assert found[0][0] == found[1][0]
    assert found[0][1] == pytest.approx(found[1][1], abs=1e-8)
    longest = dict(zip(*found[0], strict=True))["X"]
    assert longest == pytest.approx(2 * np.pi / 5.65)


def test_partly_occupied_sites_are_refused():
    from wyckflow.errors import StructureError

    alloy = Structure(Lattice.cubic(3), [{"Cu": 0.5, "Au": 0.5}], [[0, 0, 0]])
    with pytest.raises(StructureError, match="partly occupied"):
        find_primitive_structure(alloy, symprec=1e-3)
