"""The backends: one contract, other energies, other tags."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ConfigurationError
from wyckflow.relax import backends
from wyckflow.relax.backends import (
    AseBackend,
    BackendName,
    QuotientBackend,
    load_backend,
    parse_backend_name,
)
from wyckflow.relax.batched import BatchLimits
from wyckflow.relax.contract import RelaxOptions
from wyckflow.schemas.relaxation import Outcome

OPTIONS = RelaxOptions()


def make_start(text, edges, parameters=None):
    gene = WyckoffGene.from_text(text)
    if parameters is None:
        parameters = np.zeros((gene.n_orbits, 3))
    return ReducedStructure(gene, np.diag(edges), np.array(parameters, dtype=float))


def make_emt():
    from ase.calculators.emt import EMT

    return EMT()


@pytest.fixture(scope="module")
def emt():
    pytest.importorskip("ase", reason="install wyckflow[ml]")
    return AseBackend(make_emt, energy_scale="emt", identity="EMT of ase")


@pytest.fixture(scope="module", params=["quotient", "ase chgnet", "emt"])
def backend(request, potential, emt):
    if request.param == "emt":
        return emt
    if request.param == "quotient":
        return QuotientBackend(potential)
    return load_backend("ase-chgnet", device="cpu")


STARTS = [
    make_start("225 Cu:a", [3.8] * 3),
    make_start("221 Au:a Cu:c", [3.9] * 3),
    make_start("225 Rn:a", [6.0] * 3),
    make_start("225 Cu:a", [2.0] * 3),
]


def test_every_backend_answers_start_by_start(backend):
    told = {}
    ends = backend.relax(STARTS, OPTIONS, told.__setitem__)
    assert [end.state.outcome for end in ends] == [
        Outcome.CONVERGED,
        Outcome.CONVERGED,
        Outcome.UNSUPPORTED_ELEMENT,
        Outcome.GUARDED,
    ]
    assert [told[place] for place in range(4)] == ends
    assert all(end.state.max_force <= OPTIONS.fmax for end in ends[:2])
    assert [end.structure.gene for end in ends[:2]] == [s.gene for s in STARTS[:2]]
    assert all(end.state.reason for end in ends[2:])


def test_every_backend_takes_nothing(backend):
    assert backend.relax([], OPTIONS) == []


def test_every_backend_says_what_it_is(backend):
    for words in (backend.name, backend.identity, backend.energy_scale):
        assert words
    assert backend.device == "cpu"
    assert backend.n_at_once >= 1
    assert 29 in backend.supported_atomic_numbers


def test_copper_is_that_of_ases_own_fit(emt):
    """EMT's equation of state for fcc copper, computed without any relaxer."""
    from ase.build import bulk
    from ase.eos import EquationOfState

    volumes, energies = [], []
    for edge in np.linspace(3.5, 3.7, 9):
        atoms = bulk("Cu", a=edge)
        atoms.calc = make_emt()
        volumes.append(atoms.get_volume())
        energies.append(atoms.get_potential_energy())
    volume, energy, _ = EquationOfState(volumes, energies).fit()
    state = emt.relax(STARTS[:1], OPTIONS)[0].state
    assert state.energy_per_atom == pytest.approx(energy, abs=1e-3)
    assert state.volume_per_atom == pytest.approx(volume, rel=5e-3)


def test_both_ways_of_chgnet_agree(potential):
    rutile = make_start("136 Ti:a O:f", [4.75, 4.75, 3.05], [[0] * 3, [0.29, 0, 0]])
    starts = [rutile, make_start("221 Sr:a Ti:b O:c", [4.05] * 3)]
    fast = QuotientBackend(potential).relax(starts, OPTIONS)
    slow = load_backend("ase-chgnet", device="cpu").relax(starts, OPTIONS)
    for mine, theirs in zip(fast, slow, strict=True):
        assert mine.state.energy_per_atom == pytest.approx(
            theirs.state.energy_per_atom, abs=5e-4
        )
        assert mine.state.volume_per_atom == pytest.approx(
            theirs.state.volume_per_atom, rel=0.01
        )


MAGNETS = [
    make_start("229 Fe:a", [2.83] * 3),
    make_start("225 Mn:a O:b", [4.44] * 3),
    make_start(
        "227 Fe:a,d O:e", [8.4] * 3, [[0.125] * 3, [0.5] * 3, [0.2547] * 3]
    ),  # two kinds of iron
    make_start("225 Na:a Cl:b", [5.7] * 3),
]


