"""What the transformer wrote, as genes with their probabilities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wyckflow.crystal.keys import LETTER_BITS
from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.errors import GeneError
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.generator import GeneBatch, Rejection
from wyckflow.ml.transformer.likelihood import log_orders

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.transformer.cascade import Written


def to_batch(
    group: Tensor,
    written: Written,
    index: NDArray[np.int64],
    group_scores: NDArray[np.float32],
    *,
    is_any_order: bool,
) -> GeneBatch:
    """Turn what was written into genes.

    Parameters
    ----------
    group
        Their space-group numbers (n,).
    written
        Their sites.
    index
        What each was asked for, -1 for nothing (n,).
    group_scores
        How likely each space group is, in nats (231,).
    is_any_order
        Whether each could as well have been written in another order.
    """
    numbers = group.cpu().numpy().astype(np.int16)
    element, letter = written.element.cpu().numpy(), written.letter.cpu().numpy()
    sites = element << LETTER_BITS | letter
    codes = np.where(element > 0, sites, 0).astype(np.int16)
    own = written.log_probability.double().cpu().numpy()
    if is_any_order:
        own += log_orders(tensorise_codes(numbers, codes))
    return GeneBatch(
        space_group_numbers=numbers,
        codes=codes,
        log_probability=own + score_groups(group_scores, numbers),
        seed_index=index,
        rejections=dict.fromkeys(Rejection, 0),
    )


def score_groups(
    group_scores: NDArray[np.float32], numbers: NDArray[Any]
) -> NDArray[np.float64]:
    """Return the logarithm of the probability of space groups (n,).

    Parameters
    ----------
    group_scores
        How likely each is, in nats, but for a constant (231,).
    numbers
        Which are asked about (n,).
    """
    scores = group_scores.astype(float)
    shares = scores - np.log(np.exp(scores[1:]).sum())
    found: NDArray[np.float64] = shares[numbers]
    return found


def check_groups(numbers: NDArray[np.int64], possible: NDArray[np.bool_]) -> None:
    """Refuse space groups in which nothing can be written.

    Parameters
    ----------
    numbers
        Space-group numbers that were given (n,).
    possible
        In which there are genes within the limits (231,).

    Raises
    ------
    GeneError
        If one of them has none, or there is no such group.
    """
    if wrong := sorted(set(numbers.tolist()) - set(range(1, N_SPACE_GROUPS + 1))):
        raise GeneError(
            f"{wrong} came as space groups; give numbers from 1 to {N_SPACE_GROUPS}."
        )
    if lost := sorted(set(numbers[~possible[numbers]].tolist())):
        raise GeneError(
            f"No gene within the limits exists in the space groups {lost} that were "
            "given; give others, or allow more atoms."
        )
