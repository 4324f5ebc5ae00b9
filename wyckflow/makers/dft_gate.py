"""The job before VASP that lets a crystal through, or holds it until a user approves.

A held job has finished: it has said why it holds, and what would follow is put aside
(defused, in the words of FireWorks) until it is set free.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobflow import Maker, Response

from wyckflow.makers._job import wyckflow_job
from wyckflow.schemas.dft import DftGateDoc, GateOpener

if TYPE_CHECKING:
    from pymatgen.core.structure import Structure


@dataclass
class DftGateMaker(Maker):
    """Decide whether a crystal may spend VASP time.

    Without a threshold only a user opens the gate. With one, it opens by itself for
    crystals that meet every limit, as long as the budget lasts.

    Attributes
    ----------
    name
        Name of the job.
    opens_below
        Largest energy above the hull that opens it, in eV/atom; only a user does if
        None.
    max_atoms
        Largest primitive cell that opens it; any if None.
    budget
        VASP jobs that its campaign may begin without a user; any number if None.
    """

    name: str = "dft gate"
    opens_below: float | None = None
    max_atoms: int | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        """Refuse limits that cannot be meant."""
        if self.opens_below is not None and not -10 < self.opens_below < 10:  # noqa: PLR2004
            raise ValueError(
                f"{self.opens_below=} eV/atom cannot be meant; give eV, such as 0.1."
            )
        for name in ("max_atoms", "budget"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name}={value} must not be negative.")

    @wyckflow_job(DftGateDoc)
    def make(
        self,
        structure: Structure,
        energy_above_hull: float | None = None,
        approved_by: str | None = None,
        n_jobs_spent: int | None = None,
        n_jobs_needed: int = 1,
    ) -> Response[DftGateDoc]:
        """Open, or hold what follows.

        Parameters
        ----------
        structure
            What would be computed.
        energy_above_hull
            Its distance to the hull by CHGNet, in eV/atom.
        approved_by
            User who approved it.
        n_jobs_spent
            VASP jobs of the crystals that its campaign let through before.
        n_jobs_needed
            VASP jobs of this crystal.
        """
        obstacle = self.find_obstacle(
            structure, energy_above_hull, n_jobs_spent, n_jobs_needed
        )
        if approved_by:
            opener, reason = GateOpener.USER, f"approved by {approved_by}"
        elif obstacle:
            opener, reason = GateOpener.NOBODY, obstacle
        else:
            opener, reason = GateOpener.RULE, "within every limit"
        document = DftGateDoc(
            is_open=opener is not GateOpener.NOBODY,
            opened_by=opener,
            approved_by=approved_by or None,
            reason=reason,
            energy_above_hull=energy_above_hull,
            n_jobs_spent=n_jobs_spent,
            n_jobs_needed=n_jobs_needed,
            structure=structure,
        )
        return Response(output=document, stop_children=not document.is_open)

    def find_obstacle(
        self,
        structure: Structure,
        energy_above_hull: float | None,
        n_jobs_spent: int | None = None,
        n_jobs_needed: int = 1,
    ) -> str:
        """Say what keeps the gate from opening by itself, or nothing.

        Parameters
        ----------
        structure, energy_above_hull, n_jobs_spent, n_jobs_needed
            As in :meth:`make`.
        """
        if self.opens_below is None:
            return "waits for a user to approve"
        if energy_above_hull is None:
            return "waits for a user: its distance to the hull is not known"
        if energy_above_hull > self.opens_below:
            return (
                f"waits for a user: {energy_above_hull * 1000:.0f} meV/atom above the "
                f"hull, more than {self.opens_below * 1000:.0f}"
            )
        n_atoms = len(structure.get_primitive_structure())
        if self.max_atoms is not None and n_atoms > self.max_atoms:
            return f"waits for a user: {n_atoms} atoms, more than {self.max_atoms}"
        if self.budget is not None and (
            n_jobs_spent is None or n_jobs_spent + n_jobs_needed > self.budget
        ):
            spent = "an unknown number" if n_jobs_spent is None else str(n_jobs_spent)
            return (
                f"waits for a user: it needs {n_jobs_needed} VASP jobs, and {spent} of "
                f"a budget of {self.budget} are spent"
            )
        return ""
