"""How far a campaign is: its funnel, its jobs, its costs, and when it will be done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.store.campaign.funnel import read_funnel
from wyckflow.store.campaign.progress import read_usage
from wyckflow.store.campaign.record import campaign_names, find_campaign
from wyckflow.store.monitor import OPEN_STATES, read_status

if TYPE_CHECKING:
    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.schemas.screening import FunnelStep
    from wyckflow.store.campaign.progress import Usage
    from wyckflow.store.connect import Database
    from wyckflow.store.monitor import Status

_S_PER_HOUR: Final = 3600
_RELAX: Final = "chgnet relax"
_BEFORE_PLAN: Final = ("gene generate", "gene screen", "campaign plan")


@dataclass(frozen=True)
class CampaignStatus:
    """A snapshot of one campaign.

    Attributes
    ----------
    campaign
        What was asked for; None for jobs that were submitted one by one.
    jobs
        Its jobs, and the workers that live.
    funnel
        What each stage has seen and passed so far.
    usage
        What finished jobs took.
    eta_s
        Seconds until the jobs that are known now are done, with the workers that live
        now; None if that cannot be told.
    eta_reason
        Why it cannot be told, or what it leaves out.
    """

    campaign: CampaignDoc | None
    jobs: Status
    funnel: list[FunnelStep]
    usage: Usage
    eta_s: float | None
    eta_reason: str = ""

    def as_data(self) -> dict[str, Any]:
        """Return what programs may want, with plain types."""
        spec = None if self.campaign is None else self.campaign.spec
        return {
            "campaign": None if self.campaign is None else self.campaign.name,
            "state": None if self.campaign is None else self.campaign.state.value,
            "funnel": [step.model_dump(mode="json") for step in self.funnel],
            "budget": None if spec is None else spec.budget.model_dump(mode="json"),
            "used": {
                "relaxations": self.usage.n_relaxed,
                "relaxations_planned": self.usage.n_planned,
                "cpu_hours": self.usage.cpu_hours,
                "gpu_hours": self.usage.gpu_hours,
                "vasp_jobs": self.usage.n_vasp_jobs,
            },
            "eta_s": self.eta_s,
            "eta_reason": self.eta_reason,
        }


def read_campaign_status(
    database: Database, name: str, *, lost_after_s: float = 90.0
) -> CampaignStatus:
    """Take a snapshot of one campaign; nothing is changed.

    Parameters
    ----------
    database
        Where.
    name
        Of the campaign.
    lost_after_s
        Silence after which a worker counts as dead, in seconds.

    Raises
    ------
    CampaignError
        If neither a campaign nor a job has this name.
    """
    campaign = find_campaign(database, name)
    jobs = read_status(database, campaign=name, lost_after_s=lost_after_s)
    if campaign is None and not jobs.rows:
        known = campaign_names(database)
        raise CampaignError(
            f"No campaign {name!r} is in {database.name!r}.{nearest_name(name, known)} "
            f"Known: {', '.join(known) or 'none'}."
        )
    usage = read_usage(database, name)
    eta_s, reason = estimate_time_left(jobs, usage)
    return CampaignStatus(
        campaign, jobs, read_funnel(database, name), usage, eta_s, reason
    )


def estimate_time_left(jobs: Status, usage: Usage) -> tuple[float | None, str]:
    """Return the seconds until the jobs that are known now are done, and a caveat.

    Each kind of job is expected to take as long as those of its kind that are done,
    relaxations as their plan says, corrected by those that are done. Kinds of worker
    work side by side.

    Parameters
    ----------
    jobs
        The open jobs, and the workers.
    usage
        What finished jobs took.
    """
    needed: dict[str, float] = {}
    unmeasured = []
    for row in jobs.rows:
        n_open = row.count(*OPEN_STATES)
        if not n_open:
            continue
        done = usage.jobs.get(row.name)
        if row.name == _RELAX:
            seconds = usage.rest_hours * _S_PER_HOUR
        elif done is not None and done.n_jobs and done.wall_s:
            seconds = n_open * done.wall_s / done.n_jobs
        else:
            unmeasured.append(row.name)
            seconds = 0.0
        needed[row.category] = needed.get(row.category, 0.0) + seconds
    if not needed:
        return 0.0, ""
    n_workers = {
        category: sum(w.is_alive and w.category == category for w in jobs.workers)
        for category in needed
    }
    if idle := [category for category, n in n_workers.items() if not n]:
        return None, f"no {' and no '.join(sorted(idle))} worker lives"
    if any(name in _BEFORE_PLAN for name in unmeasured):
        return None, "what there is to do is known once it is planned"
    left = max(seconds / n_workers[category] for category, seconds in needed.items())
    without = ", ".join(sorted(unmeasured))
    return left, f"{without} not counted: none is done yet" if without else ""
