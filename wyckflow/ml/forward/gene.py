"""The network that predicts beside the generators, on the same footing.

It reads the gene alone, as a set of sites that attend to each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from wyckflow.crystal.tables import NormalizerKind
from wyckflow.ml.codec.arrangement import MAX_SPECIES, Arrangement, arrange_sites
from wyckflow.ml.forward.wycryst import count_elements
from wyckflow.ml.mpvae.model import PredictorNetwork
from wyckflow.ml.sizes import check_heads

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.ml.codec.sites import SiteTensors
    from wyckflow.ml.forward.crystals import Crystals


class GeneSizes(BaseModel):
    """Sizes of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=64, ge=8, description="Length of a token.")
    n_layers: int = Field(default=2, ge=1, description="Layers of attention.")
    n_heads: int = Field(default=4, ge=1, description="Attention heads.")
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share left out.")

    _divides = model_validator(mode="after")(check_heads)


class GeneRepresentation:
    """Sites of a gene as a set, with the letters of one description.

    Parameters
    ----------
    sizes
        Of the network.
    """

    name = "gene"
    needs_cells = False
    can_augment = True

    def __init__(self, sizes: GeneSizes | None = None) -> None:
        self.sizes = sizes or GeneSizes()

    def fitted(self, crystals: Crystals) -> Self:
        """Return the same: there is nothing to find out from crystals."""
        del crystals
        return self

    @property
    def limits(self) -> dict[str, int]:
        """How much there is room for."""
        return {"n_elements": MAX_SPECIES}

    def holds(self, crystals: Crystals) -> NDArray[np.bool_]:
        """Return which crystals fit (n,)."""
        fits: NDArray[np.bool_] = count_elements(crystals) <= MAX_SPECIES
        return fits

    def prepare(self, crystals: Crystals) -> SiteTensors:
        """Return the genes as arrays."""
        return crystals.sites

    def batch(
        self,
        prepared: SiteTensors,
        rows: NDArray[np.int64],
        rng: np.random.Generator | None,
    ) -> Arrangement:
        """Return some genes as sequences.

        Parameters
        ----------
        prepared
            What `prepare` returned.
        rows
            Which of them.
        rng
            Draws a description of each, if it came.
        """
        sites = prepared.take(rows)
        if rng is not None:
            sites = sites.permuted(rng, kind=NormalizerKind.AUGMENTATION)
        return arrange_sites(sites.trimmed())

    def network(self, n_outputs: int) -> nn.Module:
        """Return a network with fresh weights."""
        return PredictorNetwork(
            width=self.sizes.width,
            n_layers=self.sizes.n_layers,
            n_heads=self.sizes.n_heads,
            dropout=self.sizes.dropout,
            n_properties=n_outputs,
        )

    def to(self, batch: Arrangement, device: str) -> Arrangement:
        """Return a batch on another device."""
        return batch.to(device)
