"""Data files to a dataset: read, encoded in parallel, freed of repeats, written.

The slow part, finding the symmetry, is done in chunks by several processes. Each chunk
is put beside the output as soon as it is done, named by a hash of its structures and
of the settings, so that an import that was interrupted goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow import __version__
from wyckflow.crystal.dataset._arrays import RowArrays
from wyckflow.crystal.dataset._chunks import EncodedRows, encode_chunks, remove_parts
from wyckflow.crystal.dataset._columns import read_columns
from wyckflow.crystal.dataset._rows import EncodingOptions
from wyckflow.crystal.dataset.column import MATERIAL_ID, PROPERTY_BY_NAME
from wyckflow.crystal.dataset.metadata import DatasetMetadata, SourceInfo
from wyckflow.crystal.dataset.source import open_source
from wyckflow.crystal.dataset.table import Dataset, pack_rows
from wyckflow.crystal.encode import DEFAULT_SYMPREC, Engine
from wyckflow.crystal.keys import canonical_keys
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset._columns import SourceColumns
    from wyckflow.crystal.dataset.source import Source

DATASET_ENDING: Final = ".npz"

# By what the best of several equal genes is told, best known first.
_RANKINGS: Final = ("energy_above_hull", "formation_energy_per_atom")


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """How to import.

    Attributes
    ----------
    symprec
        Distance tolerance of the symmetry in A.
    angle_tolerance
        Angle tolerance in degrees; None: the engine's own.
    engine
        Package that finds the symmetry.
    columns
        Columns named by hand, theirs by ours; an empty name leaves ours out.
    kept
        Further columns to take under their own name.
    keep_duplicates
        Whether to keep all rows with the same gene instead of the best.
    licence
        Licence of the data, where the files do not say it.
    energy_scale
        What the energies are measured against, such as ``mp2020-gga-u``.
    n_jobs
        Processes to use. More than one takes a script that can be imported, one whose
        work stands under ``if __name__ == "__main__"``.
    """

    symprec: float = DEFAULT_SYMPREC
    angle_tolerance: float | None = None
    engine: Engine = Engine.SPGLIB
    columns: Mapping[str, str] = field(default_factory=dict)
    kept: tuple[str, ...] = ()
    keep_duplicates: bool = False
    licence: str | None = None
    energy_scale: str | None = None
    n_jobs: int = 1

    def __post_init__(self) -> None:
        """Refuse settings that cannot be met."""
        object.__setattr__(self, "engine", Engine(self.engine))
        if self.symprec <= 0 or self.n_jobs < 1:
            raise ValueError(
                f"{self.symprec=} A must be positive, {self.n_jobs=} at least 1."
            )


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did.

    Attributes
    ----------
    dataset
        The dataset that was written.
    path
        Its file.
    unused_columns
        Columns of the sources that were not taken.
    n_resumed
        Rows whose genes were found by an earlier, interrupted import.
    """

    dataset: Dataset
    path: Path
    unused_columns: tuple[str, ...]
    n_resumed: int


def import_dataset(
    paths: Sequence[Path],
    output: Path,
    *,
    options: ImportOptions | None = None,
    report: Callable[[int, int], None] | None = None,
) -> ImportResult:
    """Make one dataset of any number of files.

    Parameters
    ----------
    paths
        CSV, TSV, JSON (also gzip), CIF, POSCAR, or folders of structure files.
    output
        Where to write; the ending ``.npz`` is added if there is none.
    options
        How to import.
    report
        Is told how many rows of how many are done.

    Returns
    -------
    ImportResult
        The dataset, which is at ``path``, too.

    Raises
    ------
    DatasetError
        If a file cannot be read, has no structures, holds a column in other units than
        expected, or no row at all can be taken.
    """
    options = options or ImportOptions()
    output = output if output.suffix else output.with_suffix(DATASET_ENDING)
    if not output.parent.is_dir():
        raise DatasetError(f"There is no folder {str(output.parent)!r} to write to.")
    sources = [open_source(path) for path in paths]
    if not sources:
        raise DatasetError("Nothing came to import; give at least one file.")
    columns = read_columns(sources, options.columns, options.kept)
    chunks = output.with_name(f"{output.name}.parts")
    encoded = encode_chunks(
        sources,
        [column.map for column in columns],
        options=EncodingOptions(
            options.engine, options.symprec, options.angle_tolerance
        ),
        folder=chunks,
        n_jobs=options.n_jobs,
        report=report,
    )
    dataset = _assemble(sources, columns, encoded, options)
    dataset.save(output)
    remove_parts(chunks)
    unused = dict.fromkeys(name for column in columns for name in column.map.unused)
    return ImportResult(dataset, output, tuple(unused), encoded.n_resumed)


