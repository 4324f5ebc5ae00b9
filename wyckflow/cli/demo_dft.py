"""The demonstration's last part: a crystal or two through the DFT tier, simulated."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Final

from wyckflow.cli.console import out, plain_table, say
from wyckflow.schemas.campaign import DftRequest
from wyckflow.store.candidates.builder import build_candidates
from wyckflow.store.candidates.query import find_candidates
from wyckflow.store.gate.progress import read_dft_progress
from wyckflow.store.gate.sending import approve_candidates, list_waiting, open_gate

if TYPE_CHECKING:
    from wyckflow.schemas.dft import ApprovalDoc
    from wyckflow.store.connect import Database
    from wyckflow.store.project import Project

REQUEST: Final = DftRequest(opens_below=0.05, max_atoms=8)
VASP_JOBS: Final = 14
"""Enough for two crystals."""


def simulator_variables(project: Project) -> dict[str, str]:
    """Return the variables that put the simulator in the place of VASP.

    Parameters
    ----------
    project
        In whose folder POTCARs without physics are written.
    """
    from wyckflow.vasp.simulator.potcars import write_potcars

    library = write_potcars(project.folder / "simulated-potcars")
    command = shlex.join([sys.executable, "-m", "wyckflow.vasp.simulator"])
    return {"PMG_VASP_PSP_DIR": str(library), "WYCKFLOW_VASP_COMMAND": command}


def send_to_simulator(database: Database, campaign: str) -> tuple[ApprovalDoc, ...]:
    """Let through what the campaign's rule lets through, or else the best crystal.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.
    """
    build_candidates(database, campaign=campaign)
    sent = open_gate(database, campaign).sent
    known = {item.approval.gene_id for item in read_dft_progress(database, campaign)}
    if sent or known:
        say(f"{len(known)} crystals passed the gate before VASP by the campaign's rule")
        return sent
    waiting = list_waiting(database, campaign)
    if not waiting:
        say("no relaxed crystal is there to be sent to VASP")
        return ()
    small = min(waiting, key=lambda item: item.nsites)
    say(f"the rule lets nothing through: {small.formula_pretty} is approved by hand")
    return approve_candidates(database, [small], approved_by="the demo").sent


def show_simulated(database: Database, campaign: str) -> None:
    """Print what became of the crystals, and that none of it is DFT.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.
    """
    build_candidates(database, campaign=campaign)
    progress = read_dft_progress(database, campaign)
    ids = [item.approval.gene_id for item in progress]
    found = find_candidates(
        database, campaign=campaign, where={"gene_id": {"$in": ids}}
    )
    by_id = {item.gene_id: item for item in found}
    out.print("\n[bold]Through the DFT tier, with a simulator for VASP[/bold]\n")
    table = plain_table(
        "crystal", "opened by", "jobs", "state", "gap, eV", "lattice", "as"
    )
    for item in progress:
        candidate = by_id[item.approval.gene_id]
        gap, lattice = candidate.band_gap, candidate.dft_lattice_stability
        table.add_row(
            item.approval.formula_pretty,
            item.approval.approved_by or item.approval.opened_by,
            f"{item.n_done}/{item.n_jobs}",
            item.state,
            "-" if gap is None else f"{gap:.2f}",
            "-" if lattice is None else lattice.replace("_", " "),
            "[yellow]SIMULATED[/yellow]"
            if item.is_simulated
            else str(item.mark or "-"),
        )
    out.print(table)
    out.print(
        "\nA toy potential and toy bands stood in for VASP; gate, workers, custodian, "
        "parsers and database were the real ones. A simulated run gets no energy on a "
        "hull and no verdict on its lattice, and marks its candidate for good."
    )
