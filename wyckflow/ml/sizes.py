"""Sizes of networks that must fit together."""

from __future__ import annotations

from typing import Protocol, TypeVar


class AttentionSizes(Protocol):
    """Options of a network with attention: length of a token, and number of heads."""

    @property
    def width(self) -> int:
        """Length of a token."""
        ...

    @property
    def n_heads(self) -> int:
        """Heads that share a token among them."""
        ...


Sizes = TypeVar("Sizes", bound=AttentionSizes)


def check_heads(sizes: Sizes) -> Sizes:
    """Refuse heads that cannot share a token evenly.

    Parameters
    ----------
    sizes
        Options of a network; pydantic calls this after it has read them.

    Raises
    ------
    ValueError
        If the width is no multiple of the number of heads.
    """
    if sizes.width % sizes.n_heads:
        raise ValueError(
            f"width={sizes.width} is not a multiple of n_heads={sizes.n_heads}; choose "
            "one that is."
        )
    return sizes
