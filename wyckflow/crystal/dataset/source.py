"""Files that hold structures, row by row: tables, JSON, folders of structure files."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.dataset.column import MATERIAL_ID, STRUCTURE
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import TextIO

_TABLES: Final = (".csv", ".csv.gz", ".tsv", ".tsv.gz")
_JSON: Final = (".json", ".json.gz")
_STRUCTURE_FILES: Final = (".cif", ".poscar", ".vasp")
_STRUCTURE_NAMES: Final = ("poscar", "contcar")
_RECOGNISED: Final = "CSV, TSV or JSON (also .gz), CIF, POSCAR, or a folder of them"


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a source as it came.

    Attributes
    ----------
    number
        Place in the source, counted from 1.
    label
        Name of the row where the source has one outside of its columns: a file name or
        a key.
    values
        The cells of the row by column; a structure is text or a JSON object.
    """

    number: int
    label: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Source:
    """A file or folder that was looked through once.

    Attributes
    ----------
    path
        Where it is.
    n_records
        How many rows it has.
    columns
        Its columns.
    sha256
        Hash of its content.
    licence
        What the file says about its licence, if it says anything.
    """

    path: Path
    n_records: int
    columns: tuple[str, ...]
    sha256: str
    licence: str | None = None
    _loaded: tuple[Record, ...] | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.resolve().name

    def records(self) -> Iterator[Record]:
        """Read the rows in order; tables are read anew each time."""
        if self._loaded is not None:
            return iter(self._loaded)
        return _iter_table(self.path)


def open_source(path: Path) -> Source:
    """Look through a file or folder.

    Parameters
    ----------
    path
        CSV, TSV or JSON (also compressed by gzip), CIF, POSCAR, or a folder of
        structure files.

    Raises
    ------
    DatasetError
        If there is no such file, or nothing in it that can be read.
    """
    if not path.exists():
        raise DatasetError(f"There is no file or folder {str(path)!r}.")
    if path.is_dir():
        return _open_folder(path)
    name = path.name.lower()
    try:
        if name.endswith(_TABLES):
            return _open_table(path)
        if name.endswith(_JSON):
            return _open_json(path)
    except (UnicodeDecodeError, OSError, EOFError, csv.Error) as error:
        raise DatasetError(f"{path.name} cannot be read: {error}.") from error
    if _is_structure_file(path):
        return _open_files(path, [path], root=path.parent)
    raise DatasetError(
        f"{path.name} is of no kind that can be imported; give {_RECOGNISED}."
    )


# --- tables -----------------------------------------------------------------------


def _open_table(path: Path) -> Source:
    with _open_text(path) as stream:
        rows = _csv_rows(path, stream)
        columns = next(rows, [])
        n_records = sum(1 for row in rows if row)
    if not columns or not n_records:
        raise DatasetError(
            f"{path.name} holds {n_records} rows below its header of {len(columns)} "
            "columns; expected a table with one structure per row."
        )
    return Source(path, n_records, tuple(columns), _hash_file(path))


def _iter_table(path: Path) -> Iterator[Record]:
    with _open_text(path) as stream:
        rows = _csv_rows(path, stream)
        columns = next(rows)
        filled = (row for row in rows if row)
        for number, row in enumerate(filled, 1):
            yield Record(number, "", dict(zip(columns, row, strict=False)))


def _csv_rows(path: Path, stream: TextIO) -> Iterator[list[str]]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    separator = "\t" if ".tsv" in path.name.lower() else ","
    return csv.reader(stream, delimiter=separator)


def _open_text(path: Path) -> TextIO:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


# --- JSON -------------------------------------------------------------------------


def _open_json(path: Path) -> Source:
    with _open_text(path) as stream:
        try:
            document = json.load(stream)
        except json.JSONDecodeError as error:
            raise DatasetError(f"{path.name} is no JSON: {error}.") from error
    licence = None
    if isinstance(document, dict) and isinstance(document.get("records"), list):
        licence, document = document.get("licence"), document["records"]
    loaded = tuple(
        Record(number, label, _flatten(content) if isinstance(content, dict) else {})
        for number, (label, content) in enumerate(_iter_contents(document), 1)
    )
    if not loaded:
        raise DatasetError(
            f"{path.name} holds no records; expected a list or an object of pymatgen "
            "structures, entries, or records with a 'structure' or 'cif'."
        )
    columns = dict.fromkeys(name for record in loaded for name in record.values)
    return Source(path, len(loaded), tuple(columns), _hash_file(path), licence, loaded)


def _iter_contents(document: Any) -> Iterator[tuple[str, Any]]:
    """Yield a label and the content of every record, whatever holds them."""
    if isinstance(document, list):
        yield from (("", content) for content in document)
    elif not isinstance(document, dict):
        return
    elif "@class" in document or "lattice" in document:
        yield "", document
    elif _is_table_of_columns(document):
        yield from _iter_columns(document)
    elif isinstance(document.get("data"), list) and "columns" in document:
        for row in document["data"]:
            yield "", dict(zip(document["columns"], row, strict=False))
    else:
        yield from ((str(label), content) for label, content in document.items())


def _is_table_of_columns(document: dict[str, Any]) -> bool:
    """Tell whether this is the JSON of a data frame, column by column."""
    column = next((document[n] for n in (STRUCTURE, "cif") if n in document), None)
    return isinstance(column, list) or (
        isinstance(column, dict) and "lattice" not in column and "@class" not in column
    )


def _iter_columns(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    columns = {
        name: values if isinstance(values, dict) else dict(enumerate(values))
        for name, values in document.items()
        if isinstance(values, (dict, list))
    }
    keys = dict.fromkeys(key for values in columns.values() for key in values)
    for key in keys:
        yield str(key), {name: values.get(key) for name, values in columns.items()}


def _flatten(content: dict[str, Any]) -> dict[str, Any]:
    """Bring structures, entries and records to the same form."""
    if "structure" not in content:
        return {STRUCTURE: content} if "lattice" in content else content
    if "energy" not in content or "composition" not in content:
        return content
    flat = dict(content.get("data") or {})
    flat[STRUCTURE] = content[STRUCTURE]
    if content.get("entry_id") is not None:
        flat[MATERIAL_ID] = content["entry_id"]
    n_atoms = len((content[STRUCTURE] or {}).get("sites", ()))
    if n_atoms:
        flat["energy_per_atom"] = content["energy"] / n_atoms
    return flat


# --- structure files ----------------------------------------------------------------


def _open_folder(path: Path) -> Source:
    files = sorted(
        file for file in path.rglob("*") if file.is_file() and _is_structure_file(file)
    )
    if not files:
        raise DatasetError(
            f"The folder {str(path)!r} holds no CIF or POSCAR files; name tables and "
            "JSON files one by one."
        )
    return _open_files(path, files, root=path)


def _open_files(path: Path, files: Iterable[Path], *, root: Path) -> Source:
    total = hashlib.sha256()
    loaded = []
    for number, file in enumerate(files, 1):
        label = file.relative_to(root).as_posix()
        content = file.read_bytes()
        total.update(f"{label}\n{hashlib.sha256(content).hexdigest()}\n".encode())
        # What is no text is refused later, with the other unreadable ones.
        text = content.decode("utf-8", errors="replace")
        loaded.append(Record(number, label, {STRUCTURE: text}))
    columns = (STRUCTURE,)
    return Source(path, len(loaded), columns, total.hexdigest(), None, tuple(loaded))


def _is_structure_file(path: Path) -> bool:
    name = path.name.lower()
    return name.endswith(_STRUCTURE_FILES) or name.startswith(_STRUCTURE_NAMES)


def _hash_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
