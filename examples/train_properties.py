"""Learn a property from a table of crystals, then ask for crystals by it.

    python examples/train_properties.py bulk_modulus.csv bulk_modulus_gpa --at-least 200

The table has one crystal per row: a column 'cif' (or 'structure') and the property.
Training takes about a quarter of an hour for seven thousand crystals on one core.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from wyckflow.crystal.dataset.importing import import_dataset
from wyckflow.crystal.dataset.table import load_dataset
from wyckflow.errors import WyckflowError
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.training.config import parse_training_config

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("table", type=Path)
parser.add_argument("property", help="as 'wyckflow data import' names it")
parser.add_argument("--at-least", type=float, required=True, help="in its unit")
parser.add_argument("--genes", type=int, default=20, help="to propose")
parser.add_argument("--quick", action="store_true", help="hardly learn at all")
wanted = parser.parse_args()

heads = {"properties": [{"name": wanted.property}]}
options = {"generator": {**heads}, "predictor": {**heads}}
if wanted.quick:
    small = {"latent": 16, "width": 32, "n_encoder_layers": 1, "n_decoder_layers": 1}
    options["generator"] |= {"network": small, "loop": {"n_epochs": 1}}
    options["predictor"] |= {"n_members": 1, "width": 32, "loop": {"n_epochs": 1}}

try:
    file = Path(f"{wanted.property}.npz")
    import_dataset([wanted.table], file)
    model = MultiPropertyVAE(parse_training_config(options, "The options"))
    training = TrainGeneratorMaker(options=options).train(model, [load_dataset(file)])
    print(f"learned from {training.n_train} crystals")
    target = {"properties": {wanted.property: {"min": wanted.at_least}}}
    maker = GenerateMaker(target=target, n_genes=wanted.genes)
    found = maker.draw(wanted.property, model)
except WyckflowError as error:
    sys.exit(str(error))
for gene, value in zip(found.genes(), found.column(wanted.property), strict=True):
    print(f"{gene.to_text():45s} {value:8.3g}  (predicted)")
