"""What finished jobs took, by kind: jobs, time, and what they looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.resources import CATEGORY_BY_JOB_NAME, Category
from wyckflow.store.connect import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymongo.database import Database as MongoDatabase

_S_PER_HOUR: Final = 3600
_N_RESULTS: Final = {"$size": {"$ifNull": ["$output.results", []]}}
SEEN: Final[Mapping[str, Any]] = {
    "gene generate": "$output.n_genes",
    "gene screen": {"$ifNull": [{"$first": "$output.funnel.n_in"}, 0]},
    "campaign plan": "$output.n_accepted",
    "chgnet relax": _N_RESULTS,
    "hull distance": _N_RESULTS,
    "chgnet phonon": _N_RESULTS,
}
_PASSED: Final[Mapping[str, Any]] = {
    "gene screen": {"$ifNull": [{"$last": "$output.funnel.n_pass"}, 0]},
    "campaign plan": "$output.n_planned",
    "hull distance": "$output.n_pass",
}
_VASP_WALL_S: Final = "$output.run_stats.overall.elapsed_time"
"""Where emmet's document of a VASP run says it."""

PIPELINE: Final = tuple(SEEN)
"""The stages whose genes or crystals are counted, in their order."""


@dataclass(frozen=True)
class JobCost:
    """What the finished jobs of one name took; tries that failed are not counted.

    Attributes
    ----------
    job
        Their name.
    category
        Kind of worker.
    n_jobs
        How many ended well.
    cpu_s, wall_s
        Processor and elapsed seconds of all of them; VASP runs tell the second alone,
        jobs of other packages neither.
    n_seen, n_passed
        Genes or crystals that came in and went on; one per job where they are not
        counted.
    """

    job: str
    category: str
    n_jobs: int
    cpu_s: float
    wall_s: float
    n_seen: int
    n_passed: int

    @property
    def seconds(self) -> float:
        """Of the processor for cpu workers, elapsed for others."""
        return self.cpu_s if self.category == Category.CPU else self.wall_s

    @property
    def hours(self) -> float:
        """The same in hours."""
        return self.seconds / _S_PER_HOUR


def read_costs(
    mongo: MongoDatabase[Any], campaign: str | None = None
) -> dict[str, JobCost]:
    """Return what the finished jobs took, by name, in the order of the pipeline.

    Parameters
    ----------
    mongo
        The database.
    campaign
        Whose jobs; those of all campaigns if None.
    """
    group = {
        "_id": "$name",
        "n_jobs": {"$sum": 1},
        "cpu_s": {"$sum": "$output.provenance.cpu_s"},
        "wall_s": {"$sum": {"$ifNull": ["$output.provenance.wall_s", _VASP_WALL_S]}},
        "n_seen": {"$sum": _by_name(SEEN)},
        "n_passed": {"$sum": _by_name({**SEEN, **_PASSED})},
    }
    chosen = {"metadata.campaign": campaign or {"$exists": True}}
    pipeline: list[dict[str, Any]] = [{"$match": chosen}, {"$group": group}]
    found = {str(item.pop("_id")): item for item in mongo[OUTPUTS].aggregate(pipeline)}
    names = [name for name in PIPELINE if name in found]
    return {
        name: JobCost(
            job=name,
            category=str(CATEGORY_BY_JOB_NAME.get(name, Category.CPU)),
            **found[name],
        )
        for name in [*names, *sorted(found.keys() - set(names))]
    }


def _by_name(expressions: Mapping[str, Any]) -> dict[str, Any]:
    """Return what to sum, by the name of the job; one where nothing is counted."""
    branches = [
        {"case": {"$eq": ["$name", name]}, "then": then}
        for name, then in expressions.items()
    ]
    return {"$switch": {"branches": branches, "default": 1}}
