"""The slow part of an import: structures to genes, by processes, in chunks on disk."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import multiprocessing
import signal
import zipfile
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.cell import RefusalReason
from wyckflow.crystal.dataset._arrays import RowArrays, join_rows
from wyckflow.crystal.dataset._rows import EncodingOptions, encode_texts
from wyckflow.crystal.dataset.column import MATERIAL_ID, STRUCTURE
from wyckflow.crystal.dataset.metadata import RefusedRow
from wyckflow.crystal.dataset.table import write_bytes
from wyckflow.crystal.encode import Engine
from wyckflow.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.column import ColumnMap
    from wyckflow.crystal.dataset.source import Source

CHUNK_LENGTH: Final = 250

# Raised when the same structure and settings can lead to another row than before.
_ENCODING_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class EncodedRows:
    """The rows that have a gene, without properties, and those that have none.

    Attributes
    ----------
    rows
        In the order of the sources.
    refused
        In the same order.
    n_resumed
        How many of both an earlier run had left behind.
    """

    rows: RowArrays
    refused: list[RefusedRow]
    n_resumed: int


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a structure stood."""

    source: int
    record: int
    label: str


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some structures that follow one another."""

    places: list[_Place]
    texts: list[str]

    def key(self, options: EncodingOptions) -> str:
        """Return the name under which the result is kept."""
        settings = (
            _ENCODING_VERSION,
            options.engine.value,
            version(options.engine.value),
            options.symprec,
            options.angle_tolerance,
        )
        total = hashlib.sha256(repr(settings).encode())
        for text in self.texts:
            total.update(f"\n{len(text)}\n{text}".encode())
        return total.hexdigest()[:32]


def encode_chunks(
    sources: Sequence[Source],
    maps: Sequence[ColumnMap],
    *,
    options: EncodingOptions,
    folder: Path,
    n_jobs: int = 1,
    report: Callable[[int, int], None] | None = None,
) -> EncodedRows:
    """Find the genes of all structures of all sources.

    Parameters
    ----------
    sources, maps
        Files, and what their columns are.
    options
        How genes are found.
    folder
        Where finished chunks are kept; made if it is not there.
    n_jobs
        Processes to use.
    report
        Is told how many rows of how many are done.

    Raises
    ------
    ConfigurationError
        If the engine is not installed.
    DatasetError
        If a process dies.
    """
    _check_engine(options.engine)
    folder.mkdir(exist_ok=True)
    total = sum(source.n_records for source in sources)
    results: dict[int, dict[str, Any]] = {}
    places: list[list[_Place]] = []
    files: list[Path] = []
    counts: Counter[str] = Counter()

    def keep(index: int, result: dict[str, Any]) -> None:
        results[index] = result
        counts["done"] += len(places[index])
        if report is not None:
            report(counts["done"], total)

    def iter_open() -> Iterator[tuple[int, list[str]]]:
        for index, chunk in enumerate(_iter_chunks(sources, maps)):
            places.append(chunk.places)
            files.append(folder / f"{chunk.key(options)}.npz")
            earlier = _read_part(files[index])
            if earlier is None:
                yield index, chunk.texts
            else:
                counts["resumed"] += len(chunk.places)
                keep(index, earlier)

    n_jobs = min(n_jobs, -(-total // CHUNK_LENGTH))
    run = _run_here if n_jobs <= 1 else _run_in_processes
    for index, content in run(iter_open(), options, n_jobs):
        write_bytes(files[index], content)
        keep(index, _unpack(content))
    parts = [_place(results[index], places[index]) for index in range(len(places))]
    return EncodedRows(
        rows=join_rows([rows for rows, _ in parts]),
        refused=[row for _, refused in parts for row in refused],
        n_resumed=counts["resumed"],
    )


def remove_parts(folder: Path) -> None:
    """Remove finished chunks, and the folder if nothing else is in it.

    Parameters
    ----------
    folder
        As given to `encode_chunks`.
    """
    for file in (*folder.glob("*.npz"), *folder.glob(".*.draft")):
        file.unlink()
    if not any(folder.iterdir()):
        folder.rmdir()


# --- chunks -----------------------------------------------------------------------


def _iter_chunks(
    sources: Sequence[Source], maps: Sequence[ColumnMap]
) -> Iterator[_Chunk]:
    rows = _iter_rows(sources, maps)
    while batch := list(islice(rows, CHUNK_LENGTH)):
        yield _Chunk([place for place, _ in batch], [text for _, text in batch])


def _iter_rows(
    sources: Sequence[Source], maps: Sequence[ColumnMap]
) -> Iterator[tuple[_Place, str]]:
    for index, (source, columns) in enumerate(zip(sources, maps, strict=True)):
        label_column = columns.columns.get(MATERIAL_ID)
        for record in source.records():
            structure = record.values.get(columns.columns[STRUCTURE])
            label = record.values.get(label_column) if label_column else None
            place = _Place(index, record.number, str(label or record.label))
            yield place, _as_text(structure)


def _as_text(structure: Any) -> str:
    if isinstance(structure, str):
        return structure
    return json.dumps(structure) if isinstance(structure, dict) else ""


def _place(
    result: dict[str, Any], places: Sequence[_Place]
) -> tuple[RowArrays, list[RefusedRow]]:
    """Say where the rows of a chunk stood in their sources."""
    rows = RowArrays.from_mapping(result)
    taken = [places[place] for place in rows.records.tolist()]
    refused = [
        RefusedRow(
            source=places[place].source,
            record=places[place].record,
            label=places[place].label,
            reason=RefusalReason(reason),
            message=message,
        )
        for place, reason, message in zip(
            result["refused_records"].tolist(),
            result["refused_reasons"].tolist(),
            result["refused_messages"].tolist(),
            strict=True,
        )
    ]
    placed = replace(
        rows,
        sources=np.array([place.source for place in taken], np.int32),
        records=np.array([place.record for place in taken], np.int64),
    )
    return placed, refused


def _read_part(path: Path) -> dict[str, Any] | None:
    """Read what an earlier run left, if it left it whole."""
    try:
        return _unpack(path.read_bytes())
    except (OSError, ValueError, zipfile.BadZipFile):
        return None


def _unpack(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


# --- processes -----------------------------------------------------------------------


def _check_engine(engine: Engine) -> None:
    if engine is not Engine.MOYOPY:
        return
    try:
        import moyopy  # noqa: F401 - asked before the work starts
    except ImportError:
        raise ConfigurationError(
            "The engine moyopy is not installed: run pip install 'wyckflow[fast]', or "
            "take the engine spglib."
        ) from None


def _run_here(
    tasks: Iterable[tuple[int, list[str]]], options: EncodingOptions, n_jobs: int
) -> Iterator[tuple[int, bytes]]:
    del n_jobs
    with _quiet():
        for index, texts in tasks:
            yield index, encode_texts(texts, options)


def _run_in_processes(
    tasks: Iterable[tuple[int, list[str]]], options: EncodingOptions, n_jobs: int
) -> Iterator[tuple[int, bytes]]:
    """Keep a few chunks per process under way, and yield them as they get done."""
    executor = ProcessPoolExecutor(
        n_jobs, multiprocessing.get_context("spawn"), initializer=_start_process
    )
    tasks = iter(tasks)
    running: dict[Future[bytes], int] = {}
    try:
        while True:
            for index, texts in islice(tasks, 2 * n_jobs - len(running)):
                running[executor.submit(encode_texts, texts, options)] = index
            if not running:
                return
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                yield running.pop(future), future.result()
    except BrokenProcessPool:
        raise DatasetError(
            "A process that finds symmetries died, perhaps for want of memory. Run the "
            "same command again, it goes on where it stopped; --jobs 1 takes the least."
        ) from None
    finally:
        executor.shutdown(cancel_futures=True)


def _start_process() -> None:
    """Leave Ctrl-C to the process that started this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("moyo").setLevel(logging.ERROR)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back moyo's warning on operations of the input cell, which are not used."""
    logger = logging.getLogger("moyo")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
