"""What a target asks of symmetry and elements binds the decoder."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.errors import TargetError
from wyckflow.ml.sampling.limits import limit_decoding
from wyckflow.schemas.target import PAPER_TARGET, Target

KNOWN = np.zeros(119, bool)
KNOWN[[ATOMIC_NUMBERS[e] for e in ("O", "S", "Ti", "Ba", "Sr", "Pb")]] = True


def test_the_paper_binds_the_space_groups_alone():
    limits = limit_decoding(PAPER_TARGET, KNOWN)
    assert limits.space_groups == frozenset(range(143, 231))
    assert limits.elements == {"O", "S", "Ti", "Ba", "Sr", "Pb"}
    assert limits.required_elements == frozenset()


def test_elements_and_sizes_bind():
    target = Target(
        elements_all="O",
        elements_none="Pb,S",
        n_elements={"min": 2, "max": 3},
        nsites={"max": 20},
    )
    limits = limit_decoding(target, KNOWN)
    assert limits.elements == {"O", "Ti", "Ba", "Sr"}
    assert limits.required_elements == {"O"}
    assert (limits.min_elements, limits.max_elements) == (2, 3)
    assert limits.max_atoms == 20


def test_only_some_elements_are_allowed():
    target = Target(elements_only="Ba-Ti-O-Zn")
    assert limit_decoding(target, KNOWN).elements == {"Ba", "Ti", "O"}


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"elements_all": "Zn"}, "needs Zn, which the model has never seen"),
        ({"elements_only": "Zn"}, "the model has seen none"),
        ({"elements_none": "O,S,Ti,Ba,Sr,Pb"}, "the model has seen none"),
        ({"elements_any": "Zn,Ne"}, r"one of Zn, Ne \(elements_any\)"),
        ({"elements_only": "Ba-O", "elements_any": "S"}, r"\(elements_any\)"),
        (
            {"elements_all": "Ba,O", "elements_any": "S", "n_elements": {"max": 2}},
            r"\(elements_any\)",
        ),
        ({"nsites": {"min": 101}}, "101 atoms.*max_atoms=100"),
        ({"n_elements": {"min": 99}}, "No gene can meet the target"),
    ],
)
def test_what_the_model_cannot_write_is_refused(target, words):
    with pytest.raises(TargetError, match=words):
        limit_decoding(Target(**target), KNOWN)


def test_a_choice_that_some_element_meets_is_taken():
    target = Target(elements_all="Ba,O", elements_any="O,Zn", n_elements={"max": 2})
    assert limit_decoding(target, KNOWN).required_elements == {"Ba", "O"}
    assert limit_decoding(Target(nsites={"min": 100}), KNOWN).max_atoms == 100
