"""The other demonstration: known crystals, beside what was measured of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.cli.campaign_view import number
from wyckflow.cli.console import out, plain_table, say
from wyckflow.schemas.screening import Verdict

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.store.connect import Database

MEASURED_A: Final[dict[str, float | None]] = {
    "221 Sr:a Ti:b O:c": 3.905,
    "225 Na:a Cl:b": 5.640,
    "216 Zn:a S:c": 5.409,
    "221 Cs:a Cl:b": 4.123,
    "225 Ca:a F:c": 5.463,
    "225 Mg:c Si:a": 6.351,
    "136 Ti:a O:f": 4.594,
    "186 Ga:b N:b": 3.189,
    "225 Na:c Cl:a": None,  # Na2Cl is not neutral: stopped by the screen
}
"""Known crystals, with the lattice parameter a measured at room temperature, in A."""

_N_SHARDS: Final = 2


def submit_known(database: Database, campaign: str) -> None:
    """Send the flow to the LaunchPad.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.
    """
    from wyckflow.flows.demo import DemoFlowMaker
    from wyckflow.makers.relax import RelaxMaker
    from wyckflow.store.submit import submit

    maker = DemoFlowMaker(relax_maker=RelaxMaker(n_trials=2), n_shards=_N_SHARDS)
    flow = maker.make(list(MEASURED_A))
    ids = submit(flow, campaign=campaign, database=database)
    say(f"submitted campaign {campaign}: {len(MEASURED_A)} genes in {len(ids)} jobs")


def show_known(database: Database, campaign: str) -> None:
    """Print what the database holds now, beside what was measured.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.
    """
    candidates = _candidates(database, campaign)
    out.print("\n[bold]Candidates, read back from MongoDB[/bold]\n")
    table = plain_table("crystal", "gene", "outcome", "eV/atom", "a / A", "measured a")
    for column in table.columns[1:3]:
        column.justify, column.no_wrap = "left", True
    for item in candidates:
        table.add_row(
            item.formula_pretty,
            item.gene,
            _outcome(item),
            number(item.energy_per_atom),
            number(_lattice_a(item)),
            number(MEASURED_A.get(item.gene)),
        )
    out.print(table)
    scales = {item.energy_scale for item in candidates if item.energy_scale}
    out.print(
        f"\nEnergies are on the scale {', '.join(sorted(scales))}: those of a network "
        "trained on Materials Project GGA(+U), not of DFT. Lattice parameters of PBE, "
        "which it learnt, lie 1 to 2 % above measured ones."
    )


def _outcome(candidate: CandidateDoc) -> str:
    """Say in a few words how far a candidate came."""
    screened = [item for item in candidate.verdicts if item.stage == "gene screen"]
    if screened and screened[-1].verdict is not Verdict.PASS:
        return f"stopped: {screened[-1].filter}".replace("_", " ")
    if not candidate.outcomes:
        return "not relaxed"
    kept = ", symmetry kept" if candidate.is_symmetry_kept else ""
    return f"{candidate.outcomes[0].outcome}{kept}"


def _lattice_a(candidate: CandidateDoc) -> float | None:
    """Return the first lattice parameter of a candidate's structure, in A."""
    if candidate.structure is None:
        return None
    return float(candidate.structure["lattice"]["a"])


def _candidates(database: Database, campaign: str) -> list[CandidateDoc]:
    """Join the outputs into candidates and read them back."""
    from wyckflow.store.candidates.builder import build_candidates
    from wyckflow.store.candidates.query import find_candidates

    report = build_candidates(database, campaign=campaign)
    say(f"joined {report.n_outputs} job outputs into candidates")
    return find_candidates(
        database, campaign=campaign, sort=[("energy_per_atom", 1), ("gene_id", 1)]
    )
