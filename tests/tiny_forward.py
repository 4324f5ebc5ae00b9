"""Forward models that know made-up salts with cells, trained for a moment."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from tiny_model import make_salts

SIZES = {
    "composition": {"width": 16, "n_layers": 1, "n_heads": 2, "head_width": 16},
    "graph": {"width": 16, "n_layers": 1, "head_width": 16},
    "gene": {"width": 16, "n_layers": 1, "n_heads": 2},
}


def make_salts_with_cells():
    """The salts of `tiny_model` in cubic cells that grow with their atoms."""
    from wyckflow.crystal.dataset.table import Dataset

    salts = make_salts()
    edges = 3.5 + 0.15 * np.array([gene.n_sites for gene in salts.genes])
    energies = salts.properties["formation_energy_per_atom"]
    edges = edges - 0.3 * energies
    lattices = edges[:, None, None] * np.eye(3)
    coordinates = [structure_points(gene) for gene in salts.genes]
    arrays = replace(
        salts.arrays, lattices=lattices, coordinates=np.concatenate(coordinates)
    )
    return Dataset(arrays, salts.metadata)


def structure_points(gene):
    """The first point of each position of a gene without free coordinates."""
    from wyckflow.crystal.reduced import ReducedStructure

    structure = ReducedStructure(gene, np.eye(3), np.zeros((gene.n_orbits, 3)))
    return structure.expand()[0][structure.orbit_table.first_atoms]


def forward_options(representation, n_epochs=4):
    """Options of a training that takes a moment."""
    return {
        "model": "forward",
        "representation": representation,
        "properties": [
            {"name": "formation_energy_per_atom"},
            {"name": "band_gap", "is_censored_at_zero": True},
        ],
        "network": SIZES[representation],
        "loop": {"n_epochs": n_epochs, "batch_size": 16, "epochs_per_validation": 2},
        "validation_share": 0.2,
    }


def train_tiny_forward(path, representation):
    """Write a trained model to a file."""
    from wyckflow.ml.checkpoint import save_checkpoint
    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.forward.model import ForwardModel

    config = ForwardConfig.model_validate(forward_options(representation))
    model = ForwardModel(config).fit([make_salts_with_cells()])
    save_checkpoint(path, model.to_checkpoint())
    return path
