"""The estimated cost of a gene: right in its order, and for a whole shard."""

from __future__ import annotations

import time

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.relax.cost import LAW, estimate_cpu_s

SALT = WyckoffGene.from_text("225 Na:a Cl:b")
FREE = WyckoffGene.from_text("62 Ca:c Ti:b O:c,d")


def test_no_gene_costs_nothing():
    assert estimate_cpu_s([]).shape == (0,)


def test_a_gene_with_more_starts_and_orbits_costs_more():
    salt, free = estimate_cpu_s([SALT, FREE])
    assert 0 < salt < free


def test_more_starts_cost_more_but_not_in_proportion():
    """The race drops most of them early."""
    one, four = (estimate_cpu_s([FREE], n_trials=n)[0] for n in (1, 4))
    assert one < four < 4 * one
    assert four == pytest.approx(one * 4**LAW.starts)
    expected = LAW.factor * 4**LAW.orbits * (FREE.degrees_of_freedom + 1) ** LAW.freedom
    assert one == pytest.approx(expected)


def test_a_gene_with_more_freedom_costs_more_with_the_same_orbits_and_starts():
    fixed = WyckoffGene.from_text("225 Na:a Cl:b")
    free = WyckoffGene.from_text("62 Na:c Cl:c")
    assert fixed.n_orbits == free.n_orbits
    held, loose = estimate_cpu_s([fixed, free], n_trials=6)
    assert held < loose


@pytest.mark.slow
def test_the_estimate_of_known_crystals_is_of_the_right_size():
    """Within a factor of six, since machines differ by three and the law by two."""
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from wyckflow.relax.backends import load_backend
    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.race import RaceOptions, relax_genes

    texts = ["62 Fe:c,d C:c", "136 Ti:a O:f", "152 Si:a O:c", "62 Ca:c Ti:b O:c,d"]
    genes = [WyckoffGene.from_text(text) for text in texts]
    backend = load_backend(device="cpu")
    relax_genes(genes[:1], backend, RelaxOptions(), RaceOptions())
    start = time.process_time()
    relax_genes(genes, backend, RelaxOptions(), RaceOptions())
    found = time.process_time() - start
    assert abs(np.log(estimate_cpu_s(genes).sum() / found)) < np.log(6)
