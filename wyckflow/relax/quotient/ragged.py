"""Rows of many structures in one tensor: blocks of different lengths, side by side."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows that belong to structures; the rows of each are next to each other.

    Attributes
    ----------
    owner
        The structure of each row, by its place in the batch.
    """

    owner: Tensor

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.owner)

    def counts(self, n_structures: int) -> Tensor:
        """Return the number of rows of each structure."""
        counts: Tensor = self.owner.bincount(minlength=n_structures)
        return counts

    def starts(self, n_structures: int) -> Tensor:
        """Return the first row of each structure, wherever its block stands."""
        import torch

        rows = torch.arange(len(self.owner), device=self.owner.device)
        starts: Tensor = self.owner.new_zeros(n_structures)
        return starts.scatter_reduce(0, self.owner, rows, "amin", include_self=False)

    def select(self, keep: Tensor, places: Tensor | None = None) -> Self:
        """Return the rows of some structures.

        Parameters
        ----------
        keep
            For each structure whether to keep its rows.
        places
            New place of each structure; as before if not given.
        """
        rows = keep[self.owner].nonzero()[:, 0]
        columns = {
            field.name: getattr(self, field.name).index_select(0, rows)
            for field in fields(self)
        }
        if places is not None:
            columns["owner"] = places[columns["owner"]]
        return type(self)(**columns)

    def moved_to(self, places: Tensor) -> Self:
        """Return the same rows with every structure at another place of a batch."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return type(self)(**columns | {"owner": places[self.owner]})

    @classmethod
    def join(cls, parts: Sequence[Self]) -> Self:
        """Return the rows of several batches, whose places must be different."""
        import torch

        if len(parts) == 1:
            return parts[0]
        return cls(
            **{
                field.name: torch.cat([getattr(part, field.name) for part in parts])
                for field in fields(cls)
            }
        )


def spread(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each of ``counts[i]`` rows per item the item and the number within.

    Parameters
    ----------
    counts
        Rows of each item.
    """
    import torch

    items = torch.arange(len(counts), device=counts.device)
    rows = items.repeat_interleave(counts)
    starts = counts.cumsum(0) - counts
    return rows, torch.arange(len(rows), device=counts.device) - starts[rows]


def smallest(values: Tensor, groups: Tensor, n_groups: int, *, default: Any) -> Tensor:
    """Return the smallest value of each group.

    Parameters
    ----------
    values
        Any numbers.
    groups
        The group of each.
    n_groups
        How many groups there are.
    default
        What an empty group gets.
    """
    result: Tensor = values.new_full((n_groups,), default)
    return result.scatter_reduce(0, groups, values, "amin")
