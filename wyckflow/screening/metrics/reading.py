"""Read generated sets as their makers write them.

Rows that hold no gene are kept with a reason, so that what a set lost before it was
measured stands beside what was measured.
"""

from __future__ import annotations

import ast
import json
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.cell import Refusal
from wyckflow.crystal.dataset import load_dataset
from wyckflow.crystal.dataset.column import STRUCTURE
from wyckflow.crystal.dataset.source import Record, open_source
from wyckflow.crystal.encode import DEFAULT_SYMPREC, Engine, encode_structure
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.read import cell_from_dict, parse_structure
from wyckflow.errors import DatasetError, GeneError, UnknownWyckoffLetterError
from wyckflow.schemas.generation import GenerationDoc
from wyckflow.screening.metrics.gene_set import GeneSet, UnreadableRow
from wyckflow.screening.table import GeneTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Report = Callable[[int, int], None]

# The columns by which a way of writing genes is told, the surest first.
_GENE: Final = "gene"
_PUBLISHED: Final = ("reconstructed_sg", "reconstructed_wyckoff")
_PYXTAL: Final = ("group", "species", "numIons", "sites")
_STRUCTURES: Final = (STRUCTURE, "cif", "poscar", "cif_text")
_NOT_PREDICTED: Final = frozenset(
    {"", "material_id", "reconstructed_sg", "reconstructed_ratio", "group", "row"}
)
_PREDICTED: Final = "predicted "
_LONGEST_NUMBER: Final = 40  # characters
_SPACE_GROUPS: Final = ("space_group_numbers", "space_groups")


def read_set(
    path: Path,
    *,
    name: str | None = None,
    symprec: float = DEFAULT_SYMPREC,
    engine: Engine = Engine.SPGLIB,
    report: Report | None = None,
) -> GeneSet:
    """Read a set from a file or folder, whatever its form.

    Parameters
    ----------
    path
        A text file with a gene per line; a table (CSV, TSV, JSON) with a column of
        genes, with those of WyCryst (``reconstructed_sg``, ``reconstructed_wyckoff``),
        with arguments for PyXtal (``group``, ``species``, ``numIons``, ``sites``) or
        with structures; a dataset or arrays of genes (``.npz``); a stored generation
        document (JSON); structure files or a folder of them.
    name
        What to call it; the name of the file if not given.
    symprec, engine
        How the genes of structures are found: tolerance in A, and package.
    report
        Is told how many rows of how many are done.

    Raises
    ------
    DatasetError
        If there is no such file, or no gene in it.
    """
    name = name or path.name
    if path.suffix == ".npz":
        found = _read_arrays(path, name)
    elif path.suffix in {".txt", ".genes"}:
        lines = _read_lines(path)
        found = _collect(lines, _gene_of_text, name, report, len(lines))
    else:
        own = _read_own_json(path, name, report)
        found = (
            _read_source(path, name, report, symprec=symprec, engine=engine)
            if own is None
            else own
        )
    if not len(found):
        first = found.unreadable[0].message if found.unreadable else "it is empty"
        raise DatasetError(
            f"No gene could be read from {path.name} ({found.n_rows} rows): {first}"
        )
    return found


def _read_source(
    path: Path, name: str, report: Report | None, *, symprec: float, engine: Engine
) -> GeneSet:
    """Read a table, JSON records, or structure files."""
    source = open_source(path)

    def parse(record: Record) -> WyckoffGene | Refusal:
        return _gene_of_record(record, symprec, engine)

    return _collect(source.records(), parse, name, report, source.n_records)


# --- rows to genes ------------------------------------------------------------------


