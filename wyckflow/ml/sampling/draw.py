"""Genes for a target, in batches, each left-out one counted with its reason."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.keys import canonical_keys
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.kinds import remembered_names
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.sampling.conditions import (
    check_predictions,
    check_room,
    choose_method,
    find_conditions,
)
from wyckflow.ml.sampling.guidance import guide_latents
from wyckflow.ml.sampling.limits import LEFT_TO_CHOICE, limit_decoding
from wyckflow.ml.sampling.matching import GeneTraits, match_target, meet_all
from wyckflow.ml.sampling.options import DrawOptions, Method
from wyckflow.ml.sampling.starts import find_starts
from wyckflow.ml.transformer.generator import WyckoffTransformer
from wyckflow.schemas.target import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from wyckflow.ml.generator import GeneBatch, Predictions
    from wyckflow.ml.kinds import AnyGenerator

_ROUND: Final = 20_000
_MOST_GUIDED: Final = 512
KNOWN, REPEATED, OUTSIDE = "known_gene", "repeated_gene", "outside_target"


@dataclass(frozen=True, eq=False, slots=True)
class DrawnGenes:
    """Some of the genes that were kept.

    Attributes
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    log_probabilities
        Of each as it is written, in nats.
    starts
        Point of the model's memory that each came from, -1 for none.
    predictions
        What the model expects of them.
    is_in_target
        Which meet every condition by these predictions.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    log_probabilities: NDArray[np.float64]
    starts: NDArray[np.int64]
    predictions: Predictions
    is_in_target: NDArray[np.bool_]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.space_group_numbers)

    def head(self, n: int) -> DrawnGenes:
        """Return the first genes."""
        if n >= len(self):
            return self
        return _take(self, np.arange(n))