def _assemble(
    sources: Sequence[Source],
    columns: Sequence[SourceColumns],
    encoded: EncodedRows,
    options: ImportOptions,
) -> Dataset:
    """Join genes and properties, leave out what is implausible or there already."""
    rows = _with_columns(encoded.rows, columns)
    # What is wrong with the structure comes before what is wrong with a property.
    faulty = [row for column in columns for row in column.refused] + encoded.refused
    refused = {(row.source, row.record): row for row in faulty}
    places = zip(rows.sources.tolist(), rows.records.tolist(), strict=True)
    is_good = np.array([place not in refused for place in places], dtype=bool)
    rows = rows.take(np.flatnonzero(is_good))
    if not len(rows):
        first = refused[min(refused)]
        raise DatasetError(
            f"None of the {sum(s.n_records for s in sources)} rows could be taken; the "
            f"first was refused because {first.message}."
        )
    n_before = len(rows)
    if not options.keep_duplicates:
        rows = rows.take(find_best_of_each_gene(rows))
    return Dataset(
        arrays=rows,
        metadata=DatasetMetadata(
            engine=options.engine,
            symprec=options.symprec,
            angle_tolerance=options.angle_tolerance,
            units={name: _unit_of(name) for name in rows.properties},
            energy_scale=options.energy_scale,
            licence=options.licence or _licence_of(sources),
            packages={
                "wyckflow": __version__,
                options.engine.value: version(options.engine.value),
            },
            sources=tuple(
                SourceInfo(
                    name=source.name,
                    sha256=source.sha256,
                    n_records=source.n_records,
                    licence=source.licence,
                )
                for source in sources
            ),
            has_duplicates=options.keep_duplicates,
            n_duplicates=n_before - len(rows),
            refused=tuple(refused[place] for place in sorted(refused)),
        ),
    )


def find_best_of_each_gene(rows: RowArrays) -> NDArray[np.int64]:
    """Choose one row of those with equivalent genes, in the order of the rows.

    The best is the one of lowest energy above the hull; where no row has that, of
    lowest formation energy (the formula is the same). Of equal ones, and where there
    are no energies, it is the one that lacks the fewest values; else the first.

    Parameters
    ----------
    rows
        Any rows.
    """
    keys = canonical_keys(*pack_rows(rows))
    energies = np.full(len(rows), np.nan)
    for name in _RANKINGS:
        if name in rows.properties and not np.isnan(rows.properties[name]).all():
            energies = rows.properties[name]
            break
    lacking = np.zeros(len(rows), np.int64)
    for values in rows.properties.values():
        lacking += np.isnan(values)
    order = np.lexsort((lacking, energies, keys))  # stable, and nan comes last
    is_first = np.ones(len(rows), bool)
    is_first[1:] = keys[order][1:] != keys[order][:-1]
    return np.sort(order[is_first])


def _with_columns(rows: RowArrays, columns: Sequence[SourceColumns]) -> RowArrays:
    """Look up the properties and labels of the rows that have a gene."""
    properties = dict.fromkeys(name for c in columns for name in c.properties)
    texts = dict.fromkeys([MATERIAL_ID, *(name for c in columns for name in c.texts)])
    found = {name: np.full(len(rows), np.nan) for name in properties}
    labels = {name: [""] * len(rows) for name in texts}
    for index, column in enumerate(columns):
        places = np.flatnonzero(rows.sources == index)
        records = rows.records[places] - 1
        for name, values in column.properties.items():
            found[name][places] = values[records]
        for name, words in column.texts.items():
            for place, record in zip(places.tolist(), records.tolist(), strict=True):
                labels[name][place] = words[record]
    arrays = rows.to_mapping()
    arrays |= {f"property/{name}": values for name, values in found.items()}
    arrays |= {f"text/{name}": np.array(words) for name, words in labels.items()}
    return RowArrays.from_mapping(arrays)


def _unit_of(name: str) -> str:
    column = PROPERTY_BY_NAME.get(name)
    return column.unit if column else ""


def _licence_of(sources: Sequence[Source]) -> str | None:
    licences = dict.fromkeys(source.licence for source in sources if source.licence)
    return ", ".join(licences) or None
