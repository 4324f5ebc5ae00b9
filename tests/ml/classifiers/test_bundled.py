"""The classifiers that come with wyckflow."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.crystal.equivalence import equivalent_genes
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.ml.classifiers.bundled import (
    BUNDLED_CLASSIFIERS,
    FILE_NAMES,
    bundled_folder,
    load_bundled_classifier,
)
from wyckflow.ml.classifiers.labels import label_metals

each_classifier = pytest.mark.parametrize("name", BUNDLED_CLASSIFIERS)


@each_classifier
def test_it_is_small_and_its_card_is_its_own(name):
    classifier = load_bundled_classifier(name)
    assert (bundled_folder() / FILE_NAMES[name]).stat().st_size < 2_000_000
    assert classifier.card.identity == classifier.identity
    assert classifier.task == name
    assert classifier.ensemble.n_members == 5
    assert classifier.card.reliability
    assert load_bundled_classifier(name) is classifier


@each_classifier
def test_equivalent_genes_get_the_same_score(name):
    """Half-Heusler compounds have eight descriptions, this perovskite more than one."""
    classifier = load_bundled_classifier(name)
    for text in ("216 Zr:a Ni:b Sn:c", "62 Ca:c Ti:b O:c,d", "166 Bi:c Te:a,c"):
        scores = classifier.score(equivalent_genes(WyckoffGene.from_text(text)))
        assert len(scores) > 1
        np.testing.assert_allclose(scores, scores[0], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "is_metal"),
    [
        ("225 Na:a Cl:b", False),
        ("225 Mg:a O:b", False),
        ("216 Zn:a S:c", False),
        ("194 Al:a,f O:f", False),
        ("221 Cu:c Au:a", True),
        ("221 Ni:a Al:b", True),
        ("225 Ti:a C:b", True),
        ("191 Mg:a B:d", True),
    ],
)
def test_textbook_metals_and_insulators_are_told_apart(text, is_metal):
    (score,) = load_bundled_classifier("metal").score([WyckoffGene.from_text(text)])
    assert (score > 0.5) == is_metal


def test_scoring_takes_no_torch():
    """A worker that only screens need not have it."""
    import subprocess
    import sys

    code = (
        "import sys; from wyckflow.crystal.gene import WyckoffGene;"
        "from wyckflow.ml.classifiers.bundled import load_bundled_classifier;"
        "gene = WyckoffGene.from_text('225 Na:a Cl:b');"
        "load_bundled_classifier('metal').score([gene]);"
        "sys.exit('torch' in sys.modules or 'pymatgen' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif("WYCKFLOW_DATA" not in os.environ, reason="WYCKFLOW_DATA not set")
def test_the_card_of_the_metal_classifier_says_what_the_test_rows_give(tmp_path):
    """Precision and recall counted anew by scikit-learn."""
    metrics = pytest.importorskip("sklearn.metrics")
    source = Path(os.environ["WYCKFLOW_DATA"]) / "mp20_biternary_test.csv.gz"
    target = tmp_path / "test.npz"
    import_dataset([source], target, options=ImportOptions(keep_duplicates=True))
    rows = label_metals([load_dataset(target)])
    classifier = load_bundled_classifier("metal")
    called = classifier.score_sites(rows.sites)[0] >= 0.5
    card, name = classifier.card, "mp20_biternary_test"
    precision = metrics.precision_score(rows.is_positive, called)
    recall = metrics.recall_score(rows.is_positive, called)
    assert card.find("precision at 0.5", name).value == pytest.approx(
        precision, abs=0.004
    )
    assert card.find("recall at 0.5", name).value == pytest.approx(recall, abs=0.004)
