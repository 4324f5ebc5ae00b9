"""The README of an exported campaign: what lies in the folder, and what it means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.files import COLUMNS
from wyckflow.store.exchange import folder as layout

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from wyckflow.schemas.campaign import CampaignDoc

_FILES: Final = {
    layout.CANDIDATES_CSV: "one row per candidate: every number, no structures",
    layout.CANDIDATES_PARQUET: "the same columns, typed",
    layout.CANDIDATES_LINES: "one JSON object per candidate, with structure, every "
    "verdict and the jobs behind it",
    layout.STRUCTURES: "a CIF per candidate with a structure, `FORMULA_GENEID.cif`, "
    "with the symmetry found at 0.01 A",
    layout.OPTIMADE: "the same structures as OPTIMADE entries, as its JSON lines",
    layout.CAMPAIGN_FILE: "what was asked for; `wyckflow submit` takes it",
    "provenance/campaign.json": "the campaign with its rounds and their models",
    "provenance/models.json": "the card of each model: data, options, seed, metrics",
    "provenance/jobs.jsonl": "every job: id, host, versions, time and cost",
    "provenance/plans.jsonl": "how the genes of each round were cut into shards",
    "provenance/hulls.json": "the hulls that judged, by version, and how many they did",
    "provenance/software.json": "packages, with the number of jobs that used each",
    layout.MODELS: "the models' files",
    layout.RECORDS: "the outputs of all jobs as MongoDB keeps them (BSON); the import "
    "reads these",
    layout.MANIFEST: "the sha256 of every file",
}

_TEXT: Final = """\
# Campaign {name}

{n_candidates} crystals that wyckflow proposed, {n_structures} of them with a relaxed
structure; rounds: {n_rounds}.

Asked for: {asked}.

Energies are on the scale that stands beside them (`energy_scale`): those of `chgnet`
are the answers of a network, not of density functional theory. Energies of different
scales must not be compared. Candidates with `is_simulated` hold numbers that no real
calculation gave.

| File | What it holds |
| --- | --- |
{files}

Into another database: `wyckflow campaign import {folder}`, in a project of wyckflow. It
refuses a folder in which a file is missing or was changed.

## Columns

| Column | Meaning |
| --- | --- |
{columns}
"""


def write_readme(
    folder: Path, campaign: CampaignDoc, counts: Mapping[str, int]
) -> None:
    """Say what lies in a folder, for somebody who does not know wyckflow.

    Parameters
    ----------
    folder
        With all files but the manifest.
    campaign
        Which.
    counts
        Number of ``candidates`` and ``structures``.
    """
    conditions = campaign.spec.target.conditions()
    asked = "; ".join(f"{k.replace('_', ' ')} {v}" for k, v in conditions.items())
    files = [
        f"| `{name}` | {words} |"
        for name, words in _FILES.items()
        if (folder / name).exists() or name == layout.MANIFEST
    ]
    columns = [
        f"| `{name}` | {CandidateDoc.model_fields[name].description} |"
        for name in COLUMNS
    ]
    text = _TEXT.format(
        name=campaign.name,
        n_candidates=f"{counts['candidates']:,}",
        n_structures=f"{counts['structures']:,}",
        n_rounds=len(campaign.rounds),
        asked=asked or "anything",
        files="\n".join(files),
        folder=folder_name(campaign.name),
        columns="\n".join(columns),
    )
    (folder / layout.README).write_text(text, "utf-8")


def folder_name(campaign: str) -> str:
    """Return the name of the folder into which a campaign goes by default.

    Parameters
    ----------
    campaign
        Its name.
    """
    return f"{campaign}-export"
