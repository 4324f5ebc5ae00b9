"""Genes of a composition from the generator and from enumeration, in order of promise.

The generator knows what crystals look like, and misses what it has never seen; an
enumeration misses nothing within its limits, and knows nothing. Both give genes, and a
budget of relaxations cuts them.

They are ordered by the energy that the model expects, lowered for what the generator
made often and from like crystals (`wyckflow.ml.sampling.composition`). On eight
held-out compounds, which no figure of the benchmarks is taken from, the energy alone
put the crystal that exists on place 14 to 152 of about 120 generated genes, the two
together on place 1 to 17. Genes that were enumerated alone come by their energy, behind
generated ones that are not much higher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.enumeration import (
    EnumerationLimits,
    check_composition,
    enumerate_genes,
)
from wyckflow.crystal.full_symmetry import find_full_gene
from wyckflow.crystal.keys import key_genes, unpack_genes
from wyckflow.errors import ModelError
from wyckflow.ml.codec.sites import tensorise_codes
from wyckflow.ml.sampling.composition import (
    ComposedGenes,
    CompositionOptions,
    compose_genes,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from wyckflow.crystal.enumeration import Enumeration
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.generator import Predictions
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

ENERGY: Final = "formation_energy_per_atom"

SUPPORT_ENERGY: Final = 0.1
"""By how much, in eV/atom, each factor e of support lowers the energy that genes are
ordered by; 0.05 and 0.2 did nearly as well."""

LEAST_SUPPORT: Final = 1e-4
"""Support of a gene that the generator did not make."""

_MOST_MISFITS: Final = 100
"""Genes too expensive for the rest of a budget, after which the search for one that is
not stops."""

BY_ENERGY: Final = "predicted formation energy"
BY_SUPPORT: Final = (
    f"predicted formation energy, less {SUPPORT_ENERGY} eV/atom for each factor e of "
    "support by the generator"
)
BY_SIZE: Final = "number of free coordinates, then of orbits, then of atoms"


@dataclass(frozen=True, slots=True)
class ProposalOptions:
    """Where genes come from, and how they are ranked.

    Attributes
    ----------
    composition
        How the generator looks; it is not asked if None.
    enumeration
        How far to enumerate; not at all if None.
    n_shortlist
        Enumerated genes that the ensemble looks at: those with the lowest energies by
        the quick heads of the latent space.

    Raises
    ------
    ValueError
        If no source is left, or the shortlist is empty.
    """

    composition: CompositionOptions | None = None
    enumeration: EnumerationLimits | None = None
    n_shortlist: int = 5000

    def __post_init__(self) -> None:
        """Refuse to propose nothing."""
        if self.composition is None and self.enumeration is None:
            raise ValueError("No source of genes is left; generate or enumerate.")
        if self.n_shortlist < 1:
            raise ValueError(f"{self.n_shortlist=} must be at least 1.")


@dataclass(frozen=True, eq=False, slots=True)
class Proposal:
    """Different genes of a composition, the most promising first.

    Attributes
    ----------
    space_group_numbers, codes
        The genes, as `wyckflow.crystal.keys.pack_genes` writes them.
    keys
        Canonical key of each.
    is_generated, is_enumerated
        Where each came from.
    energies, deviations
        Expected formation energy and its standard deviation, eV/atom; not-a-number
        without a model.
    support
        How well the generator supports each.
    ranked_by
        What they are ordered by, in words.
    generated, enumerated
        What the sources counted; None for one that was not asked.
    n_genes
        Different genes, those behind the shortlist included.
    """

    space_group_numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    keys: NDArray[np.uint64]
    is_generated: NDArray[np.bool_]
    is_enumerated: NDArray[np.bool_]
    energies: NDArray[np.float64]
    deviations: NDArray[np.float64]
    support: NDArray[np.float64]
    ranked_by: str
    generated: ComposedGenes | None
    enumerated: Enumeration | None
    n_genes: int

    def __len__(self) -> int:
        """Return the number of ranked genes."""
        return len(self.keys)

    def rank_of(self, gene: WyckoffGene) -> int | None:
        """Return the place of a gene or an equivalent one, from 1.

        Parameters
        ----------
        gene
            Any gene.
        """
        found = np.flatnonzero(self.keys == key_genes([gene])[0])
        return int(found[0]) + 1 if len(found) else None


@dataclass(frozen=True, slots=True)
class Choice:
    """A gene that is to be relaxed.

    Attributes
    ----------
    gene
        In its full symmetry.
    rank
        Place in the proposal, from 1.
    n_trials
        Relaxations that it will cost.
    """

    gene: WyckoffGene
    rank: int
    n_trials: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """What fits into a budget.

    Attributes
    ----------
    choices
        The genes, the most promising first.
    n_relaxations
        What they cost together.
    n_of_higher_symmetry
        Genes on the way whose crystals all have a higher symmetry.
    n_never_of_group
        Of these, the ones left out since that is another group than the one wanted.
    """

    choices: tuple[Choice, ...]
    n_relaxations: int
    n_of_higher_symmetry: int
    n_never_of_group: int


def propose_genes(
    composition: Mapping[str, int],
    model: MultiPropertyVAE | None,
    *,
    space_groups: Sequence[int] | None = None,
    options: ProposalOptions,
    seed: int = 0,
    report: Callable[[str, float], None] | None = None,
) -> Proposal:
    """Collect and rank genes.

    Parameters
    ----------
    composition
        Atoms of each element; taken as the smallest formula.
    model
        A trained model; without one nothing is generated, and simple genes come first.
    space_groups
        Where the genes must be; anywhere if None.
    options
        Where they come from.
    seed
        Of the generator.
    report
        Told what is done, and the share of it.

    Raises
    ------
    ModelError
        If the model has not seen an element, or predicts no formation energies.
    """
    if model is not None and ENERGY not in model.property_names:
        raise ModelError(
            f"The model predicts {', '.join(model.property_names) or 'nothing'}, and "
            f"genes are ranked by {ENERGY!r}; give a model that predicts it, such as "
            "'bundled'."
        )
    tell = report or (lambda _what, _share: None)
    wanted = check_composition(composition)
    generated = enumerated = None
    if model is not None and options.composition is not None:
        generated = compose_genes(
            model,
            wanted,
            space_groups=space_groups,
            options=options.composition,
            seed=seed,
            report=lambda share: tell("generating", share),
        )
    if options.enumeration is not None:
        tell("enumerating", 0.0)
        enumerated = enumerate_genes(wanted, space_groups, options.enumeration)
        tell("enumerating", 1.0)
    pool = _join(generated, enumerated)
    n_genes = len(pool.keys)
    tell("ranking", 0.0)
    if model is None:
        ranked = pool.take(_order_by_size(pool))
        nothing = np.full(len(ranked.keys), np.nan)
        energies, deviations, words = nothing, nothing, BY_SIZE
    else:
        pool = pool.take(_shortlist(pool, model, options.n_shortlist))
        found = model.predict_codes(pool.numbers, pool.codes)
        bonus = SUPPORT_ENERGY * np.log(pool.support + LEAST_SUPPORT)
        order = np.argsort(found[ENERGY] - bonus, kind="stable")
        ranked = pool.take(order)
        energies, deviations = found[ENERGY][order], _deviations(found)[order]
        words = BY_ENERGY if generated is None else BY_SUPPORT
    tell("ranking", 1.0)
    return Proposal(
        space_group_numbers=ranked.numbers,
        codes=ranked.codes,
        keys=ranked.keys,
        is_generated=ranked.is_generated,
        is_enumerated=ranked.is_enumerated,
        energies=energies,
        deviations=deviations,
        support=ranked.support,
        ranked_by=words,
        generated=generated,
        enumerated=enumerated,
        n_genes=n_genes,
    )


def choose_genes(
    proposal: Proposal,
    budget: int,
    n_trials_of: Callable[[WyckoffGene], int],
    *,
    space_group_number: int | None = None,
) -> Chosen:
    """Go down the ranking until the budget is spent.

    A gene whose crystals all have a higher symmetry gives way to the gene that says so,
    or is left out where another space group was asked for.

    Parameters
    ----------
    proposal
        The ranked genes.
    budget
        Relaxations allowed.
    n_trials_of
        Relaxations that a gene costs.
    space_group_number
        The space group asked for.
    """
    choices: list[Choice] = []
    seen: set[str] = set()
    spent = n_higher = n_other = n_misfits = 0
    for rank, gene in enumerate(_unpack(proposal), 1):
        if spent >= budget:
            break
        full = find_full_gene(gene)
        if full is not gene:
            n_higher += 1
            if space_group_number not in {None, full.space_group_number}:
                n_other += 1
                continue
        if full.gene_id in seen:
            continue
        n_trials = n_trials_of(full)
        if spent + n_trials > budget:
            n_misfits += 1
            if n_misfits == _MOST_MISFITS:
                break
            continue
        seen.add(full.gene_id)
        choices.append(Choice(full, rank, n_trials))
        spent += n_trials
    return Chosen(tuple(choices), spent, n_higher, n_other)


# --- one list of both sources ---------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class _Pool:
    """Different genes with their origin."""

    numbers: NDArray[np.int16]
    codes: NDArray[np.int16]
    keys: NDArray[np.uint64]
    is_generated: NDArray[np.bool_]
    is_enumerated: NDArray[np.bool_]
    support: NDArray[np.float64]

    def take(self, rows: NDArray[np.int64]) -> _Pool:
        """Return some of them, in the order asked for."""
        return _Pool(
            self.numbers[rows],
            self.codes[rows],
            self.keys[rows],
            self.is_generated[rows],
            self.is_enumerated[rows],
            self.support[rows],
        )


def _join(generated: ComposedGenes | None, enumerated: Enumeration | None) -> _Pool:
    """Put both together, each gene once, in the generator's words where it has any."""
    parts = [part for part in (generated, enumerated) if part is not None]
    width = max(part.codes.shape[1] for part in parts)
    keys = np.concatenate([part.keys for part in parts])
    codes = np.concatenate(
        [np.pad(p.codes, ((0, 0), (0, width - p.codes.shape[1]))) for p in parts]
    )
    numbers = np.concatenate([part.space_group_numbers for part in parts])
    _, first = np.unique(keys, return_index=True)
    first.sort()
    own = keys[first]

    def come_from(part: ComposedGenes | Enumeration | None) -> NDArray[np.bool_]:
        return np.zeros(len(own), bool) if part is None else np.isin(own, part.keys)

    support = np.zeros(len(own))
    if generated is not None:  # its genes come first
        support[: len(generated)] = generated.support
    return _Pool(
        numbers=numbers[first],
        codes=codes[first],
        keys=own,
        is_generated=come_from(generated),
        is_enumerated=come_from(enumerated),
        support=support,
    )


