"""A worker's look, between its jobs, at what campaigns have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wyckflow.errors import WyckflowError
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.progress import hold_beyond_budget, read_hours
from wyckflow.store.campaign.record import CAMPAIGNS, read_campaign
from wyckflow.store.connect import OUTPUTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.store.connect import Database


class BudgetKeeper:
    """Holds the open jobs of campaigns whose hours are used up.

    So that a budget holds also if nobody looks at the campaign. Only campaigns with a
    limit of hours are looked at; jobs that run are left to finish.

    Parameters
    ----------
    database
        Where.
    say
        Takes one sentence at a time for the worker's log.
    """

    def __init__(self, database: Database, say: Callable[[str], None]) -> None:
        self.database = database
        self.say = say
        self._seen: dict[str, int] = {}

    def look(self) -> None:
        """Look at every campaign with a limit; what goes wrong is said, and no more."""
        for name, n_jobs in self._campaigns().items():
            if self._seen.get(name) == n_jobs:
                continue
            try:
                used = read_hours(self.database, name)
                campaign = read_campaign(self.database, name)
                held, reason = hold_beyond_budget(self.database, campaign, used)
            except WyckflowError as error:
                self.say(f"the budget of campaign {name} cannot be looked at: {error}")
                continue
            if held is None:
                self._seen[name] = n_jobs
            elif held.n_changed:
                self.say(f"campaign {name}: {reason}; {held.n_changed} open jobs held")

    def _campaigns(self) -> dict[str, int]:
        """Return campaigns that a limit of hours could hold, and their finished jobs.

        Nothing has to be looked at before another job has ended.
        """
        query = {
            "state": {"$ne": CampaignState.CANCELLED},
            "$or": [
                {"spec.budget.cpu_hours": {"$ne": None}},
                {"spec.budget.gpu_hours": {"$ne": None}},
            ],
        }
        with self.database.client() as client:
            mongo = client[self.database.name]
            names = map(str, mongo[CAMPAIGNS].distinct("name", query))
            outputs = mongo[OUTPUTS]
            return {
                name: outputs.count_documents({"metadata.campaign": name})
                for name in sorted(names)
            }