def _collect(
    records: Iterable[Record],
    parse: Callable[[Record], WyckoffGene | Refusal],
    name: str,
    report: Report | None,
    n_records: int,
) -> GeneSet:
    """Read row by row, and keep count of what is no gene."""
    genes: list[WyckoffGene] = []
    rows: list[int] = []
    values: list[Mapping[str, Any]] = []
    unreadable: list[UnreadableRow] = []
    number = 0
    for number, record in enumerate(records, 1):
        gene = _try(parse, record, number)
        if isinstance(gene, UnreadableRow):
            unreadable.append(gene)
        else:
            genes.append(gene)
            rows.append(number - 1)
            values.append(_short_values(record))
        if report is not None and (number % 100 == 0 or number == n_records):
            report(number, n_records)
    table = GeneTable.from_genes(genes)
    places = np.array(rows, np.int64)
    return GeneSet(
        name=name,
        table=GeneTable(table.space_group_numbers, table.codes, places),
        columns=_numeric_columns(values),
        n_rows=number,
        unreadable=tuple(unreadable),
    )


def _try(
    parse: Callable[[Record], WyckoffGene | Refusal], record: Record, number: int
) -> WyckoffGene | UnreadableRow:
    """Read one row, or say why it cannot be."""
    try:
        gene = parse(record)
    except UnknownWyckoffLetterError as error:
        return UnreadableRow(number, "unknown_letter", str(error))
    except GeneError as error:
        return UnreadableRow(number, "impossible_gene", str(error))
    except (ValueError, TypeError, SyntaxError, KeyError, AttributeError) as error:
        return UnreadableRow(number, "unreadable", f"it cannot be read: {error}")
    if isinstance(gene, Refusal):
        return UnreadableRow(number, gene.reason.value, gene.message)
    return gene


def _gene_of_record(
    record: Record, symprec: float, engine: Engine
) -> WyckoffGene | Refusal:
    """Read one row in the form that its columns tell."""
    values = record.values
    if values.get(_GENE):
        return WyckoffGene.from_text(str(values[_GENE]))
    if all(column in values for column in _PUBLISHED):
        number, sites = (values[column] for column in _PUBLISHED)
        return WyckoffGene.from_published(_whole(number), _literal(sites))
    if all(column in values for column in _PYXTAL):
        number, *rest = (_literal(values[column]) for column in _PYXTAL)
        species, n_ions, sites = rest
        return WyckoffGene.from_pyxtal(_whole(number), species, n_ions, sites)
    for column in _STRUCTURES:
        if values.get(column):
            return _gene_of_structure(values[column], symprec, engine)
    raise GeneError(
        f"The columns {', '.join(values) or 'none'} hold no genes; expected "
        f"{_GENE!r}, {' and '.join(_PUBLISHED)}, {', '.join(_PYXTAL)}, or structures "
        f"in {' or '.join(_STRUCTURES[:2])}."
    )


def _gene_of_structure(
    content: Any, symprec: float, engine: Engine
) -> WyckoffGene | Refusal:
    is_document = isinstance(content, dict)
    cell = cell_from_dict(content) if is_document else parse_structure(str(content))
    if isinstance(cell, Refusal):
        return cell
    encoded = encode_structure(cell, symprec=symprec, engine=engine)
    return encoded if isinstance(encoded, Refusal) else encoded.gene


def _gene_of_text(record: Record) -> WyckoffGene:
    return WyckoffGene.from_text(record.values[_GENE])


def _literal(value: Any) -> Any:
    """Read a list or object that a table holds as text, by JSON's or Python's rules."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return ast.literal_eval(value)


def _whole(value: Any) -> int:
    number = float(value)
    if number != int(number):
        raise GeneError(f"Space group {value!r} is no whole number from 1 to 230.")
    return int(number)


def _short_values(record: Record) -> dict[str, Any]:
    """Return what may be numbers; structures are too large to be kept."""
    return {
        name: value
        for name, value in record.values.items()
        if isinstance(value, (int, float))
        or (isinstance(value, str) and len(value) <= _LONGEST_NUMBER)
    }


def _numeric_columns(
    rows: list[Mapping[str, Any]],
) -> dict[str, NDArray[np.float64]]:
    """Return the columns that hold a number in at least one row, and text in none."""
    columns = {}
    names = dict.fromkeys(name for row in rows for name in row)
    for name in names:
        if name in _NOT_PREDICTED:
            continue
        try:
            numbers = [_number(row.get(name)) for row in rows]
        except (TypeError, ValueError):
            continue
        values = np.array(numbers, np.float64)
        if np.isfinite(values).any():
            columns[name] = values
    return columns


def _number(value: Any) -> float:
    if value is None or value == "" or isinstance(value, bool):
        return float("nan")
    return float(value)


# --- files of their own kind ----------------------------------------------------------


def _read_lines(path: Path) -> list[Record]:
    """Read a text file with a gene per line; what follows a # is a comment."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}.") from error
    stripped = (line.partition("#")[0].strip() for line in lines)
    return [
        Record(number, "", {_GENE: text})
        for number, text in enumerate(stripped)
        if text
    ]


