"""The five trainings of the published table: alone, both, augmented, transferred."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from wyckflow.ml.codec.wycryst import ROWS, encode_wycryst, fits_wycryst
from wyckflow.ml.mpvae.wycryst import LossWeights, WycrystNetwork, wycryst_loss

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray
    from torch import Tensor

    from wyckflow.ml.training.rows import TrainingRows

ENERGY: Final = "formation_energy_per_atom"
GAP: Final = "band_gap"
LEARNING_RATE: Final = 2e-4


class WycrystVariant(StrEnum):
    """A row of the published table."""

    SINGLE = "WyCryst (single)"
    """All crystals, formation energy only."""
    MULTI = "WyCryst (multi)"
    """Crystals with a gap, both properties."""
    PLUS = "WyCryst+"
    """The same, described in all equivalent ways."""
    TRANSFER = "TL-WyCryst"
    """First all crystals, then those with a gap."""
    TRANSFER_PLUS = "TL-WyCryst+"
    """Both."""

    @property
    def is_augmented(self) -> bool:
        """Whether genes are described anew in every epoch."""
        return self in {WycrystVariant.PLUS, WycrystVariant.TRANSFER_PLUS}

    @property
    def starts_with_all(self) -> bool:
        """Whether it sees the crystals without a gap."""
        return self not in {WycrystVariant.MULTI, WycrystVariant.PLUS}

    @property
    def ends_with_gaps(self) -> bool:
        """Whether it learns both properties in the end."""
        return self is not WycrystVariant.SINGLE


@dataclass(frozen=True, slots=True)
class WycrystOptions:
    """Options of the published training.

    Attributes
    ----------
    n_epochs
        Of each of the two parts.
    batch_size
        Genes per step.
    seed
        Decides everything drawn.
    weights
        Of the losses.
    """

    n_epochs: int = 55
    batch_size: int = 512
    seed: int = 0
    weights: LossWeights = field(default_factory=LossWeights)


@dataclass(frozen=True, eq=False, slots=True)
class WycrystScores:
    """The figures of a row of the table, over given rows.

    Attributes
    ----------
    energy, gap
        Mean absolute errors in eV/atom and eV; the gap over rows that have one,
        not-a-number where it was not learned.
    element, letters, group, together
        Shares of genes read back right, in their parts and as a whole.
    """

    energy: float
    gap: float
    element: float
    letters: float
    group: float
    together: float


class WycrystModel:
    """The published model, trained as one of the rows of the table.

    Parameters
    ----------
    variant
        Which row.
    options
        How long and how.
    """

    def __init__(
        self, variant: WycrystVariant, options: WycrystOptions | None = None
    ) -> None:
        self.variant = WycrystVariant(variant)
        self.options = options or WycrystOptions()
        with torch.random.fork_rng():
            torch.manual_seed(self.options.seed)
            self.network = WycrystNetwork(n_properties=2)

    def fit(
        self, rows: TrainingRows, report: Callable[[str, int], None] | None = None
    ) -> WycrystModel:
        """Learn from rows with both properties.

        Parameters
        ----------
        rows
            Genes that the representation cannot hold are left out.
        report
            Is told the part and the epoch.
        """
        fits = fits_wycryst(rows.sites)
        training = np.array([row for row in rows.training if fits[row]])
        values = _values(rows)
        known = values[training]
        self.low = np.nanmin(known, axis=0)
        self.high = np.nanmax(known, axis=0)
        has_gap = values[training, 1] > 0
        with torch.random.fork_rng():
            if self.variant.starts_with_all:
                self._run(rows, training, columns=[0], report=report, part="all")
            if self.variant.ends_with_gaps:
                if self.variant.starts_with_all:
                    self.network.freeze_encoder()
                gapped = training[has_gap]
                self._run(rows, gapped, columns=[0, 1], report=report, part="gapped")
        self.network.eval()
        return self

    def _run(
        self,
        rows: TrainingRows,
        training: NDArray[np.int64],
        *,
        columns: list[int],
        report: Callable[[str, int], None] | None,
        part: str,
    ) -> None:
        """Train on some rows and properties."""
        options, network = self.options, self.network.train()
        target = np.full((len(rows), 2), np.nan)
        scaled = (_values(rows) - self.low) / (self.high - self.low)
        target[:, columns] = scaled[:, columns]
        free = [p for p in network.parameters() if p.requires_grad]
        optimiser = torch.optim.RMSprop(free, LEARNING_RATE, alpha=0.9, eps=1e-7)
        for epoch in range(options.n_epochs):
            generator = np.random.default_rng([options.seed, len(columns), epoch])
            torch.manual_seed(options.seed * 1_000_003 + len(columns) * 1000 + epoch)
            order = generator.permutation(training)
            for start in range(0, len(order), options.batch_size):
                batch = order[start : start + options.batch_size]
                crystal, group = self._inputs(rows, batch, generator)
                wanted = torch.as_tensor(target[batch], dtype=torch.float32)
                loss = wycryst_loss(network, crystal, group, wanted, options.weights)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
            if report:
                report(part, epoch + 1)

    def _inputs(
        self,
        rows: TrainingRows,
        batch: NDArray[np.int64],
        generator: np.random.Generator | None,
    ) -> tuple[Tensor, Tensor]:
        sites = rows.sites.take(batch)
        if generator is not None and self.variant.is_augmented:
            sites = sites.permuted(generator)
        arrays = encode_wycryst(sites)
        return torch.as_tensor(arrays.crystal), torch.as_tensor(arrays.one_hot)

    def evaluate(self, rows: TrainingRows, places: NDArray[np.int64]) -> WycrystScores:
        """Return the figures of the table for some rows, from the latent means.

        Parameters
        ----------
        rows
            Where they are.
        places
            Which; those that the representation cannot hold count as not read back.
        """
        fits = fits_wycryst(rows.sites)[places]
        with torch.no_grad():
            found = [
                self._compare(*self._inputs(rows, batch, None))
                for batch in np.array_split(places[fits], 1 + fits.sum() // 512)
            ]
        element, letters, group, scaled = (
            np.concatenate(parts) for parts in zip(*found, strict=True)
        )
        values = scaled * (self.high - self.low) + self.low
        error = np.abs(values - _values(rows)[places[fits]])
        has_gap = _values(rows)[places[fits], 1] > 0
        n = len(places)
        learned = self.variant.ends_with_gaps
        return WycrystScores(
            energy=float(np.nanmean(error[:, 0])),
            gap=float(error[has_gap, 1].mean()) if learned else float("nan"),
            element=element.sum() / n,
            letters=letters.sum() / n,
            group=group.sum() / n,
            together=(element & letters & group).sum() / n,
        )

    def _compare(self, crystal: Tensor, group: Tensor) -> tuple[Any, ...]:
        """Say what of each gene was read back."""
        mean, _ = self.network.encode(crystal, group)
        array, scores = self.network.decode(mean)
        is_used = crystal[:, ROWS["n_atoms"]][:, 0] > 0
        right = array[:, ROWS["element"]].argmax(1) == (
            crystal[:, ROWS["element"]].argmax(1)
        )
        letters = array[:, ROWS["letters"]].round() == crystal[:, ROWS["letters"]]
        is_group = scores.argmax(1) == group.argmax(1)
        return (
            (right | ~is_used).all(1).numpy(),
            letters.flatten(1).all(1).numpy(),
            is_group.numpy(),
            self.network.head(mean).numpy(),
        )


def _values(rows: TrainingRows) -> NDArray[np.float64]:
    """Return formation energies and gaps (n, 2)."""
    columns = [rows.names.index(name) for name in (ENERGY, GAP)]
    values: NDArray[np.float64] = rows.values[:, columns]
    return values
