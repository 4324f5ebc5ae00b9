"""A trained transformer as a checkpoint, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from wyckflow.ml.checkpoint import Checkpoint, CheckpointInfo
from wyckflow.ml.mpvae.fitting import new_member
from wyckflow.ml.mpvae.memory import memory_from_arrays
from wyckflow.ml.mpvae.storage import fill_module, pack_weights
from wyckflow.ml.training.rows import scaler_from_info
from wyckflow.ml.transformer.network import TransformerNetwork

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wyckflow.ml.training.rows import TrainingRows
    from wyckflow.ml.transformer.generator import WyckoffTransformer

KIND: Final = "transformer"
KIND_VERSION: Final = 1
_NETWORK: Final = "network"


def tell_story(model: WyckoffTransformer, rows: TrainingRows) -> CheckpointInfo:
    """Return how a model came about.

    Parameters
    ----------
    model
        Just trained.
    rows
        What it learned from.
    """
    options, predictor = model.config.generator, model.predictor
    split: dict[str, Any] = {
        "by": "formula",
        "validation_share": options.validation_share,
        "n_training": len(rows.training),
        "n_validation": len(rows.validation),
        "conditions": list(model.condition_names),
    }
    if predictor is not None:
        split["predictor_properties"] = list(predictor.scaler.names)
        split["predictor_scalers"] = predictor.scaler.to_info()
        split["predictor_origin"] = predictor.origin
    return CheckpointInfo(
        kind=KIND,
        kind_version=KIND_VERSION,
        config=model.config.model_dump(mode="json"),
        scalers=model.scaler.to_info(),
        seed=options.seed,
        dataset_ids=list(rows.dataset_ids),
        split=split,
        metrics=model.metrics,
        description="Genes from a transformer that writes them token by token.",
    )


def pack_model(model: WyckoffTransformer, info: CheckpointInfo) -> Checkpoint:
    """Return all that is needed to make a model again.

    Parameters
    ----------
    model
        A trained model.
    info
        Its story.
    """
    arrays: dict[str, NDArray[Any]] = {"known_elements": model.known_elements}
    arrays |= pack_weights(_NETWORK, model.network)
    if model.predictor is not None:
        for index, member in enumerate(model.predictor.members):
            arrays |= pack_weights(f"member{index}", member)
    return Checkpoint(info, arrays | model.memory.to_arrays())


def unpack_model(checkpoint: Checkpoint, model: WyckoffTransformer) -> None:
    """Give a model with the options of a checkpoint its weights and its memory.

    Parameters
    ----------
    checkpoint
        Of this kind.
    model
        Made with the options of the checkpoint.

    Raises
    ------
    CheckpointError
        If the weights are those of another network.
    """
    from wyckflow.ml.predictor import Predictor

    info, arrays = checkpoint.info, checkpoint.arrays
    conditions = info.split["conditions"]
    network = TransformerNetwork(model.config.generator.network, len(conditions))
    fill_module(_NETWORK, network, arrays)
    model.network = network.to(model.device)
    model.scaler = scaler_from_info(info.scalers, conditions)
    model.known_elements = arrays["known_elements"]
    model.predictor = None
    options = model.config.predictor
    if options is not None:
        names = info.split["predictor_properties"]
        members = []
        for index in range(options.n_members):
            member = new_member(options, len(names), index)
            fill_module(f"member{index}", member, arrays)
            members.append(member.to(model.device))
        model.predictor = Predictor(
            members=members,
            scaler=scaler_from_info(info.split["predictor_scalers"], names),
            options=options,
            origin=info.split["predictor_origin"],
        )
    model.memory = memory_from_arrays(arrays)
    model.info, model.metrics = info, dict(info.metrics)
