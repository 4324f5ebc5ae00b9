"""The job that says whether the lattice of a crystal holds at Gamma, by DFT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.dft import GammaPhononDoc, RunMark
from wyckflow.schemas.phonon import LatticeStability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core.structure import Structure

    from wyckflow.vasp.gamma import GammaModes


@dataclass
class LatticeStabilityMaker(Maker):
    """Judge a lattice by its modes at Gamma, from perturbation theory.

    Modes elsewhere in the zone are not seen: a crystal that would double its cell can
    look stable here. A simulated run, or one that did not converge, is not judged.

    Attributes
    ----------
    name
        Name of the job.
    tolerance_thz
        Modes above minus this count as stable, in THz.
    """

    name: str = "gamma phonon"
    tolerance_thz: float = 0.05

    def __post_init__(self) -> None:
        """Refuse a tolerance that would call everything stable, or nothing."""
        if not 0 < self.tolerance_thz < 10:  # noqa: PLR2004
            raise ValueError(f"{self.tolerance_thz=} THz cannot be meant; try 0.05.")

    @wyckflow_job(GammaPhononDoc)
    def make(
        self,
        structure: Structure,
        frequencies_thz: Sequence[float] | None,
        eigenvectors: Sequence[Any] | None,
        run: Mapping[str, Any] | None = None,
        gene: str | None = None,
    ) -> GammaPhononDoc:
        """Judge one crystal.

        Parameters
        ----------
        structure
            Of the run.
        frequencies_thz
            Of its modes, imaginary ones negative.
        eigenvectors
            Of its modes, by atoms and axes.
        run
            As `wyckflow.makers.dft_audit.describe_run` describes it.
        gene
            Of the crystal, in text form.
        """
        from wyckflow.crystal.gene import WyckoffGene
        from wyckflow.makers.dft_audit import read_run
        from wyckflow.vasp.audit import audit_run

        mark = RunMark.INCOMPLETE if run is None else audit_run(read_run(run)).mark
        modes, problem = self._sort(structure, frequencies_thz, eigenvectors)
        verdict, reason = LatticeStability.CANNOT_JUDGE, problem
        if mark is RunMark.SIMULATED:
            reason = "a simulator wrote these modes, not DFT"
        elif mark is RunMark.INCOMPLETE:
            reason = problem or "the run did not converge, or its evidence is not there"
        elif modes is not None:
            verdict, reason = modes.judge(self.tolerance_thz)
        return GammaPhononDoc(
            verdict=verdict,
            reason=reason,
            gene=gene,
            gene_id=WyckoffGene.from_text(gene).gene_id if gene else None,
            mark=mark,
            tolerance_thz=self.tolerance_thz,
            acoustic_thz=list(modes.acoustic_thz) if modes else [],
            optical_thz=list(modes.optical_thz) if modes else [],
            min_frequency_thz=min(modes.optical_thz, default=None) if modes else None,
            acoustic_share=modes.acoustic_share if modes else None,
        )

    def _sort(
        self,
        structure: Structure,
        frequencies_thz: Sequence[float] | None,
        eigenvectors: Sequence[Any] | None,
    ) -> tuple[GammaModes | None, str]:
        """Return the modes, or why there are none."""
        from wyckflow.vasp.gamma import sort_modes

        if frequencies_thz is None or eigenvectors is None:
            return None, "VASP wrote no modes"
        masses = [float(site.specie.atomic_mass) for site in structure]
        try:
            return sort_modes(frequencies_thz, eigenvectors, masses), ""
        except ValueError as error:
            return None, str(error)
