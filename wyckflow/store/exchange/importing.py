"""An exported campaign into a database: looked at in full first, then written.

Whatever is there already and the same is left alone, so that an import may be repeated,
also one that broke off. Whatever is there and differs stops it before anything is
written.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import bson
from pydantic import ValidationError
from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, ExportError, ModelError
from wyckflow.schemas.campaign import CampaignDoc, CampaignState
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.model import ModelDoc
from wyckflow.store.campaign.record import CAMPAIGNS
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.exchange import folder as layout
from wyckflow.store.exchange.provenance import bare_campaign
from wyckflow.store.models import list_models, register_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from pymongo.database import Database as MongoDatabase

    from wyckflow.store.connect import Database

T = TypeVar("T")
Document = dict[str, Any]

IMPORTED: Final = "imported from another database"
"""Why a campaign is paused that never ran here."""

_CANDIDATES_AT_ONCE: Final = 200
_RECORDS_AT_ONCE: Final = 10
"""A blob may have 8 MB."""

_KINDS: Final = (
    layout.REFERENCE_RECORDS,
    layout.BLOB_RECORDS,
    layout.OUTPUT_RECORDS,
    layout.APPROVAL_RECORDS,
    layout.BUILT_RECORDS,
)
"""In the order in which they are written: nothing points at what is not there yet."""


@dataclass(frozen=True)
class ImportReport:
    """What an import did.

    Attributes
    ----------
    campaign
        Name of the campaign.
    n_candidates, n_outputs
        How many the folder holds.
    n_new
        Documents of all kinds that were not in the database before.
    models_missing
        Names of models whose file is neither in the folder nor in the database; without
        it, a round cannot be added with the same model.
    """

    campaign: str
    n_candidates: int
    n_outputs: int
    n_new: int
    models_missing: tuple[str, ...]


def import_campaign(
    database: Database,
    folder: Path,
    *,
    report: Callable[[int, int], None] | None = None,
) -> ImportReport:
    """Bring an exported campaign into a database.

    Candidates come as they were exported, and the outputs of all jobs with them, so
    that everything that can be asked of a campaign can be asked here. Its jobs do not
    come: what had not ended when it was exported does not run here. The campaign is
    paused, so that an import alone spends nothing.

    Parameters
    ----------
    database
        Where it goes to.
    folder
        What :func:`~wyckflow.store.exchange.exporting.export_campaign` wrote.
    report
        Told how many candidates of how many were written.

    Raises
    ------
    ExportError
        If the folder is none, or not as it was exported.
    CampaignError
        If another campaign of this name is in the database. Nothing is written then.
    """
    manifest = layout.read_manifest(folder)
    with database.client() as client:
        reader = _Reader(client[database.name], folder, manifest.campaign)
        try:
            reader.refuse_clash()
            missing = _register_models(database, folder)
            n_new = reader.write(manifest.n_candidates, report)
        except PyMongoError as error:
            raise explain(error, database) from error
    return ImportReport(
        campaign=manifest.campaign,
        n_candidates=manifest.n_candidates,
        n_outputs=manifest.n_outputs,
        n_new=n_new,
        models_missing=tuple(missing),
    )


class _Reader:
    """Reads a folder that was checked, into a database."""

    def __init__(self, mongo: MongoDatabase[Any], folder: Path, name: str) -> None:
        self.mongo = mongo
        self.folder = folder
        self.name = name
        self.campaign = _parse(
            CampaignDoc, (folder / layout.CAMPAIGN_RECORD).read_text("utf-8"), folder
        )

    # --- looking --------------------------------------------------------------------

    def refuse_clash(self) -> None:
        """Refuse what would mix two campaigns of one name."""
        present = self.mongo[CAMPAIGNS].find_one({"name": self.name}, {"_id": 0})
        if present is not None:
            stored = bare_campaign(CampaignDoc.model_validate(present))
            if stored.model_dump_json() != self.campaign.model_dump_json():
                raise self._clash("its request or rounds differ")
        elif self.mongo["fireworks"].find_one({"spec.campaign": self.name}, {"_id": 1}):
            raise self._clash("jobs carry this name, and no campaign does")
        n_same = {kind: self._count_same(kind) for kind in _KINDS}
        chosen = {"metadata.campaign": self.name}
        n_strange = (
            self.mongo[OUTPUTS].count_documents(chosen) - n_same[layout.OUTPUT_RECORDS]
        )
        if n_strange:
            raise self._clash(f"{n_strange} outputs of jobs are not in the folder")
        n_known = sum(len(part) - len(self._new(part)) for part in self._candidates())
        n_candidates = self.mongo[CANDIDATES].count_documents({"campaign": self.name})
        if n_strange := n_candidates - n_known:
            raise self._clash(f"{n_strange} candidates are not in the folder")

    def _count_same(self, kind: layout.RecordKind) -> int:
        """Return how many documents are there; refuse those that differ."""
        n_same = 0
        for part in _batches(layout.read_records(self.folder, kind), _RECORDS_AT_ONCE):
            present = self._present(kind, part)
            for item in part:
                stored = present.get(_identity(kind, item))
                if stored is None:
                    continue
                if not _is_same(stored, item, kind):
                    raise self._clash(
                        f"the document {'/'.join(map(str, _identity(kind, item)))} of "
                        f"{kind.collection!r} differs"
                    )
                n_same += 1
        return n_same

    def _new(self, part: Sequence[CandidateDoc]) -> list[CandidateDoc]:
        """Return the candidates that are not there; refuse those that differ."""
        chosen = {
            "campaign": self.name,
            "gene_id": {"$in": [item.gene_id for item in part]},
        }
        stored = {
            item["gene_id"]: CandidateDoc.model_validate(item)
            for item in self.mongo[CANDIDATES].find(chosen, {"_id": 0})
        }
        new = []
        for item in part:
            if item.gene_id not in stored:
                new.append(item)
            elif item.model_dump_json() != stored[item.gene_id].model_dump_json():
                raise self._clash(f"the candidate {item.gene_id} differs")
        return new

    def _clash(self, what: str) -> CampaignError:
        """Say that the database has another campaign of this name."""
        return CampaignError(
            f"There is another campaign {self.name!r} in {self.mongo.name!r}: {what}. "
            "Nothing was imported; use a database in which the name is free "
            "('wyckflow init' makes one)."
        )

    # --- writing --------------------------------------------------------------------

    def write(
        self, n_candidates: int, report: Callable[[int, int], None] | None
    ) -> int:
        """Write what is not there, the campaign last; return how many documents."""
        n_new = sum(self._write_records(kind) for kind in _KINDS)
        n_done = 0
        for part in self._candidates():
            if new := self._new(part):
                self.mongo[CANDIDATES].insert_many([item.model_dump() for item in new])
            n_new += len(new)
            n_done += len(part)
            if report is not None:
                report(n_done, n_candidates)
        if self.mongo[CAMPAIGNS].find_one({"name": self.name}, {"_id": 1}) is None:
            held = {"state": CampaignState.PAUSED, "reason": IMPORTED}
            self.mongo[CAMPAIGNS].insert_one(self.campaign.model_dump() | held)
            n_new += 1
        return n_new

    def _write_records(self, kind: layout.RecordKind) -> int:
        """Write the documents of a collection that are not there, in their order."""
        n_new = 0
        for part in _batches(layout.read_records(self.folder, kind), _RECORDS_AT_ONCE):
            present = self._present(kind, part)
            new = [item for item in part if _identity(kind, item) not in present]
            if new:
                self.mongo[kind.collection].insert_many(new)
            n_new += len(new)
        return n_new

    def _present(
        self, kind: layout.RecordKind, part: Sequence[Document]
    ) -> dict[tuple[Any, ...], Document]:
        """Return the documents of the database that have the identity of some."""
        first = kind.identity[0]
        query = {first: {"$in": [item[first] for item in part]}}
        found = self.mongo[kind.collection].find(query)
        return {_identity(kind, item): item for item in found}

    def _candidates(self) -> Iterator[list[CandidateDoc]]:
        """Yield the candidates of the folder in batches."""
        path = self.folder / layout.CANDIDATES_LINES
        with path.open(encoding="utf-8") as lines:
            for part in _batches(lines, _CANDIDATES_AT_ONCE):
                yield [_parse(CandidateDoc, line, self.folder) for line in part]


def _register_models(database: Database, folder: Path) -> list[str]:
    """Register the models whose file is at hand; return the names of the others."""
    cards = json.loads((folder / "provenance/models.json").read_text("utf-8"))
    known = {item.model_id for item in list_models(database)}
    missing = []
    for card in cards:
        model_id = card["model_id"]
        if model_id in known:
            continue
        content = _find_model_file(folder, model_id)
        if content is None:
            missing.append(str(card["name"]))
            continue
        whole = ModelDoc.from_bytes(
            content,
            **{name: card[name] for name in ("model_id", "name", "kind", "card")},
        )
        same_story = {"provenance": card["provenance"], "sha256": card["sha256"]}
        register_model(
            database, ModelDoc.model_validate(whole.model_dump() | same_story)
        )
    return missing


def _find_model_file(folder: Path, model_id: str) -> bytes | None:
    """Return a model's file from the folder, or from the package if it is bundled."""
    path = folder / layout.MODELS / f"{model_id}.npz"
    if path.is_file():
        return path.read_bytes()
    from wyckflow.ml.model_file import (
        BUNDLED_MODELS,
        bundled_model_path,
        describe_model,
    )

    for name in BUNDLED_MODELS:
        try:
            bundled = describe_model(bundled_model_path(name), name=name)
        except ModelError:
            continue
        if bundled.model_id == model_id:
            return bundled.to_bytes()
    return None


