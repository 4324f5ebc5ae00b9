"""What a network sees of crystals: the representations, by name."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from pydantic import BaseModel, ValidationError

from wyckflow.errors import TrainingError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.ml.forward.crystals import Crystals


@runtime_checkable
class Representation(Protocol):
    """From crystals to what a network takes, and the network itself.

    Attributes
    ----------
    name
        As in `REPRESENTATIONS`.
    needs_cells
        Whether genes alone do not do.
    can_augment
        Whether equivalent descriptions of a crystal look different to it.
    sizes
        Its options.
    """

    name: str
    needs_cells: bool
    can_augment: bool
    sizes: Any

    def prepare(self, crystals: Crystals) -> Any:
        """Compute once what does not change from batch to batch."""
        ...

    def batch(
        self, prepared: Any, rows: NDArray[np.int64], rng: np.random.Generator | None
    ) -> Any:
        """Return tensors of some rows, each in a random description if ``rng`` came."""
        ...

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network with fresh weights.

        It takes a batch and returns scaled values and the logarithms of their spreads,
        (b, outputs) each.
        """
        ...

    def to(self, batch: Any, device: str) -> Any:
        """Return a batch on another device."""
        ...


@runtime_checkable
class Limited(Protocol):
    """A representation that not every crystal fits into."""

    @property
    def limits(self) -> dict[str, int]:
        """How much there is room for, by name."""
        ...

    def fitted(self, crystals: Crystals) -> Self:
        """Return the same, with room for these crystals where its options leave it."""
        ...

    def holds(self, crystals: Crystals) -> NDArray[np.bool_]:
        """Return which crystals fit (n,)."""
        ...


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a representation lives.

    Attributes
    ----------
    module, representation, sizes
        The module, and the names in it of the class and of its options.
    """

    module: str
    representation: str
    sizes: str


REPRESENTATIONS: Final[dict[str, Entry]] = {
    "composition": Entry(
        "composition", "CompositionRepresentation", "CompositionSizes"
    ),
    "gene": Entry("gene", "GeneRepresentation", "GeneSizes"),
    "gene-l": Entry("gene_lattice", "GeneLatticeRepresentation", "GeneLatticeSizes"),
    "wycryst": Entry("wycryst", "WycrystRepresentation", "WycrystSizes"),
    "wycryst-l": Entry(
        "wycryst_lattice", "WycrystLatticeRepresentation", "WycrystLatticeSizes"
    ),
    "ftcp": Entry("ftcp", "FtcpRepresentation", "FtcpSizes"),
    "graph": Entry("graph", "GraphRepresentation", "GraphSizes"),
}
"""All representations, in the order of how much they see."""


def open_representation(
    name: str, options: Mapping[str, Any] | None = None
) -> Representation:
    """Return a representation; what it needs is imported only now.

    Parameters
    ----------
    name
        One of `REPRESENTATIONS`.
    options
        Sizes of its network and the like; the others keep their defaults.

    Raises
    ------
    TrainingError
        If there is no such representation, or no such option.
    """
    check_name(name)
    entry = REPRESENTATIONS[name]
    module = import_module(f"wyckflow.ml.forward.{entry.module}")
    model: type[BaseModel] = getattr(module, entry.sizes)
    try:
        sizes = model.model_validate(dict(options or {}))
    except ValidationError as error:
        wrong = error.errors()[0]
        option = ".".join(map(str, wrong["loc"]))
        about = f"Option {option!r}" if option else "An option"
        is_name = wrong["loc"][:1] and wrong["loc"][0] in model.model_fields
        nearest = "" if is_name else nearest_name(option, model.model_fields)
        raise TrainingError(
            f"{about} of the representation {name!r} cannot be used: {wrong['msg']}. "
            f"It has {', '.join(model.model_fields)}.{nearest}"
        ) from error
    representation: Representation = getattr(module, entry.representation)(sizes)
    return representation


def check_name(name: str) -> None:
    """Refuse a representation that there is not.

    Parameters
    ----------
    name
        What came.

    Raises
    ------
    TrainingError
        If it is none of `REPRESENTATIONS`.
    """
    if name not in REPRESENTATIONS:
        raise TrainingError(
            f"There is no representation {name!r}; choose one of "
            f"{', '.join(REPRESENTATIONS)}.{nearest_name(name, REPRESENTATIONS)}"
        )
