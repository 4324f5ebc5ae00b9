"""Ask for candidates: plain pymongo underneath, documents or a table on top."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.builder import CANDIDATES
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from wyckflow.store.connect import Database

DEFAULT_LIMIT = 1000


def find_candidates(
    database: Database,
    *,
    campaign: str | None = None,
    where: Mapping[str, Any] | None = None,
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
        Any further query of MongoDB on the fields of :class:`CandidateDoc`.
    sort
        Fields and directions (1 up, -1 down).
    limit
        At most so many.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    query = dict(where or {})
    if campaign is not None:
        query["campaign"] = campaign
    with database.client() as client:
        try:
            found = client[database.name][CANDIDATES].find(query, {"_id": 0})
            chosen = list(found.sort(list(sort)).limit(limit))
        except PyMongoError as error:
            raise explain(error, database) from error
    return [CandidateDoc.model_validate(item) for item in chosen]
