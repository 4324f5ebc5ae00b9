"""Which job runs on which kind of worker.

Routing happens once, at submission, and reaches every job that a job creates later.
FireWorks pulls by category; jobflow by default hands a parent's category down to its
children, which would put the DFT of a candidate on the node that generated it.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import RoutingError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobflow import Flow, Job


class Category(StrEnum):
    """The kinds of worker."""

    GPU = "gpu"
    CPU = "cpu"
    VASP = "vasp"


GLUE_JOB = "store_inputs"
"""The job that jobflow adds behind a replaced one; it only copies a reference."""

CATEGORY_BY_JOB_NAME: Final[dict[str, Category]] = {
    "generator train": Category.GPU,
    "forward train": Category.GPU,
    "classifier train": Category.GPU,
    "gene generate": Category.GPU,
    "gene propose": Category.GPU,
    "gene predict": Category.GPU,
    "gene screen": Category.CPU,
    "campaign plan": Category.CPU,
    "chgnet relax": Category.GPU,
    "hull distance": Category.CPU,
    "hull reference": Category.GPU,
    "hull collect": Category.CPU,
    "chgnet phonon": Category.GPU,
    "phase order": Category.CPU,
    "dft gate": Category.CPU,
    "vasp preflight": Category.VASP,
    "vasp relax normal": Category.VASP,
    "vasp relax precise": Category.VASP,
    "vasp magnetism": Category.VASP,
    "vasp static": Category.VASP,
    "vasp bands": Category.VASP,
    "vasp dfpt": Category.VASP,
    "vasp displaced": Category.VASP,
    "vasp mp relax": Category.VASP,
    "vasp mp static": Category.VASP,
    "dft hull": Category.CPU,
    "dft audit": Category.CPU,
    "electronic structure": Category.CPU,
    "gamma phonon": Category.CPU,
    "dft displacements": Category.CPU,
    "dft dispersion": Category.CPU,
    GLUE_JOB: Category.CPU,
}
"""Where each job of ours runs. Names are unique and none is part of another."""


def route(
    flow: Flow | Job, *, overrides: Mapping[str, str] | None = None
) -> Flow | Job:
    """Give every job of a flow, present and future, its kind of worker.

    A job of the flow that carries a ``_category`` of its own keeps it. A job created
    later gets the category of its name, never that of its parent; one with a name that
    is not ours keeps its own, and without one is taken by the CPU workers.

    Parameters
    ----------
    flow
        What will be submitted; changed in place and returned.
    overrides
        Worker category per job name, for clusters with more kinds of node, such as
        ``{"chgnet relax": "gpu-big"}``.

    Raises
    ------
    RoutingError
        If an override names no job of ours, or a job of the flow would be unrouted.
    """
    table: dict[str, str] = {**CATEGORY_BY_JOB_NAME}
    for name, category in (overrides or {}).items():
        if name not in table:
            raise RoutingError(
                f"No job is called {name!r}.{nearest_name(name, table)} "
                f"Jobs: {', '.join(sorted(table))}."
            )
        table[name] = category
    updates = [_keep_own_category(), *(_set_category(*item) for item in table.items())]
    for job in iter_jobs(flow):
        own = job.config.manager_config.get("_category")
        # First in the list, so that a user's own later update_config still wins.
        job.config_updates[:0] = updates
        job.config.pass_manager_config = False
        known = _category_of(job.name, table)
        if own is None and known is not None:
            job.config.manager_config["_category"] = known
    check_routed(flow)
    return flow


def check_routed(flow: Flow | Job) -> None:
    """Refuse a flow with a job that no kind of worker is named for.

    Raises
    ------
    RoutingError
        Naming the job and both ways out.
    """
    for job in iter_jobs(flow):
        if "_category" not in job.config.manager_config:
            raise RoutingError(
                f"The job {job.name!r} names no kind of worker, so it could run "
                f"anywhere.{nearest_name(job.name, CATEGORY_BY_JOB_NAME)} Say where: "
                'job.update_config({"manager_config": {"_category": "cpu"}}) before '
                "submitting, or add its name to wyckflow.resources."
            )


def iter_jobs(flow: Flow | Job) -> Iterator[Job]:
    """Yield every job of a flow, nested flows included."""
    if hasattr(flow, "jobs"):
        for part in flow.jobs:
            yield from iter_jobs(part)
    else:
        yield flow


def _category_of(job_name: str, table: Mapping[str, str]) -> str | None:
    """Return the category of the name that a job's contains, as jobflow matches."""
    for name, category in table.items():
        if name in job_name:
            return str(category)
    return None


def _keep_own_category() -> dict[str, Any]:
    """Return the update by which children do not inherit their parent's category."""
    return _update({"pass_manager_config": False}, name_filter=None)


def _set_category(name: str, category: str) -> dict[str, Any]:
    """Return the update that routes children of a name, keeping their other keys."""
    return _update({"manager_config->_category": str(category)}, name_filter=name)


def _update(settings: dict[str, Any], *, name_filter: str | None) -> dict[str, Any]:
    """Return one entry of jobflow's list of updates for jobs yet to be created."""
    return {
        "config": {"_set": settings},
        "name_filter": name_filter,
        "function_filter": None,
        "attributes": None,
        "dict_mod": True,
    }
