"""P5: novelty at all levels against a reference set, CPU microseconds per gene.

The genes looked for are those of MP-20's test set and of it with other elements, 50,000
in all; known is the training set. Without ``WYCKFLOW_DATA`` genes are made at random.
The peers do the same in plain Python (string keys of genes and of templates, in sets,
without parents), and pymatgen's StructureMatcher on pairs of the same formula.
"""

from __future__ import annotations

import random
from itertools import permutations
from typing import TYPE_CHECKING

from _crystal_keys import (
    SEED,
    clock,
    load_crystals,
    match,
    pairs_of_one_formula,
    record,
    string_key,
)

from wyckflow.crystal import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.screening.novelty import KnownGenes, NoveltyLevel, judge_novelty

if TYPE_CHECKING:
    from _bench import Record

N_GENES = 50_000
N_PEER_GENES = 1_000
_SUBSTITUTES = ("Li", "Na", "K", "Mg", "Ca", "Al", "Ga", "Sn", "Zn", "Cu", "S", "Se")


def measure(quick: bool) -> list[Record]:
    """Print one line per peer, and return the records."""
    source, reference, sought = load_crystals(quick=quick)
    known_genes = [gene for gene, _ in reference]
    genes = substitute([gene for gene, _ in sought], N_GENES // (10 if quick else 1))
    build, known = clock(lambda: KnownGenes.from_genes(known_genes, name=source))
    codes = pack_genes(genes)
    ours, found = clock(lambda: judge_novelty(codes, known))
    check_levels(genes[:N_PEER_GENES], known_genes, found.level.tolist())
    peer_genes = genes[:N_PEER_GENES]
    strings, _ = clock(
        lambda: [(string_key(gene), template_key(gene)) for gene in peer_genes]
    )
    pairs = list(pairs_of_one_formula(reference, sought))[: 10 if quick else 60]
    rows = [
        record(
            ours / len(genes), "string keys in Python", strings / N_PEER_GENES, genes
        ),
        record(ours / len(genes), "StructureMatcher per pair", match(pairs), genes),
    ]
    counts = [found.level.tolist().count(level) for level in NoveltyLevel]
    print(f"{source}: {len(known)} known, set up in {build:.1f} s; levels {counts}")
    for row in rows:
        print(
            f"{row['value']:.2f} us/gene; {row['peer']}: {row['peer_value']:.4g} us "
            f"({row['ratio']:.4g}x)"
        )
    return rows


def substitute(genes: list[WyckoffGene], n_genes: int) -> list[WyckoffGene]:
    """Return the genes, then the same with other elements, until there are enough."""
    rng = random.Random(SEED)  # noqa: S311 - not a secret
    found = genes[:n_genes]
    while len(found) < n_genes:
        gene = rng.choice(genes)
        names = dict.fromkeys(gene.elements)
        spare = [symbol for symbol in _SUBSTITUTES if symbol not in names]
        old = rng.choice(list(names))
        new = rng.choice(spare)
        pairs = [
            (new if site.element == old else site.element, site.letter)
            for site in gene.sites
        ]
        found.append(WyckoffGene.from_pairs(gene.space_group_number, pairs))
    return found


def template_key(gene: WyckoffGene) -> str:
    """Return the smallest text among all ways to name the elements A, B, ..."""
    elements = gene.elements
    if len(elements) > 4:  # noqa: PLR2004 - too many ways
        return string_key(gene)
    keys = []
    for names in permutations(["H", "He", "Li", "Be"][: len(elements)]):
        renamed = dict(zip(elements, names, strict=True))
        pairs = [(renamed[site.element], site.letter) for site in gene.sites]
        keys.append(string_key(WyckoffGene.from_pairs(gene.space_group_number, pairs)))
    return min(keys)


def check_levels(
    genes: list[WyckoffGene], known: list[WyckoffGene], levels: list[int]
) -> None:
    """Stop if the peer calls another gene or another template known."""
    strings = {string_key(gene) for gene in known}
    templates = {template_key(gene) for gene in known}
    for gene, level in zip(genes, levels, strict=False):
        expected = 0 if string_key(gene) in strings else 1
        expected = expected if template_key(gene) in templates else 2
        if min(level, 2) != expected:
            raise SystemExit(f"{gene}: level {level}, the peer says {expected}")
