"""Ask for candidates: plain pymongo underneath, documents or a table on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.builder import CANDIDATES
from wyckflow.store.connect import explain
from wyckflow.store.where import parse_where

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.store.connect import Database

DEFAULT_LIMIT = 1000
FIELDS = tuple(CandidateDoc.model_fields)
"""What can be asked for."""


def find_candidates(
    database: Database,
    *,
    campaign: str | None = None,
    where: str | Mapping[str, Any] | None = None,
    sort: Sequence[tuple[str, int]] = (("energy_above_hull", 1), ("gene_id", 1)),
    limit: int = DEFAULT_LIMIT,
) -> list[CandidateDoc]:
    """Return candidates as documents.

    Parameters
    ----------
    database
        Where.
    campaign
        Only its candidates.
    where
        Conditions on the fields of :class:`CandidateDoc`: as text, such as
        ``band_gap > 0.5 and energy_above_hull < 0.05``, or as a query of MongoDB.
    sort
        Fields and directions (1 up, -1 down); without a value of the first comes last.
    limit
        At most so many.

    Raises
    ------
    QueryError
        If the text is no condition, or names a field that does not exist.
    DatabaseError
        If the database does not answer.
    """
    asked = parse_where(where, FIELDS) if isinstance(where, str) else dict(where or {})
    # Beside the conditions, not among them: both may name the campaign.
    query = asked if campaign is None else {"campaign": campaign, "$and": [asked]}
    with database.client() as client:
        collection = client[database.name][CANDIDATES]
        try:
            chosen: list[dict[str, Any]] = []
            for part in _known_first(query, sort):
                found = collection.find(part, {"_id": 0}).sort(list(sort))
                # A limit of 0 would be none to MongoDB.
                if len(chosen) < limit:
                    chosen += found.limit(limit - len(chosen))
        except PyMongoError as error:
            raise explain(error, database) from error
    return [CandidateDoc.model_validate(item) for item in chosen]


def _known_first(
    query: dict[str, Any], sort: Sequence[tuple[str, int]]
) -> list[dict[str, Any]]:
    """Split a query in two, since MongoDB sorts missing values before all numbers."""
    if not sort or sort[0][0] in {"campaign", "gene_id"}:
        return [query]
    name = sort[0][0]
    return [{"$and": [query, {name: {"$ne": None}}]}, {"$and": [query, {name: None}]}]
