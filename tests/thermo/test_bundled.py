"""The reference sets and the calibration that come with the package."""

from __future__ import annotations

import csv
import gzip
import os
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.thermo.bundled import (
    BUNDLED_REFERENCES,
    HULL_POINT_SOURCE,
    find_exact_entries,
    load_bundled_reference,
)
from wyckflow.thermo.calibration import load_bundled_calibration
from wyckflow.thermo.composition import Compositions
from wyckflow.thermo.elements import SOURCE, load_element_prototypes
from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull_bounds import bound_energies_above_hull

DATA = os.environ.get("WYCKFLOW_DATA")
with_data = pytest.mark.skipif(not DATA, reason="WYCKFLOW_DATA names no folder")


@pytest.mark.parametrize("scale", BUNDLED_REFERENCES)
def test_each_set_is_whole_and_says_where_it_is_from(scale):
    reference = load_bundled_reference(scale)
    assert str(reference.scale) == scale
    assert len(reference) > 10_000
    assert "CC-BY-4.0" in reference.provenance["licence"]
    assert set(reference.sources) <= {
        SOURCE, HULL_POINT_SOURCE, "Materials Project, MP-20",
        "Materials Project, MPTS-52",
    }  # fmt: skip


def test_together_they_stay_below_five_megabytes():
    folder = files("wyckflow.thermo").joinpath("data")
    size = sum(len(item.read_bytes()) for item in folder.iterdir() if item.is_file())
    assert size < 5_000_000


def test_every_element_that_chgnet_knows_can_be_judged():
    reference = load_bundled_reference()
    assert reference.kind is EnergyKind.TOTAL
    assert all(reference.covers(element) for element in load_element_prototypes())
    assert not reference.covers("Po")


def test_a_scale_without_a_set_is_refused_with_the_nearest():
    with pytest.raises(ReferenceDataError, match="Did you mean"):
        load_bundled_reference("chgnet-0.3")


def test_elements_lie_where_the_materials_project_has_them():
    """Corrected DFT energies of the elements, eV/atom, of the database in 2021.

    CHGNet was trained on that scale: a reference of another scale, or one corrected
    twice, would be off by tenths of an electron volt.
    """
    published = {"Cu": -4.10, "Fe": -8.47, "Si": -5.42, "O": -4.95, "Al": -3.75}
    reference = load_bundled_reference()
    for element, expected in published.items():
        lowest = reference.select(chemsys=element).energies.min()
        assert lowest == pytest.approx(expected, abs=0.15), element


def test_energies_carry_the_corrections_once():
    """Oxides have the heats of experiment as they are, not with another correction.

    -0.687 eV per oxygen atom is what the Materials Project adds to oxides. Heats of
    formation in kJ/mol from the CRC Handbook.
    """
    experiment = {
        ("Mg", 1, 1): -601.6, ("Ca", 1, 1): -634.9, ("Al", 2, 3): -1675.7,
        ("Si", 1, 2): -910.7, ("Zn", 1, 1): -350.5, ("Y", 2, 3): -1905.3,
    }  # fmt: skip
    reference = load_bundled_reference()
    hull = Hull(reference)
    once, twice = [], []
    for (metal, n_metal, n_oxygen), heat in experiment.items():
        counts = {metal: n_metal, "O": n_oxygen}
        formula = Compositions.from_counts([counts]).formula_of(0)
        here = reference.select(chemsys=f"{metal}-O")
        own = [
            place
            for place in range(len(here))
            if here.compositions.formula_of(place) == formula
        ]
        if not own:
            continue
        energy = here.energies[own].min()
        found = hull.formation_energies([counts], [energy], scale="chgnet-0.3.0")[0]
        expected = heat / 96.485 / (n_metal + n_oxygen)
        once.append(found - expected)
        twice.append(found - 0.687 * n_oxygen / (n_metal + n_oxygen) - expected)
    assert len(once) >= 4
    assert np.abs(once).mean() < 0.5 * np.abs(twice).mean()


