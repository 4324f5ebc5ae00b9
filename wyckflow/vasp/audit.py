"""How VASP runs went, held against the published settings.

custodian mends runs by changing their settings, so a run that ended well may not be the
one that was asked for. What it changed is recorded, and whatever differs from the
published settings in the end marks the result.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pymatgen.io.vasp.inputs import Kpoints

from wyckflow.errors import DocumentError, nearest_name
from wyckflow.schemas.dft import (
    CustodianCorrection,
    RunMark,
    SettingDeviation,
    StepAudit,
)
from wyckflow.vasp.steps import (
    HUBBARD_ANIONS,
    HUBBARD_U,
    K_SPACING,
    MP_STEPS,
    N_LINE_POINTS,
    PUBLISHED_INCAR,
    Step,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymatgen.core.structure import Structure

SIMULATED: Final = "simulated"
"""Word in version and POTCARs of everything that is not VASP's."""

_WORST_FIRST: Final = (
    RunMark.SIMULATED,
    RunMark.INCOMPLETE,
    RunMark.DEVIATES,
    RunMark.AS_PUBLISHED,
)
_CLOSE: Final = 1e-9


@dataclass(frozen=True)
class RunRecord:
    """What the audit needs to know of one VASP run.

    Attributes
    ----------
    step
        Name of its job.
    structure
        Where it started.
    incar
        Settings of the last attempt, as VASP was given them.
    kpoints
        The same of the k-points.
    potcars
        Titles of the POTCARs.
    custodian
        What custodian wrote of each attempt.
    vasp_version
        As VASP wrote it.
    is_converged
        Whether electrons and atoms converged.
    validation
        What :func:`wyckflow.vasp.validation.validate_folder` said; for the steps of
        the Materials Project.
    """

    step: str
    structure: Structure | None
    incar: Mapping[str, Any]
    kpoints: Kpoints | None
    potcars: tuple[str, ...] = ()
    custodian: tuple[Mapping[str, Any], ...] = ()
    vasp_version: str | None = None
    is_converged: bool = False
    validation: Mapping[str, Any] | None = field(default=None)


def audit_run(run: RunRecord) -> StepAudit:
    """Return how a run went.

    Parameters
    ----------
    run
        What is known of it.

    Raises
    ------
    DocumentError
        If there is no such step.
    """
    step = find_step(run.step)
    deviations = (
        list(_validation_deviations(run))
        if step in MP_STEPS
        else list(_setting_deviations(step, run))
    )
    return StepAudit(
        step=step,
        mark=_mark(run, deviations),
        vasp_version=run.vasp_version,
        is_converged=run.is_converged,
        corrections=list(_corrections(run.custodian)),
        deviations=deviations,
    )


def find_step(name: str) -> Step:
    """Return the step of a job's name.

    Parameters
    ----------
    name
        Such as ``vasp static``.

    Raises
    ------
    DocumentError
        If there is none.
    """
    names = [step.value for step in Step]
    if name not in names:
        raise DocumentError(
            f"{name!r} is no VASP step.{nearest_name(name, names)} Steps: "
            f"{', '.join(names)}."
        )
    return Step(name)


def worst_mark(marks: Iterable[RunMark]) -> RunMark:
    """Return the mark of a whole by those of its parts; incomplete if it has none.

    Parameters
    ----------
    marks
        Of the parts.
    """
    found = set(marks)
    return next((mark for mark in _WORST_FIRST if mark in found), RunMark.INCOMPLETE)


def is_simulated(vasp_version: str | None, potcars: Iterable[str] = ()) -> bool:
    """Return whether a stand-in wrote a result.

    Parameters
    ----------
    vasp_version
        As the run says.
    potcars
        Titles of its POTCARs.
    """
    return any(SIMULATED in str(text).lower() for text in (vasp_version, *potcars))


def expected_hubbard(structure: Structure) -> dict[str, float]:
    """Return the published U in eV by element, empty where none applies.

    Parameters
    ----------
    structure
        Only its elements count.
    """
    symbols = {element.symbol for element in structure.composition.elements}
    if not symbols & HUBBARD_ANIONS:
        return {}
    return {symbol: HUBBARD_U[symbol] for symbol in sorted(symbols & HUBBARD_U.keys())}


def _mark(run: RunRecord, deviations: list[SettingDeviation]) -> RunMark:
    if is_simulated(run.vasp_version, run.potcars):
        return RunMark.SIMULATED
    if not run.is_converged or run.vasp_version is None:
        return RunMark.INCOMPLETE
    return RunMark.DEVIATES if deviations else RunMark.AS_PUBLISHED


