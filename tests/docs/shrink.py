"""Make what a YAML file asks for small: a campaign's numbers, or a training's.

    python shrink.py FILE

What the file says otherwise stays as it is.
"""

import sys
from pathlib import Path

import yaml

SMALL_NETWORK = {
    "latent": 16,
    "width": 32,
    "n_encoder_layers": 1,
    "n_decoder_layers": 1,
}
QUICK = {"n_epochs": 1}

path = Path(sys.argv[1])
content = yaml.safe_load(path.read_text()) if path.exists() else {}
if "name" in content:
    content |= {"n_genes": 4, "generate": {"max_atoms": 8}, "relax": {"n_trials": 1}}
    if content.get("phonon") is not None:
        content["phonon"] = {"min_length": 4.0}
else:
    generator = content.setdefault("generator", {})
    generator["loop"] = {**generator.get("loop", {}), **QUICK}
    if content.get("model") != "transformer":
        generator["network"] = SMALL_NETWORK
    content.setdefault("predictor", {}).update(n_members=1, width=32, loop=QUICK)
path.write_text(yaml.safe_dump(content, sort_keys=False))
