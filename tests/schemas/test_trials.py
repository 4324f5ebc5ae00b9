"""Trials come back from their columns as they went in."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyckflow.errors import DocumentError
from wyckflow.schemas.blob import pack_arrays
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    TrialDoc,
    TrialTable,
)
from wyckflow.schemas.trials import NUMBERS, TEXTS, WHOLE_NUMBERS, unpack_trials

numbers = st.floats(0, 1e6) | st.none()
trials = st.builds(
    TrialDoc,
    outcome=st.sampled_from(Outcome),
    reason=st.sampled_from(["", "too close: 0.3 A", "Zu nah: 0,3 \u00c5"]),
    engine=st.sampled_from(["sampler", "pyxtal"]),
    trial=st.integers(0, 20),
    seed=st.integers(0, 2**63 - 1),
    stage=st.integers(0, 5) | st.none(),
    n_steps=st.integers(0, 300),
    n_evaluations=st.integers(0, 400),
    space_group_number_after=st.integers(1, 230) | st.none(),
    energy_per_atom=st.floats(-20, 20) | st.none(),
    max_force=numbers,
    max_stress_gpa=numbers,
    volume_per_atom=st.floats(0.1, 1e3) | st.none(),
)


@given(st.lists(st.lists(trials, max_size=4), max_size=4))
def test_trials_come_back_as_they_were(given_trials):
    table = TrialTable.pack(given_trials)
    assert table.n_trials == sum(map(len, given_trials))
    again = TrialTable.model_validate_json(table.model_dump_json())
    assert again.unpack() == given_trials


def test_every_field_of_a_trial_has_a_column():
    columns = {*TEXTS, *WHOLE_NUMBERS, *NUMBERS}
    assert columns == set(TrialDoc.model_fields)


def test_another_blob_is_refused_and_told_apart():
    with pytest.raises(DocumentError, match=r"lacks .*engine.*field 'packed'"):
        unpack_trials(pack_arrays({"trial": np.zeros(1)}))


def test_trials_take_a_tenth_of_what_they_took_as_documents():
    """Of 500 genes with 20 trials each, which was several megabytes."""
    rng = np.random.default_rng(0)
    rows = [
        [
            TrialDoc(
                outcome=Outcome.DROPPED,
                reason="another trial of its gene was better",
                energy_per_atom=float(rng.normal()),
                max_force=float(rng.random()),
                max_stress_gpa=float(rng.random()),
                volume_per_atom=float(rng.random()) + 1,
                n_steps=15,
                n_evaluations=16,
                trial=trial,
                seed=int(rng.integers(2**62)),
                engine="sampler",
                stage=2,
            )
            for trial in range(20)
        ]
        for _ in range(500)
    ]
    as_documents = sum(len(trial.model_dump_json()) for row in rows for trial in row)
    packed = len(TrialTable.pack(rows).packed)
    assert as_documents > 2**21
    assert packed < as_documents / 5
    assert packed < 2**20


def test_a_batch_of_an_older_version_still_lists_its_trials(make_batch_of_version):
    trial = {"outcome": "converged", "trial": 0, "seed": 1, "engine": "sampler"}
    old = make_batch_of_version(3, results_trials=[trial], trials=None)
    new = make_batch_of_version(
        4, results_trials=[], trials=TrialTable.pack([[TrialDoc(**trial)]])
    )
    (gene_id,) = old.list_trials()
    assert old.list_trials() == new.list_trials()
    assert new.list_trials()[gene_id][0].seed == 1


@pytest.fixture
def make_batch_of_version():
    """A batch of one gene, as another version wrote it."""

    def make(version, *, results_trials, trials):
        settings = {"relaxer": "r", "engine": "e", "n_trials": 1, "seed": 0}
        settings |= {"fmax": 0.01, "max_stress_gpa": 0.1, "max_steps": 9}
        result = {"outcome": "converged", "gene": "225 Na:a Cl:b", "gene_id": "g"}
        result |= {"formula_pretty": "NaCl", "space_group_number_before": 225}
        return RelaxationBatchDoc.model_validate(
            {
                "schema_version": version,
                "energy_scale": "chgnet-0.3.0",
                "settings": settings | {"symprec": 0.01},
                "n_converged": 1,
                "results": [result | {"trials": results_trials}],
                "trials": trials,
            }
        )

    return make
