"""The genes and structures of a campaign's candidates, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from wyckflow.store.connect import Database


def count_candidates(database: Database, campaign: str) -> int:
    """Return how many candidates a campaign has.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.

    Raises
    ------
    CampaignError
        If it has none.
    DatabaseError
        If the database does not answer.
    """
    with database.client() as client:
        candidates = client[database.name][CANDIDATES]
        try:
            if found := candidates.count_documents({"campaign": campaign}):
                return int(found)
            names = sorted(map(str, candidates.distinct("campaign")))
        except PyMongoError as error:
            raise explain(error, database) from error
    raise CampaignError(
        f"{campaign!r} has no candidates in {database.name!r}."
        f"{nearest_name(campaign, names)} Campaigns with candidates: "
        f"{', '.join(names) or 'none'}; 'wyckflow status' shows what has run."
    )


def iter_candidate_genes(
    database: Database, campaign: str
) -> Iterator[tuple[str, str]]:
    """Yield the id and the text of each gene, by id, without holding them all.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    for item in _iter_fields(database, campaign, ("gene_id", "gene")):
        yield item["gene_id"], item["gene"]


def iter_candidate_structures(
    database: Database, campaign: str
) -> Iterator[tuple[str, str, dict[str, Any] | None]]:
    """Yield id, text and best structure of each gene, by id, without holding them all.

    The structure is the dictionary of pymatgen's, None where there is none so far.

    Parameters
    ----------
    database
        Where.
    campaign
        Its name.

    Raises
    ------
    DatabaseError
        If the database does not answer.
    """
    for item in _iter_fields(database, campaign, ("gene_id", "gene", "structure")):
        yield item["gene_id"], item["gene"], item.get("structure")


def _iter_fields(
    database: Database, campaign: str, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """Yield some fields of each candidate, by the id of its gene."""
    fields = {"_id": 0, **dict.fromkeys(names, 1)}
    with database.client() as client:
        try:
            found = client[database.name][CANDIDATES].find(
                {"campaign": campaign}, fields
            )
            yield from found.sort("gene_id")
        except PyMongoError as error:
            raise explain(error, database) from error
