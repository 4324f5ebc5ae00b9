"""Whether the elements of a composition can take charges that add up to zero.

`rule` says what counts, `judge` answers for arrays of compositions or for one. The test
is SMACT's (Davies et al., J. Open Source Softw. 2019, 4, 1361), with its tables and its
answers; `published` is that of the WyCryst codes.
"""

from wyckflow.screening.neutrality.judge import (
    DEFAULT_RULE,
    are_neutral,
    find_neutrality,
    judge_charge_neutralities,
    judge_charge_neutrality,
)
from wyckflow.screening.neutrality.rule import (
    NeutralityRule,
    OxidationStates,
    PublishedRule,
)

__all__ = [
    "DEFAULT_RULE",
    "NeutralityRule",
    "OxidationStates",
    "PublishedRule",
    "are_neutral",
    "find_neutrality",
    "judge_charge_neutralities",
    "judge_charge_neutrality",
]