@with_data
def test_chgnet_reproduces_corrected_dft_and_not_uncorrected():
    """Crystals that DFT relaxed, with both energies published."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    import pandas as pd
    from pymatgen.core import Structure

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.evaluate import evaluate_structures
    from wyckflow.relax.potential import load_potential

    table = pd.read_csv(Path(DATA) / "peers/dft_relaxed_dev.csv.gz")
    structures = [Structure.from_str(text, "json") for text in table.structure]
    sizes = np.array([len(structure) for structure in structures])
    shift = (table.dft_e_corrected - table.dft_e_uncorrected).to_numpy() / sizes
    is_shifted = np.abs(shift) > 0.1
    assert is_shifted.sum() > 10
    reduced = [
        ReducedStructure.from_structure(structure, symprec=0.01)
        for structure, take in zip(structures, is_shifted, strict=True)
        if take
    ]
    found = evaluate_structures(reduced, load_potential(device="cpu"))
    ours = np.array([item.energy_per_atom for item in found])
    corrected = (table.dft_e_corrected.to_numpy() / sizes)[is_shifted]
    plain = (table.dft_e_uncorrected.to_numpy() / sizes)[is_shifted]
    assert np.abs(ours - corrected).mean() < 0.06
    assert np.abs(ours - plain).mean() > 3 * np.abs(ours - corrected).mean()


def test_energies_of_two_scales_do_not_meet():
    hull = Hull(load_bundled_reference())
    with pytest.raises(ScaleMismatchError, match="mp2020-gga-u"):
        hull.energies_above_hull([{"Mg": 1, "O": 1}], [-3.1], scale="mp2020-gga-u")
    one, other = map(load_bundled_reference, BUNDLED_REFERENCES)
    with pytest.raises(ScaleMismatchError):
        one.merge(other)


# --- against the data that did not enter ---------------------------------------------


def read_rows(name):
    import re

    with gzip.open(Path(DATA) / name, "rt", newline="") as stream:
        csv.field_size_limit(10_000_000)
        for row in csv.DictReader(stream):
            text = re.search(r"_chemical_formula_sum\s+'?([^'\n]+)", row["cif"])[1]
            pairs = re.findall(r"([A-Z][a-z]?)([\d.]*)", text)
            yield row, {symbol: int(count or 1) for symbol, count in pairs}


@with_data
def test_no_row_of_the_test_parts_entered():
    """But for the thousand that MP-20 and MPTS-52 share, under other splits."""
    ours = set(load_bundled_reference().ids)
    for name, own_train in [
        ("mp20_biternary_test.csv.gz", "mp20_biternary_train.csv.gz"),
        ("mpts52_test.csv.gz", "mpts52_train.csv.gz"),
    ]:
        test = {row["material_id"] for row, _ in read_rows(name)}
        train = {row["material_id"] for row, _ in read_rows(own_train)}
        assert not test & train
        other = {
            row["material_id"]
            for row, _ in read_rows(
                "mpts52_train.csv.gz"
                if "mp20" in name
                else "mp20_biternary_train.csv.gz"
            )
        }
        assert test & ours <= other


@with_data
def test_hull_points_tighten_the_bound_and_it_stays_one():
    reference = load_bundled_reference("mp2020-gga-u")
    known = set(reference.ids)
    rows = [
        (row, counts)
        for row, counts in read_rows("mp20_biternary_test.csv.gz")
        if row["material_id"] not in known
    ]
    energies = np.array([float(row["formation_energy_per_atom"]) for row, _ in rows])
    truth = np.array([float(row["e_above_hull"]) for row, _ in rows])
    bounds = []
    phases = reference.take(reference.sources != HULL_POINT_SOURCE)
    for competing in (phases, reference):
        answer = Hull(competing).energies_above_hull(
            [counts for _, counts in rows], energies,
            scale="mp2020-gga-u", kind="formation",
        )  # fmt: skip
        bounds.append(np.nan_to_num(np.maximum(answer.energies_above_hull, 0)))
        assert (bounds[-1] <= truth + 1e-3).all()
    plain, better = bounds
    assert (better >= plain - 1e-9).all()
    assert np.abs(better - truth).mean() < 0.9 * np.abs(plain - truth).mean()


@with_data
def test_the_full_distance_lies_between_the_bounds():
    reference = load_bundled_reference("mp2020-gga-u")
    known = set(reference.ids)
    rows = [
        (row, counts)
        for row, counts in read_rows("mp20_biternary_test.csv.gz")
        if row["material_id"] not in known
    ][:200]
    truth = np.array([float(row["e_above_hull"]) for row, _ in rows])
    found = bound_energies_above_hull(
        reference,
        find_exact_entries(reference),
        [counts for _, counts in rows],
        [float(row["formation_energy_per_atom"]) for row, _ in rows],
        scale="mp2020-gga-u",
    )
    assert (np.nan_to_num(found.lower) <= truth + 1e-3).all()
    assert (found.upper >= truth - 1e-3).all()
    assert np.isfinite(found.upper).mean() > 0.3


@with_data
def test_the_hull_is_above_the_published_full_hull_but_for_ytterbium():
    """MP gave ytterbium another pseudopotential after CHGNet's data was drawn."""
    import pandas as pd

    table = pd.read_csv(Path(DATA) / "peers/cryspr_relaxed_dev.csv.gz")
    energies = table.chgnet_energy_per_atom.to_numpy()
    full = energies - table.chgnet_e_above_hull_corrected.to_numpy()
    counts = []
    for row in table.itertuples():
        pairs = zip(eval_list(row.species), eval_list(row.numIons), strict=True)
        found: dict[str, int] = {}
        for symbol, count in pairs:
            found[symbol] = found.get(symbol, 0) + int(count)
        counts.append(found)
    answer = Hull(load_bundled_reference()).energies_above_hull(
        counts, energies, scale="chgnet-0.3.0"
    )
    gap = energies - answer.energies_above_hull - full
    has_ytterbium = np.array(["Yb" in found for found in counts])
    assert (gap[~has_ytterbium] > -0.03).all()
    assert (gap[has_ytterbium] < -0.03).any()


def eval_list(text):
    import json

    return json.loads(text)


# --- the calibration that comes along -------------------------------------------------


def test_the_calibration_was_fitted_with_the_set_that_comes_along():
    calibration = load_bundled_calibration()
    assert calibration.reference_version == load_bundled_reference().version
    assert calibration.scale == "chgnet-0.3.0"
    assert "laboratory" in calibration.applies_to
    assert calibration.n_pairs["generated"] == 52


def test_a_generated_crystal_on_our_hull_is_rarely_on_the_full_one():
    told = load_bundled_calibration().probabilities([0.0, 0.2], [5, 5])
    assert 0.01 < told[0, 0] < 0.3
    assert told[0, 2] < 0.8
    assert told[1, 2] < 0.05
