"""The folder that a structure prediction leaves: tables, crystals, a figure."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.write import write_cif
from wyckflow.errors import ConfigurationError
from wyckflow.report.phase_ranking import plot_phases

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from wyckflow.schemas.relaxation import RelaxationBatchDoc
    from wyckflow.schemas.structure_prediction import (
        PhaseDoc,
        ProposalDoc,
        StructurePredictionDoc,
    )

PHASES: Final = "phases.csv"
GENES: Final = "genes.csv"
METADATA: Final = "metadata.json"
STRUCTURES: Final = "structures"
FIGURE: Final = "phases.png"

_DIGITS: Final = 6


def prepare_prediction_folder(path: Path, *, overwrite: bool) -> None:
    """See that results can be written, and clear those of an earlier prediction.

    Parameters
    ----------
    path
        The folder to be.
    overwrite
        Whether an earlier prediction may be replaced.

    Raises
    ------
    ConfigurationError
        If something is there and may not be replaced.
    """
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"{path} is a file; name a folder for the results.")
    names = (PHASES, GENES, METADATA, STRUCTURES, FIGURE)
    present = [path / name for name in names if (path / name).exists()]
    if not present:
        return
    if not overwrite:
        raise ConfigurationError(
            f"{present[0]} exists already; choose another folder or give --overwrite."
        )
    if not _is_ours(path / METADATA):
        raise ConfigurationError(
            f"{present[0]} was not written by an earlier prediction, so it is not "
            "replaced; choose another folder."
        )
    for row in _read(path / PHASES):
        (path / STRUCTURES / str(row.get("file", "")).rpartition("/")[2]).unlink(
            missing_ok=True
        )
    for name in (PHASES, GENES, METADATA, FIGURE):
        (path / name).unlink(missing_ok=True)


def write_prediction_folder(
    path: Path,
    proposal: ProposalDoc,
    relaxations: Sequence[RelaxationBatchDoc],
    answer: StructurePredictionDoc,
    *,
    title: str = "",
) -> list[str]:
    """Write the phases as table, CIFs and figure, and the genes that were relaxed.

    Parameters
    ----------
    path
        The folder; made if it is not there.
    proposal, relaxations, answer
        Of one prediction.
    title
        Above the figure.

    Returns
    -------
    list
        The file of each phase, relative to the folder.
    """
    (path / STRUCTURES).mkdir(parents=True, exist_ok=True)
    files = []
    for phase, structure in zip(answer.phases, answer.structures(), strict=True):
        formula = answer.question.formula_pretty
        name = f"{phase.rank:03d}-{formula}-{phase.space_group_number}"
        files.append(f"{STRUCTURES}/{name}.cif")
        (path / files[-1]).write_text(write_cif(structure, name), encoding="utf-8")
    rows = [
        _row_of_phase(phase, answer, file)
        for phase, file in zip(answer.phases, files, strict=True)
    ]
    _write(path / PHASES, rows)
    _write(path / GENES, _rows_of_genes(proposal, relaxations))
    content = {
        "kind": "structure prediction",
        "proposal": proposal.model_dump(mode="json", exclude={"chosen", "genes"}),
        "answer": answer.model_dump(mode="json", exclude={"phases", "blob"}),
        "relaxation": relaxations[0].settings.model_dump(mode="json"),
        "potential": relaxations[0].provenance.model,
    }
    text = json.dumps(content, indent=1) + "\n"
    (path / METADATA).write_text(text, encoding="utf-8")
    if answer.phases:
        plot_phases(path / FIGURE, answer, title=title)
    return files


def _row_of_phase(
    phase: PhaseDoc, answer: StructurePredictionDoc, file: str
) -> dict[str, Any]:
    """Return a phase by column."""
    lengths = zip("abc", phase.lattice_lengths, strict=True)
    angles = zip(("alpha", "beta", "gamma"), phase.lattice_angles, strict=True)
    return {
        "rank": phase.rank,
        "formula": answer.question.formula_pretty,
        "space_group": phase.space_group_number,
        "symbol": phase.space_group_symbol,
        "energy_ev_per_atom": round(phase.energy_per_atom, _DIGITS),
        "energy_above_best_mev_per_atom": round(1000 * phase.energy_above_best, 3),
        "energy_above_hull_mev_per_atom": _milli(phase.energy_above_hull),
        "energy_scale": answer.energy_scale,
        **{f"{name}_a": round(value, 4) for name, value in lengths},
        **{f"{name}_deg": round(value, 3) for name, value in angles},
        "volume_a3_per_atom": round(phase.volume_per_atom, 4),
        "n_atoms": phase.n_sites,
        "source": phase.source.value,
        "predicted_rank": phase.predicted_rank or "",
        "n_genes": len(phase.relaxed_genes),
        "gene": phase.gene,
        "relaxed_gene": phase.relaxed_genes[0],
        "file": file,
    }


def _rows_of_genes(
    proposal: ProposalDoc, relaxations: Sequence[RelaxationBatchDoc]
) -> list[dict[str, Any]]:
    """Return every gene that was relaxed, by column."""
    ends = {item.gene_id: item for batch in relaxations for item in batch.results}
    rows = []
    for item in proposal.chosen:
        end = ends.get(item.gene_id)
        energy = end.energy_per_atom if end else None
        predicted, error = item.predicted_formation_energy, item.predicted_deviation
        rows.append(
            {
                "gene": item.gene,
                "gene_id": item.gene_id,
                "source": item.source.value,
                "predicted_rank": item.predicted_rank,
                "predicted_formation_energy": _round(predicted),
                "predicted_deviation": _round(error),
                "n_trials": item.n_trials,
                "outcome": end.outcome.value if end else "",
                "energy_ev_per_atom": _round(energy),
                "space_group_after": end.space_group_number_after if end else "",
            }
        )
    return rows


def _write(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write a table."""
    names = list(rows[0]) if rows else ["gene"]
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _is_ours(path: Path) -> bool:
    """Say whether a file is the metadata of a prediction."""
    try:
        return bool(json.loads(path.read_text())["kind"] == "structure prediction")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _read(path: Path) -> Iterable[dict[str, str]]:
    """Return the rows of a table, if it is there."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _milli(value: float | None) -> float | str:
    return "" if value is None else round(1000 * value, 3)


def _round(value: float | None) -> float | str:
    return "" if value is None else round(value, _DIGITS)
