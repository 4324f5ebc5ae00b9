"""A whole campaign into a folder: for people, for other programs, for another database.

The same campaign gives the same bytes: nothing in the folder depends on when or where
it was written, except for what is stored with the campaign.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import bson
from pymongo.errors import PyMongoError

from wyckflow import __version__
from wyckflow.errors import WyckflowError
from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.schemas.export import ExportManifest
from wyckflow.store.campaign.record import read_campaign
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.candidates.files import (
    ParquetTable,
    format_cif,
    has_parquet,
    structure_stem,
    write_csv,
)
from wyckflow.store.connect import OUTPUTS, explain
from wyckflow.store.exchange import folder as layout
from wyckflow.store.exchange.optimade import head_lines, structure_entry
from wyckflow.store.exchange.provenance import (
    json_line,
    write_hulls,
    write_models,
    write_provenance,
)
from wyckflow.store.exchange.readme import write_readme
from wyckflow.store.references import REFERENCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from io import TextIOWrapper
    from pathlib import Path

    from pymongo.collection import Collection
    from pymongo.database import Database as MongoDatabase

    from wyckflow.schemas.campaign import CampaignDoc
    from wyckflow.store.connect import Database

_BATCH: Final = 500
_DOCUMENTS_AT_ONCE: Final = 10
"""A blob may have 8 MB."""


@dataclass
class ExportReport:
    """What was written.

    Attributes
    ----------
    manifest
        The list of files.
    n_bytes
        Size of the folder.
    has_parquet
        Whether candidates are there as Parquet, too.
    models_left_out
        Models whose file is not in the folder; the cards of all are.
    """

    manifest: ExportManifest
    n_bytes: int
    has_parquet: bool
    models_left_out: list[str] = field(default_factory=list)


def export_campaign(
    database: Database,
    name: str,
    folder: Path,
    *,
    parquet: bool | None = None,
    with_models: bool = True,
    report: Callable[[int, int], None] | None = None,
) -> ExportReport:
    """Write candidates, structures, provenance and all job outputs of a campaign.

    The folder appears when it is complete. What workers finish meanwhile may be
    missing in it, but nothing in it contradicts itself.

    Parameters
    ----------
    database
        Where the campaign is.
    name
        Its name.
    folder
        That is not there yet, or empty.
    parquet
        Whether to write candidates.parquet as well; if pyarrow is there, by default.
    with_models
        Whether to write the files of the models, with which the campaign can be
        extended in another database.
    report
        Told how many candidates of how many were written.

    Raises
    ------
    CampaignError
        If there is no such campaign.
    ExportError
        If the folder cannot be written, or pyarrow is asked for and missing.
    """
    campaign = read_campaign(database, name)
    with layout.new_folder(folder) as part, database.client() as client:
        writer = _Writer(client[database.name], campaign, part, report)
        try:
            writer.write(with_parquet=has_parquet() if parquet is None else parquet)
        except PyMongoError as error:
            raise explain(error, database) from error
        left_out = write_models(database, campaign, part, with_files=with_models)
        counts = writer.counts
        write_readme(part, campaign, counts)
        manifest = ExportManifest(
            campaign=name,
            wyckflow_version=__version__,
            n_candidates=counts["candidates"],
            n_structures=counts["structures"],
            n_outputs=counts[OUTPUTS],
            files=layout.list_files(part),
        )
        text = manifest.model_dump_json(indent=1) + "\n"
        (part / layout.MANIFEST).write_text(text, "utf-8")
    return ExportReport(
        manifest=manifest,
        n_bytes=sum(item.n_bytes for item in manifest.files) + len(text),
        has_parquet=any(f.path == layout.CANDIDATES_PARQUET for f in manifest.files),
        models_left_out=left_out,
    )


class _Writer:
    """Writes what a database holds of one campaign."""

    def __init__(
        self,
        mongo: MongoDatabase[Any],
        campaign: CampaignDoc,
        folder: Path,
        report: Callable[[int, int], None] | None,
    ) -> None:
        self.mongo = mongo
        self.campaign = campaign
        self.folder = folder
        self.report = report
        self.counts: Counter[str] = Counter()
        for sub in (layout.STRUCTURES, layout.RECORDS, "provenance"):
            (folder / sub).mkdir()

    def write(self, *, with_parquet: bool) -> None:
        """Write all of it.

        Marks of what was joined come first and outputs last: an output that ends
        meanwhile is joined again after an import, which does no harm.
        """
        name = self.campaign.name
        self._dump(layout.BUILT_RECORDS, {"campaign": name}, sort="_id")
        self._write_candidates(with_parquet=with_parquet)
        self._dump(layout.OUTPUT_RECORDS, {"metadata.campaign": name})
        uuids = [
            item["uuid"]
            for item in layout.read_records(self.folder, layout.OUTPUT_RECORDS)
        ]
        self._dump(layout.BLOB_RECORDS, {"job_uuid": {"$in": uuids}}, sort="blob_uuid")
        self._dump(layout.APPROVAL_RECORDS, {"campaign": name})
        self._write_references()
        write_provenance(self.folder, self.campaign)
        write_hulls(self.folder, self.mongo, self.campaign.name)

    # --- candidates -----------------------------------------------------------------

    def _write_candidates(self, *, with_parquet: bool) -> None:
        """Write candidates in every form, each read once from the database."""
        table = (
            ParquetTable(self.folder / layout.CANDIDATES_PARQUET)
            if with_parquet
            else None
        )
        with (
            self._open(layout.CANDIDATES_CSV) as rows,
            self._open(layout.CANDIDATES_LINES) as lines,
            self._open(layout.OPTIMADE) as entries,
        ):
            for head in head_lines():
                entries.write(json_line(head))

            def pass_on() -> Iterator[CandidateDoc]:
                batch: list[CandidateDoc] = []
                for item in self._candidates():
                    lines.write(item.model_dump_json() + "\n")
                    if entry := structure_entry(item):
                        entries.write(json_line(entry))
                        self._write_structure(item)
                    batch.append(item)
                    if table is not None and len(batch) >= _BATCH:
                        table.add(batch)
                        batch = []
                    yield item
                if table is not None:
                    table.add(batch)
                    table.close()

            write_csv(pass_on(), rows)

    def _open(self, name: str) -> TextIOWrapper:
        """Open a text file of the folder, with the same bytes on every system."""
        return (self.folder / name).open("w", encoding="utf-8", newline="")

    def _candidates(self) -> Iterator[CandidateDoc]:
        """Yield the candidates by gene id, and count them."""
        chosen = {"campaign": self.campaign.name}
        collection = self.mongo[CANDIDATES]
        n_all = collection.count_documents(chosen)
        for item in collection.find(chosen, {"_id": 0}).sort("gene_id"):
            candidate = CandidateDoc.model_validate(item)
            self.counts["candidates"] += 1
            yield candidate
            if self.report is not None:
                self.report(self.counts["candidates"], n_all)

    def _write_structure(self, candidate: CandidateDoc) -> None:
        """Write the CIF of a candidate."""
        from pymatgen.core import Structure

        structure = Structure.from_dict(candidate.structure or {})
        stem = structure_stem(candidate)
        try:
            text = format_cif(structure, stem)
        except WyckflowError:  # no symmetry can be found in it: all atoms, in P1
            text = structure.to(fmt="cif")
        path = self.folder / layout.STRUCTURES / f"{stem}.cif"
        path.write_text(text, "utf-8")
        self.counts["structures"] += 1

    # --- records --------------------------------------------------------------------

    def _dump(
        self, kind: layout.RecordKind, query: dict[str, Any], *, sort: str = "_id"
    ) -> None:
        """Write documents as they are, by default in the order they were stored.

        They are sorted by their ids alone: a server sorts no more than 100 MB.
        """
        collection = self.mongo[kind.collection]
        found = collection.find(query, {"_id": 1, sort: 1})
        ids = [item["_id"] for item in sorted(found, key=lambda item: str(item[sort]))]
        with (self.folder / kind.file).open("wb") as stream:
            for start in range(0, len(ids), _DOCUMENTS_AT_ONCE):
                part = ids[start : start + _DOCUMENTS_AT_ONCE]
                documents = {
                    item["_id"]: item
                    for item in collection.find({"_id": {"$in": part}})
                }
                for item in (documents[one] for one in part if one in documents):
                    if "_id" not in kind.identity:
                        item.pop("_id")
                    stream.write(bson.encode(item))
                    self.counts[kind.collection] += 1

    def _write_references(self) -> None:
        """Write the layers that the campaign put on known phases, with those."""
        collection: Collection[dict[str, Any]] = self.mongo[REFERENCES]
        layers = {"record": "layer", "campaign": self.campaign.name}
        bases = collection.distinct("base_version", layers)
        sets = {"record": "set", "version": {"$in": bases}}
        chunks = {
            "record": "chunk",
            "content": {"$in": collection.distinct("content", sets)},
        }
        # Sets before layers: whoever sees a layer can read what it stands on.
        with (self.folder / layout.REFERENCE_RECORDS.file).open("wb") as stream:
            for query in (chunks, sets, layers):
                for item in collection.find(query).sort("_id"):
                    stream.write(bson.encode(item))
