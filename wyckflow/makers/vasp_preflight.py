"""The first job on a VASP node: it looks for what is missing, and prepares the cell."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobflow import Maker

from wyckflow.errors import ConfigurationError
from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.dft import PreflightDoc

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymatgen.core.structure import Structure

    from wyckflow.vasp.preflight import Findings


@dataclass
class VaspPreflightMaker(Maker):
    """Check a VASP node, and bring a crystal into the cell of its band path.

    On a machine that lacks something the job fails with the whole list, before any
    VASP time is spent; mend it and run the job again.

    Attributes
    ----------
    name
        Name of the job.
    input_sets
        Input-set generators by step, of which POTCARs and costs are looked at; those
        of all published steps if empty.
    symprec
        Tolerance in A at which the symmetry of the crystal is found.
    min_free_gb
        Space that must be free where jobs run, in GB.
    """

    name: str = "vasp preflight"
    input_sets: dict[str, Any] = field(default_factory=dict)
    symprec: float = 1e-3
    min_free_gb: float = 5.0

    def __post_init__(self) -> None:
        """Refuse a tolerance that is none."""
        if not 0 < self.symprec < 1:
            raise ValueError(f"{self.symprec=} A cannot be meant; try 0.001.")

    @wyckflow_job(PreflightDoc)
    def make(self, structure: Structure) -> PreflightDoc:
        """Check this machine for one crystal.

        Parameters
        ----------
        structure
            Any cell.

        Raises
        ------
        ConfigurationError
            With every problem that was found.
        """
        from wyckflow.settings import WyckflowSettings

        document = self.inspect(
            structure, command=WyckflowSettings.load().vasp_command, folder=Path.cwd()
        )
        if document.problems:
            listed = "; ".join(
                f"({number}) {text}" for number, text in enumerate(document.problems, 1)
            )
            raise ConfigurationError(
                f"This machine cannot run VASP on {structure.reduced_formula}: {listed}"
                ". Mend that, then run this job again."
            )
        return document

    def inspect(
        self, structure: Structure, *, command: str | None, folder: Path | None = None
    ) -> PreflightDoc:
        """Return what would be found, without failing.

        Parameters
        ----------
        structure
            Any cell.
        command
            Command that runs VASP; not looked for if None.
        folder
            Where jobs run; not looked at if None.
        """
        from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

        from wyckflow.vasp.path import find_primitive_structure
        from wyckflow.vasp.preflight import check_machine, estimate_costs, is_simulator

        primitive = find_primitive_structure(structure, symprec=self.symprec)
        input_sets = self.input_sets or published_input_sets()
        found = check_machine(
            [primitive],
            input_sets,
            command=command,
            folder=folder,
            min_free_gb=self.min_free_gb,
        )
        analyzer = SpacegroupAnalyzer(primitive, symprec=self.symprec)
        return PreflightDoc(
            is_ready=not found.problems,
            problems=found.problems,
            warnings=found.warnings,
            potcars=sorted(found.potcars),
            is_simulated=found.has_stand_ins or is_simulator(command),
            costs=estimate_costs(primitive, input_sets, found.potcars),
            space_group_number=analyzer.get_space_group_number(),
            structure=primitive,
        )


def inspect_elements(
    elements: Sequence[str], *, command: str | None, folder: Path | None = None
) -> Findings:
    """Return what would stop VASP on any crystal of these elements.

    Parameters
    ----------
    elements
        Symbols, such as those of all candidates of a campaign.
    command, folder
        As in :meth:`VaspPreflightMaker.inspect`.
    """
    from pymatgen.core.lattice import Lattice
    from pymatgen.core.structure import Structure as PymatgenStructure

    from wyckflow.vasp.preflight import check_machine

    # Which POTCARs are needed is a matter of the elements alone.
    n = len(elements)
    row = PymatgenStructure(
        Lattice.orthorhombic(4.0, 5.0, 6.0 * n),
        list(elements),
        [[0, 0, place / n] for place in range(n)],
    )
    return check_machine([row], published_input_sets(), command=command, folder=folder)


def published_input_sets() -> dict[str, Any]:
    """Return the input-set generators of all published steps, by step."""
    from wyckflow.makers import vasp

    makers = (
        vasp.relax_normal_maker(),
        vasp.relax_precise_maker(),
        vasp.static_maker(),
        vasp.bands_maker(),
        vasp.dfpt_maker(),
        vasp.mp_relax_maker(),
        vasp.mp_static_maker(),
    )
    return {maker.name: maker.input_set_generator for maker in makers}
