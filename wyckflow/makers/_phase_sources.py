"""Where known phases come from: tables of structures, and datasets of wyckflow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wyckflow.crystal.dataset.column import MATERIAL_ID
from wyckflow.crystal.dataset.importing import DATASET_ENDING
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.relax.intake import Entry, open_intake

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.relax.intake import Intake


@dataclass(frozen=True, slots=True)
class PhaseSource:
    """A file with structures that was looked through once.

    Attributes
    ----------
    name
        Its last part.
    sha256
        Hash of its content; of a dataset, its id.
    n_rows
        How many structures it has.
    """

    name: str
    sha256: str
    n_rows: int
    _content: Intake | Dataset

    def entries(self, *, symprec: float) -> Iterator[Entry]:
        """Read the structures one after the other.

        Parameters
        ----------
        symprec
            Tolerance in A at which the symmetry of a structure is found; a dataset
            has it found already.
        """
        from wyckflow.relax.intake import Intake

        if isinstance(self._content, Intake):
            yield from self._content.entries(symprec=symprec)
            return
        dataset = self._content
        for row in dataset:
            label = row.texts.get(MATERIAL_ID) or f"row-{row.index + 1}"
            place = f"{self.name}:{label}"
            yield Entry(label, place, row.gene, dataset.structure(row.index))


def open_phase_source(path: Path) -> PhaseSource:
    """Look through a file with structures.

    Parameters
    ----------
    path
        A dataset of ``wyckflow data import``, or CSV, TSV, JSON, CIF, POSCAR, or a
        folder of structure files.

    Raises
    ------
    DatasetError
        If it cannot be read, or has no structures.
    """
    if path.name.endswith(DATASET_ENDING) and path.exists():
        dataset = load_dataset(path)
        return PhaseSource(path.name, dataset.dataset_id, len(dataset), dataset)
    # One intake per file: the ids of two files may be the same, and stay so.
    intake = open_intake([path])
    digest = "".join(source.sha256 for source in intake.sources)
    name = intake.sources[0].name if intake.sources else path.name
    return PhaseSource(name, digest, len(intake), intake)
