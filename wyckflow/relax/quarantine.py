"""A structure that breaks the software must not take the others with it.

Backends turn what a structure does into an outcome. What is left are bugs and broken
machines, and these two are told apart here: if even copper cannot be relaxed any more,
the machine is broken and the error goes on; if it can, the batch is halved until the
culprit is alone, and that one ends with the exception as its reason.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.contract import Relaxed, RelaxOptions
from wyckflow.schemas.relaxation import Outcome, RelaxedState

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wyckflow.relax.backends import Backend

logger = logging.getLogger(__name__)

_COPPER: Final = ("225 Cu:a", 3.61)
_LONGEST_REASON: Final = 300


def relax_guardedly(
    starts: Sequence[ReducedStructure],
    backend: Backend,
    options: RelaxOptions,
    pauses: Sequence[object | None] = (),
) -> list[Relaxed]:
    """Relax structures, and survive those that raise.

    Parameters
    ----------
    starts
        Start structures; not changed.
    backend
        What relaxes.
    options
        When to stop.
    pauses
        What came as `Relaxed.pause` with each start, if any did.

    Returns
    -------
    list[Relaxed]
        One per start, in order. A start that made the backend raise has the outcome
        ``error`` and the exception as its reason; the log has the traceback.

    Raises
    ------
    Exception
        What the backend raised, if it cannot relax a crystal of copper either.
    """
    ends: dict[int, Relaxed] = {}
    batches = [list(range(len(starts)))] if starts else []
    while batches:
        batch = batches.pop()
        batch_ends, error = _try_batch(batch, starts, backend, options, pauses)
        ends |= batch_ends
        if error is None:
            continue
        _check_machine(backend, error)
        rest = [place for place in batch if place not in ends]
        if len(batch) == 1:
            ends[batch[0]] = _failed(starts[batch[0]], error)
        else:
            logger.warning(
                "%s in a batch of %d; it is halved to find the culprit",
                _describe(error),
                len(batch),
            )
            middle = (len(rest) + 1) // 2
            batches += [half for half in (rest[middle:], rest[:middle]) if half]
    return [ends[place] for place in range(len(starts))]


def describe_failure(error: Exception) -> RelaxedState:
    """Return the state of what made the software raise.

    Parameters
    ----------
    error
        What was raised.
    """
    return RelaxedState(outcome=Outcome.ERROR, reason=_describe(error))


def _try_batch(
    batch: Sequence[int],
    starts: Sequence[ReducedStructure],
    backend: Backend,
    options: RelaxOptions,
    pauses: Sequence[object | None],
) -> tuple[dict[int, Relaxed], Exception | None]:
    """Relax a batch; return who came to an end, and the error that stopped it."""
    ends: dict[int, Relaxed] = {}

    def note(place: int, end: Relaxed) -> None:
        ends[batch[place]] = end

    more: dict[str, Any] = {}
    if any(pause is not None for pause in pauses):  # then the backend knows them
        more["pauses"] = [pauses[place] for place in batch]
    try:
        found = backend.relax([starts[place] for place in batch], options, note, **more)
    except Exception as error:  # noqa: BLE001 (any bug; it is logged with its traceback)
        return ends, error
    return dict(zip(batch, found, strict=True)), None


def _check_machine(backend: Backend, error: Exception) -> None:
    """Raise the error again if the backend can do nothing any more."""
    text, edge = _COPPER
    gene = WyckoffGene.from_text(text)
    copper = ReducedStructure(gene, np.eye(3) * edge, np.zeros((1, 3)))
    try:
        backend.relax([copper], RelaxOptions(max_steps=1))
    except Exception:
        logger.exception("The backend fails on copper too, so it is not the structures")
        raise error from None


def _failed(start: ReducedStructure, error: Exception) -> Relaxed:
    """Log a culprit, and return its end."""
    logger.error("Relaxing %s failed", start.gene, exc_info=error)
    return Relaxed(describe_failure(error))


def _describe(error: Exception) -> str:
    """Word an exception on one line."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words[:_LONGEST_REASON]
