"""A worker's look, between its jobs, at the gates that open by themselves."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import WyckflowError
from wyckflow.resources import Category
from wyckflow.schemas.campaign import CampaignState
from wyckflow.store.campaign.record import CAMPAIGNS
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.connect import OUTPUTS
from wyckflow.store.gate.approvals import APPROVALS
from wyckflow.store.gate.sending import open_gate
from wyckflow.store.gate.stopped import audit_stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

GATE_KEEPERS: Final = Category.CPU
"""The kind of worker that looks."""

_MOST_AT_ONCE: Final = 10
"""Crystals sent between two jobs: a worker that is asked to leave must not be late."""

_DECIDING_JOBS: Final = ("hull distance", "chgnet phonon")
"""Jobs whose outputs a rule looks at."""


class GateKeeper:
    """Lets crystals through to VASP where the rule of their campaign says so.

    Those whose runs stopped get their audit. A campaign is looked at only if a job that
    decides, or a VASP run, has ended since the last time.

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
        self._seen: dict[str, tuple[int, int]] = {}

    def look(self) -> None:
        """Look at every active campaign; what goes wrong is said, and no more."""
        if find_spec("atomate2") is None:  # another worker has it
            return
        for name, n_changes in self._campaigns().items():
            if self._seen.get(name) == n_changes:
                continue
            try:
                if self._look_at(name):
                    self._seen[name] = n_changes
            except WyckflowError as error:
                self.say(f"the gate of campaign {name} cannot be looked at: {error}")

    def _look_at(self, name: str) -> bool:
        """Look at one campaign; return whether nothing is left to do there."""
        build_candidates(self.database, campaign=name)
        opened = open_gate(self.database, name, limit=_MOST_AT_ONCE)
        for item in opened.sent:
            self.say(
                f"{item.formula_pretty} ({item.gene_id}) of campaign {name} goes to "
                f"VASP, {item.n_vasp_jobs} jobs"
            )
        for item in audit_stopped(self.database, name):
            self.say(f"VASP stopped for {item.formula_pretty} ({item.gene_id})")
        return not (opened.is_busy or opened.is_partial)

    def _campaigns(self) -> dict[str, tuple[int, int]]:
        """Return campaigns with a gate, and how much has ended at either side.

        Before it are the jobs that a rule looks at, behind it the runs of VASP.
        """
        rule = {
            "state": CampaignState.ACTIVE,
            "spec.dft.opens_below": {"$ne": None},
            "spec.budget.vasp_jobs": {"$gt": 0},
        }
        with self.database.client() as client:
            mongo = client[self.database.name]
            names = {
                *mongo[CAMPAIGNS].distinct("name", rule),
                *mongo[APPROVALS].distinct("campaign"),
            }
            return {str(name): self._count(mongo, name) for name in sorted(names)}

    def _count(self, mongo: MongoDatabase[Any], name: str) -> tuple[int, int]:
        """Return how many jobs that decide have ended, and how many VASP runs."""
        deciding = {"metadata.campaign": name, "name": {"$in": list(_DECIDING_JOBS)}}
        runs = {
            "spec.campaign": name,
            "name": {"$regex": "^vasp "},
            "state": {"$in": ["COMPLETED", "FIZZLED", "DEFUSED"]},
        }
        return (
            mongo[OUTPUTS].count_documents(deciding),
            mongo["fireworks"].count_documents(runs),
        )