def test_moments_are_those_of_chgnets_own_calculator(potential):
    moments = QuotientBackend(potential).magnetic_moments(MAGNETS)
    assert moments[0][0] == pytest.approx(2.2, abs=0.3)  # iron, measured: 2.2 mu_B
    for structure, mine in zip(MAGNETS, moments, strict=True):
        atoms = structure.to_structure().to_ase_atoms()
        of_atoms = np.abs(potential.calculator().get_property("magmoms", atoms))
        owners = np.repeat(np.arange(len(mine)), structure.gene.multiplicities)
        assert np.abs(np.array(mine)[owners] - of_atoms).max() < 1e-4
    slow = load_backend("ase-chgnet", device="cpu").magnetic_moments(MAGNETS)
    assert all(
        np.allclose(mine, theirs, atol=1e-4)
        for mine, theirs in zip(moments, slow, strict=True)
    )


def test_moments_do_not_depend_on_company(potential):
    backend = QuotientBackend(potential)
    together = backend.magnetic_moments(MAGNETS)
    narrow = QuotientBackend(potential, BatchLimits(max_structures=1, max_edges=1))
    for one, other in zip(together, narrow.magnetic_moments(MAGNETS), strict=True):
        assert np.allclose(one, other, atol=1e-5)
    assert backend.magnetic_moments([]) == []


def test_a_calculator_without_moments_predicts_none():
    from ase.calculators.lj import LennardJones

    backend = AseBackend(LennardJones, energy_scale="lj", identity="LJ of ase")
    assert backend.magnetic_moments(STARTS[:2]) == [None, None]


def test_other_backends_and_weights_have_other_tags(emt):
    loaded = [
        load_backend(name, weights=weights, device="cpu")
        for name in BackendName
        for weights in ("0.3.0", "0.2.0")
    ]
    tags = [item.energy_scale for item in (*loaded, emt)]
    assert len(set(tags)) == len(tags)
    assert len({item.identity for item in (*loaded, emt)}) == len(tags)


def test_a_calculator_is_made_once_and_not_before_it_is_needed():
    made = []

    def make():
        made.append(make_emt())
        return made[-1]

    backend = AseBackend(make, energy_scale="emt", identity="EMT of ase")
    assert made == []
    backend.relax([STARTS[0], STARTS[0]], RelaxOptions(max_steps=2))
    assert len(made) == 1


def test_elements_may_be_fewer():
    backend = AseBackend(
        make_emt,
        energy_scale="emt",
        identity="EMT of ase",
        supported_atomic_numbers=frozenset({29}),
    )
    ends = backend.relax(STARTS[:2], RelaxOptions(max_steps=2))
    assert ends[1].state.outcome is Outcome.UNSUPPORTED_ELEMENT
    assert "Au" in ends[1].state.reason


def test_a_structure_too_large_for_the_memory_is_refused(potential, monkeypatch):
    monkeypatch.setattr(backends, "MOST_EDGES_OF_ONE", 100)
    large = make_start("1 Cu:" + ",".join("a" * 27), [7.6] * 3, np.zeros((27, 3)))
    ends = QuotientBackend(potential).relax([large, STARTS[0]], OPTIONS)
    assert ends[0].state.outcome is Outcome.GUARDED
    assert "too large" in ends[0].state.reason
    assert ends[1].state.outcome is Outcome.CONVERGED


def test_a_calculator_without_moments_says_nothing_about_them(emt):
    assert emt.magnetic_moments(STARTS[:1]) == [None]


@pytest.mark.parametrize("scale", ["", "EMT", "two words", "-x"])
def test_a_tag_that_is_none_is_refused(scale):
    with pytest.raises(ConfigurationError, match="energy scale"):
        AseBackend(make_emt, energy_scale=scale, identity="EMT of ase")


def test_an_unknown_calculator_is_refused():
    with pytest.raises(ConfigurationError, match="identity"):
        AseBackend(make_emt, energy_scale="emt", identity=" ")


def test_a_misspelt_backend_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="Did you mean 'chgnet-quotient'"):
        parse_backend_name("chgnet-quotent")
    with pytest.raises(ConfigurationError, match="ase-chgnet"):
        load_backend("magic")
