"""The jobs that find the phonons of a whole zone by VASP, from displaced supercells."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jobflow import Flow, JobConfig, Maker, OnMissing, OutputReference, Response

from wyckflow.makers._identity import identify
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.dft_audit import describe_run, read_run
from wyckflow.makers.vasp import displaced_maker
from wyckflow.schemas.dft import DispersionDoc, RunMark
from wyckflow.schemas.phonon import LatticeStability

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.core.structure import Structure


@dataclass
class DispersionMaker(Maker):
    """Displace atoms of a supercell, and add a VASP run for each and their analysis.

    As few displacements as symmetry allows. The supercell is the conventional cell
    repeated; a crystal for which it would be too large is not judged.

    Attributes
    ----------
    name
        Name of the job.
    force_maker
        Makes the VASP runs; each gets a number behind its name.
    min_length
        Shortest axis of the supercell, in A.
    max_atoms
        Atoms of the largest supercell.
    max_runs
        Most displaced supercells of one crystal.
    displacement
        Of one atom at a time, in A.
    tolerance_thz
        Modes above minus this count as stable, in THz.
    """

    name: str = "dft displacements"
    force_maker: Maker = field(default_factory=displaced_maker)
    min_length: float = 10.0
    max_atoms: int = 250
    max_runs: int = 60
    displacement: float = 0.01
    tolerance_thz: float = 0.1

    def __post_init__(self) -> None:
        """Refuse options without a meaning."""
        for name in ("min_length", "max_atoms", "max_runs", "tolerance_thz"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}={getattr(self, name)!r} must be positive.")
        if not 0 < self.displacement < 1:
            raise ValueError(f"{self.displacement=} A cannot be meant; try 0.01.")

    @wyckflow_job(DispersionDoc)
    def make(
        self,
        structure: Structure,
        gene: str | None = None,
        identity: str | None = None,
    ) -> Response[DispersionDoc] | DispersionDoc:
        """Plan the displacements of one crystal.

        Parameters
        ----------
        structure
            Relaxed, primitive.
        gene
            Of the crystal, in text form.
        identity
            What this crystal is. The same words give the jobs the same ids.
        """
        from wyckflow.vasp.dispersion import list_cells, set_up

        structure = structure.get_sorted_structure()
        matrix, problem = self._plan(structure)
        analysis = DispersionAnalysisMaker(
            displacement=self.displacement, tolerance_thz=self.tolerance_thz
        )
        if matrix is None:
            return analysis.refuse(problem, gene=gene)
        cells = list_cells(set_up(structure, matrix, self.displacement), structure)
        if len(cells) > self.max_runs:
            problem = f"{len(cells)} displaced supercells, more than {self.max_runs}"
            return analysis.refuse(problem, gene=gene)
        jobs, forces, runs = [], [], []
        for number, cell in enumerate(cells, 1):
            name = f"{self.force_maker.name} {number}/{len(cells)}"
            job = identify(replace(self.force_maker, name=name).make(cell), identity)
            output = OutputReference(job.uuid)
            jobs.append(job)
            forces.append(output.output.forces)
            runs.append(
                describe_run(self.force_maker.name, output, is_judged_by_mp=False)
            )
        last = identify(
            analysis.make(structure, matrix, forces, runs, gene=gene), identity
        )
        last.config = JobConfig(
            on_missing_references=OnMissing.NONE, pass_manager_config=False
        )
        return Response(replace=Flow([*jobs, last], output=last.output))

    def count_runs(self, structure: Structure) -> int:
        """Return how many VASP runs a crystal needs; none if it would be too large.

        Parameters
        ----------
        structure
            Primitive, about as it will be relaxed.
        """
        from wyckflow.vasp.dispersion import list_cells, set_up

        structure = structure.get_sorted_structure()
        matrix, _ = self._plan(structure)
        if matrix is None:
            return 0
        n_runs = len(
            list_cells(set_up(structure, matrix, self.displacement), structure)
        )
        return n_runs if n_runs <= self.max_runs else 0

    def _plan(self, structure: Structure) -> tuple[list[list[int]] | None, str]:
        """Return the supercell, or why there is none."""
        import numpy as np

        from wyckflow.vasp.dispersion import find_supercell

        try:
            matrix = find_supercell(structure, min_length=self.min_length)
        except ValueError as error:
            return None, str(error)
        n_atoms = len(structure) * abs(round(float(np.linalg.det(matrix))))
        if n_atoms > self.max_atoms:
            problem = (
                f"a supercell of {self.min_length:g} A has {n_atoms} atoms, more than "
                f"{self.max_atoms}"
            )
            return None, problem
        return matrix.tolist(), ""


@dataclass
class DispersionAnalysisMaker(Maker):
    """Turn the forces of displaced supercells into phonons and a verdict.

    Attributes
    ----------
    name
        Name of the job.
    displacement
        Of one atom at a time, in A.
    tolerance_thz
        Modes above minus this count as stable, in THz.
    """

    name: str = "dft dispersion"
    displacement: float = 0.01
    tolerance_thz: float = 0.1

    @wyckflow_job(DispersionDoc)
    def make(
        self,
        structure: Structure,
        supercell_matrix: Sequence[Sequence[int]],
        forces: Sequence[Any],
        runs: Sequence[Mapping[str, Any]],
        *,
        gene: str | None = None,
    ) -> DispersionDoc:
        """Judge one crystal.

        Parameters
        ----------
        structure
            Primitive cell that was displaced.
        supercell_matrix
            Columns are the supercell's vectors.
        forces
            Of each displaced supercell, eV/A; None for a run that left nothing.
        runs
            These runs, as `wyckflow.makers.dft_audit.describe_run` describes them.
        gene
            Of the crystal, in text form.
        """
        from wyckflow.schemas.blob import pack_arrays
        from wyckflow.schemas.phonon import Spectrum
        from wyckflow.vasp.audit import audit_run, worst_mark
        from wyckflow.vasp.dispersion import analyse, set_up

        mark = worst_mark(audit_run(read_run(run)).mark for run in runs)
        document = self.refuse("", gene=gene, mark=mark)
        document.n_displacements = len(forces)
        if any(item is None for item in forces):
            document.reason = "not every displaced supercell has forces"
            return document
        phonons = set_up(structure, supercell_matrix, self.displacement)
        document.supercell_matrix = [list(row) for row in supercell_matrix]
        document.n_atoms_supercell = len(phonons.supercell)
        try:
            found = analyse(phonons, structure, forces)
        except ValueError as error:
            document.reason = str(error)
            return document
        verdict, reason = found.judge(self.tolerance_thz)
        if mark is RunMark.SIMULATED:
            reason = "a simulator wrote these forces, not DFT"
        elif mark is RunMark.INCOMPLETE:
            reason = "a run did not converge, or its evidence is not there"
        else:
            document.verdict = verdict
        document.reason = reason
        document.min_frequency_thz = found.min_fitting_thz
        q = found.min_fitting_q
        document.min_frequency_q = None if q is None else list(q)
        document.min_interpolated_thz = found.min_interpolated_thz
        document.max_frequency_thz = found.max_frequency_thz
        names = Spectrum.__dataclass_fields__
        document.blob = pack_arrays(
            {name: getattr(found.spectrum, name) for name in names}
        )
        return document

    def refuse(
        self, reason: str, *, gene: str | None, mark: RunMark = RunMark.INCOMPLETE
    ) -> DispersionDoc:
        """Return a document without a verdict.

        Parameters
        ----------
        reason
            Why there is none.
        gene
            Of the crystal, in text form.
        mark
            Of its runs.
        """
        from wyckflow.crystal.gene import WyckoffGene

        return DispersionDoc(
            verdict=LatticeStability.CANNOT_JUDGE,
            reason=reason,
            gene=gene,
            gene_id=WyckoffGene.from_text(gene).gene_id if gene else None,
            mark=mark,
            tolerance_thz=self.tolerance_thz,
            displacement=self.displacement,
        )
