"""The job that holds the VASP runs of a crystal against the published settings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jobflow import Maker

from wyckflow.errors import DocumentError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.dft import DftAuditDoc, RunMark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.schemas.dft import StepAudit
    from wyckflow.vasp.audit import RunRecord

_SUCCESS: Final = "successful"


@dataclass
class DftAuditMaker(Maker):
    """Record what custodian changed in VASP runs, and mark what is not as published.

    Attributes
    ----------
    name
        Name of the job.
    """

    name: str = "dft audit"

    @wyckflow_job(DftAuditDoc)
    def make(
        self, runs: Sequence[Mapping[str, Any]], gene: str | None = None
    ) -> DftAuditDoc:
        """Audit the runs of one crystal.

        Parameters
        ----------
        runs
            As `describe_run` returns them, in their order.
        gene
            Of the crystal, in text form.
        """
        from wyckflow.crystal.gene import WyckoffGene
        from wyckflow.vasp.audit import audit_run, worst_mark

        steps = [audit_run(read_run(run)) for run in runs]
        mark = worst_mark(step.mark for step in steps)
        return DftAuditDoc(
            gene=gene,
            gene_id=WyckoffGene.from_text(gene).gene_id if gene else None,
            mark=mark,
            reason=explain_mark(mark, steps),
            n_corrections=sum(len(step.corrections) for step in steps),
            n_deviations=sum(len(step.deviations) for step in steps),
            steps=steps,
        )


def explain_mark(mark: RunMark, steps: Sequence[StepAudit]) -> str:
    """Say in words which steps are why a crystal has its mark.

    Parameters
    ----------
    mark
        Of the crystal.
    steps
        Of its runs.
    """
    if not steps:
        return "nothing ran"
    is_simulated = mark is RunMark.SIMULATED
    texts = ["a simulator ran instead of VASP"] if is_simulated else []
    for step in steps:
        has_run = step.vasp_version is not None
        if not step.is_converged or not has_run:
            how = "did not converge" if has_run else "is not there"
            texts.append(f"{step.step} {how}")
        elif step.deviations and not is_simulated:
            names = ", ".join(dict.fromkeys(item.setting for item in step.deviations))
            texts.append(f"{step.step} had other {names}")
    return "; ".join(texts)


def missing_run(step: str) -> dict[str, Any]:
    """Return what an audit gets of a run that left nothing.

    Parameters
    ----------
    step
        Name of the job.
    """
    names = ("inputs", "last", "custodian", "vasp_version", "state", "additional")
    return {"step": step, **dict.fromkeys(names)}


def describe_run(step: str, output: Any, *, is_judged_by_mp: bool) -> dict[str, Any]:
    """Return what an audit needs of a run, as references to its output.

    The whole output would make the audit load trajectories and densities.

    Parameters
    ----------
    step
        Name of the job.
    output
        Its output, or the reference to it.
    is_judged_by_mp
        Whether the validator of the Materials Project has judged it.
    """
    return {
        "step": step,
        "inputs": output.orig_inputs,
        "last": output.calcs_reversed[0].input,
        "custodian": output.custodian,
        "vasp_version": output.vasp_version,
        "state": output.state,
        "additional": output.additional_json if is_judged_by_mp else None,
    }


def read_run(run: Mapping[str, Any]) -> RunRecord:
    """Return what came through a store as a record.

    Parameters
    ----------
    run
        Of `describe_run`, its references resolved.

    Raises
    ------
    DocumentError
        If it has not what a run has.
    """
    from pymatgen.core.structure import Structure
    from pymatgen.io.vasp.inputs import Kpoints

    from wyckflow.vasp.audit import RunRecord
    from wyckflow.vasp.validation import VALIDATION_NAME

    try:
        inputs, last = _fields(run["inputs"]), _fields(run["last"])
        additional = run["additional"] or {}
        specs = [_fields(item) for item in last.get("potcar_spec") or []]
        return RunRecord(
            step=str(run["step"]),
            structure=_restore(inputs.get("structure"), Structure),
            incar=dict(last.get("incar") or {}),
            # vasprun.xml lists the points of a path instead of its segments.
            kpoints=_restore(inputs.get("kpoints"), Kpoints)
            if _is_line(inputs.get("kpoints"), Kpoints)
            else _restore(last.get("kpoints"), Kpoints),
            potcars=tuple(str(item.get("titel")) for item in specs),
            custodian=tuple(_fields(item) for item in run["custodian"] or ()),
            vasp_version=run["vasp_version"],
            is_converged=_text(run["state"]) == _SUCCESS,
            validation=additional.get(VALIDATION_NAME),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise DocumentError(
            f"A run of {run.get('step')!r} came without what an audit needs "
            f"({type(error).__name__}: {error}); give the output of a VASP job."
        ) from error


def _fields(item: Any) -> dict[str, Any]:
    """Return a part of emmet's document by field name, however it was stored."""
    if item is None:
        return {}
    if hasattr(type(item), "model_fields"):
        return {name: getattr(item, name) for name in type(item).model_fields}
    return dict(item)


def _restore(item: Any, kind: type[Any]) -> Any:
    """Return a pymatgen object, from itself or its dictionary."""
    return kind.from_dict(item) if isinstance(item, dict) else item


def _is_line(item: Any, kind: type[Any]) -> bool:
    kpoints = _restore(item, kind)
    return kpoints is not None and kpoints.style == kind.supported_modes.Line_mode


def _text(state: Any) -> str:
    return str(getattr(state, "value", state))
