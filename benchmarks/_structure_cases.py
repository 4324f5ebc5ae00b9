"""What the structure-prediction benchmarks look for, and the models they may ask.

The first WyCryst paper left a known polymorph out of training and found it again. Here
every row of all target formulas is left out at once: one model proves it for all.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _generator_rows import TEST, TRAIN, load_data

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.ml.model_file import bundled_model_path
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.training.config import TrainingConfig

if TYPE_CHECKING:
    from collections.abc import Callable

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.ml.training.loop import Progress


@dataclass(frozen=True, slots=True)
class Target:
    """A polymorph that is to be found again.

    Attributes
    ----------
    formula, gene
        What it is.
    measured
        Lattice parameters by experiment in A and degrees, by name: ``a``, ``b``, ``c``
        of the conventional cell, ``a_rhombohedral`` and ``alpha_rhombohedral`` of the
        primitive one.
    """

    formula: str
    gene: str
    measured: dict[str, float]

    @property
    def wyckoff_gene(self) -> WyckoffGene:
        """The gene as an object."""
        return WyckoffGene.from_text(self.gene)

    @property
    def name(self) -> str:
        """Formula and space group."""
        return f"{self.formula} ({self.wyckoff_gene.space_group_number})"


TARGETS = (
    Target("CaTiO3", "62 Ca:c Ti:b O:c,d", {"a": 5.44, "b": 7.64, "c": 5.37}),
    Target("CaTiO3", "221 Ca:a Ti:b O:c", {"a": 3.90}),
    Target(
        "BaTiO3",
        "160 Ba:a Ti:a O:b",
        {"a_rhombohedral": 4.00, "alpha_rhombohedral": 89.8},
    ),
    Target("SrTiO3", "221 Sr:a Ti:b O:c", {"a": 3.91}),
    Target("CsPbI3", "221 Cs:a Pb:b I:c", {"a": 6.29}),
    Target("CuInS2", "122 In:b Cu:a S:d", {"a": 5.52, "c": 11.13}),
)


def left_out_rows(data: Dataset) -> np.ndarray:
    """Return which rows have the formula of a target."""
    formulas = {target.wyckoff_gene.formula for target in TARGETS}
    return np.array([formula in formulas for formula in data.formulas])


def has_target_gene(data: Dataset) -> np.ndarray:
    """Return which rows have the gene of a target, or an equivalent one."""
    keys = [int(target.wyckoff_gene.gene_id, 16) for target in TARGETS]
    return np.isin(data.keys, np.array(keys, np.uint64))


def strict_model(
    report: Callable[[Progress], None] | None = None,
) -> tuple[MultiPropertyVAE, int]:
    """Return a model that has seen no row of any target's formula, and its rows.

    It is trained by the recipe of the bundled one but without an ensemble, so that the
    heads of its latent space give the energies (9 CPU minutes), and kept in the
    temporary folder. A training that was stopped goes on.
    """
    data = load_data(TRAIN)
    rows = data.select(~left_out_rows(data))
    place = Path(tempfile.gettempdir())
    path = place / "wyckflow-benchmark-leave-one-out.npz"
    if not path.exists():
        folder = place / "wyckflow-benchmark-leave-one-out"
        folder.mkdir(exist_ok=True)
        model = MultiPropertyVAE(TrainingConfig(predictor=None))
        model.fit([rows], folder=folder, report=report).save(path)
    model = MultiPropertyVAE.load(path)
    keys = [int(target.wyckoff_gene.gene_id, 16) for target in TARGETS]
    if model.memory.is_known(np.array(keys, np.uint64)).any():
        raise SystemExit(f"{path} has seen a target: it is not a model for this.")
    return model, len(rows)


def bundled_model() -> MultiPropertyVAE:
    """Return the bundled model; no row of its training has the gene of a target."""
    model = MultiPropertyVAE.load(bundled_model_path())
    keys = [int(target.wyckoff_gene.gene_id, 16) for target in TARGETS]
    if model.memory.is_known(np.array(keys, np.uint64)).any():
        raise SystemExit("The bundled model has seen a target.")
    return model


TUNED_ON = 987
"""Seed of the eight compounds on which the ranking was chosen."""


def held_out(n: int, *, seed: int, max_atoms: int = 20) -> list[WyckoffGene]:
    """Draw test compounds whose formula is not among the training rows.

    Those that the ranking was chosen on are left out.
    """
    known = set(load_data(TRAIN).formulas)
    test = load_data(TEST)
    unseen = np.array([formula not in known for formula in test.formulas])
    order = np.random.default_rng(TUNED_ON).permutation(len(test))
    tuned = {test.formulas[row] for row in order[unseen[order]][:8].tolist()}
    genes: dict[str, WyckoffGene] = {}
    for row in np.random.default_rng(seed).permutation(len(test)).tolist():
        gene = test.genes[row]
        is_open = unseen[row] and gene.formula not in tuned | genes.keys()
        if is_open and len(gene.elements) > 1 and primitive_atoms(gene) <= max_atoms:
            genes[gene.formula] = gene
        if len(genes) == n:
            break
    return [*genes.values()]


def primitive_atoms(gene: WyckoffGene) -> int:
    """Return the atoms of the primitive cell."""
    from wyckflow.crystal.enumeration import count_lattice_points

    return gene.n_sites // count_lattice_points(gene.space_group_number)
