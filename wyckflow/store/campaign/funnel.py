"""The funnel of a campaign: what each stage has seen and passed so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pymongo.errors import PyMongoError

from wyckflow.schemas.phonon import LatticeStability
from wyckflow.schemas.relaxation import Outcome
from wyckflow.schemas.screening import FunnelStep, ReasonCount
from wyckflow.store.candidates.versions import VERSION_FIELDS, check_output_version
from wyckflow.store.connect import OUTPUTS, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

_MOST_REASONS: Final = 20


def read_funnel(database: Database, name: str) -> list[FunnelStep]:
    """Return what each stage of a campaign has seen and passed so far, in order.

    Parameters
    ----------
    database
        Where.
    name
        Of the campaign.
    """
    with database.client() as client:
        mongo = client[database.name]
        try:
            steps = [
                *_generation_steps(mongo, name),
                *_screening_steps(mongo, name),
                *_plan_steps(mongo, name),
                *_relaxation_steps(mongo, name),
                *_hull_steps(mongo, name),
                *_phonon_steps(mongo, name),
                *_dft_steps(mongo, name),
            ]
        except PyMongoError as error:
            raise explain(error, database) from error
    return _add_rounds(steps)


def outputs_of(
    mongo: MongoDatabase[Any], name: str, job: str, *wanted: str
) -> list[dict[str, Any]]:
    """Return some fields of the outputs of one kind of job, the oldest first.

    Parameters
    ----------
    mongo
        The database.
    name
        Of the campaign.
    job
        Name of the job.
    *wanted
        Fields of its document.

    Raises
    ------
    DocumentError
        If one has a layout that would be misread.
    """
    names = (*wanted, *VERSION_FIELDS)
    fields = {"uuid": 1, **{f"output.{field}": 1 for field in names}}
    query = {"metadata.campaign": name, "name": job}
    found = list(mongo[OUTPUTS].find(query, fields).sort("_id"))
    for item in found:
        check_output_version(item["output"])
    return found


# --- stages ---------------------------------------------------------------------------


@dataclass
class _Count:
    """The genes of one stage, as they are counted."""

    n_pass: int = 0
    n_cannot_judge: int = 0
    reasons: Counter[str] = field(default_factory=Counter)

    def step(self, stage: str, rule: str) -> FunnelStep:
        """Return the step; whoever neither passed nor was unjudged has failed."""
        n_stopped = self.reasons.total()
        return FunnelStep(
            filter=stage,
            rule=rule,
            n_in=self.n_pass + n_stopped,
            n_pass=self.n_pass,
            n_fail=n_stopped - self.n_cannot_judge,
            n_cannot_judge=self.n_cannot_judge,
            reasons=_list_reasons(self.reasons),
        )


def _generation_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield what was decoded, and what became a new gene."""
    for item in outputs_of(mongo, name, "gene generate", "n_genes", "failures"):
        output = item["output"]
        # What was decoded beyond the number asked for was never looked at.
        named = {key.replace("_", " "): n for key, n in output["failures"].items()}
        reasons = Counter(named)
        count = _Count(n_pass=output["n_genes"], reasons=reasons)
        yield count.step("generation", "new, and as the target asks by prediction")


def _screening_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield the steps of the screen."""
    for item in outputs_of(mongo, name, "gene screen", "funnel"):
        for step in item["output"]["funnel"]:
            plain = {key: value for key, value in step.items() if key[0] != "@"}
            plain["reasons"] = [
                {key: value for key, value in reason.items() if key[0] != "@"}
                for reason in step["reasons"]
            ]
            yield FunnelStep.model_validate(plain)


def _plan_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield how many genes the budget let through, the most promising."""
    wanted = ("n_planned", "n_over_budget", "n_repeated", "n_planned_before")
    for item in outputs_of(mongo, name, "campaign plan", *wanted):
        output = item["output"]
        count = _Count(n_pass=output["n_planned"])
        count.reasons["proposed by another part, too"] = output.get("n_repeated", 0)
        count.reasons["planned by an earlier round"] = output.get("n_planned_before", 0)
        count.reasons["less promising than the budget is large"] = output[
            "n_over_budget"
        ]
        yield count.step("plan", "within the budget of relaxations")


