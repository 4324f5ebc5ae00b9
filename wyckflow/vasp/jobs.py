"""The VASP job of atomate2, run as wyckflow wants it.

atomate2 brings its own jobs, so this is the one module of its floor that knows of
jobs. It adds four things: the VASP command of this machine, error handlers that
remember nothing of an earlier job, no hidden changes of the INCAR, and results that
go to our blob store.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, ParamSpec

from atomate2.vasp.jobs.base import _DATA_OBJECTS, BaseVaspMaker
from emmet.core.tasks import TaskDoc
from jobflow import JobConfig, job

from wyckflow.schemas.blob import BLOB_STORE
from wyckflow.settings import WyckflowSettings
from wyckflow.vasp.preflight import is_simulator

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from custodian.custodian import ErrorHandler, Validator
    from jobflow import Response
    from pymatgen.core.structure import Structure

P = ParamSpec("P")

_IMPATIENT: Final = {"polling_time_step": 0.2, "monitor_freq": 5}
_JOB_OPTIONS: Final[dict[str, Any]] = {
    BLOB_STORE: _DATA_OBJECTS,
    "output_schema": TaskDoc,
    "config": JobConfig(pass_manager_config=False),
}


def vasp_job(make: Callable[P, Response]) -> Callable[P, Any]:
    """Turn a ``make`` into a job whose document is emmet's, bulk in our blob store.

    Parameters
    ----------
    make
        Of a maker of atomate2.
    """
    return job(make, **_JOB_OPTIONS)  # type: ignore[no-any-return]  # jobflow is untyped


@dataclass
class VaspMaker(BaseVaspMaker):
    """One run of VASP under custodian; its document is emmet's.

    A run that did not converge is stored as such, and what would build on it does not
    run.

    Attributes
    ----------
    has_fresh_moments
        Whether magnetic moments of the incoming sites are forgotten.
    is_judged_by_mp
        Whether the validator of the Materials Project judges the run.
    """

    has_fresh_moments: bool = False
    is_judged_by_mp: bool = False

    @vasp_job
    def make(
        self, structure: Structure, prev_dir: str | Path | None = None
    ) -> Response:
        """Run VASP.

        Parameters
        ----------
        structure
            Where it starts.
        prev_dir
            Folder of an earlier run, of which files are taken over.
        """
        if self.has_fresh_moments:
            structure = structure.copy()
            if "magmom" in structure.site_properties:
                structure.remove_site_property("magmom")
        ready = prepare(self)
        return BaseVaspMaker.make.original(ready, structure, prev_dir)


def prepare(maker: VaspMaker) -> VaspMaker:
    """Return a maker with what only the worker can know, and what must be fresh.

    What was given explicitly stays.

    Parameters
    ----------
    maker
        As it travelled with the job; not changed.
    """
    command = WyckflowSettings.load().vasp_command
    run: dict[str, Any] = {
        "vasp_cmd": command,
        "vasp_gamma_cmd": command,
        "handlers": fresh_handlers(),
        "validators": validators(is_judged_by_mp=maker.is_judged_by_mp),
        **maker.run_vasp_kwargs,
    }
    if is_simulator(command):  # it ends in seconds, and custodian looks every ten
        run.setdefault("custodian_kwargs", dict(_IMPATIENT))
    # Another executable for a mesh of one point would be another program.
    run["vasp_job_kwargs"] = {"auto_gamma": False, **run.get("vasp_job_kwargs", {})}
    changes: dict[str, Any] = {
        "run_vasp_kwargs": run,
        "write_input_set_kwargs": {
            "apply_incar_updates": False,
            **maker.write_input_set_kwargs,
        },
        "stop_children_kwargs": {
            "handle_unsuccessful": True,
            **maker.stop_children_kwargs,
        },
        "task_document_kwargs": {
            "store_additional_json": maker.is_judged_by_mp,
            **maker.task_document_kwargs,
        },
    }
    return replace(maker, **changes)


def fresh_handlers() -> list[ErrorHandler]:
    """Return custodian's handlers as atomate2 chooses them, without a memory.

    Those of atomate2 count errors as long as a process lives: the second job of a
    worker would get the second remedy for its first error.
    """
    from atomate2.vasp.run import DEFAULT_HANDLERS

    return [type(item).from_dict(item.as_dict()) for item in DEFAULT_HANDLERS]


def validators(*, is_judged_by_mp: bool) -> list[Validator]:
    """Return what looks at a run when it has ended.

    Parameters
    ----------
    is_judged_by_mp
        Whether the validator of the Materials Project is among them.
    """
    from custodian.vasp.validators import VaspFilesValidator, VasprunXMLValidator

    from wyckflow.vasp.validation import MpCompatibilityValidator

    usual = [VasprunXMLValidator(), VaspFilesValidator()]
    return [*usual, MpCompatibilityValidator()] if is_judged_by_mp else usual
