"""What is finished survives a kill, and is found by the same job alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.relax.race import RelaxedGene
from wyckflow.relax.scratch import Scratch
from wyckflow.schemas.relaxation import RelaxationDoc, RelaxationSettings, TrialDoc

GENES = [WyckoffGene.from_text(text) for text in ("225 Na:a Cl:b", "229 Fe:a")]
SETTINGS = RelaxationSettings(
    relaxer="r",
    engine="e",
    n_trials=None,
    seed=0,
    fmax=0.01,
    max_stress_gpa=0.1,
    max_steps=300,
    symprec=0.01,
)


class SomeBackend:
    """As much of a backend as decides numbers."""

    energy_scale = "some"

    def __init__(self, identity="some weights"):
        self.identity = identity


def make_result(gene, edge=4.0 / 3.0 * np.pi):
    structure = ReducedStructure(gene, np.eye(3) * edge, np.zeros((gene.n_orbits, 3)))
    numbers = {"outcome": "converged", "energy_per_atom": -1 / 3, "n_evaluations": 7}
    document = RelaxationDoc(
        **numbers,
        gene=gene.to_text(),
        gene_id=gene.gene_id,
        formula_pretty=gene.formula,
        space_group_number_before=gene.space_group_number,
        trials=[TrialDoc(**numbers, trial=0, seed=2**62, engine="sampler", stage=1)],
    )
    return RelaxedGene(document, structure)


RESULTS = {gene.to_text(): make_result(gene) for gene in GENES}


@pytest.fixture
def scratch(tmp_path):
    return Scratch.of_job(tmp_path, GENES, SETTINGS, SomeBackend())


def test_what_was_added_comes_back_to_the_last_digit(scratch):
    assert scratch.load() == {}
    for name, item in RESULTS.items():
        assert scratch.add({name: item})
    assert scratch.load() == RESULTS


def test_a_gene_without_a_structure_comes_back(scratch):
    (name, item), *_ = RESULTS.items()
    scratch.add({name: replace(item, structure=None)})
    assert scratch.load()[name].structure is None


@pytest.mark.parametrize("rest", [1, 10, 200])
def test_a_line_that_a_kill_cut_short_costs_that_gene_alone(scratch, rest):
    scratch.add(RESULTS)
    (path,) = scratch.folder.iterdir()
    first, second, _ = path.read_text().split("\n")
    path.write_text(f"{first}\n{second[:rest]}")
    names = list(RESULTS)
    assert list(scratch.load()) == names[:1]
    scratch.add({names[1]: RESULTS[names[1]]})
    assert scratch.load() == RESULTS


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"{}\n[]\n1\n", b"\n\n"])
def test_a_damaged_file_is_an_empty_one(scratch, content):
    scratch.add({})
    (path,) = scratch.folder.iterdir()
    path.write_bytes(content)
    assert scratch.load() == {}


def test_nothing_is_left_when_the_job_is_done(scratch, tmp_path):
    scratch.add(RESULTS)
    scratch.remove()
    assert list(tmp_path.iterdir()) == []
    scratch.remove()  # by two workers that did the same job


@pytest.mark.parametrize(
    ("genes", "settings", "backend"),
    [
        (GENES[:1], SETTINGS, SomeBackend()),
        (GENES[::-1], SETTINGS, SomeBackend()),
        (GENES, SETTINGS.model_copy(update={"fmax": 0.02}), SomeBackend()),
        (GENES, SETTINGS.model_copy(update={"n_trials": 2}), SomeBackend()),
        (GENES, SETTINGS, SomeBackend("other weights")),
    ],
    ids=["genes", "order", "fmax", "trials", "weights"],
)
def test_another_job_has_another_folder(scratch, tmp_path, genes, settings, backend):
    assert Scratch.of_job(tmp_path, genes, settings, backend) != scratch
    again = Scratch.of_job(tmp_path, GENES, SETTINGS.model_copy(), SomeBackend())
    assert again == scratch


def test_a_folder_that_cannot_be_written_costs_only_the_protection(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    scratch = Scratch.of_job(tmp_path / "file", GENES, SETTINGS, SomeBackend())
    assert not scratch.add(RESULTS)
    assert "WYCKFLOW_SCRATCH" in caplog.text
    assert scratch.load() == {}
    scratch.remove()
