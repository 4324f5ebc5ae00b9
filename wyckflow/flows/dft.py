"""One crystal through VASP: from the gate to its distance to the hull."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from jobflow import Flow, JobConfig, Maker, OnMissing, OutputReference

from wyckflow.errors import StructureError
from wyckflow.makers._identity import identify
from wyckflow.makers.dft_audit import DftAuditMaker, describe_run
from wyckflow.makers.dft_gate import DftGateMaker
from wyckflow.makers.dft_hull import DftStabilityMaker
from wyckflow.makers.dispersion import DispersionMaker
from wyckflow.makers.electronic import ElectronicMaker
from wyckflow.makers.lattice import LatticeStabilityMaker
from wyckflow.makers.vasp import (
    MagnetismMaker,
    bands_maker,
    dfpt_maker,
    mp_relax_maker,
    mp_static_maker,
    relax_normal_maker,
    relax_precise_maker,
    static_maker,
)
from wyckflow.makers.vasp_preflight import VaspPreflightMaker

if TYPE_CHECKING:
    from jobflow import Job
    from pymatgen.core.structure import Structure

_RUNS: Final = (
    "relax_normal_maker",
    "relax_precise_maker",
    "static_maker",
    "bands_maker",
    "dfpt_maker",
    "mp_relax_maker",
    "mp_static_maker",
)


@dataclass
class DftFlowMaker(Maker):
    """Compute one crystal with VASP, by the published settings.

    A gate, a check of the machine, a quick relaxation with spin, the decision whether
    to keep it, a precise relaxation; then, side by side, energy with bands, vibrations
    at Gamma, and the runs of the Materials Project for the distance to its hull. Every
    field is a maker that can be replaced, changed with `dataclasses.replace`, or
    switched off with None. What is not as published is marked by the audit.

    Attributes
    ----------
    name
        Name of the flow.
    gate_maker
        Holds the crystal until a user or a rule lets it through; nothing does if None.
    preflight_maker
        Checks the VASP node and finds the primitive cell; the crystal is computed in
        the cell it came in if None.
    relax_normal_maker
        Relaxes with quick settings, ferromagnetic and high-spin.
    magnetism_maker
        Decides whether spin is kept. Without it, or without the run before, every run
        starts ferromagnetic and high-spin.
    relax_precise_maker
        Relaxes with the published settings.
    static_maker
        Gives energy and charge density.
    bands_maker
        Gives the bands; needs the static run.
    dfpt_maker
        Gives the vibrations at Gamma.
    lattice_maker
        Judges them.
    dispersion_maker
        Displaces atoms of a supercell for the phonons of the whole zone, a VASP run
        for each displacement; off unless asked for.
    mp_relax_maker
        Relaxes as the Materials Project does.
    mp_static_maker
        Gives its energy.
    hull_maker
        Corrects it and measures the distance to the hull; needs the energy.
    electronic_maker
        Reads gap, edges, masses and valleys from the bands.
    audit_maker
        Holds all runs against the published settings.
    """

    name: str = "dft"
    gate_maker: DftGateMaker | None = field(default_factory=DftGateMaker)
    preflight_maker: VaspPreflightMaker | None = field(
        default_factory=VaspPreflightMaker
    )
    relax_normal_maker: Maker | None = field(default_factory=relax_normal_maker)
    magnetism_maker: MagnetismMaker | None = field(default_factory=MagnetismMaker)
    relax_precise_maker: Maker | None = field(default_factory=relax_precise_maker)
    static_maker: Maker | None = field(default_factory=static_maker)
    bands_maker: Maker | None = field(default_factory=bands_maker)
    dfpt_maker: Maker | None = field(default_factory=dfpt_maker)
    lattice_maker: LatticeStabilityMaker | None = field(
        default_factory=LatticeStabilityMaker
    )
    dispersion_maker: DispersionMaker | None = None
    mp_relax_maker: Maker | None = field(default_factory=mp_relax_maker)
    mp_static_maker: Maker | None = field(default_factory=mp_static_maker)
    hull_maker: DftStabilityMaker | None = field(default_factory=DftStabilityMaker)
    electronic_maker: ElectronicMaker | None = field(default_factory=ElectronicMaker)
    audit_maker: DftAuditMaker | None = field(default_factory=DftAuditMaker)

    def __post_init__(self) -> None:
        """Refuse a step without the one that it builds on."""
        needs = {
            "bands_maker": "static_maker",
            "hull_maker": "mp_static_maker",
            "lattice_maker": "dfpt_maker",
            "electronic_maker": "bands_maker",
        }
        for step, before in needs.items():
            if getattr(self, step) is not None and getattr(self, before) is None:
                raise ValueError(
                    f"{step} builds on {before}, which is None; switch both off, or "
                    "neither."
                )

    @property
    def runs(self) -> tuple[Any, ...]:
        """The makers of the VASP runs of one crystal, in their order."""
        makers = [getattr(self, name) for name in _RUNS]
        return tuple(maker for maker in makers if maker is not None)

    def count_vasp_jobs(self, structure: Structure | None = None) -> int:
        """Return the VASP runs of one crystal.

        Parameters
        ----------
        structure
            The crystal, where displaced supercells are to be counted, too.
        """
        n_runs = len(self.runs)
        if self.dispersion_maker is None or structure is None:
            return n_runs
        from wyckflow.vasp.path import find_primitive_structure

        primitive = find_primitive_structure(structure, symprec=1e-3)
        return n_runs + self.dispersion_maker.count_runs(primitive)

    def make(
        self,
        structure: Structure,
        energy_above_hull: float | None = None,
        approved_by: str | None = None,
        *,
        gene: str | None = None,
        identity: str | None = None,
        n_jobs_spent: int | None = None,
    ) -> Flow:
        """Return the flow; its output has the last documents by name.

        Parameters
        ----------
        structure
            The crystal, or a reference to it.
        energy_above_hull
            Its distance to the hull by CHGNet in eV/atom, for the gate.
        approved_by
            User who has approved it already.
        gene
            Its gene in text form, for the documents.
        identity
            What this crystal is, such as campaign and gene. The same words give jobs
            the same ids, so that a crystal submitted twice is stored once.
        n_jobs_spent
            VASP jobs that its campaign has begun before, for the gate's budget.

        Raises
        ------
        StructureError
            If the structure has sites that are partly occupied.
        """
        if getattr(structure, "is_ordered", True) is False:
            raise StructureError(
                f"{structure.composition.reduced_formula} has sites that are partly "
                "occupied; VASP needs one element per site."
            )
        wiring = _Wiring(self, gene, identity)
        start = wiring.open_gate(
            structure, energy_above_hull, approved_by, n_jobs_spent
        )
        relaxed = wiring.relax(start)
        wiring.add_bands(relaxed)
        wiring.add_vibrations(relaxed)
        wiring.add_dispersion(relaxed)
        wiring.add_hull(relaxed)
        wiring.add_audit()
        return Flow(wiring.jobs, output=wiring.output, name=self.name)


class _Wiring:
    """The jobs of one flow while it is being built."""

    def __init__(
        self, makers: DftFlowMaker, gene: str | None, identity: str | None
    ) -> None:
        self.makers = makers
        self.gene = gene
        self.identity = identity
        self.jobs: list[Job] = []
        self.runs: list[dict[str, Any]] = []
        self.output: dict[str, Any] = {}
        self.is_simulated: Any = False
        self.has_decision = bool(makers.relax_normal_maker and makers.magnetism_maker)

    def open_gate(
        self,
        structure: Structure,
        energy_above_hull: float | None,
        approved_by: str | None,
        n_jobs_spent: int | None,
    ) -> Any:
        """Add what comes before VASP; return where it starts."""
        start: Any = structure
        if self.makers.gate_maker is not None:
            is_known = hasattr(structure, "lattice")  # no reference to one
            n_jobs = self.makers.count_vasp_jobs(structure if is_known else None)
            gate = self._add(
                self.makers.gate_maker.make(
                    start,
                    energy_above_hull,
                    approved_by,
                    n_jobs_spent,
                    n_jobs,
                )
            )
            start = gate.output.structure
        if self.makers.preflight_maker is not None:
            preflight = self._add(self._with_own_inputs().make(start))
            start = preflight.output.structure
            self.is_simulated = preflight.output.is_simulated
        return start

    def relax(self, start: Any) -> Any:
        """Add both relaxations and the decision between them; return what comes out."""
        if self.makers.relax_normal_maker is not None:
            start = self._run(self.makers.relax_normal_maker, start).structure
        if self.has_decision and self.makers.magnetism_maker is not None:
            decision = self._add(self.makers.magnetism_maker.make(start))
            self.output["magnetism"] = decision.output
            start = decision.output.structure
        if self.makers.relax_precise_maker is not None:
            start = self._run(self.makers.relax_precise_maker, start).structure
        return start

    def add_bands(self, relaxed: Any) -> None:
        """Add energy, bands, and what is read from them."""
        if self.makers.static_maker is None:
            return
        static = self._run(self.makers.static_maker, relaxed)
        if self.makers.bands_maker is None:
            return
        bands = self._run(
            self.makers.bands_maker,
            static.structure,
            prev_dir=static.dir_name,
        )
        if self.makers.electronic_maker is not None:
            electronic = self._add(
                self.makers.electronic_maker.make(
                    bands.vasp_objects["bandstructure"],
                    gene=self.gene,
                    is_simulated=self.is_simulated,
                    vasp_version=bands.vasp_version,
                    state=bands.state,
                    structure=bands.structure,
                    n_electrons=bands.calcs_reversed[0].input.parameters["NELECT"],
                )
            )
            self.output["electronic"] = electronic.output

    def add_vibrations(self, relaxed: Any) -> None:
        """Add the vibrations and the verdict on them."""
        if self.makers.dfpt_maker is None:
            return
        dfpt = self._run(self.makers.dfpt_maker, relaxed)
        if self.makers.lattice_maker is None:
            return
        modes = dfpt.calcs_reversed[0].output
        lattice = self._add(
            self.makers.lattice_maker.make(
                dfpt.structure,
                modes.normalmode_frequencies,
                modes.normalmode_eigenvecs,
                run=self.runs[-1],
                gene=self.gene,
            )
        )
        self.output["lattice"] = lattice.output

    def add_dispersion(self, relaxed: Any) -> None:
        """Add the displacements, which add their runs and the verdict themselves."""
        if self.makers.dispersion_maker is None:
            return
        maker = self._with_spin(self.makers.dispersion_maker)
        made = self._add(maker.make(relaxed, gene=self.gene, identity=self.identity))
        self.output["dispersion"] = made.output

    def add_hull(self, relaxed: Any) -> None:
        """Add the runs of the Materials Project and the distance to its hull."""
        first, before = len(self.runs), None
        if self.makers.mp_relax_maker is not None:
            relax = self._run(self.makers.mp_relax_maker, relaxed)
            relaxed, before = relax.structure, relax.dir_name
        if self.makers.mp_static_maker is None:
            return
        static = self._run(self.makers.mp_static_maker, relaxed, prev_dir=before)
        if self.makers.hull_maker is not None:
            hull = self._add(
                self.makers.hull_maker.make(
                    static.entry, self.runs[first:], gene=self.gene
                )
            )
            self.output["stability"] = hull.output

    def add_audit(self) -> None:
        """Add the audit, which also runs where a step has failed."""
        if self.makers.audit_maker is None or not self.runs:
            return
        audit = self._add(self.makers.audit_maker.make(self.runs, gene=self.gene))
        audit.config = JobConfig(
            on_missing_references=OnMissing.NONE, pass_manager_config=False
        )
        self.output["audit"] = audit.output

    def _run(self, maker: Any, structure: Any, **options: Any) -> OutputReference:
        """Add one VASP run, note what the audit needs of it, and return its output."""
        job = self._add(self._with_spin(maker).make(structure, **options))
        is_judged = getattr(maker, "is_judged_by_mp", False)
        # Checked against emmet's schema, each reference would take a fifth of a second.
        output = OutputReference(job.uuid)
        self.runs.append(describe_run(job.name, output, is_judged_by_mp=is_judged))
        return output

    def _with_own_inputs(self) -> VaspPreflightMaker:
        """Return the check of the machine, for the inputs of this flow."""
        maker = self.makers.preflight_maker or VaspPreflightMaker()
        inputs = {
            run.name: run.input_set_generator
            for run in self.makers.runs
            if getattr(run, "input_set_generator", None) is not None
        }
        return maker if maker.input_sets else replace(maker, input_sets=inputs)

    def _with_spin(self, maker: Any) -> Any:
        """Return a maker that starts with spin if nothing has decided about it."""
        if isinstance(maker, DispersionMaker):
            return replace(maker, force_maker=self._with_spin(maker.force_maker))
        inputs: Any = getattr(maker, "input_set_generator", None)
        if self.has_decision or getattr(inputs, "spin", None) != "structure":
            return maker
        changed = replace(inputs, spin="high")
        return replace(maker, input_set_generator=changed)

    def _add(self, job: Job) -> Job:
        self.jobs.append(identify(job, self.identity))
        return job
