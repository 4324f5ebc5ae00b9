"""How a generated set compares with real crystals, and what it holds that is new.

`evaluate` measures a set, `reading` reads one in the form its makers chose,
`definitions` says what the numbers mean.
"""

from wyckflow.screening.metrics.evaluate import (
    EvaluationOptions,
    evaluate_set,
    evaluate_sets,
)
from wyckflow.screening.metrics.gene_set import GeneSet
from wyckflow.screening.metrics.reading import read_set

__all__ = ["EvaluationOptions", "GeneSet", "evaluate_set", "evaluate_sets", "read_set"]