def _shortlist(pool: _Pool, model: MultiPropertyVAE, n: int) -> NDArray[np.int64]:
    """Return the generated genes, and the best of the others by a quick look."""
    is_other = ~pool.is_generated
    others = np.flatnonzero(is_other)
    if len(others) > n:
        sites = tensorise_codes(pool.numbers[others], pool.codes[others])
        quick = model.predict_sites(sites, n_descriptions=1, with_heads=True)
        others = np.sort(others[np.argsort(quick[ENERGY], kind="stable")[:n]])
    return np.sort(np.concatenate([np.flatnonzero(pool.is_generated), others]))


def _order_by_size(pool: _Pool) -> NDArray[np.int64]:
    """Return the order from simple to complicated."""
    sites = tensorise_codes(pool.numbers, pool.codes)
    return np.lexsort(
        (
            sites.multiplicity.sum(axis=1),
            sites.mask.sum(axis=1),
            sites.degrees_of_freedom.sum(axis=1),
        )
    )


def _deviations(found: Predictions) -> NDArray[np.float64]:
    """Return disagreement and expected noise, which are independent, as one."""
    place = found.names.index(ENERGY)
    deviations: NDArray[np.float64] = np.hypot(
        found.spread[:, place], found.expected_error[:, place]
    )
    return deviations


def _unpack(proposal: Proposal) -> Iterator[WyckoffGene]:
    """Yield the genes, some at a time, since few of many are looked at."""
    step = 256
    for start in range(0, len(proposal), step):
        part = slice(start, start + step)
        yield from unpack_genes(
            proposal.space_group_numbers[part], proposal.codes[part]
        )