def _read_arrays(path: Path, name: str) -> GeneSet:
    """Read a dataset, or the arrays of a blob of genes."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except FileNotFoundError:
        raise DatasetError(f"There is no file {str(path)!r}.") from None
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}.") from error
    if "codes" not in arrays:
        return GeneSet.from_dataset(load_dataset(path), name=name)
    return _from_arrays([arrays], name)


def _from_arrays(chunks: list[dict[str, NDArray[Any]]], name: str) -> GeneSet:
    """Join chunks of packed genes with their predictions."""
    tables, groups = [], []
    for arrays in chunks:
        key = next((key for key in _SPACE_GROUPS if key in arrays), None)
        if key is None:
            raise DatasetError(
                f"{name} holds codes of sites but no space groups; expected an array "
                f"{' or '.join(_SPACE_GROUPS)}."
            )
        groups.append(np.asarray(arrays[key], np.int16))
        tables.append(np.asarray(arrays["codes"], np.int16))
    width = max((table.shape[1] for table in tables), default=0)
    wide = [np.pad(table, ((0, 0), (0, width - table.shape[1]))) for table in tables]
    empty = np.zeros(0, np.int16), np.zeros((0, width), np.int16)
    table = GeneTable.from_arrays(
        np.concatenate([empty[0], *groups]), np.concatenate([empty[1], *wide])
    )
    predicted = (
        [key for key in chunks[0] if key.startswith(_PREDICTED)] if chunks else []
    )
    columns = {
        key.removeprefix(_PREDICTED): np.concatenate(
            [np.asarray(arrays[key], np.float64) for arrays in chunks]
        )
        for key in predicted
    }
    is_possible = table.is_possible
    places = np.flatnonzero(is_possible)
    return GeneSet(
        name=name,
        table=table.take(places),
        columns={key: values[places] for key, values in columns.items()},
        n_rows=len(table),
        unreadable=tuple(
            UnreadableRow(row + 1, "impossible_gene", "its sites cannot exist together")
            for row in np.flatnonzero(~is_possible).tolist()
        ),
    )


def _read_own_json(path: Path, name: str, report: Report | None) -> GeneSet | None:
    """Read a list of genes as text or a generation document, if the file is one."""
    if path.suffix != ".json" or not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None  # open_source says what is wrong with it
    if isinstance(content, list) and all(isinstance(item, str) for item in content):
        records = [Record(i, "", {_GENE: text}) for i, text in enumerate(content, 1)]
        return _collect(records, _gene_of_text, name, report, len(records))
    if isinstance(content, dict) and {"chunks", "model_id"} <= content.keys():
        return _from_document(
            GenerationDoc.model_validate_json(json.dumps(content)), name
        )
    return None


def _from_document(document: GenerationDoc, name: str) -> GeneSet:
    """Take the genes of a generation document, and how many it tried to make."""
    found = _from_arrays([dict(chunk) for chunk in document.iter_chunks()], name)
    failed = [
        UnreadableRow(0, reason, f"decoding failed: {reason}")
        for reason, count in document.failures.items()
        for _ in range(count)
    ]
    return replace(
        found,
        n_rows=found.n_rows + len(failed),
        unreadable=(*found.unreadable, *failed),
        n_attempts=document.n_decoded,
    )
