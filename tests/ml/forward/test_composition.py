"""The baseline that knows the formula alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import TrainingError
from wyckflow.ml.forward.composition import CompositionRepresentation
from wyckflow.ml.forward.config import ForwardConfig
from wyckflow.ml.forward.crystals import crystals_from_dataset, crystals_from_genes
from wyckflow.ml.forward.model import ForwardModel
from wyckflow.ml.forward.representation import open_representation


def crystals_of(*texts):
    return crystals_from_genes([WyckoffGene.from_text(text) for text in texts])


def predict(crystals):
    """What a network with random weights says."""
    representation = CompositionRepresentation()
    torch.manual_seed(0)
    network = representation.network(1).eval()
    batch = representation.batch(
        representation.prepare(crystals), np.arange(len(crystals)), None
    )
    with torch.no_grad():
        return torch.cat(network(batch), -1).numpy()


def test_shares_are_those_of_pymatgen(random_genes):
    from pymatgen.core import Composition

    found = CompositionRepresentation().prepare(crystals_from_genes(random_genes))
    assert len(found) == len(random_genes)
    for row, gene in enumerate(random_genes):
        wanted = Composition(gene.formula).fractional_composition.as_dict()
        own = {
            SYMBOLS[number - 1]: share
            for number, share in zip(
                found.atomic_numbers[row].tolist(),
                found.shares[row].tolist(),
                strict=True,
            )
            if number
        }
        assert own == pytest.approx(wanted, abs=1e-6)


def test_neither_structure_nor_the_number_of_formula_units_matters():
    found = predict(
        crystals_of("225 Na:a Cl:b", "221 Na:a Cl:b", "1 Cl:a3 Na:a3", "225 Na:b Cl:a")
    )
    np.testing.assert_allclose(found, np.tile(found[:1], (4, 1)), atol=1e-5)


def test_the_shares_matter():
    found = predict(crystals_of("225 Ca:a F:c", "225 Ca:a F:b", "225 F:a Ca:c"))
    assert np.abs(found[0] - found[1]).max() > 1e-3
    assert np.abs(found[0] - found[2]).max() > 1e-3


def test_an_element_alone_is_a_composition():
    assert np.isfinite(predict(crystals_of("225 Cu:a", "221 Sr:a Ti:b O:c"))).all()


def test_companions_in_a_batch_change_nothing():
    texts = ["225 Cu:a", "221 Sr:a Ti:b O:c", "225 Na:a Cl:b"]
    together = predict(crystals_of(*texts))
    for text, row in zip(texts, together, strict=True):
        np.testing.assert_allclose(predict(crystals_of(text))[0], row, atol=1e-5)


def test_it_learns_what_elements_decide(salt_dataset):
    config = ForwardConfig(
        representation="composition",
        properties=[{"name": "formation_energy_per_atom"}],
        network={"width": 32, "n_layers": 1, "head_width": 32, "dropout": 0.0},
        loop={"n_epochs": 60, "batch_size": 32, "learning_rate": 5e-3},
        validation_share=0.2,
    )
    model = ForwardModel(config).fit([salt_dataset])
    values = salt_dataset.properties["formation_energy_per_atom"]
    error = model.metrics["forward_1_mae_formation_energy_per_atom"]
    assert error < 0.5 * np.nanstd(values)
    crystals = crystals_from_dataset(salt_dataset)
    found = model.predict(crystals).mean[:, 0]
    known = ~np.isnan(values)
    assert np.corrcoef(found[known], values[known])[0, 1] > 0.9


@pytest.mark.parametrize(
    ("options", "said"), [({"width": 33}, "multiple"), ({"heads": 4}, "heads")]
)
def test_a_wrong_option_is_refused(options, said):
    with pytest.raises(TrainingError, match=said):
        open_representation("composition", options)