def _relaxation_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield how the relaxations ended."""
    for item in outputs_of(mongo, name, "chgnet relax", "results.outcome"):
        count = _Count()
        for result in item["output"]["results"]:
            if result["outcome"] == Outcome.CONVERGED:
                count.n_pass += 1
            else:
                count.reasons[result["outcome"].replace("_", " ")] += 1
        yield count.step("relaxation", "converged; others may go on, see their outcome")


def _hull_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield what the hull said."""
    wanted = ("threshold", "n_pass", "n_fail", "n_cannot_judge")
    for item in outputs_of(mongo, name, "hull distance", *wanted):
        output = item["output"]
        count = _Count(output["n_pass"], output["n_cannot_judge"])
        limit = f"{output['threshold']:g} eV/atom"
        count.reasons[f"more than {limit} above the hull"] += output["n_fail"]
        count.reasons["cannot judge"] += output["n_cannot_judge"]
        yield count.step("hull", f"at most {limit} above the hull of known phases")


def _phonon_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield what the phonons said; a borderline lattice is not rejected."""
    for item in outputs_of(mongo, name, "chgnet phonon", "results.verdict"):
        count = _Count()
        for result in item["output"]["results"]:
            verdict = LatticeStability(result["verdict"])
            if verdict is LatticeStability.CANNOT_JUDGE:
                count.n_cannot_judge += 1
                count.reasons["cannot judge"] += 1
            elif verdict is LatticeStability.UNSTABLE:
                count.reasons["unstable lattice"] += 1
            else:
                count.n_pass += 1
        yield count.step("phonons", "no clear instability of the lattice")


def _dft_steps(mongo: MongoDatabase[Any], name: str) -> Iterator[FunnelStep]:
    """Yield what DFT said of the crystals that were let through to VASP."""
    stages = (
        ("gamma phonon", "dft lattice", "no imaginary mode at the zone centre"),
        ("dft dispersion", "dft phonons", "no imaginary mode in the zone"),
        ("dft hull", "dft hull", "near the hull by DFT"),
    )
    for job, stage, rule in stages:
        for item in outputs_of(mongo, name, job, "verdict", "reason"):
            count, found = _Count(), item["output"]
            if found["verdict"] in {"pass", "stable", "borderline"}:
                count.n_pass = 1
            else:
                count.n_cannot_judge = int(found["verdict"] == "cannot_judge")
                words = {"fail": "farther above", "unstable": "unstable lattice"}
                count.reasons[words.get(found["verdict"], found["reason"])] += 1
            yield count.step(stage, rule)


def _add_rounds(steps: list[FunnelStep]) -> list[FunnelStep]:
    """Put the steps of one name, of all rounds and shards, together."""
    found: dict[str, FunnelStep] = {}
    reasons: dict[str, Counter[str]] = {}
    for step in steps:
        mine = reasons.setdefault(step.filter, Counter())
        mine.update({item.reason: item.n_genes for item in step.reasons})
        before = found.get(step.filter)
        numbers = ("n_in", "n_pass", "n_fail", "n_cannot_judge")
        found[step.filter] = step.model_copy(
            update={
                name: getattr(step, name) + (getattr(before, name) if before else 0)
                for name in numbers
            }
        )
    return [
        step.model_copy(update={"reasons": _list_reasons(reasons[name])})
        for name, step in found.items()
    ]


def _list_reasons(reasons: Counter[str]) -> list[ReasonCount]:
    """Return the most frequent reasons."""
    return [
        ReasonCount(reason=reason, n_genes=n)
        for reason, n in reasons.most_common(_MOST_REASONS)
        if n > 0
    ]
