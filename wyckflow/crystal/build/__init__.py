"""Trial structures for genes: from our sampler, or from PyXtal.

`trials` is the way in, `sampler` and `pyxtal_engine` are the two engines, `volumes` is
the prior for the size of a cell.
"""

from wyckflow.crystal.build.trials import BuildEngine, BuildOutcome, Trial, build_trials

__all__ = ["BuildEngine", "BuildOutcome", "Trial", "build_trials"]