@dataclass(eq=False)
class Draw:
    """One order of genes: iterate over it, then read its counts.

    Parameters
    ----------
    model
        A trained model.
    n
        Genes wanted. Fewer come if so many tries do not give them.
    target
        What they should be like.
    options
        How they are drawn, and which are kept.
    seed
        The same seed gives the same genes.

    Attributes
    ----------
    method
        The method, where it was left to us.
    n_decoded
        Genes that the decoder was run for, so far.
    n_kept
        Genes handed out, so far.
    n_in_target
        Of these, how many meet the target by the model's predictions.
    n_starts
        Known crystals that starts were drawn from; none without starts.
    failures
        Genes left out, counted by reason.

    Raises
    ------
    TargetError, ModelError
        If the target cannot be met by what the model knows.
    """

    model: AnyGenerator
    n: int
    target: Target = field(default_factory=Target)
    options: DrawOptions = field(default_factory=DrawOptions)
    seed: int = 0

    def __post_init__(self) -> None:
        """Find out whether and where there is something to draw."""
        check_predictions(self.target, self.model)
        self.method = choose_method(self.options.method, self.target, self.model)
        self.limits = limit_decoding(
            self.target, self.model.known_elements, max_atoms=self.options.max_atoms
        )
        check_room(self.limits, self.model.known_elements)
        self.n_decoded = self.n_kept = self.n_in_target = 0
        self.failures: Counter[str] = Counter()
        self._random = np.random.default_rng(self.seed)
        self._rows, self._points = self._find_points()
        self.n_starts = None if self._rows is None else len(np.unique(self._rows))
        self._seen: set[int] = set()

    def __iter__(self) -> Iterator[DrawnGenes]:
        """Yield genes in batches until there are enough, or tries are used up."""
        budget = self.n * self.options.max_tries
        while self.n_kept < self.n and self.n_decoded < budget:
            wanted = self._guess_round(budget)
            for batch in self._decode(wanted):
                drawn = self._judge(batch).head(self.n - self.n_kept)
                self.n_kept += len(drawn)
                self.n_in_target += int(drawn.is_in_target.sum())
                if len(drawn):
                    yield drawn
                if self.n_kept >= self.n:
                    return

    def _find_points(
        self,
    ) -> tuple[NDArray[np.int64] | None, NDArray[np.float32] | None]:
        """Return the memory's rows that are starts, and the latent point of each."""
        memory, names = self.model.memory, remembered_names(self.model)
        if self.method is Method.PRIOR:
            return None, None
        if isinstance(self.model, WyckoffTransformer):
            possible = self.model.possible_groups(self.limits)
            return find_conditions(self.target, memory, names, possible)
        if self.method is Method.POSTERIOR:
            free = self.target.model_copy(update={"properties": {}})
            rows = find_starts(free, memory, names)
        else:
            tolerance = self.options.tolerance
            rows = find_starts(self.target, memory, names, tolerance=tolerance)
        is_guided = self.method is Method.GUIDED and self.target.properties
        if is_guided and isinstance(self.model, MultiPropertyVAE):
            few = min(_MOST_GUIDED, len(rows))
            rows = self._random.choice(rows, few, replace=False)
            latents = memory.latents[rows].astype(np.float32)
            return rows, guide_latents(self.model, self.target, latents)
        return rows, memory.latents[rows].astype(np.float32)

    def _guess_round(self, budget: int) -> int:
        """Return how many to decode next, by how many were kept so far."""
        left = self.n - self.n_kept
        share = max(self.n_kept, 1) / self.n_decoded if self.n_decoded else 0.8
        guess = int(1.1 * left / share) + 16
        return max(1, min(guess, _ROUND, budget - self.n_decoded))

    def _decode(self, n: int) -> Iterator[GeneBatch]:
        """Yield decoded genes, their seeds being rows of the memory."""
        chosen = points = None
        if self._points is not None and self._rows is not None:
            chosen = self._random.integers(len(self._points), size=n)
            points = self._points[chosen]
        for batch in self._sample(n, chosen, points):
            n_failed = sum(batch.rejections.values())
            self.n_decoded += len(batch) + n_failed
            self.failures.update({str(k): v for k, v in batch.rejections.items() if v})
            if chosen is not None and self._rows is not None:
                rows = self._rows[chosen[batch.seed_index]]
                batch.seed_index[:] = rows
            yield batch

    def _sample(
        self,
        n: int,
        chosen: NDArray[np.int64] | None,
        points: NDArray[np.float32] | None,
    ) -> Iterator[GeneBatch]:
        """Return the batches of the model, as its kind is asked for them."""
        options, model = self.options, self.model
        seed = int(self._random.integers(2**31))
        if isinstance(model, MultiPropertyVAE):
            return model.iter_samples(
                n,
                seed=seed,
                limits=self.limits,
                temperature=options.temperature,
                latents=points,
                level=1.0 if points is None else options.level,
            )
        groups = None
        if chosen is not None and self._rows is not None:
            groups = model.memory.space_groups[self._rows[chosen]]
        return model.iter_samples(
            n,
            seed=seed,
            limits=self.limits,
            temperature=options.temperature,
            conditions=points,
            space_groups=groups,
            guidance=options.guidance,
        )

    def _judge(self, batch: GeneBatch) -> DrawnGenes:
        """Count and take out what is not to be kept; predict for the rest."""
        fresh = self._drop_known(batch)
        sites = tensorise_codes(batch.space_group_numbers, batch.codes).take(fresh)
        traits = GeneTraits.from_sites(sites)
        # What the decoder was not bound to is asked before any prediction is made.
        bare = self.target.model_copy(update={"properties": {}})
        masks = match_target(bare, traits, {})
        for name in LEFT_TO_CHOICE:
            if name in masks:
                self.failures[f"{OUTSIDE}: {name}"] += int((~masks[name]).sum())
        met = meet_all(masks, len(fresh))
        fresh, sites = fresh[met], sites.take(np.flatnonzero(met))
        predictions = self.model.predict_sites(
            sites, n_descriptions=self.options.n_descriptions
        )
        drawn = DrawnGenes(
            space_group_numbers=batch.space_group_numbers[fresh],
            codes=batch.codes[fresh],
            log_probabilities=batch.log_probability[fresh],
            starts=batch.seed_index[fresh],
            predictions=predictions,
            is_in_target=self._is_in_target(GeneTraits.from_sites(sites), predictions),
        )
        self.failures = +self.failures
        if self.options.keep_outside:
            return drawn
        return _take(drawn, np.flatnonzero(drawn.is_in_target))

    def _drop_known(self, batch: GeneBatch) -> NDArray[np.int64]:
        """Return the rows that are neither known nor repeated."""
        keys = canonical_keys(batch.space_group_numbers, batch.codes)
        keep = np.ones(len(keys), bool)
        if not self.options.keep_known:
            is_known = self.model.memory.is_known(keys)
            self.failures[KNOWN] += int(is_known.sum())
            keep &= ~is_known
        if not self.options.keep_repeats:
            for row in np.flatnonzero(keep).tolist():
                key = int(keys[row])
                keep[row] = key not in self._seen
                self._seen.add(key)
            n_known = 0 if self.options.keep_known else int(is_known.sum())
            self.failures[REPEATED] += int((~keep).sum()) - n_known
        return np.flatnonzero(keep)

    def _is_in_target(
        self, traits: GeneTraits, predictions: Predictions
    ) -> NDArray[np.bool_]:
        """Return which genes meet all conditions, and count those that do not."""
        columns = {name: predictions[name] for name in predictions.names}
        masks = match_target(self.target, traits, columns)
        if not self.options.keep_outside:
            left = np.ones(len(traits), bool)
            for name, mask in masks.items():
                self.failures[f"{OUTSIDE}: {name}"] += int((left & ~mask).sum())
                left &= mask
        return meet_all(masks, len(traits))


def _take(drawn: DrawnGenes, rows: NDArray[np.int64]) -> DrawnGenes:
    """Return some of the genes."""
    from wyckflow.ml.generator import Predictions

    found = drawn.predictions
    return DrawnGenes(
        space_group_numbers=drawn.space_group_numbers[rows],
        codes=drawn.codes[rows],
        log_probabilities=drawn.log_probabilities[rows],
        starts=drawn.starts[rows],
        predictions=Predictions(
            found.names,
            found.mean[rows],
            found.spread[rows],
            found.expected_error[rows],
        ),
        is_in_target=drawn.is_in_target[rows],
    )
