"""The job that says how far a crystal is above the hull by DFT."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._mp_entries import is_entry_file, load_mp_entries
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.dft import DftStabilityDoc
from wyckflow.schemas.screening import Verdict
from wyckflow.schemas.stability import DecompositionProduct, ReferenceCompleteness

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymatgen.entries.computed_entries import ComputedEntry

    from wyckflow.thermo.reference import ReferenceSet


@dataclass
class DftStabilityMaker(Maker):
    """Correct a DFT energy as the Materials Project does, and place it on its hull.

    Only runs with its settings, that converged and that its validator found
    compatible, get an energy; simulated ones never do. What cannot be placed is a
    verdict with a reason.

    Attributes
    ----------
    name
        Name of the job.
    reference
        Known phases on the scale ``mp2020-gga-u``, with total energies: the version of
        a set in the folder that the setting ``references`` names, or the path of a
        file: of a set, or of pymatgen's entries (``.json``, ``.json.gz``). Without one
        the corrected energy is all there is. The set that comes with wyckflow will not
        do: it has formation energies, and a run has none before the elements are known.
    version
        Version that the reference must have; any if None.
    threshold
        Largest energy above the hull that passes, in eV/atom.
    """

    name: str = "dft hull"
    reference: str | None = None
    version: str | None = None
    threshold: float = 0.1

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        if not -10 < self.threshold < 10:  # noqa: PLR2004 - meV were meant
            raise ValueError(
                f"{self.threshold=} eV/atom cannot be meant; give eV, such as 0.1."
            )

    @wyckflow_job(DftStabilityDoc)
    def make(
        self,
        entry: ComputedEntry | Mapping[str, Any],
        runs: Sequence[Mapping[str, Any]] = (),
        gene: str | None = None,
    ) -> DftStabilityDoc:
        """Judge one crystal.

        Parameters
        ----------
        entry
            Of its static run with the settings of the Materials Project.
        runs
            The runs behind it, as `wyckflow.makers.dft_audit.describe_run` describes
            them. Without any there is no evidence, and so no energy.
        gene
            Of the crystal, in text form.
        """
        from wyckflow.crystal.gene import WyckoffGene
        from wyckflow.makers.dft_audit import read_run
        from wyckflow.vasp.audit import audit_run, worst_mark
        from wyckflow.vasp.hull import SCALE, correct_energy

        known = _read_entry(entry)
        mark = worst_mark(audit_run(read_run(run)).mark for run in runs)
        corrected = correct_energy(known, mark=mark)
        reference = self._load_reference() if not corrected.refusal else None
        found: dict[str, Any] = {"threshold": self.threshold}
        if corrected.refusal:
            found |= _cannot_judge(corrected.refusal)
        elif reference is None or corrected.energy_per_atom is None:
            found |= _cannot_judge("no reference was given; see DftStabilityMaker")
        else:
            found |= self._place(
                dict(corrected.composition), corrected.energy_per_atom, reference
            )
        return DftStabilityDoc(
            provenance=Provenance.collect(),
            formula_pretty=known.composition.reduced_formula,
            gene=gene,
            gene_id=WyckoffGene.from_text(gene).gene_id if gene else None,
            energy_scale=SCALE,
            mark=mark,
            energy_per_atom=corrected.energy_per_atom,
            uncorrected_energy_per_atom=corrected.uncorrected_per_atom,
            corrections=list(corrected.corrections),
            correction_warnings=list(corrected.warnings),
            reference_name=reference.name if reference else None,
            hull_version=reference.version if reference else None,
            **found,
        )

    def _load_reference(self) -> ReferenceSet | None:
        """Load the known phases, if any were named."""
        from wyckflow.settings import WyckflowSettings
        from wyckflow.thermo.source import load_reference

        if self.reference is None:
            return None
        if is_entry_file(self.reference):
            return load_mp_entries(Path(self.reference).expanduser())
        return load_reference(
            self.reference,
            folder=WyckflowSettings.load().references_folder(),
            version=self.version,
        )

    def _place(
        self,
        composition: Mapping[str, float],
        energy_per_atom: float,
        reference: ReferenceSet,
    ) -> dict[str, Any]:
        """Return the verdict of the hull, by field name."""
        from wyckflow.thermo.hull import Hull
        from wyckflow.thermo.hull.completeness import measure_completeness
        from wyckflow.vasp.hull import SCALE

        hull = Hull(reference)
        answer = hull.energies_above_hull([composition], [energy_per_atom], scale=SCALE)
        if answer.missing_elements:
            names = ", ".join(answer.missing_elements[0])
            return _cannot_judge(f"the reference has no energy of {names}")
        distance = float(answer.energies_above_hull[0])
        passes = distance <= self.threshold
        known = measure_completeness(reference, composition)
        return {
            "verdict": Verdict.PASS if passes else Verdict.FAIL,
            "reason": ""
            if passes
            else f"{distance * 1000:.0f} meV/atom above the hull",
            "value": distance,
            "energy_above_hull": distance,
            "formation_energy_per_atom": float(answer.formation_energies[0]),
            "decomposition": [
                DecompositionProduct(
                    formula_pretty=item.formula,
                    entry_id=item.id,
                    fraction=item.fraction,
                )
                for item in hull.decompose([composition])[0]
            ],
            "completeness": ReferenceCompleteness(
                n_entries=known.n_entries,
                n_entries_by_size=known.n_entries_by_size,
                n_subsystems=known.n_subsystems,
                n_empty_subsystems=known.n_empty_subsystems,
                missing_elements=list(known.missing_elements),
            ),
        }


def _cannot_judge(reason: str) -> dict[str, Any]:
    return {"verdict": Verdict.CANNOT_JUDGE, "reason": reason}


def _read_entry(entry: ComputedEntry | Mapping[str, Any]) -> ComputedEntry:
    """Return an entry as it came through a store."""
    from pymatgen.entries.computed_entries import ComputedEntry

    if isinstance(entry, ComputedEntry):
        return entry
    read: ComputedEntry = ComputedEntry.from_dict(dict(entry))
    return read
