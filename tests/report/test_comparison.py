"""Sets side by side, as rows and as a figure."""

from __future__ import annotations

import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import DatasetError
from wyckflow.report.comparison import compare_sets, plot_comparison, word_value
from wyckflow.screening.metrics import EvaluationOptions, GeneSet, evaluate_sets

TEXTS = [
    "225 Na:a Cl:b",
    "221 Sr:a Ti:b O:c",
    "1 K:a2 O:a",
    "62 Fe:c2 S:c2",
    "14 Ti:e O:e",
]
GENES = [WyckoffGene.from_text(text) for text in TEXTS]
OPTIONS = EvaluationOptions(n_resamples=10)


@pytest.fixture(scope="module")
def documents():
    sets = [GeneSet.of(GENES, name="all"), GeneSet.of(GENES[:3], name="some")]
    return evaluate_sets(sets, GENES, options=OPTIONS)


def test_every_metric_of_any_set_has_a_row(documents):
    rows = compare_sets(documents)
    names = {metric.name for document in documents for metric in document.metrics}
    assert {row.name for row in rows} == names
    assert all(len(row.cells) == 2 for row in rows)


def test_what_one_set_lacks_is_a_dash(documents):
    lacking = documents[1].model_copy(
        update={"metrics": [m for m in documents[1].metrics if m.name != "p1_share"]}
    )
    row = next(r for r in compare_sets([documents[0], lacking]) if r.name == "p1_share")
    assert row.cells[0] != "-"
    assert row.cells[1] == "-"
    assert row.reference == "20.0 %"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("neutral_share", 0.1234, "12.3 %"),
        ("ks_sites", 0.27974, "0.280"),
        ("chi2_space_groups", 12.345, "12.35"),
        ("atoms_p50", 16.0, "16"),
    ],
)
def test_numbers_are_written_in_their_unit(name, value, text):
    assert word_value(name, value) == text


def test_sets_of_different_references_are_not_compared(documents):
    (other,) = evaluate_sets([GeneSet.of(GENES)], GENES[:2], options=OPTIONS)
    for function in (compare_sets, lambda x: plot_comparison(x, "unused.png")):
        with pytest.raises(DatasetError, match="2 references"):
            function([documents[0], other])


def test_a_figure_is_drawn(documents, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    path = tmp_path / "x.svg"
    plot_comparison(documents, path)
    text = path.read_text()
    for part in ("occupied orbits", "different elements", "free coordinates"):
        assert part in text
    with pytest.raises(DatasetError, match="cannot be drawn"):
        plot_comparison(documents, tmp_path / "x.nothing")
