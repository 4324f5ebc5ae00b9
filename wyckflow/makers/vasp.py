"""The VASP jobs, configured with the published settings, and the spin decision.

Each function returns a maker of atomate2 that can be changed like any other of its
kind: another name of the job would change where it runs, anything else is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jobflow import Maker

from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.dft import MagnetismDoc

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure

    from wyckflow.vasp.jobs import VaspMaker

PUBLISHED_THRESHOLD: Final = 0.15
"""Moment of an atom in muB from which on a crystal counts as magnetic."""


def relax_normal_maker() -> VaspMaker:
    """Return the first relaxation: quick settings, ferromagnetic and high-spin."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import RelaxSetGenerator
    from wyckflow.vasp.steps import K_SPACING, Step

    return VaspMaker(
        name=Step.RELAX_NORMAL.value,
        input_set_generator=RelaxSetGenerator(
            is_precise=False, kspacing=K_SPACING[Step.RELAX_NORMAL], spin="high"
        ),
    )


def relax_precise_maker() -> VaspMaker:
    """Return the second relaxation: the published settings."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import RelaxSetGenerator
    from wyckflow.vasp.steps import K_SPACING, Step

    return VaspMaker(
        name=Step.RELAX_PRECISE.value,
        input_set_generator=RelaxSetGenerator(kspacing=K_SPACING[Step.RELAX_PRECISE]),
    )


def static_maker() -> VaspMaker:
    """Return the run that gives energy and charge density."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import StaticSetGenerator
    from wyckflow.vasp.steps import K_SPACING, Step

    return VaspMaker(
        name=Step.STATIC.value,
        input_set_generator=StaticSetGenerator(kspacing=K_SPACING[Step.STATIC]),
    )


def bands_maker() -> VaspMaker:
    """Return the bands along SeeK-path's path, in the density of the static run."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import LineSetGenerator
    from wyckflow.vasp.steps import N_LINE_POINTS, Step

    return VaspMaker(
        name=Step.BANDS.value,
        input_set_generator=LineSetGenerator(n_points=N_LINE_POINTS),
        copy_vasp_kwargs={"additional_vasp_files": ["CHGCAR"]},
        task_document_kwargs={"parse_dos": False, "parse_bandstructure": "line"},
        stop_children_kwargs=_judge_failures(),
    )


def dfpt_maker() -> VaspMaker:
    """Return the vibrations at Gamma."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import GammaPhononSetGenerator
    from wyckflow.vasp.steps import K_SPACING, Step

    return VaspMaker(
        name=Step.DFPT.value,
        input_set_generator=GammaPhononSetGenerator(kspacing=K_SPACING[Step.DFPT]),
        stop_children_kwargs=_judge_failures(),
    )


def displaced_maker() -> VaspMaker:
    """Return the run that gives the forces of a displaced supercell."""
    from wyckflow.vasp.jobs import VaspMaker
    from wyckflow.vasp.sets import ForceSetGenerator
    from wyckflow.vasp.steps import K_SPACING, Step

    return VaspMaker(
        name=Step.DISPLACED.value,
        input_set_generator=ForceSetGenerator(kspacing=K_SPACING[Step.DISPLACED]),
        stop_children_kwargs=_judge_failures(),
    )


def mp_relax_maker() -> VaspMaker:
    """Return the relaxation of the Materials Project, with its own settings."""
    from pymatgen.io.vasp.sets import MPRelaxSet

    from wyckflow.vasp.steps import Step

    # The moments of our own runs are not what the Materials Project starts from.
    return _mp_maker(Step.MP_RELAX.value, MPRelaxSet, has_fresh_moments=True)


def mp_static_maker() -> VaspMaker:
    """Return the energy of the Materials Project, with its own settings."""
    from pymatgen.io.vasp.sets import MPStaticSet

    from wyckflow.vasp.steps import Step

    return _mp_maker(
        Step.MP_STATIC.value,
        MPStaticSet,
        copy_vasp_kwargs={"additional_vasp_files": ["WAVECAR", "CHGCAR"]},
        stop_children_kwargs=_judge_failures(),
    )


def _mp_maker(name: str, input_set: type[Any], **options: Any) -> VaspMaker:
    """Return a job as the Materials Project runs it, with its validator's verdict."""
    from wyckflow.vasp.jobs import VaspMaker

    return VaspMaker(
        name=name,
        is_judged_by_mp=True,
        # As atomate2's own MPGGARelaxMaker and MPGGAStaticMaker.
        input_set_generator=input_set(
            force_gamma=True, auto_metal_kpoints=True, inherit_incar=False
        ),
        **options,
    )


def _judge_failures() -> dict[str, Any]:
    """Return what lets jobs go on behind a step that no other VASP run builds on.

    They judge its failure as they judge its success.
    """
    return {"handle_unsuccessful": False}


@dataclass
class MagnetismMaker(Maker):
    """Decide by the moments of a spin-polarised run whether a crystal is magnetic.

    A crystal that is not goes on without moments, and so without spin.

    Attributes
    ----------
    name
        Name of the job.
    threshold
        Smallest moment of an atom that counts, in muB.
    """

    name: str = "vasp magnetism"
    threshold: float = PUBLISHED_THRESHOLD

    def __post_init__(self) -> None:
        """Refuse a threshold that every or no crystal would meet."""
        if not 0 < self.threshold < 10:  # noqa: PLR2004 - no atom has more
            raise ValueError(f"{self.threshold=} muB cannot be meant; try 0.15.")

    @wyckflow_job(MagnetismDoc)
    def make(self, structure: Structure) -> MagnetismDoc:
        """Decide.

        Parameters
        ----------
        structure
            With the moments of its atoms in muB, as ``magmom``.
        """
        moments = structure.site_properties.get("magmom")
        sizes = None if moments is None else [abs(float(m or 0)) for m in moments]
        largest = max(sizes, default=0.0) if sizes is not None else None
        is_magnetic = largest is not None and largest >= self.threshold
        if largest is None:
            reason = "the run wrote no moments, so that none can be kept"
        else:
            relation = "at or above" if is_magnetic else "below"
            reason = f"largest moment {largest:.3g} muB, {relation} {self.threshold:g}"
        decided = structure.copy()
        if moments is not None and not is_magnetic:
            decided.remove_site_property("magmom")
        return MagnetismDoc(
            is_magnetic=is_magnetic,
            max_moment=largest,
            threshold=self.threshold,
            reason=reason,
            structure=decided,
        )
