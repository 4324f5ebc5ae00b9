"""The genes of a campaign's candidates, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymongo.errors import PyMongoError

from wyckflow.errors import CampaignError, nearest_name
from wyckflow.store.candidates.builder import CANDIDATES
from wyckflow.store.connect import explain

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    fields = {"_id": 0, "gene_id": 1, "gene": 1}
    with database.client() as client:
        try:
            found = client[database.name][CANDIDATES].find(
                {"campaign": campaign}, fields
            )
            for item in found.sort("gene_id"):
                yield item["gene_id"], item["gene"]
        except PyMongoError as error:
            raise explain(error, database) from error
