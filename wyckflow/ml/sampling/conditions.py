"""What a transformer is asked for, so that its genes come within a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.errors import GeneError, ModelError, TargetError
from wyckflow.ml.mpvae.generator import MultiPropertyVAE
from wyckflow.ml.sampling.matching import check_properties
from wyckflow.ml.sampling.options import Method
from wyckflow.ml.sampling.starts import find_starts
from wyckflow.ml.transformer.choices import PositionTensors, Rules

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.kinds import AnyGenerator
    from wyckflow.ml.memory import Memory
    from wyckflow.ml.mpvae.limits import DecodingLimits
    from wyckflow.schemas.target import Target

_WITH_LATENTS: Final = (Method.PRIOR, Method.POSTERIOR, Method.LOCAL, Method.GUIDED)
_WITHOUT: Final = (Method.PRIOR, Method.CONDITIONAL)


def choose_method(method: Method, target: Target, model: AnyGenerator) -> Method:
    """Decide what ``auto`` means for a model, and refuse what it cannot do.

    Parameters
    ----------
    method
        As it was asked for.
    target
        With or without ranges of properties.
    model
        The generator.

    Raises
    ------
    ModelError
        If a model of this kind has no such method.
    """
    has_latents = isinstance(model, MultiPropertyVAE)
    if method is Method.AUTO:
        if not target.properties:
            return Method.PRIOR
        return Method.LOCAL if has_latents else Method.CONDITIONAL
    possible = _WITH_LATENTS if has_latents else _WITHOUT
    if method not in possible:
        kind = "An autoencoder" if has_latents else "A transformer"
        raise ModelError(
            f"{kind} has no method {method.value!r}; it has "
            f"{', '.join(possible)}. Choose one, or leave it to 'auto'."
        )
    return method


def check_predictions(target: Target, model: AnyGenerator) -> None:
    """Refuse a range of a property by which no gene could be judged.

    Parameters
    ----------
    target
        What is asked.
    model
        The generator.

    Raises
    ------
    ModelError
        If the model does not predict it, even if it can be asked for it.
    """
    told = () if isinstance(model, MultiPropertyVAE) else model.condition_names
    names = model.property_names
    for name in target.properties:
        if name in told and name not in names:
            raise ModelError(
                f"The target has a range of {name!r}, which this transformer can be "
                f"asked for, but the model predicts {', '.join(names) or 'nothing'}, "
                "so that no gene could be held against it. Take the range out, train a "
                "model whose 'predictor' has this property, or ask in Python with "
                f"sample(n, {{{name!r}: value}}, seed=0), which judges nothing."
            )
    check_properties(target, dict.fromkeys(names))


def check_room(limits: DecodingLimits, known_elements: NDArray[np.bool_]) -> None:
    """Refuse limits within which no space group has a gene.

    Parameters
    ----------
    limits
        What the decoder is bound to.
    known_elements
        Atomic numbers that the model was trained on (119,).

    Raises
    ------
    TargetError
        Naming the limits.
    """
    try:
        Rules(limits, known_elements, "cpu").groups(PositionTensors.load("cpu"))
    except GeneError as error:
        raise TargetError(f"No gene can meet the target. {error}") from None


def find_conditions(
    target: Target,
    memory: Memory,
    names: tuple[str, ...],
    possible_groups: NDArray[np.bool_],
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return known crystals within a target, and what to ask for like them.

    Their values of the properties in the target are asked for together, and each with
    the space group in which it came: so values and symmetries are combined as they are
    in nature.

    Parameters
    ----------
    target
        What is wanted. Ranges of properties that the model cannot be asked for do not
        count here; genes are chosen by them afterwards.
    memory
        Of the model.
    names
        The properties in the columns of the memory.
    possible_groups
        Space groups in which genes for the target exist (231,): cells may be limited.

    Returns
    -------
    tuple
        Rows of the memory (m,), and properties in the units of the dataset (m,
        properties), not-a-number where the target says nothing.

    Raises
    ------
    TargetError
        If no known crystal is within the target: which condition empties it; or none
        has a space group with cells so small.
    """
    windows = target.properties
    asked = {name: windows[name] for name in windows if name in names}
    known = target.model_copy(update={"properties": asked})
    rows = find_starts(known, memory, names)
    rows = rows[possible_groups[memory.space_groups[rows]]]
    if not rows.size:
        raise TargetError(
            "No cell as small as the target asks for exists in the space groups of the "
            "known crystals within it; allow more atoms, or use the method 'prior'."
        )
    is_asked = np.array([name in asked for name in names], bool)
    values = np.where(is_asked, memory.properties[rows], np.nan).astype(np.float32)
    return rows, values
