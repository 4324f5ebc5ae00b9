"""What a round will take, before it begins: by what finished jobs here have taken.

Where a database has measured nothing yet, costs and shares are those that come with
wyckflow: see `BEFORE_ANY`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pymongo.errors import PyMongoError

from wyckflow.resources import CATEGORY_BY_JOB_NAME, Category
from wyckflow.schemas.campaign import StageEstimate
from wyckflow.store.campaign.costs import read_costs
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.schemas.campaign import CampaignSpec
    from wyckflow.store.connect import Database

_S_PER_HOUR: Final = 3600
_USUAL_STARTS: Final = 9.4
"""Starts of a gene, on average, where a campaign does not fix their number: so in the
genes that `wyckflow.relax.cost` was fitted to."""
_FEWEST: Final = 10
"""Genes or crystals from which on a measured cost is believed."""


@dataclass(frozen=True)
class StageCost:
    """What a stage takes per gene or crystal, and how many it lets through.

    Attributes
    ----------
    seconds
        Of the processor on cpu workers, elapsed on others.
    passed
        Share of what it sees that goes on.
    n_items
        What this was measured on; 0 for what comes with wyckflow.
    """

    seconds: float
    passed: float = 1.0
    n_items: int = 0


BEFORE_ANY: Final[Mapping[str, StageCost]] = {
    "gene generate": StageCost(0.015),
    "gene screen": StageCost(0.0005, passed=0.27),
    "chgnet relax": StageCost(0.9),
    "hull distance": StageCost(0.03, passed=0.5),
    "chgnet phonon": StageCost(2.4),
}
"""Processor seconds on one core of an x86-64 machine: 1,000 genes of the bundled model
for the paper's target, through the published screen; 12 of them relaxed, and phonons of
the 6 within 0.05 eV/atom of the hull. A machine that is busy takes longer."""


def measure_costs(database: Database) -> dict[str, StageCost]:
    """Return what each stage took in all campaigns of a database.

    Parameters
    ----------
    database
        Where.
    """
    with database.client() as client:
        try:
            known = read_costs(client[database.name])
        except PyMongoError as error:
            raise explain(error, database) from error
    found = {}
    for job, usual in BEFORE_ANY.items():
        cost = known.get(job)
        if cost is None or cost.n_seen < _FEWEST:
            found[job] = usual
            continue
        found[job] = StageCost(
            seconds=cost.seconds / cost.n_seen,
            passed=cost.n_passed / cost.n_seen,
            n_items=cost.n_seen,
        )
    return found


def estimate_round(
    spec: CampaignSpec,
    costs: Mapping[str, StageCost],
    *,
    n_genes: int,
    max_relaxations: int | None,
) -> list[StageEstimate]:
    """Return what each stage of a round will see and take.

    Parameters
    ----------
    spec
        What is asked for.
    costs
        As :func:`measure_costs` returns them.
    n_genes
        Genes of the round.
    max_relaxations
        What the budget leaves for it; no limit if None.
    """
    items = float(n_genes)
    found = []
    for job, cost in costs.items():
        if job == "chgnet relax" and max_relaxations is not None:
            items = min(items, max_relaxations)
        if job == "chgnet phonon" and spec.phonon is None:
            break
        n_items = round(items)
        found.append(
            StageEstimate(
                job=job,
                category=str(CATEGORY_BY_JOB_NAME.get(job, Category.CPU)),
                n_items=n_items,
                hours=n_items * _seconds(job, cost, spec) / _S_PER_HOUR,
                n_measured=cost.n_items,
            )
        )
        items *= cost.passed
    if spec.dft is not None and spec.dft.opens_below is not None:
        vasp = StageEstimate(
            job="vasp", category=str(Category.VASP), n_items=spec.budget.vasp_jobs
        )
        found.append(vasp)
    return found


def _seconds(job: str, cost: StageCost, spec: CampaignSpec) -> float:
    """Return what one gene takes; before anything was measured, by its starts."""
    n_trials = spec.relax.get("n_trials")
    if job != "chgnet relax" or cost.n_items or not n_trials:
        return cost.seconds
    return cost.seconds * float(n_trials) / _USUAL_STARTS


def warn_of_budget(spec: CampaignSpec, estimate: Sequence[StageEstimate]) -> list[str]:
    """Say in words which limits a round will meet before it is done.

    Parameters
    ----------
    spec
        What is asked for.
    estimate
        Of the round.
    """
    limits = {Category.CPU: spec.budget.cpu_hours, Category.GPU: spec.budget.gpu_hours}
    warnings = []
    for category, limit in limits.items():
        hours = sum(item.hours or 0.0 for item in estimate if item.category == category)
        if limit is not None and hours > limit:
            warnings.append(
                f"about {hours:.2g} {category} hours are expected and {limit:g} "
                "allowed: open jobs will be held when they are used"
            )
    return warnings