def _identity(kind: layout.RecordKind, item: Document) -> tuple[Any, ...]:
    """Return what names a document."""
    return tuple(item[name] for name in kind.identity)


def _is_same(stored: Document, item: Document, kind: layout.RecordKind) -> bool:
    """Return whether two documents of one identity hold the same."""
    if (
        kind == layout.BUILT_RECORDS
    ):  # a mark of what was joined; joining again does no harm
        return True
    if kind == layout.REFERENCE_RECORDS and item.get("record") != "layer":
        return True  # named by its content, and written by whoever came first
    left_out = {"_id", "provenance"} if kind == layout.REFERENCE_RECORDS else {"_id"}
    first, second = (
        {name: value for name, value in one.items() if name not in left_out}
        for one in (stored, item)
    )
    return bson.encode(first) == bson.encode(second)  # unlike ==, NaN equals NaN


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield some items at a time."""
    iterator = iter(items)
    while part := list(islice(iterator, size)):
        yield part


def _parse(kind: type[Any], text: str, folder: Path) -> Any:
    """Read a document, or say that the folder is of another version."""
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        what = error.errors(include_url=False)[0]
        raise ExportError(
            f"{folder} holds a {kind.__name__} that this wyckflow cannot read "
            f"({'.'.join(map(str, what['loc']))}: {what['msg']}): install the version "
            "that its manifest names, or a newer one."
        ) from error
