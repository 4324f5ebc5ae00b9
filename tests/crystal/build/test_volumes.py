"""The volume prior: its fit, its guesses, and its table."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.build.volumes import (
    fit_atomic_volumes,
    load_atomic_volumes,
    read_compositions,
)
from wyckflow.errors import DatasetError

DATA = os.environ.get("WYCKFLOW_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="WYCKFLOW_DATA is not set")
TRAINING = ("mp20_biternary_train.csv.gz", "mpts52_train.csv.gz")


def fit(compositions, volumes):
    return fit_atomic_volumes(compositions, volumes, source="here", licence="none")


def volume_of(document, element):
    """Return the two volumes of an element."""
    row = document["elements"][element]
    return [row["electropositive_volume"], row["electronegative_volume"]]


def test_fit_recovers_additive_volumes():
    rng = np.random.default_rng(1)
    true = {"Na": 20.0, "Cl": 30.0, "O": 10.0, "Ti": 14.0}
    compositions = [
        dict(zip(rng.choice(list(true), 2, replace=False), (n, m), strict=True))
        for n, m in rng.integers(1, 9, (400, 2)).tolist()
    ]
    volumes = [sum(n * true[e] for e, n in c.items()) for c in compositions]
    document = fit(compositions, np.array(volumes) * np.exp(rng.normal(0, 0.02, 400)))
    for element, volume in true.items():
        assert volume_of(document, element) == pytest.approx([volume] * 2, rel=0.1)
        assert not document["elements"][element]["is_fallback"]
    assert document["fit"]["log_volume_std"] == pytest.approx(0.02, rel=0.2)


def test_element_without_data_takes_the_scaled_volumes_of_its_homologue():
    document = fit([{"Cs": 1, "Cl": 1}, {"Cs": 1, "Cl": 2}] * 5, [88.0, 118.0] * 5)
    # Radii 2.60, 2.44, 1.39 and 1.02 A (Cordero et al. 2008).
    for element, homologue, ratio in (
        ("Fr", "Cs", 2.60 / 2.44),
        ("I", "Cl", 1.39 / 1.02),
    ):
        assert document["elements"][element]["is_fallback"]
        expected = np.array(volume_of(document, homologue)) * ratio**0.9
        assert volume_of(document, element) == pytest.approx(expected, abs=0.02)


def test_same_element_is_smaller_in_electronegative_company():
    """Magnesium has 23 A^3 in the metal; MgO holds both atoms in 18.7 A^3."""
    table = load_atomic_volumes()
    magnesium = table.elements["Mg"]
    assert magnesium.electronegative_volume < magnesium.electropositive_volume
    assert table.estimate({"Mg": 2}) == pytest.approx(46.5, rel=0.15)
    assert table.estimate({"Mg": 4, "O": 4}) == pytest.approx(4.21**3, rel=0.25)


@pytest.mark.parametrize(
    ("compositions", "volumes"),
    [([], []), ([{"Na": 1}], []), ([{"Na": 1}], [-1.0])],
    ids=["nothing", "unequal", "negative"],
)
def test_what_cannot_be_fitted_is_refused(compositions, volumes):
    with pytest.raises(DatasetError, match="one positive volume per composition"):
        fit(compositions, volumes)


def test_table_covers_hydrogen_to_plutonium_and_flags_its_guesses():
    from pymatgen.core.periodic_table import Element

    table = load_atomic_volumes()
    first_94 = {Element.from_Z(number).symbol for number in range(1, 95)}
    assert first_94 <= set(table.elements)
    guesses = {e for e in first_94 if table.elements[e].is_fallback}
    assert guesses == {"He", "Ne", "Ar", "Po", "At", "Rn", "Fr", "Ra"}
    assert all(table.estimate({element: 1}) > 4 for element in table.elements)


def test_guessed_volumes_are_near_those_of_the_solid_elements():
    # A^3 per atom at low temperature: Ne, Ar (fcc, 4.46 and 5.31 A), Po (sc, 3.35 A).
    table = load_atomic_volumes()
    for element, volume in {"Ne": 22.2, "Ar": 37.4, "Po": 37.6}.items():
        assert table.estimate({element: 1}) == pytest.approx(volume, rel=0.25)


def test_radii_are_pymatgens_or_the_smaller_of_two_states():
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius

    exceptions = {"C": 0.76, "Mn": 1.39, "Fe": 1.32, "Co": 1.26}
    for element, row in load_atomic_volumes().elements.items():
        expected = exceptions.get(element, CovalentRadius.radius[element])
        assert row.covalent_radius == pytest.approx(expected)


def test_estimate_is_near_the_volume_of_well_known_crystals():
    table = load_atomic_volumes()
    # Conventional cells: NaCl 5.64 A, MgAl2O4 8.08 A, W 3.165 A, GaAs 5.65 A.
    known = [
        ({"Na": 4, "Cl": 4}, 5.64**3),
        ({"Mg": 8, "Al": 16, "O": 32}, 8.08**3),
        ({"W": 2}, 3.165**3),
        ({"Ga": 4, "As": 4}, 5.65**3),
    ]
    for composition, volume in known:
        assert table.estimate(composition) == pytest.approx(volume, rel=0.2)


def test_estimate_of_an_unknown_element_is_refused_by_name():
    with pytest.raises(DatasetError, match="known for Og"):
        load_atomic_volumes().estimate({"Na": 1, "Og": 1})


def test_file_without_cifs_is_refused_with_row_and_columns(tmp_path):
    path = tmp_path / "table.csv.gz"
    with gzip.open(path, "wt") as stream:
        stream.write("name,text\na,b\n")
    with pytest.raises(DatasetError, match=r"Row 1 of table\.csv\.gz .* name, text"):
        read_compositions(path)


@needs_data
def test_packaged_table_is_the_fit_of_its_sources():
    compositions, volumes = [], []
    for name in TRAINING:
        more_compositions, more_volumes = read_compositions(Path(DATA) / name)
        compositions += more_compositions
        volumes += more_volumes
    document = fit(compositions, volumes)
    table = load_atomic_volumes()
    assert document["fit"]["log_volume_std"] == pytest.approx(table.log_volume_std)
    for element, row in document["elements"].items():
        packaged = table.elements[element]
        volumes_of_element = [
            packaged.electropositive_volume,
            packaged.electronegative_volume,
        ]
        assert volume_of(document, element) == pytest.approx(
            volumes_of_element, abs=0.05
        )
        assert row["n_structures"] == packaged.n_structures
        assert row["is_fallback"] == packaged.is_fallback


@needs_data
def test_held_out_volumes_are_met_within_the_stated_error():
    table = load_atomic_volumes()
    compositions, volumes = read_compositions(Path(DATA) / "mp20_biternary_test.csv.gz")
    estimates = np.array([table.estimate(c) for c in compositions])
    assert np.median(abs(estimates / volumes - 1)) < 0.05
    assert np.std(np.log(estimates / volumes)) < table.log_volume_std
