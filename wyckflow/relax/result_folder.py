"""The folder that a bulk relaxation leaves: a table, structures, and what made them."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.write import write_cif
from wyckflow.errors import ConfigurationError
from wyckflow.schemas.base import Provenance

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from wyckflow.relax.backends import Backend
    from wyckflow.relax.bulk import BulkOptions, Finished
    from wyckflow.relax.intake import Intake

RESULTS: Final = "results.csv"
METADATA: Final = "metadata.json"
STRUCTURES: Final = "structures"

REFUSED: Final = "refused"
"""Outcome of what could not be taken at all."""

MOMENT_TAG: Final = "wyckflow_moment_size"
"""Of a CIF: how large the moment of a site is in mu_B. The standard has words for
moments with a direction only, and the network predicts none."""

_FILE: Final = "file"
_COLUMNS: Final = (
    "name",
    "formula",
    "space_group_before",
    "space_group_after",
    "outcome",
    "reason",
    "energy_ev_per_atom",
    "energy_scale",
    "volume_a3_per_atom",
    "max_force_ev_per_a",
    "max_stress_gpa",
    "magnetic_moments_mu_b",
    "n_steps",
    "n_evaluations",
    "cpu_s",
    "n_atoms",
    "n_starts",
    "best_start",
    "gene",
)
_CHECK_COLUMNS: Final = (
    "symmetry",
    "symmetry_reason",
    "free_energy_gain_mev_per_atom",
    "free_space_groups",
    "free_largest_displacement_a",
)


class ResultFolder:
    """Writes the results of one run, row by row as they come.

    Parameters
    ----------
    path
        The folder; made if it is not there.
    backend
        What relaxes.
    options
        What is done with every crystal.
    """

    def __init__(self, path: Path, backend: Backend, options: BulkOptions) -> None:
        self.path = path
        self.outcomes: Counter[str] = Counter()
        self._backend = backend
        self._options = options
        self._columns = [*_COLUMNS, _FILE, "source"]
        if options.free is not None:
            self._columns += _CHECK_COLUMNS

    def write(
        self, results: Iterable[Finished], intake: Intake
    ) -> Iterator[dict[str, Any]]:
        """Write every result as soon as it is there, and hand its row on.

        Parameters
        ----------
        results
            From `wyckflow.relax.bulk.relax_entries`.
        intake
            Where they came from.
        """
        (self.path / STRUCTURES).mkdir(parents=True, exist_ok=True)
        self._write_metadata(intake, is_complete=False)
        with (self.path / RESULTS).open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, self._columns)
            writer.writeheader()
            for result in results:
                row = self._write_result(result)
                writer.writerow(row)
                stream.flush()
                yield row
        self._write_metadata(intake, is_complete=True)

    def _write_result(self, result: Finished) -> dict[str, Any]:
        """Write the structure of a result, and return its row."""
        row = make_row(result, self._backend.energy_scale)
        self.outcomes[row["outcome"]] += 1
        if result.best is not None and result.best.structure is not None:
            row[_FILE] = f"{STRUCTURES}/{result.entry.name}.cif"
            columns = {MOMENT_TAG: _words(result.magnetic_moments)}
            text = write_cif(
                result.best.structure,
                result.entry.name,
                site_columns=columns if result.magnetic_moments else None,
            )
            (self.path / row[_FILE]).write_text(text, encoding="utf-8")
        return {name: row.get(name, "") for name in self._columns}

    def _write_metadata(self, intake: Intake, *, is_complete: bool) -> None:
        """Write down what made the numbers."""
        backend = self._backend
        made_by = Provenance.collect(model=backend.identity, device=backend.device)
        content = {
            "is_complete": is_complete,
            "energy_scale": backend.energy_scale,
            "potential": backend.identity,
            "relaxer": backend.name,
            "options": asdict(self._options),
            "inputs": [
                {"name": s.name, "n_records": s.n_records, "sha256": s.sha256}
                for s in intake.sources
            ],
            "n_gene_lines": len(intake.genes),
            "outcomes": dict(self.outcomes.most_common()),
            "provenance": made_by.model_dump(mode="json"),
        }
        text = json.dumps(content, indent=1) + "\n"
        (self.path / METADATA).write_text(text, encoding="utf-8")


def make_row(result: Finished, energy_scale: str) -> dict[str, Any]:
    """Return the row of one result, by column; what is not known is absent.

    Parameters
    ----------
    result
        Of one entry.
    energy_scale
        Tag of its energy.
    """
    entry = result.entry
    row: dict[str, Any] = {"name": entry.name, "source": entry.source}
    if entry.gene is not None:
        row |= {
            "formula": entry.gene.formula,
            "gene": entry.gene.to_text(),
            "n_atoms": entry.gene.n_sites,
            "space_group_before": entry.gene.space_group_number,
        }
    if result.best is None:
        return row | {"outcome": REFUSED, "reason": entry.refusal}
    state = result.best.state
    row |= {
        "space_group_after": state.space_group_number_after,
        "outcome": state.outcome.value,
        "reason": state.reason,
        "energy_ev_per_atom": _round(state.energy_per_atom, 6),
        "energy_scale": energy_scale if state.energy_per_atom is not None else "",
        "volume_a3_per_atom": _round(state.volume_per_atom, 4),
        "max_force_ev_per_a": _round(state.max_force, 5),
        "max_stress_gpa": _round(state.max_stress_gpa, 4),
        "n_steps": state.n_steps,
        "n_evaluations": result.n_evaluations,
        "cpu_s": round(result.cpu_s, 3),
        "n_starts": result.n_starts,
        "best_start": result.best_start,
    }
    row["magnetic_moments_mu_b"] = " ".join(_words(result.magnetic_moments))
    if result.check is not None:
        groups = result.check.space_group_numbers
        row |= {
            "symmetry": result.check.verdict.value,
            "symmetry_reason": result.check.reason,
            "free_energy_gain_mev_per_atom": _round(result.check.energy_gain_mev, 3),
            "free_space_groups": " ".join(str(number or "-") for number in groups),
            "free_largest_displacement_a": _round(result.check.largest_displacement, 4),
        }
    return row


def prepare_folder(path: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """See that results can be written, and clear those of an earlier run if allowed.

    Only files that the earlier run wrote are removed.

    Parameters
    ----------
    path
        The folder to be.
    inputs
        Files that will be read, which must not be among what is replaced.
    overwrite
        Whether an earlier run may be replaced.

    Raises
    ------
    ConfigurationError
        If there are results and they may not be replaced, or something else is in
        their place.
    """
    if path.exists() and not path.is_dir():
        raise ConfigurationError(f"{path} is a file; name a folder for the results.")
    present = [p for n in (RESULTS, METADATA, STRUCTURES) if (p := path / n).exists()]
    if not present:
        return
    if not overwrite:
        raise ConfigurationError(
            f"{present[0]} exists already; choose another folder or give --overwrite."
        )
    if not (path / METADATA).exists() or not (path / RESULTS).exists():
        raise ConfigurationError(
            f"{present[0]} was not written by an earlier run, so it is not replaced; "
            "choose another folder."
        )
    folder = (path / STRUCTURES).resolve()
    for item in (item.resolve() for item in inputs):
        if item == folder or folder in item.parents or item in folder.parents:
            raise ConfigurationError(
                f"{item} would be read and replaced; choose another folder for the "
                "results."
            )
    for file in _list_structures(path):
        file.unlink(missing_ok=True)
    for name in (RESULTS, METADATA):
        (path / name).unlink(missing_ok=True)


def _list_structures(path: Path) -> list[Path]:
    """Return the structures that the table of an earlier run names."""
    with (path / RESULTS).open(newline="", encoding="utf-8") as stream:
        names = [row.get(_FILE) or "" for row in csv.DictReader(stream)]
    files = [path / name for name in names if name]
    return [file for file in files if file.parent == path / STRUCTURES]


def _words(moments: Sequence[float] | None) -> list[str]:
    return [f"{moment:.3f}" for moment in moments or ()]


def _round(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