def _corrections(
    attempts: Iterable[Mapping[str, Any]],
) -> Iterable[CustodianCorrection]:
    """Yield what custodian did."""
    for attempt in attempts:
        for item in attempt.get("corrections") or []:
            errors = item.get("errors") or []
            yield CustodianCorrection(
                handler=_name_handler(item.get("handler")),
                errors=[str(error) for error in errors],
                actions=json.dumps(item.get("actions"), default=str, sort_keys=True),
            )


def _name_handler(handler: Any) -> str:
    """Return the class of a handler, however custodian wrote it down."""
    if isinstance(handler, dict):
        return str(handler.get("@class", handler))
    return handler if isinstance(handler, str) else type(handler).__name__


def _validation_deviations(run: RunRecord) -> Iterable[SettingDeviation]:
    """Yield why a run is not compatible with the Materials Project."""
    if not run.incar:
        return  # it did not run, which its mark says
    if run.validation is None:
        yield SettingDeviation(
            setting="validation", expected="compatible", found="not judged"
        )
        return
    for reason in run.validation.get("reasons", []):
        yield SettingDeviation(
            setting="validation", expected="compatible", found=str(reason)
        )


def _setting_deviations(step: Step, run: RunRecord) -> Iterable[SettingDeviation]:
    """Yield the settings of a run that are not the published ones."""
    if not run.incar:
        return  # it did not run, which its mark says
    for tag, expected in PUBLISHED_INCAR[step].items():
        found = run.incar.get(tag)
        if not _is_same(expected, found):
            yield SettingDeviation(
                setting=tag, expected=_text(expected), found=_text(found)
            )
    if run.structure is not None:
        yield from _hubbard_deviations(run.structure, run.incar)
        yield from _mesh_deviations(step, run.structure, run.kpoints)


def _hubbard_deviations(
    structure: Structure, incar: Mapping[str, Any]
) -> Iterable[SettingDeviation]:
    """Yield a U that is not the published one."""
    expected = expected_hubbard(structure)
    is_on = bool(incar.get("LDAU"))
    if is_on != bool(expected):
        yield SettingDeviation(
            setting="LDAU", expected=_text(bool(expected)), found=_text(is_on)
        )
        return
    if not is_on:
        return
    # One value per element, in the order of POSCAR.
    order = list(dict.fromkeys(site.specie.symbol for site in structure))
    wanted = [expected.get(symbol, 0.0) for symbol in order]
    given = [float(value) for value in incar.get("LDAUU", [])]
    if wanted != given:
        yield SettingDeviation(
            setting="LDAUU", expected=_text(wanted), found=_text(given)
        )
    if (kind := incar.get("LDAUTYPE")) != 2:  # noqa: PLR2004 - Dudarev's
        yield SettingDeviation(setting="LDAUTYPE", expected="2", found=_text(kind))


def _mesh_deviations(
    step: Step, structure: Structure, kpoints: Kpoints | None
) -> Iterable[SettingDeviation]:
    """Yield k-points that are not the published ones."""
    found = describe_kpoints(kpoints)
    if step is Step.BANDS:
        expected = f"line {N_LINE_POINTS}"
    else:
        from wyckflow.vasp.sets import count_divisions

        divisions = count_divisions(structure, K_SPACING[step])
        expected = f"gamma {'x'.join(map(str, divisions))}"
    if found != expected:
        yield SettingDeviation(setting="KPOINTS", expected=expected, found=found)


def describe_kpoints(kpoints: Kpoints | None) -> str:
    """Return k-points in a word, such as ``gamma 5x5x3`` or ``line 40``.

    Parameters
    ----------
    kpoints
        None if the run had no such file.
    """
    if kpoints is None:
        return ""
    modes = Kpoints.supported_modes
    if kpoints.style == modes.Line_mode:
        return f"line {kpoints.num_kpts}"
    mesh = "x".join(str(int(n)) for n in kpoints.kpts[0])
    if kpoints.style == modes.Gamma:
        return f"gamma {mesh}"
    return f"{kpoints.style.name.lower()} {mesh}"


def _is_same(expected: Any, found: Any) -> bool:
    """Whether two values of a tag mean the same."""
    if expected is None or found is None:
        return expected is None and found is None
    if isinstance(expected, str):
        return str(found).upper() == expected.upper()
    try:
        return abs(float(found) - float(expected)) <= _CLOSE * abs(float(expected))
    except (TypeError, ValueError):
        return False


def _text(value: Any) -> str:
    return "" if value is None else str(value)
