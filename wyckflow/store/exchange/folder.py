"""The folder of an exported campaign: what lies where, written whole, read checked."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any, Final

import bson
from pydantic import ValidationError

from wyckflow.errors import ExportError
from wyckflow.schemas.export import FOLDER_VERSION, ExportedFile, ExportManifest
from wyckflow.store.candidates.builder import BUILT
from wyckflow.store.connect import BLOBS, OUTPUTS
from wyckflow.store.gate.approvals import APPROVALS
from wyckflow.store.references import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator

MANIFEST: Final = "manifest.json"
README: Final = "README.md"
CANDIDATES_CSV: Final = "candidates.csv"
CANDIDATES_PARQUET: Final = "candidates.parquet"
CANDIDATES_LINES: Final = "candidates.jsonl"
OPTIMADE: Final = "optimade.jsonl"
STRUCTURES: Final = "structures"
CAMPAIGN_FILE: Final = "campaign.yaml"
CAMPAIGN_RECORD: Final = "provenance/campaign.json"
MODELS: Final = "models"
RECORDS: Final = "records"

_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class RecordKind:
    """A collection whose documents travel as they are.

    Attributes
    ----------
    collection
        Its name, and that of its file.
    identity
        Fields that name one document.
    """

    collection: str
    identity: tuple[str, ...]

    @property
    def file(self) -> str:
        """Where its documents lie."""
        return f"{RECORDS}/{self.collection}.bson"


OUTPUT_RECORDS: Final = RecordKind(OUTPUTS, ("uuid", "index"))
BLOB_RECORDS: Final = RecordKind(BLOBS, ("blob_uuid",))
BUILT_RECORDS: Final = RecordKind(BUILT, ("_id",))
APPROVAL_RECORDS: Final = RecordKind(APPROVALS, ("campaign", "gene_id"))
REFERENCE_RECORDS: Final = RecordKind(REFERENCES, ("_id",))
"""What travels as it is, and by what each document is known."""


def read_manifest(folder: Path) -> ExportManifest:
    """Return the manifest of a folder, after a look at every file that it names.

    Parameters
    ----------
    folder
        An exported campaign.

    Raises
    ------
    ExportError
        If it is none, or a file is missing, torn or changed.
    """
    path = folder / MANIFEST
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(
            f"{folder} is no exported campaign: {MANIFEST} cannot be read ({error}). "
            "'wyckflow campaign export NAME' writes such a folder."
        ) from error
    try:
        manifest = ExportManifest.model_validate_json(text)
    except ValidationError as error:
        what = error.errors(include_url=False)[0]
        place = ".".join(map(str, what["loc"])) or "all of it"
        raise ExportError(
            f"{path} is damaged or of a newer wyckflow ({place}: {what['msg']}); "
            "export the campaign again."
        ) from error
    if manifest.folder_version > FOLDER_VERSION:
        raise ExportError(
            f"{folder} has the layout {manifest.folder_version}, written by wyckflow "
            f"{manifest.wyckflow_version}; this one reads up to {FOLDER_VERSION}: "
            "install a newer one."
        )
    problems = [words for item in manifest.files if (words := _check(folder, item))]
    if problems:
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        raise ExportError(
            f"{folder} is not as it was exported: {problems[0]}{more}. Nothing was "
            "imported; copy the folder again, or export the campaign again."
        )
    return manifest


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Yield a place to write into, which becomes a folder only if all went well.

    Parameters
    ----------
    folder
        Must not be there yet, or be empty.

    Raises
    ------
    ExportError
        If something is there, or it cannot be written.
    """
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise ExportError(
            f"There is something at {folder} already; nothing was changed. Give the "
            "name of a folder that is not there yet."
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise ExportError(
            f"{folder} cannot be written ({error.strerror}); give a folder that is "
            "yours."
        ) from error
    try:
        yield part
        part.chmod(0o755)
        if folder.exists():
            folder.rmdir()
        part.rename(folder)
    except OSError as error:
        raise ExportError(
            f"{folder} could not be written ({error.strerror or error}); nothing is "
            "left of it. Is there room on the disk?"
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def list_files(folder: Path) -> list[ExportedFile]:
    """Return every file of a folder with its hash, by name.

    Parameters
    ----------
    folder
        Which.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        ExportedFile(
            path=path.relative_to(folder).as_posix(),
            sha256=hash_file(path),
            n_bytes=path.stat().st_size,
        )
        for path in paths
    ]


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, read block by block.

    Parameters
    ----------
    path
        Which.
    """
    found = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def read_records(folder: Path, kind: RecordKind) -> Iterator[dict[str, Any]]:
    """Yield the documents of a collection, in the order in which they were made.

    Parameters
    ----------
    folder
        An exported campaign.
    kind
        Which collection.
    """
    path = folder / kind.file
    if path.is_file():
        with path.open("rb") as stream:
            yield from bson.decode_file_iter(stream)


def _check(folder: Path, item: ExportedFile) -> str:
    """Say what is wrong with a file, or nothing."""
    path = folder / item.path
    if path.is_symlink() or not path.is_file():
        return f"{item.path} is missing"
    if path.stat().st_size != item.n_bytes:
        return f"{item.path} has {path.stat().st_size:,} of {item.n_bytes:,} bytes"
    if hash_file(path) != item.sha256:
        return f"{item.path} was changed"
    return ""
