"""What people have, as what a relaxer takes: structure files, tables and genes.

What cannot be taken becomes an entry with a reason, so that the others can go on.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.dataset.column import MATERIAL_ID, STRUCTURE, map_columns
from wyckflow.crystal.dataset.source import open_source
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.read import parse_structure
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import DatasetError, GeneError, StructureError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.source import Source

GENE_FILES: Final = (".txt", ".genes")
"""Endings of files with one gene per line."""

GENE_COLUMN: Final = "gene"
"""Column of a table with genes; one with structures comes first."""

_ENDINGS: Final = re.compile(
    r"\.(cif|poscar|vasp|json|csv|tsv|txt|genes)(\.gz)?$", re.IGNORECASE
)
_LONGEST_NAME: Final = 80


@dataclass(frozen=True, slots=True)
class Entry:
    """One crystal to relax, or why it is none.

    Attributes
    ----------
    name
        Good for a file name, and that of no other entry.
    source
        Where it stood: file and row.
    gene
        What it is, if it can be taken.
    structure
        Where to begin; None for a bare gene.
    refusal
        Why it cannot be taken; else empty.
    """

    name: str
    source: str
    gene: WyckoffGene | None = None
    structure: ReducedStructure | None = None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Intake:
    """Files and genes that were looked through once.

    Attributes
    ----------
    sources
        Files with structures, or genes in a column.
    genes
        Lines with a gene, each with where it stood.
    """

    sources: tuple[Source, ...]
    genes: tuple[tuple[str, str], ...]

    def __len__(self) -> int:
        """Return how many entries there are."""
        return sum(source.n_records for source in self.sources) + len(self.genes)

    def entries(self, *, symprec: float) -> Iterator[Entry]:
        """Read everything, one after the other.

        Parameters
        ----------
        symprec
            Tolerance in A at which the symmetry of a structure is found.
        """
        taken: set[str] = set()
        for source in self.sources:
            yield from _read_source(source, symprec, taken)
        for place, text in self.genes:
            yield _take_gene(text, "", place, taken)


def open_intake(paths: Sequence[Path], genes: Sequence[str] = ()) -> Intake:
    """Look through files, before anything costly begins.

    Parameters
    ----------
    paths
        CIF, POSCAR, pymatgen JSON, tables with a column of structures or genes, folders
        of structure files, and text files with one gene per line.
    genes
        Further genes, such as ``221 Sr:a Ti:b O:c``.

    Raises
    ------
    DatasetError
        If a file is not there, cannot be read or holds nothing to relax.
    GeneError
        If one of the further genes is none.
    """
    sources, lines = [], []
    for path in paths:
        if path.name.lower().endswith(GENE_FILES):
            lines += _read_lines(path)
        else:
            sources.append(open_source(path))
            _check_columns(sources[-1])
    for text in genes:
        lines.append(("--gene", WyckoffGene.from_text(text).to_text()))
    if not sources and not lines:
        raise DatasetError(
            "Nothing came to relax; give at least one file, or a gene such as "
            "--gene '221 Sr:a Ti:b O:c'."
        )
    return Intake(tuple(sources), tuple(lines))


# --- files ----------------------------------------------------------------------------


def _read_lines(path: Path) -> list[tuple[str, str]]:
    """Read a file with one gene per line; what follows a # is a comment."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path} cannot be read: {error}.") from error
    texts = [line.partition("#")[0].strip() for line in content.splitlines()]
    lines = [
        (f"{path.name}:{number}", text) for number, text in enumerate(texts, 1) if text
    ]
    if not lines:
        raise DatasetError(
            f"{path} has no line with a gene; write one per line, such as "
            "221 Sr:a Ti:b O:c."
        )
    return lines


def _check_columns(source: Source) -> None:
    """Refuse a table that has nothing to relax, before the first row."""
    if _find_column(source, STRUCTURE) is None and GENE_COLUMN not in source.columns:
        raise DatasetError(
            f"{source.name} has no column 'cif', 'structure' or 'gene' among "
            f"{', '.join(map(repr, source.columns))}; rename the one that holds the "
            "structures."
        )


def _find_column(source: Source, ours: str) -> str | None:
    """Return their name of one of our columns."""
    for name in source.columns:
        if ours in map_columns([name], source=source.name).columns:
            return name
    return None


def _read_source(source: Source, symprec: float, taken: set[str]) -> Iterator[Entry]:
    """Read the rows of one file."""
    structures = _find_column(source, STRUCTURE)
    names = _find_column(source, MATERIAL_ID)
    for record in source.records():
        place = f"{source.name}:{record.label or record.number}"
        given = record.values.get(names) if names else None
        label = str(given or record.label)
        if structures is None:
            text = str(record.values.get(GENE_COLUMN) or "")
            yield _take_gene(text, label, place, taken)
            continue
        if record.label == source.name:
            place = source.name
        file = _ENDINGS.sub("", source.name)
        name = _make_name(_ENDINGS.sub("", label) or f"{file}-{record.number}", taken)
        found = _read_structure(record.values.get(structures), symprec)
        if isinstance(found, str):
            yield Entry(name, place, refusal=found)
        else:
            yield Entry(name, place, found.gene, found)


def _read_structure(value: Any, symprec: float) -> ReducedStructure | str:
    """Bring a structure to the standard setting, or say why not."""
    text = value if isinstance(value, str) else json.dumps(value) if value else ""
    cell = parse_structure(text)
    if isinstance(cell, Refusal):
        return f"{cell.reason}: {cell.message}"
    try:
        return ReducedStructure.from_structure(cell.to_structure(), symprec=symprec)
    except StructureError as error:
        return str(error)


def _take_gene(text: str, label: str, place: str, taken: set[str]) -> Entry:
    """Read a gene, or say why it is none."""
    try:
        gene = WyckoffGene.from_text(text)
    except GeneError as error:
        return Entry(_make_name(label or "gene", taken), place, refusal=str(error))
    name = label or f"{gene.formula}-{gene.space_group_number}"
    return Entry(_make_name(name, taken), place, gene)


def _make_name(text: str, taken: set[str]) -> str:
    """Return a name that every file system takes, and that is not taken."""
    cleaned = re.sub(r"[^A-Za-z0-9+.-]+", "_", text).strip("._-")[:_LONGEST_NAME]
    stem = cleaned or "structure"
    name, number = stem, 1
    while name.lower() in taken:
        number += 1
        name = f"{stem}-{number}"
    taken.add(name.lower())
    return name
