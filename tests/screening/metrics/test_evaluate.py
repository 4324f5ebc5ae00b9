"""The evaluation of a set, against scipy, smact and numbers by hand."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Composition
from scipy.stats import ks_2samp
from smact.screening import smact_validity

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import pack_genes
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import DatasetError
from wyckflow.schemas.evaluation import EvaluationDoc, Population
from wyckflow.schemas.target import Window
from wyckflow.screening.metrics import (
    EvaluationOptions,
    GeneSet,
    evaluate_set,
    evaluate_sets,
    read_set,
)
from wyckflow.screening.metrics.judged import judge_genes
from wyckflow.screening.metrics.profile import Profile
from wyckflow.screening.novelty import KnownGenes
from wyckflow.screening.table import GeneTable

QUICK = EvaluationOptions(n_resamples=20)
ELEMENTS = ("Na", "Ca", "Ti", "Fe", "Al", "O", "S", "Cl", "N", "La")


def make_genes(n, seed, *, groups=(1, 2, 12, 14, 62, 139, 194, 221, 225)):
    """Draw genes of two or three elements; any letter that has room."""
    rng = np.random.default_rng(seed)
    genes = []
    while len(genes) < n:
        group = load_space_group(int(rng.choice(groups)))
        letters = rng.choice(
            list(group.letters), min(3, len(group.letters)), replace=False
        )
        elements = rng.choice(ELEMENTS, len(letters) if rng.random() < 0.7 else 2)
        pairs = list(zip(elements.tolist(), letters.tolist(), strict=False))
        genes.append(WyckoffGene.from_pairs(group.number, pairs))
    return genes


@pytest.fixture(scope="module")
def genes():
    return make_genes(120, 1)


@pytest.fixture(scope="module")
def reference():
    return make_genes(200, 2)


@pytest.fixture(scope="module")
def document(genes, reference):
    options = EvaluationOptions(n_resamples=20, population=Population.ALL)
    return evaluate_set(genes, reference, options=options)


def value(document, name):
    return document.metric(name).value


def test_kolmogorov_smirnov_distances_are_scipys(document, genes, reference):
    for name, count in (
        ("ks_sites", lambda gene: gene.n_orbits),
        ("ks_elements", lambda gene: len(gene.elements)),
        ("ks_degrees_of_freedom", lambda gene: gene.positional_degrees_of_freedom),
    ):
        own, real = ([count(gene) for gene in some] for some in (genes, reference))
        expected = ks_2samp(own, real).statistic
        assert value(document, name) == pytest.approx(expected, abs=1e-12)


def test_chi_squared_of_space_groups_by_hand(document, genes, reference):
    own, real = (Counter(g.space_group_number for g in x) for x in (genes, reference))
    kept = sum(count for number, count in own.items() if number in real)
    expected = 0.0
    for number, count in real.items():
        q = count / len(reference)
        expected += (own[number] / kept - q) ** 2 / q
    assert value(document, "chi2_space_groups") == pytest.approx(expected)


def test_chi_squared_of_elements_weighs_structures_equally(document, genes, reference):
    def mean_fractions(some):
        total = Counter()
        for gene in some:
            for element, atoms in gene.composition.items():
                total[element] += atoms / gene.n_sites / len(some)
        return total

    own, real = mean_fractions(genes), mean_fractions(reference)
    kept = sum(share for element, share in own.items() if element in real)
    expected = sum((own[e] / kept - q) ** 2 / q for e, q in real.items())
    assert value(document, "chi2_elements") == pytest.approx(expected, rel=1e-4)


def test_neutrality_is_smacts(document, genes):
    passing = [smact_validity(Composition(gene.composition)) for gene in genes]
    assert value(document, "neutral_share") == pytest.approx(np.mean(passing))


def test_shares_and_sizes_by_hand(document, genes):
    p1 = np.mean([gene.space_group_number == 1 for gene in genes])
    assert value(document, "p1_share") == pytest.approx(p1)
    sizes = sorted(gene.n_sites for gene in genes)
    assert value(document, "atoms_p50") == sizes[(len(sizes) - 1) // 2]
    n_unique = len({gene.gene_id for gene in genes})
    assert document.n_unique == n_unique
    assert value(document, "uniqueness_share") == pytest.approx(n_unique / len(genes))


def test_a_set_is_no_distance_from_itself(reference):
    options = EvaluationOptions(n_resamples=20, population=Population.ALL)
    found = evaluate_set(reference, reference, options=options)
    for metric in found.metrics:
        if metric.name.startswith(("ks_", "chi2_")):
            assert metric.value == pytest.approx(0, abs=1e-6)
            assert metric.floor > 0


def test_distributions_are_those_of_the_population(document, genes):
    found = {one.name: one for one in document.distributions}
    counts = Counter(gene.n_orbits for gene in genes)
    shares = dict(zip(found["sites"].values, found["sites"].shares, strict=True))
    assert shares == pytest.approx({k: n / len(genes) for k, n in counts.items()})
    for one in [*document.distributions, *document.reference.distributions]:
        assert sum(one.shares) == pytest.approx(1, abs=1e-5)


def test_a_document_survives_json(document):
    assert EvaluationDoc.model_validate_json(document.model_dump_json()) == document


# --- populations and novelty ---------------------------------------------------------


def test_novel_genes_are_measured_where_it_is_known_what_is_known(genes, reference):
    known = KnownGenes.from_genes(genes[:40], name="known")
    found = evaluate_set(genes, reference, known=known, options=QUICK)
    keys = {gene.gene_id for gene in genes}
    novel = keys - {gene.gene_id for gene in genes[:40]}
    assert found.population == Population.NOVEL
    assert (found.n_unique, found.n_population) == (len(keys), len(novel))
    assert value(found, "new_gene_share") == pytest.approx(len(novel) / len(keys))
    assert sum(found.novelty_levels.values()) == len(keys)
    assert found.known.known_id == known.known_id


def test_repetitions_are_counted_once(reference):
    gene = WyckoffGene.from_text("221 Sr:a Ti:b O:c")
    twin = WyckoffGene.from_text("221 Sr:b Ti:a O:d")
    other = WyckoffGene.from_text("1 Na:a2 Cl:a2")
    found = evaluate_set([gene, twin, other, gene], reference, options=QUICK)
    assert (found.n_valid, found.n_unique, found.n_population) == (4, 2, 2)
    assert value(found, "p1_share") == 0.5


def test_a_set_that_shares_nothing_with_the_reference_has_no_distance():
    own, real = (
        [WyckoffGene.from_text(text)] * 5 for text in ("225 Na:a Cl:b", "1 Fe:a S:a")
    )
    found = evaluate_set(own, real, options=QUICK)
    assert found.metric("chi2_space_groups") is None
    assert found.metric("chi2_elements") is None
    assert found.metric("ks_degrees_of_freedom").value == 1


def test_a_population_without_genes_is_one_sentence(genes, reference):
    known = KnownGenes.from_genes(genes, name="all")
    with pytest.raises(DatasetError, match=r"None of the 120 genes .* is novel"):
        evaluate_set(genes, reference, known=known)
    with pytest.raises(DatasetError, match="nothing says what is known"):
        evaluate_set(
            genes, reference, options=EvaluationOptions(population=Population.NOVEL)
        )
    with pytest.raises(DatasetError, match="holds no gene"):
        evaluate_set([], reference)


# --- sizes ---------------------------------------------------------------------------


def test_sets_are_measured_at_the_size_of_the_smallest(genes, reference):
    sets = [GeneSet.of(genes, name="a"), GeneSet.of(genes[:30], name="b")]
    documents = evaluate_sets(sets, reference, options=QUICK)
    assert len({document.n_sampled for document in documents}) == 1
    assert documents[0].n_sampled == documents[1].n_population
    large, small = (d.metric("chi2_space_groups") for d in documents)
    assert large.value > large.value_of_all  # smaller samples are further away
    assert small.value_of_all is None
    assert large.floor == small.floor


def test_the_seed_decides(genes, reference):
    def evaluate(seed):
        options = EvaluationOptions(n=20, n_resamples=20, seed=seed)
        return evaluate_set(genes, reference, options=options).metrics

    assert evaluate(1) == evaluate(1)
    assert evaluate(1) != evaluate(2)


# --- attempts, targets, energies -----------------------------------------------------


def test_validity_needs_the_number_of_attempts(genes, reference, document):
    assert document.metric("validity_share") is None
    found = evaluate_set(genes, reference, n_attempts=160, options=QUICK)
    metric = found.metric("validity_share")
    assert metric.value == 0.75
    assert metric.low < 0.75 < metric.high
    with pytest.raises(DatasetError, match="more than the 100 attempts"):
        evaluate_set(genes, reference, n_attempts=100)


def test_the_target_is_met_by_predictions(reference):
    genes = [WyckoffGene.from_text(f"221 {e}:a Cl:b") for e in ("Li", "Na", "K", "Rb")]
    columns = {"band_gap": np.array([0.4, 1.0, 1.5, np.nan]), "energy": np.arange(4.0)}
    own = GeneSet("mine", GeneTable.from_genes(genes), columns=columns, n_rows=4)
    target = {"band_gap": Window(min=0.5, max=2), "energy": Window(max=1)}
    found = evaluate_set(own, reference, target=target, options=QUICK)
    assert value(found, "in_target_share") == 0.25
    assert found.target == {"band_gap": "0.5 to 2", "energy": "at most 1"}
    with pytest.raises(DatasetError, match="Did you mean 'band_gap'"):
        evaluate_set(own, reference, target={"bandgap": Window(min=1)})


def test_stable_unique_and_novel_by_hand(reference):
    texts = [f"221 {e}:a Cl:b" for e in ("Li", "Na", "K", "Rb", "Cs", "Tl", "Ag", "Li")]
    genes = [WyckoffGene.from_text(text) for text in texts]
    known = KnownGenes.from_genes(genes[1:2], name="known")
    energies = [0.05, 0.0, 0.09, 0.3, np.nan, np.nan, np.nan, 0.05]
    found = evaluate_set(
        genes, reference, known=known, energies=energies, options=QUICK
    )
    # 7 of 8 are unique, 4 of them have an energy; 6 are novel, 3 of them with one
    assert found.n_with_energy == 4
    assert value(found, "metastable_80mev_share") == pytest.approx(2 / 4)
    assert value(found, "metastable_100mev_share") == pytest.approx(3 / 4)
    assert value(found, "sun_80mev_share") == pytest.approx(6 / 8 * 1 / 3)
    assert value(found, "sun_100mev_share") == pytest.approx(6 / 8 * 2 / 3)
    with pytest.raises(DatasetError, match="Energies of shape"):
        evaluate_set(genes, reference, energies=[1.0])


def test_every_gene_has_its_row(genes):
    known = KnownGenes.from_genes(genes[:10], name="known")
    judged = judge_genes(GeneSet.of(genes), known=known)
    rows = list(judged.iter_rows())
    assert [row["gene_id"] for row in rows] == [gene.gene_id for gene in genes]
    assert [row["novelty"] == "known_gene" for row in rows[:10]] == [True] * 10
    assert sum(not row["is_repetition"] for row in rows) == judged.is_first.sum()


def test_an_element_without_data_is_counted_and_not_dropped(reference):
    genes = [
        WyckoffGene.from_text("221 Pm:a Cl:b"),
        WyckoffGene.from_text("225 Na:a Cl:b"),
    ]
    found = evaluate_set(genes, reference, options=QUICK)
    assert found.n_cannot_judge_neutrality == 1
    assert value(found, "neutral_share") == 0.5


@pytest.mark.parametrize("options", [{"n": 0}, {"n_resamples": 0}, {"seed": -1}])
def test_impossible_options_are_refused(options):
    with pytest.raises(ValueError, match="must be at least"):
        EvaluationOptions(**options)


# --- the published set ---------------------------------------------------------------

needs_data = pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="no data")


@needs_data
def test_the_published_set_holds_what_its_columns_say():
    path = (
        Path(os.environ["WYCKFLOW_DATA"]) / "peers/wycryst_novel_mp20_biternary.csv.gz"
    )
    found = read_set(path)
    assert (len(found), found.reasons) == (29_744, {})
    profile = Profile.of(found.table)
    np.testing.assert_array_equal(profile.n_atoms, found.columns["n_sites"])
    np.testing.assert_array_equal(
        profile.counted["elements"], found.columns["n_element"]
    )
    np.testing.assert_array_equal(
        profile.counted["degrees_of_freedom"], found.columns["reconstructed_DoF"]
    )


def test_arrays_are_taken_as_genes(genes, reference, document):
    options = EvaluationOptions(n_resamples=20, population=Population.ALL)
    found = evaluate_set(pack_genes(genes), pack_genes(reference), options=options)
    assert found.metrics == document.metrics
