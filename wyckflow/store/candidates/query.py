"""Ask for candidates: plain pymongo underneath, documents or a table on top."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from pymongo.errors import PyMongoError

from wyckflow.schemas.candidate import CandidateDoc
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.candidates.where import parse_where
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    import pandas as pd
    from pymatgen.core import Structure

    from wyckflow.store.connect import Database

DEFAULT_LIMIT = 1000
FIELDS = tuple(CandidateDoc.model_fields)
"""What can be asked for."""

BEST_FIRST = (("energy_above_hull", 1), ("gene_id", 1))
_NESTED = {"structure", "provenance", "verdicts", "outcomes"}


class Candidates(AbstractContextManager["Candidates"]):
    """The candidates of a database, with one connection for many questions.

    Parameters
    ----------
    database
        Where.
    campaign
        Only its candidates; all of them if None.

    Examples
    --------
    ::

        with Candidates(load_project().database(), campaign="oxides") as candidates:
            best = candidates.find("energy_above_hull < 0.05", limit=20)
            table = candidates.to_pandas("band_gap > 0.5")
    """

    def __init__(self, database: Database, *, campaign: str | None = None) -> None:
        self.database = database
        self.campaign = campaign
        self._client = database.client()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def find(
        self,
        where: str | Mapping[str, Any] | None = None,
        *,
        sort: Sequence[tuple[str, int]] = BEST_FIRST,
        limit: int = DEFAULT_LIMIT,
    ) -> list[CandidateDoc]:
        """Return candidates as documents.

        Parameters
        ----------
        where
            Conditions on the fields of :class:`CandidateDoc`: as text, such as
            ``band_gap > 0.5 and energy_above_hull < 0.05``, or as a query of MongoDB.
        sort
            Fields and directions (1 up, -1 down); without a value of the first comes
            last.
        limit
            At most so many.

        Raises
        ------
        QueryError
            If the text is no condition, or names a field that does not exist.
        DatabaseError
            If the database does not answer.
        """
        query = self._query(where)
        collection = self._client[self.database.name][CANDIDATES]
        chosen: list[dict[str, Any]] = []
        try:
            for part in _known_first(query, sort):
                if len(chosen) < limit:  # a limit of 0 would be none to MongoDB
                    found = collection.find(part, {"_id": 0}).sort(list(sort))
                    chosen += found.limit(limit - len(chosen))
        except PyMongoError as error:
            raise explain(error, self.database) from error
        return [CandidateDoc.model_validate(item) for item in chosen]

    def count(self, where: str | Mapping[str, Any] | None = None) -> int:
        """Return how many candidates meet conditions.

        Parameters
        ----------
        where
            As in :meth:`find`.
        """
        collection = self._client[self.database.name][CANDIDATES]
        try:
            return int(collection.count_documents(self._query(where)))
        except PyMongoError as error:
            raise explain(error, self.database) from error

    def to_pandas(
        self, where: str | Mapping[str, Any] | None = None, **options: Any
    ) -> pd.DataFrame:
        """Return candidates as a table, without structures and nested documents.

        Parameters
        ----------
        where, **options
            As in :meth:`find`.
        """
        import pandas as pd

        found = self.find(where, **options)
        columns = [name for name in FIELDS if name not in _NESTED]
        rows = [item.model_dump(exclude=_NESTED) for item in found]
        return pd.DataFrame(rows, columns=columns)

    def structures(
        self, where: str | Mapping[str, Any] | None = None, **options: Any
    ) -> dict[str, Structure]:
        """Return structures by gene id; candidates without one are left out.

        Parameters
        ----------
        where, **options
            As in :meth:`find`.
        """
        from pymatgen.core import Structure

        return {
            item.gene_id: Structure.from_dict(item.structure)
            for item in self.find(where, **options)
            if item.structure is not None
        }

    def _query(self, where: str | Mapping[str, Any] | None) -> dict[str, Any]:
        """Return conditions as MongoDB asks them."""
        asked = parse_where(where, FIELDS) if isinstance(where, str) else where
        if self.campaign is None:
            return dict(asked or {})
        # Beside the conditions, not among them: both may name the campaign.
        return {"campaign": self.campaign, "$and": [dict(asked or {})]}


def find_candidates(
    database: Database,
    *,
    campaign: str | None = None,
    where: str | Mapping[str, Any] | None = None,
    sort: Sequence[tuple[str, int]] = BEST_FIRST,
    limit: int = DEFAULT_LIMIT,
) -> list[CandidateDoc]:
    """Ask once; for many questions, :class:`Candidates` connects only once.

    Parameters
    ----------
    database
        Where.
    campaign
        Only its candidates.
    where, sort, limit
        As in :meth:`Candidates.find`.
    """
    with Candidates(database, campaign=campaign) as candidates:
        return candidates.find(where, sort=sort, limit=limit)


def _known_first(
    query: dict[str, Any], sort: Sequence[tuple[str, int]]
) -> list[dict[str, Any]]:
    """Split a query in two, since MongoDB sorts missing values before all numbers."""
    if not sort or sort[0][0] in {"campaign", "gene_id"}:
        return [query]
    name = sort[0][0]
    return [{"$and": [query, {name: {"$ne": None}}]}, {"$and": [query, {name: None}]}]
