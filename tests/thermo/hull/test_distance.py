"""Energies above the hull against pymatgen, by hand, and where there is no answer."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.thermo.composition import Compositions
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull import Hull
from wyckflow.thermo.hull import distance as distance_module
from wyckflow.thermo.hull.facets import Facets
from wyckflow.thermo.reference import ReferenceSet

SCALE = "chgnet-0.3.0"
ELEMENTS = ["Li", "O", "Fe", "P", "Sr", "Ti", "Si", "Al"]


def seeded(seed):
    return random.Random(seed)  # noqa: S311 - a fixed sample, no secret


def make_set(rows, *, kind="total", scale=SCALE, name="test"):
    entries = [
        ReferenceEntry(counts, energy, f"id-{place}")
        for place, (counts, energy) in enumerate(rows)
    ]
    return ReferenceSet.from_entries(name, entries, scale=scale, kind=kind)


def make_hull(rows, **options):
    return Hull(make_set(rows, **options))


def random_rows(source, width, n):
    """Elements with some energy, and compounds from far below to far above them."""
    system = source.sample(ELEMENTS, width)
    zero = {symbol: source.uniform(-8, 0) for symbol in system}
    rows = [({symbol: 1}, zero[symbol]) for symbol in system]
    for _ in range(n):
        part = source.sample(system, source.randint(1, width))
        counts = {symbol: source.randint(1, 6) for symbol in part}
        mixed = sum(counts[s] * zero[s] for s in part) / sum(counts.values())
        # Ties and exact zeros are what breaks a hull.
        shift = source.choice([0.0, -1.0, -1.0, source.gauss(-0.5, 0.6)])
        rows.append((counts, mixed + (abs(shift) if len(part) == 1 else shift)))
    return system, rows


def random_counts(source, system):
    part = source.sample(system, source.randint(1, len(system)))
    return {symbol: source.randint(1, 9) for symbol in part}


def peer(rows):
    entries = [PDEntry(Composition(c), e * sum(c.values())) for c, e in rows]
    return PhaseDiagram(entries)


@pytest.mark.parametrize("width", range(1, 7))
def test_distances_are_those_of_pymatgen(width):
    source = seeded(width)
    for n in (0, 1, 4, 12, 40):
        system, rows = random_rows(source, width, n)
        hull, diagram = make_hull(rows), peer(rows)
        counts = [random_counts(source, system) for _ in range(12)]
        energies = [source.uniform(-9, 0) for _ in counts]
        found = hull.energies_above_hull(counts, energies, scale=SCALE)
        expected = [
            energy - diagram.get_hull_energy_per_atom(Composition(item))
            for item, energy in zip(counts, energies, strict=True)
        ]
        np.testing.assert_allclose(found.energies_above_hull, expected, atol=1e-9)
        formation = [
            diagram.get_form_energy_per_atom(
                PDEntry(Composition(c), e * sum(c.values()))
            )
            for c, e in zip(counts, energies, strict=True)
        ]
        np.testing.assert_allclose(found.formation_energies, formation, atol=1e-9)


def test_many_systems_asked_together_are_as_asked_alone():
    source = seeded(1)
    system, rows = random_rows(source, 6, 200)
    counts = [random_counts(source, system) for _ in range(300)]
    energies = np.array([source.uniform(-9, 0) for _ in counts])
    together = make_hull(rows).energies_above_hull(counts, energies, scale=SCALE)
    hull = make_hull(rows)
    alone = [
        hull.energies_above_hull([item], [energy], scale=SCALE).energies_above_hull[0]
        for item, energy in zip(counts, energies, strict=True)
    ]
    np.testing.assert_allclose(together.energies_above_hull, alone, atol=1e-12)
    warm = hull.energies_above_hull(counts, energies, scale=SCALE)
    np.testing.assert_array_equal(warm.energies_above_hull, alone)


@pytest.mark.parametrize("width", range(2, 7))
def test_products_have_the_composition_and_the_energy_of_the_hull(width):
    source = seeded(width)
    system, rows = random_rows(source, width, 30)
    hull = make_hull(rows)
    energy_of = {f"id-{place}": energy for place, (_, energy) in enumerate(rows)}
    counts = [random_counts(source, system) for _ in range(15)]
    found = hull.energies_above_hull(counts, [0.0] * 15, scale=SCALE)
    for place, products in enumerate(hull.decompose(counts)):
        mixture = dict.fromkeys(system, 0.0)
        for product in products:
            for element, share in Composition(
                product.formula
            ).fractional_composition.items():
                mixture[element.symbol] += product.fraction * share
        n_atoms = sum(counts[place].values())
        for symbol in system:
            assert mixture[symbol] == pytest.approx(
                counts[place].get(symbol, 0) / n_atoms, abs=1e-9
            )
        energy = sum(item.fraction * energy_of[item.id] for item in products)
        assert energy == pytest.approx(-found.energies_above_hull[place], abs=1e-9)
        assert all(item.fraction > 0 for item in products)
        assert len(products) <= len(counts[place])


@pytest.mark.parametrize("width", [2, 3, 4])
def test_an_entry_is_judged_by_the_hull_without_it(width):
    source = seeded(width)
    _, rows = random_rows(source, width, 15)
    hull = make_hull(rows)
    ids = [f"id-{place}" for place in range(len(rows))]
    counts, energies = zip(*rows, strict=True)
    found = hull.energies_above_hull(counts, energies, scale=SCALE, own_ids=ids)
    for place, (item, energy) in enumerate(rows):
        others = [row for at, row in enumerate(rows) if at != place]
        if len(item) == 1:
            continue
        expected = energy - peer(others).get_hull_energy_per_atom(Composition(item))
        assert found.energies_above_hull[place] == pytest.approx(expected, abs=1e-9)


def test_the_products_of_an_entry_leave_it_out():
    rows = [({"Na": 1}, 0.0), ({"Cl": 1}, 0.0), ({"Na": 1, "Cl": 1}, -2.0)]
    hull = make_hull(rows)
    (with_it,) = hull.decompose([{"Na": 1, "Cl": 1}])
    (without,) = hull.decompose([{"Na": 1, "Cl": 1}], own_ids=["id-2"])
    assert [item.id for item in with_it] == ["id-2"]
    assert sorted((item.id, item.fraction) for item in without) == [
        ("id-0", pytest.approx(0.5)),
        ("id-1", pytest.approx(0.5)),
    ]


def test_a_hull_by_hand():
    """A tie line from A (0) to AB (-1): A3B lies on its middle, at -0.5."""
    hull = make_hull([({"Na": 1}, -1.0), ({"Cl": 1}, -2.0), ({"Na": 1, "Cl": 1}, -2.5)])
    found = hull.energies_above_hull(
        [{"Na": 3, "Cl": 1}, {"Na": 1, "Cl": 1}, {"Na": 1}],
        [-1.75, -2.7, -0.9],
        scale=SCALE,
    )
    assert found.energies_above_hull == pytest.approx([0.0, -0.2, 0.1])
    assert found.formation_energies == pytest.approx([-0.5, -1.2, 0.1])


def test_a_missing_element_is_a_verdict_that_names_it():
    hull = make_hull([({"Na": 1}, -1.0), ({"Cl": 1}, -2.0), ({"Na": 1, "Pm": 1}, -9.0)])
    found = hull.energies_above_hull(
        [{"Na": 1, "Pm": 1}, {"Na": 1, "Cl": 1}, {"Tc": 1, "Pm": 2}],
        [-5.0, -3.0, -5.0],
        scale=SCALE,
    )
    assert found.can_judge.tolist() == [False, True, False]
    assert np.isnan(found.energies_above_hull[[0, 2]]).all()
    assert found.missing_elements == {0: ("Pm",), 2: ("Pm", "Tc")}
    assert hull.decompose([{"Na": 1, "Pm": 1}]) == [()]


def test_the_only_form_of_an_element_cannot_be_judged_against_itself():
    hull = make_hull([({"Na": 1}, -1.0), ({"Cl": 1}, -2.0), ({"Cl": 2}, -1.9)])
    found = hull.energies_above_hull(
        [{"Na": 1}, {"Cl": 1}], [-1.0, -2.0], scale=SCALE, own_ids=["id-0", "id-1"]
    )
    assert math.isnan(found.energies_above_hull[0])
    assert found.missing_elements == {0: ("Na",)}
    assert found.energies_above_hull[1] == pytest.approx(-0.1)  # below Cl2 of id-2


def test_of_one_composition_only_the_lowest_counts():
    rows = [({"Na": 1}, 0.0), ({"Cl": 1}, 0.0)]
    rows += [
        ({"Na": n, "Cl": n}, energy) for n, energy in ((1, -1.0), (2, -1.5), (3, -1.2))
    ]
    hull = make_hull(rows)
    (products,) = hull.decompose([{"Na": 5, "Cl": 5}])
    assert [(item.id, item.fraction) for item in products] == [("id-3", 1.0)]


def test_formation_energies_need_no_elements():
    hull = make_hull([({"Na": 1, "Cl": 1}, -2.0)], kind="formation")
    found = hull.energies_above_hull(
        [{"Na": 3, "Cl": 1}, {"Na": 1, "K": 1}],
        [-0.5, -0.1],
        scale=SCALE,
        kind="formation",
    )
    assert found.energies_above_hull[0] == pytest.approx(0.5)
    assert found.missing_elements == {1: ("K",)}
    (products,) = hull.decompose([{"Na": 3, "Cl": 1}])
    assert {item.id: item.formula for item in products} == {"id-0": "NaCl", "Na": "Na"}


def test_energies_of_another_scale_or_kind_are_refused():
    hull = make_hull([({"Na": 1}, -1.0)])
    with pytest.raises(ScaleMismatchError, match=r"mp2020-gga-u.*chgnet-0\.3\.0"):
        hull.energies_above_hull([{"Na": 1}], [-1.0], scale="mp2020-gga-u")
    with pytest.raises(ReferenceDataError, match=r"total energies.*formation"):
        hull.energies_above_hull([{"Na": 1}], [0.0], scale=SCALE, kind="formation")
    with pytest.raises(ReferenceDataError, match="one energy per composition"):
        hull.energies_above_hull([{"Na": 1}], [-1.0, -2.0], scale=SCALE)


def test_nothing_asked_and_nothing_known():
    empty = make_hull([])
    found = empty.energies_above_hull([], [], scale=SCALE)
    assert len(found) == 0
    found = empty.energies_above_hull([{"Na": 1, "Cl": 1}], [-1.0], scale=SCALE)
    assert found.missing_elements == {0: ("Cl", "Na")}


def test_where_no_facet_proves_the_answer_the_solver_finds_it(monkeypatch):
    """Facets lost to rounding must cost time, not the answer."""
    source = seeded(5)
    system, rows = random_rows(source, 4, 40)
    diagram = peer(rows)
    complete = distance_module.find_facets

    def lossy(systems):
        kept = []
        for facets in complete(systems):
            half = slice(0, max(1, len(facets.potentials) // 2))
            kept.append(
                Facets(
                    facets.potentials[half], facets.inverses[half], facets.entries[half]
                )
            )
        return kept

    monkeypatch.setattr(distance_module, "find_facets", lossy)
    hull = make_hull(rows)
    counts = [random_counts(source, system) for _ in range(30)]
    found = hull.energies_above_hull(counts, [0.0] * 30, scale=SCALE)
    assert hull.n_solved > 0
    expected = [-diagram.get_hull_energy_per_atom(Composition(item)) for item in counts]
    np.testing.assert_allclose(found.energies_above_hull, expected, atol=1e-9)
    decomposed = hull.decompose(counts)
    assert all(math.isclose(sum(p.fraction for p in item), 1) for item in decomposed)


def test_a_layer_gives_what_a_hull_of_all_entries_gives():
    source = seeded(3)
    system, rows = random_rows(source, 5, 120)
    counts = [random_counts(source, system) for _ in range(100)]
    whole = make_set(rows)
    for first in (len(rows) - 1, len(rows) - 20, 4):  # the last adds an element too
        hull = Hull(whole.take(range(first)))
        hull.energies_above_hull(counts, [0.0] * 100, scale=SCALE)
        layered = hull.with_layer(whole.take(range(first, len(rows))))
        fresh = Hull(whole)
        assert layered.version == fresh.version
        ours, theirs = (
            item.energies_above_hull(counts, [0.0] * 100, scale=SCALE)
            for item in (layered, fresh)
        )
        np.testing.assert_allclose(
            ours.energies_above_hull, theirs.energies_above_hull, atol=1e-12
        )
        assert ours.missing_elements == theirs.missing_elements


def test_a_layer_leaves_the_hull_below_it_as_it_was():
    hull = make_hull([({"Na": 1}, 0.0), ({"Cl": 1}, 0.0)])
    before = hull.version
    layered = hull.with_layer([ReferenceEntry({"Na": 1, "Cl": 1}, -2.0, "new")])
    assert hull.version == before != layered.version
    counts = Compositions.from_counts([{"Na": 1, "Cl": 1}])
    distances = [
        item.energies_above_hull(counts, [0.0], scale=SCALE).energies_above_hull[0]
        for item in (hull, layered, hull)
    ]
    assert distances == pytest.approx([0.0, 2.0, 0.0])
    with pytest.raises(ScaleMismatchError):
        hull.with_layer(replace(layered.reference, scale="pbe-fine"))


def test_points_in_a_plane_and_points_that_nearly_coincide():
    """Degenerate on purpose: a plane of equal energies, and close compositions."""
    rows = [({symbol: 1}, 0.0) for symbol in ("Li", "O", "P")]
    rows += [
        ({"Li": a, "O": b, "P": c}, -1.0)
        for a in range(1, 5)
        for b in range(1, 5)
        for c in range(1, 5)
    ]
    rows += [({"Li": 1000, "O": 999, "P": 1001}, -1.0 - 1e-9)]
    hull, diagram = make_hull(rows), peer(rows)
    counts = [{"Li": a, "O": b, "P": 3} for a in range(1, 8) for b in range(1, 8)]
    found = hull.energies_above_hull(counts, [0.0] * 49, scale=SCALE)
    expected = [-diagram.get_hull_energy_per_atom(Composition(item)) for item in counts]
    np.testing.assert_allclose(found.energies_above_hull, expected, atol=1e-9)
