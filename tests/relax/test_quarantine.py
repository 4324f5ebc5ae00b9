"""A structure that breaks the software is found, named, and alone in its fate."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.backends import QuotientBackend
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.relax.quarantine import relax_guardedly
from wyckflow.schemas.relaxation import Outcome, RelaxedState

OPTIONS = RelaxOptions()


def make_start(element):
    gene = WyckoffGene.from_text(f"225 {element}:a")
    return ReducedStructure(gene, np.eye(3) * 4.0, np.zeros((1, 3)))


STARTS = [make_start(symbol) for symbol in ("Al", "Ni", "Ag", "Pd", "Au", "Pt", "Rh")]


class Fragile:
    """A backend that answers at once, and raises where it meets certain elements."""

    def __init__(self, *poisons, error=ZeroDivisionError):
        self.poisons, self.error = poisons, error
        self.n_calls = 0
        self.answered = []

    def relax(self, starts, _options, progress=None):
        self.n_calls += 1
        ends = []
        for place, start in enumerate(starts):
            (element,) = start.gene.elements
            if element in self.poisons:
                raise self.error(f"cannot stand\n{element}")
            self.answered.append(element)
            ends.append(Relaxed(RelaxedState(outcome="converged", reason=element)))
            if progress is not None:
                progress(place, ends[-1])
        return ends


@pytest.mark.parametrize(
    "poisons", [("Al",), ("Pd",), ("Rh",), ("Al", "Rh"), ("Ni", "Ag"), ("Ag", "Pt")]
)
def test_only_the_culprits_are_lost(poisons, caplog):
    ends = relax_guardedly(STARTS, Fragile(*poisons), OPTIONS)
    for start, end in zip(STARTS, ends, strict=True):
        (element,) = start.gene.elements
        if element in poisons:
            assert end.state.outcome is Outcome.ERROR
            assert end.state.reason == f"ZeroDivisionError: cannot stand {element}"
            assert end.structure is None
            assert f"Relaxing {start.gene} failed" in caplog.text
        else:
            assert end.state.reason == element
    assert "Traceback" in caplog.text


def test_what_was_finished_before_the_error_is_not_redone():
    backend = Fragile("Rh")
    relax_guardedly(STARTS, backend, OPTIONS)
    assert backend.answered.count("Al") == backend.answered.count("Pt") == 1


def test_without_an_error_there_is_one_call():
    backend = Fragile()
    ends = relax_guardedly(STARTS, backend, OPTIONS)
    assert backend.n_calls == 1
    assert [end.state.outcome for end in ends] == [Outcome.CONVERGED] * len(STARTS)
    assert relax_guardedly([], backend, OPTIONS) == []


def test_a_pause_stays_with_its_structure_when_a_batch_is_halved():
    told = []

    class Pausing(Fragile):
        def relax(self, starts, options, progress=None, *, pauses=()):
            told.extend(zip(starts, pauses, strict=True) if pauses else ())
            return super().relax(starts, options, progress)

    pauses = [None, *(f"pause of {start.gene}" for start in STARTS[1:])]
    relax_guardedly(STARTS, Pausing("Pd"), OPTIONS, pauses)
    assert len(told) > len(STARTS)
    for start, pause in told:
        assert pause == pauses[STARTS.index(start)]


def test_a_broken_machine_is_not_taken_for_a_result():
    backend = Fragile("Al", "Cu", error=MemoryError)
    with pytest.raises(MemoryError, match="Al"):
        relax_guardedly(STARTS, backend, OPTIONS)


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_a_request_to_stop_goes_through(error):
    with pytest.raises(error):
        relax_guardedly(STARTS, Fragile("Pd", error=error), OPTIONS)


def test_a_poison_in_a_real_batch(potential, monkeypatch):
    """An error deep inside the network, for one of the structures in flight."""
    from wyckflow.relax import batched

    find = batched._find_space_group

    def break_on_silver(structure, symprec):
        if "Ag" in structure.gene.elements:
            raise RuntimeError("shapes do not match")
        return find(structure, symprec)

    monkeypatch.setattr(batched, "_find_space_group", break_on_silver)
    ends = relax_guardedly(STARTS[:4], QuotientBackend(potential), OPTIONS)
    outcomes = [end.state.outcome for end in ends]
    assert outcomes == ["converged", "converged", "error", "converged"]
    assert ends[2].state.reason == "RuntimeError: shapes do not match"
