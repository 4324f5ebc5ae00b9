"""Bounds of the distance to a full hull, against full hulls that are known."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.thermo.bundled import find_exact_entries, load_bundled_reference
from wyckflow.thermo.entry import ReferenceEntry
from wyckflow.thermo.hull_bounds import bound_energies_above_hull
from wyckflow.thermo.reference import ReferenceSet

SCALE = "mp2020-gga-u"


def make_set(entries):
    return ReferenceSet.from_entries(
        "test",
        [
            ReferenceEntry(composition, energy, f"entry-{number}")
            for number, (composition, energy) in enumerate(entries)
        ],
        scale=SCALE,
        kind="formation",
    )


def bound(entries, composition, energy, is_exact=None):
    reference = make_set(entries)
    exact = np.ones(len(entries), bool) if is_exact is None else is_exact
    found = bound_energies_above_hull(
        reference, exact, [composition], [energy], scale=SCALE
    )
    return found.lower[0], found.upper[0]


def test_a_binary_by_hand():
    """A to AB falls to -1; at A3B the hull is not below the line from B through AB."""
    lower, upper = bound([({"Na": 1, "Cl": 1}, -1.0)], {"Na": 3, "Cl": 1}, -0.2)
    assert lower == pytest.approx(0.3)  # tie line Na to NaCl: -0.5
    # On from Cl (0) through NaCl (-1) to Na3Cl: -1.5, so at most 1.3 above.
    assert upper == pytest.approx(1.3)


def test_a_known_point_at_the_composition_leaves_no_doubt():
    known = [({"Na": 1, "Cl": 1}, -1.0)]
    assert bound(known, {"Na": 2, "Cl": 2}, -0.9) == pytest.approx((0.1, 0.1))


def test_without_an_exact_point_there_is_no_upper_bound():
    known = [({"Na": 1, "Cl": 1}, -1.0)]
    lower, upper = bound(known, {"Na": 3, "Cl": 1}, -0.2, np.array([False]))
    assert (lower, upper) == (pytest.approx(0.3), np.inf)


def test_an_unknown_system_is_bounded_by_its_elements_alone():
    lower, upper = bound([({"Na": 1, "Cl": 1}, -1.0)], {"K": 1, "Br": 1}, 0.1)
    assert np.isnan(lower)
    assert upper == np.inf


@pytest.mark.parametrize("symbols", ["Na Cl", "Na Cl O", "Na Cl O S"])
def test_the_full_distance_lies_between(symbols):
    """Random full hulls by pymatgen, of which a half is told."""
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    elements = symbols.split()
    generator = np.random.default_rng(len(elements))
    n_finite = n_sharp = 0
    for _ in range(12):
        every = []
        for _ in range(14):
            counts = generator.integers(0, 4, len(elements))
            if (counts > 0).sum() > 1:
                composition = dict(zip(elements, counts.tolist(), strict=True))
                chosen = {k: v for k, v in composition.items() if v}
                every.append((chosen, float(generator.uniform(-2, -0.1))))
        entries = [PDEntry(Composition(c), e * sum(c.values())) for c, e in every]
        entries += [PDEntry(Composition(symbol), 0.0) for symbol in elements]
        diagram = PhaseDiagram(entries)
        true = [diagram.get_e_above_hull(entry) for entry in entries[: len(every)]]
        told, hidden = range(0, len(every), 2), range(1, len(every), 2)
        points = [
            (every[at][0], every[at][1] - true[at])  # its published hull energy
            for at in told
        ]
        reference = make_set([every[at] for at in told] + points)
        exact = np.array([true[at] < 1e-9 for at in told] + [True] * len(points))
        exact = exact[: len(reference)] if len(reference) == len(exact) else None
        if exact is None:  # a phase on the hull is its own point
            reference = make_set(points)
            exact = np.ones(len(reference), bool)
        found = bound_energies_above_hull(
            reference,
            exact,
            [every[at][0] for at in hidden],
            [every[at][1] for at in hidden],
            scale=SCALE,
        )
        wanted = np.array([true[at] for at in hidden])
        lower = np.nan_to_num(found.lower)
        assert (lower <= wanted + 1e-8).all()
        assert (found.upper >= wanted - 1e-8).all()
        n_finite += int(np.isfinite(found.upper).sum())
        n_sharp += int((found.upper - lower < 0.5).sum())
    assert n_finite > 5
    if len(elements) == 2:
        assert n_sharp > 5


def test_wrong_input_is_refused():
    reference = make_set([({"Na": 1, "Cl": 1}, -1.0)])
    with pytest.raises(ReferenceDataError, match="one truth value per entry"):
        bound_energies_above_hull(reference, [True, False], [], [], scale=SCALE)
    with pytest.raises(ScaleMismatchError):
        bound_energies_above_hull(
            reference, [True], [{"Na": 1, "Cl": 1}], [-1.0], scale="chgnet-0.3.0"
        )
    totals = load_bundled_reference("chgnet-0.3.0")
    with pytest.raises(ReferenceDataError, match="total energies"):
        bound_energies_above_hull(
            totals, np.ones(len(totals), bool), [], [], scale="chgnet-0.3.0"
        )


def test_the_bundled_points_and_stable_phases_are_exact():
    reference = load_bundled_reference(SCALE)
    exact = find_exact_entries(reference)
    ids = np.array([str(name) for name in reference.ids])
    points = np.char.startswith(ids, "hull-at-")
    assert exact[points].all()
    assert 0.4 < exact[~points].mean() < 0.6
    # No phase lies below a known point of the hull at its own composition.
    lowest: dict[str, float] = {}
    for place in np.flatnonzero(points).tolist():
        formula = reference.compositions.formula_of(place)
        lowest[formula] = float(reference.energies[place])
    for place in np.flatnonzero(~points).tolist():
        formula = reference.compositions.formula_of(place)
        if formula in lowest:
            assert reference.energies[place] > lowest[formula] - 0.11
