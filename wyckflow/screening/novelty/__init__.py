"""Whether a gene is new: the arrangement, its prototype, and what it is an ordering of.

`known` holds what is known, `judge` compares genes with it, `structures` compares
crystals with coordinates.
"""

from wyckflow.screening.novelty.judge import NoveltyLevel, NoveltyLevels, judge_novelty
from wyckflow.screening.novelty.known import KnownGenes, load_known
from wyckflow.screening.novelty.structures import find_known_structures

__all__ = [
    "KnownGenes",
    "NoveltyLevel",
    "NoveltyLevels",
    "find_known_structures",
    "judge_novelty",
    "load_known",
]
