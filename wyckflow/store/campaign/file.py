"""A campaign's file: read with every mistake named, written with comments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import ValidationError

from wyckflow.errors import CampaignError
from wyckflow.ml.model_file import BUNDLED_MODELS
from wyckflow.schemas.campaign import CampaignSpec

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails


_TEMPLATE: Final = """\
# A campaign of wyckflow. 'wyckflow submit {file}' starts it.
# Everything but the name may be left out; what you see is the default unless the
# comment says otherwise.

# Unique in the database: letters, digits, dots, dashes, underscores.
name: {name}

# What a crystal has to be like. This is the target of the WyCryst+ paper; the default
# is no condition at all. Further conditions: crystal_systems, elements_all,
# elements_any, elements_none, elements_only (lists of symbols), n_elements and nsites
# (ranges).
target:
  properties:                       # those that the model predicts
    band_gap: {{min: 0.5, max: 2.0}}                 # eV
    formation_energy_per_atom: {{max: -0.5}}         # eV/atom
  space_groups: 143-230             # trigonal, hexagonal, cubic

# Who proposes genes: 'bundled', 'bundled-transformer', a model's file, or the name of
# a registered model.
model: bundled

# Genes per round; 'wyckflow campaign extend' adds rounds.
n_genes: 1000

# Of everything random: the same file gives the same genes.
seed: 0

# Options of the generator: method (auto, prior, posterior, local, guided; conditional
# for a transformer), level, temperature, max_atoms, keep_known, ...
generate: {{}}

# Which genes are worth a structure: 'published' (the paper's filters), 'default',
# 'sustainable', or filters of your own, see the page on screening.
screen: published

# Options of the relaxation with CHGNet: n_trials, fmax (eV/A), max_steps, ...
relax: {{}}

# Options of the distance to the hull. What is not within the threshold (eV/atom) gets
# no phonons.
hull:
  threshold: 0.1

# Options of the phonons: min_length (A), max_atoms, ... The default is null, for none.
phonon: {{}}

# VASP. Without this section, and without a number, only 'wyckflow approve' lets
# crystals through; each is seven VASP jobs. More options: where (further conditions),
# without (bands, vibrations, hull), dispersion, reference (for the hull by DFT).
# dft:
#   opens_below: 0.03               # eV/atom above the hull, by CHGNet
#   max_atoms: 20                   # of the primitive cell

# One shard is one job per stage: about so many minutes on one core.
shard_minutes: 10

# What it may cost. The default is no limit.
budget:
  relaxations: 500                  # genes relaxed, in all rounds
  # cpu_hours: 10                   # of jobs on cpu workers
  # gpu_hours: 10                   # of jobs on gpu workers
  # vasp_jobs: 70                   # that begin without approval; the default is 0
"""


def write_template(path: Path, *, name: str | None = None) -> None:
    """Write a commented file with the paper's target.

    Parameters
    ----------
    path
        File that must not be there yet.
    name
        Name of the campaign; that of the file if None.

    Raises
    ------
    CampaignError
        If there is such a file, or it cannot be written.
    """
    text = _TEMPLATE.format(file=path.name, name=name or path.stem)
    CampaignSpec.model_validate(yaml.safe_load(text))  # the name, which is a user's
    try:
        with path.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise CampaignError(
            f"There is a file {path} already; nothing was changed. Give another name."
        ) from None
    except OSError as error:
        raise CampaignError(
            f"{path} cannot be written ({error.strerror}); give a file in a folder "
            "that is there and yours."
        ) from error


def read_campaign_file(path: Path) -> CampaignSpec:
    """Read what a campaign is to do.

    A model's file is found beside the campaign's.

    Parameters
    ----------
    path
        YAML, such as ``wyckflow campaign new`` writes.

    Raises
    ------
    CampaignError
        If it cannot be read, has an unknown key or an impossible value.
    TargetError
        If its target contradicts itself.
    """
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise CampaignError(
            f"The campaign's file {path} cannot be read ({error.strerror}): "
            "'wyckflow campaign new' writes one to begin with."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise CampaignError(
            f"{path} is not valid YAML ({' '.join(str(error).split())}); "
            "'wyckflow campaign new' writes a file to compare it with."
        ) from error
    if not isinstance(content, dict):
        raise CampaignError(
            f"{path} holds no 'key: value' lines; 'wyckflow campaign new' writes a "
            "file to begin with."
        )
    return parse_campaign(content, folder=path.parent, source=str(path))


def parse_campaign(
    content: dict[str, Any], *, folder: Path | None = None, source: str = "The campaign"
) -> CampaignSpec:
    """Check what a campaign is to do.

    Parameters
    ----------
    content
        As in its file.
    folder
        Where a model's file with a relative path lies.
    source
        What to call it in errors.

    Raises
    ------
    CampaignError, TargetError
        As in :func:`read_campaign_file`.
    """
    # A section whose lines are all commented out is null.
    filled = {
        name: value
        for name, value in content.items()
        if value is not None or name == "phonon"
    }
    try:
        spec = CampaignSpec.model_validate(filled)
    except ValidationError as error:
        problems = "; ".join(_say(item) for item in error.errors(include_url=False))
        raise CampaignError(f"{source} cannot be used: {problems}.") from error
    if folder is not None and spec.model not in BUNDLED_MODELS:
        file = folder / Path(spec.model).expanduser()
        if file.is_file():
            return spec.model_copy(update={"model": str(file.resolve())})
    return spec


def _say(problem: ErrorDetails) -> str:
    """Say which key has which wrong value."""
    place = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"][:1].lower() + problem["msg"][1:]
    if problem["type"] == "missing":
        return f"{place!r} is missing"
    return f"{place!r} is {problem['input']!r}: {message}"
