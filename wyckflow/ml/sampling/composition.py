"""Genes of one composition, looked for around known crystals that are like it.

A model remembers latent points, not crystals, but its decoder reads a point back. The
points whose genes have the pattern of the wanted formula, such as 1:1:3, get the wanted
elements, are encoded again, and are left by more and more noise. In a wanted space
group also the crystals of that group are starts, whatever their formula.

What is made often, and from crystals of like elements, is a better guess than what was
made once from a distant one: every gene has a support, the sum of the likenesses of the
starts that led to it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from itertools import permutations
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS, SYMBOLS
from wyckflow.crystal.enumeration import (
    MOST_ATOMS,
    check_composition,
    count_lattice_points,
)
from wyckflow.crystal.keys import LETTER_BITS, canonical_keys
from wyckflow.crystal.tables import N_SPACE_GROUPS
from wyckflow.errors import ModelError
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.elements import ELEMENT_FEATURES, element_features
from wyckflow.ml.mpvae.limits import DecodingLimits
from wyckflow.ml.training.substitution import ELEMENT_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.ml.generator import GeneBatch
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

    Ints = NDArray[np.int64]

OTHER_COMPOSITION: Final = "other_composition"
TOO_LARGE: Final = "cell_too_large"
REPEATED: Final = "repeated_gene"

_LETTERS: Final = (1 << LETTER_BITS) - 1
_MOST_CENTRING: Final = 4

_LIKENESS_WIDTH: Final = 2.0
"""Spreads of the element properties, all elements together, over which likeness falls;
twice what the training allows of one element that stands in for another."""


@dataclass(frozen=True, slots=True)
class CompositionOptions:
    """How genes of a composition are looked for.

    Attributes
    ----------
    levels
        Noise on the starts, one round per level: 0 repeats a start with the wanted
        elements, 1 forgets it.
    n_decoded
        Sequences decoded per level; at level 0 one per start.
    max_starts
        Starts at most, drawn where there are more.
    max_atoms
        Most atoms in the primitive cell.
    temperature
        Of the decoder's choices.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """

    levels: tuple[float, ...] = (0.0, 0.5, 0.7, 0.85)
    n_decoded: int = 1000
    max_starts: int = 3000
    max_atoms: int = MOST_ATOMS
    temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        object.__setattr__(self, "levels", tuple(self.levels))
        if not self.levels or not all(0 <= level <= 1 for level in self.levels):
            raise ValueError(f"{self.levels=} must be numbers from 0 to 1.")
        for name in ("n_decoded", "max_starts", "max_atoms"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1.")
        if not self.temperature > 0:
            raise ValueError(f"{self.temperature=} must be above 0.")


@dataclass(frozen=True, eq=False, slots=True)
class ComposedGenes:
    """The different genes of a composition that a model made.

    Attributes
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    keys
        Canonical key of each.
    support
        Sum over all times that each was made of the likeness of its start (n,).
    n_starts
        Known crystals that were starts.
    n_decoded
        Sequences that the decoder was run for.
    failures
        Those left out, by reason.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    keys: NDArray[np.uint64]
    support: NDArray[np.float64]
    n_starts: int
    n_decoded: int
    failures: dict[str, int]

    def __len__(self) -> int:
        """Return the number of genes."""
        return len(self.keys)


def compose_genes(
    model: MultiPropertyVAE,
    composition: Mapping[str, int],
    *,
    space_groups: Sequence[int] | None = None,
    options: CompositionOptions | None = None,
    seed: int = 0,
    report: Callable[[float], None] | None = None,
) -> ComposedGenes:
    """Make genes of a composition.

    Parameters
    ----------
    model
        A trained model with a memory.
    composition
        Atoms of each element; taken as the smallest formula.
    space_groups
        Where the genes must be; anywhere if None.
    options
        How to look.
    seed
        The same seed gives the same genes.
    report
        Told the share of the work that is done.

    Raises
    ------
    ModelError
        If the model remembers nothing, or has not seen an element.
    """
    options = options or CompositionOptions()
    wanted = check_composition(composition)
    _check_model(model, wanted)
    random = np.random.default_rng(seed)
    starts = _find_starts(model, wanted, space_groups, options, random)
    limits = DecodingLimits(
        max_atoms=_MOST_CENTRING * options.max_atoms,
        min_elements=len(wanted),
        max_elements=len(wanted),
        space_groups=None if space_groups is None else frozenset(space_groups),
        elements=frozenset(wanted),
        required_elements=frozenset(wanted),
    )
    found = _Found(wanted, options.max_atoms)
    for number, level in enumerate(options.levels if len(starts) else ()):
        rows = np.arange(len(starts))
        if level > 0:
            rows = random.integers(len(starts), size=options.n_decoded)
        batch = model.sample_around(
            starts.latents[rows],
            level=level,
            seed=int(random.integers(2**31)),
            limits=limits,
            temperature=options.temperature,
        )
        share = len(starts) / len(rows)
        found.take(batch, share * starts.likeness[rows][batch.seed_index], len(rows))
        if report is not None:
            report((number + 1) / len(options.levels))
    return found.to_genes(len(starts))


def count_atoms(
    space_group_numbers: NDArray[np.integer], codes: NDArray[np.integer]
) -> tuple[Ints, Ints]:
    """Return atoms of every element in the primitive cell of genes.

    Parameters
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.

    Returns
    -------
    tuple
        Counts by atomic number (n, 119), and their sums (n,).
    """
    sites = tensorise_codes(space_group_numbers, codes)
    counts = np.zeros((len(sites), len(SYMBOLS) + 1), np.int64)
    rows = np.arange(len(sites))[:, None]
    np.add.at(counts, (rows, sites.atomic_number), sites.multiplicity)
    counts[:, 0] = 0
    counts //= _lattice_points()[sites.space_group][:, None]
    return counts, counts.sum(axis=1)


def have_composition(counts: Ints, composition: Mapping[str, int]) -> NDArray[np.bool_]:
    """Say which rows are whole multiples of a composition.

    Parameters
    ----------
    counts
        By atomic number (n, 119).
    composition
        The smallest formula.
    """
    unit = np.zeros(counts.shape[1], np.int64)
    unit[[ATOMIC_NUMBERS[symbol] for symbol in composition]] = [*composition.values()]
    n_units = counts.sum(axis=1) // unit.sum()
    same: NDArray[np.bool_] = (counts == n_units[:, None] * unit).all(axis=1)
    same &= n_units > 0
    return same


def _check_model(model: MultiPropertyVAE, composition: Mapping[str, int]) -> None:
    if not len(model.memory):
        raise ModelError(
            "This model remembers no crystals, so that there is nothing to start from; "
            "enumerate genes instead, or take another model."
        )
    known = model.known_elements
    if unknown := [e for e in composition if not known[ATOMIC_NUMBERS[e]]]:
        raise ModelError(
            f"The model has never seen {', '.join(unknown)}; enumerate genes instead, "
            "or train a model on data with it."
        )


@dataclass(frozen=True, eq=False, slots=True)
class _Starts:
    """Known crystals with the wanted elements in them.

    ``latents`` are their points (n, latent), ``likeness`` is how like the wanted
    elements those were that they had (n,).
    """

    latents: NDArray[np.float32]
    likeness: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.latents)


def _find_starts(
    model: MultiPropertyVAE,
    composition: Mapping[str, int],
    space_groups: Sequence[int] | None,
    options: CompositionOptions,
    random: np.random.Generator,
) -> _Starts:
    """Read known crystals back, and put the wanted elements into those alike."""
    memory = model.memory
    n_elements = memory.elements.sum(axis=1)
    rows = np.flatnonzero(n_elements == len(composition))
    numbers: list[int] = []
    tables: list[NDArray[np.int16]] = []
    likeness: list[float] = []
    if len(rows):
        read = model.sample_around(
            memory.latents[rows].astype(np.float32), level=0.0, seed=0, temperature=0.0
        )
        counts, _ = count_atoms(read.space_group_numbers, read.codes)
        is_like = _have_pattern(counts, composition)
        chosen = is_like.copy()
        if space_groups is not None:
            chosen |= np.isin(read.space_group_numbers, [*space_groups])
        for row in np.flatnonzero(chosen).tolist():
            for codes, weight in _substitute(
                read.codes[row], counts[row], composition, is_like=bool(is_like[row])
            ):
                numbers.append(int(read.space_group_numbers[row]))
                tables.append(codes)
                likeness.append(weight)
    if not tables:
        return _Starts(np.empty((0, model.n_latent), np.float32), np.empty(0))
    kept = np.arange(len(tables))
    if len(kept) > options.max_starts:
        kept = np.sort(random.choice(kept, options.max_starts, replace=False))
    latents = model.encode_codes(np.array(numbers)[kept], np.array(tables)[kept])
    return _Starts(latents, np.array(likeness)[kept])


def _have_pattern(counts: Ints, composition: Mapping[str, int]) -> NDArray[np.bool_]:
    """Say which rows are whole multiples of the counts, whatever the elements."""
    pattern = np.sort([*composition.values()])
    present = np.sort(counts, axis=1)[:, -len(pattern) :]
    n_units = counts.sum(axis=1) // pattern.sum()
    same: NDArray[np.bool_] = (present == n_units[:, None] * pattern).all(axis=1)
    return same


def _substitute(
    codes: NDArray[np.int16],
    counts: Ints,
    composition: Mapping[str, int],
    *,
    is_like: bool,
) -> list[tuple[NDArray[np.int16], float]]:
    """Put the wanted elements in the place of others, in every way that fits.

    Returns
    -------
    list
        Codes, and the likeness of the elements that were there to those wanted.
    """
    own = np.flatnonzero(counts)
    if len(own) != len(composition):
        return []
    n_units = counts.sum() // sum(composition.values())
    changed = []
    for order in permutations(composition):
        pairs = [*zip(own.tolist(), order, strict=True)]
        fits = all(counts[n] == n_units * composition[symbol] for n, symbol in pairs)
        if is_like and not fits:
            continue
        wanted = [ATOMIC_NUMBERS[symbol] for symbol in order]
        images = np.zeros(len(SYMBOLS) + 1, np.int64)
        images[own] = wanted
        image = images[codes >> LETTER_BITS] << LETTER_BITS
        table = np.where(codes > 0, image | (codes & _LETTERS), 0).astype(np.int16)
        changed.append((table, _likeness(own, np.array(wanted))))
    return changed


def _likeness(elements: Ints, wanted: Ints) -> float:
    """Return from 1 for the same elements to 0 for ones with nothing in common."""
    places = _element_places()
    squares = ((places[elements] - places[wanted]) ** 2).sum()
    return float(np.exp(-squares / (2 * _LIKENESS_WIDTH**2)))


@cache
def _element_places() -> NDArray[np.float64]:
    """Return where each element is in the space of its properties (119, properties)."""
    columns = [ELEMENT_FEATURES.index(name) for name in ELEMENT_WEIGHTS]
    weights = np.array([*ELEMENT_WEIGHTS.values()])
    places: NDArray[np.float64] = element_features()[:, columns] * weights
    return np.nan_to_num(places)


class _Found:
    """The different genes so far, and what was left out."""

    def __init__(self, composition: Mapping[str, int], max_atoms: int) -> None:
        self.composition, self.max_atoms = composition, max_atoms
        self.genes: dict[int, tuple[int, NDArray[np.int16]]] = {}
        self.support: Counter[int] = Counter()
        self.failures: Counter[str] = Counter()
        self.n_decoded = 0

    def take(
        self, batch: GeneBatch, likeness: NDArray[np.float64], n_decoded: int
    ) -> None:
        """Add the new genes of a batch, and count the others."""
        self.n_decoded += n_decoded
        self.failures.update({str(k): n for k, n in batch.rejections.items() if n})
        counts, sizes = count_atoms(batch.space_group_numbers, batch.codes)
        is_right = have_composition(counts, self.composition)
        is_small = sizes <= self.max_atoms
        self.failures[OTHER_COMPOSITION] += int((~is_right).sum())
        self.failures[TOO_LARGE] += int((is_right & ~is_small).sum())
        rows = np.flatnonzero(is_right & is_small)
        keys = canonical_keys(batch.space_group_numbers[rows], batch.codes[rows])
        for row, key in zip(rows.tolist(), keys.tolist(), strict=True):
            self.support[key] += likeness[row]
            if key in self.genes:
                self.failures[REPEATED] += 1
                continue
            codes = batch.codes[row]
            self.genes[key] = int(batch.space_group_numbers[row]), codes[codes > 0]

    def to_genes(self, n_starts: int) -> ComposedGenes:
        """Return all of it as arrays."""
        found = [*self.genes.values()]
        width = max((len(codes) for _, codes in found), default=1)
        tables = [np.pad(codes, (0, width - len(codes))) for _, codes in found]
        return ComposedGenes(
            space_group_numbers=np.array([number for number, _ in found], np.int16),
            codes=np.array(tables, np.int16).reshape(len(found), width),
            keys=np.array([*self.genes], np.uint64),
            support=np.array([self.support[key] for key in self.genes], np.float64),
            n_starts=n_starts,
            n_decoded=self.n_decoded,
            failures=dict(+self.failures),
        )


def _lattice_points() -> Ints:
    """Return the primitive cells in the conventional one by space-group number."""
    numbers = range(1, N_SPACE_GROUPS + 1)
    return np.array([1, *(count_lattice_points(number) for number in numbers)])
