"""Options of the transformer, as they stand in a YAML file and in a checkpoint."""

from __future__ import annotations

from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wyckflow.ml.sizes import check_heads
from wyckflow.ml.training.config import (
    LoopConfig,
    PredictorConfig,
    TrainingConfig,
    complete_loop,
)

DEFAULT_CONDITIONS: Final = (
    "formation_energy_per_atom",
    "band_gap",
    "energy_above_hull",
)
"""Those of them that the datasets lack are left out; any other must be there."""


class TransformerNetworkConfig(BaseModel):
    """Sizes of the network."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    width: int = Field(default=128, ge=8, description="Length of a token.")
    n_layers: int = Field(default=3, ge=1, description="Layers of attention.")
    n_heads: int = Field(default=4, ge=1, description="Attention heads.")
    part_width: int = Field(
        default=64, ge=4, description="Length of each of the three parts of a token."
    )
    head_width: int = Field(
        default=256, ge=8, description="Hidden layer of the three heads."
    )
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share left out.")

    _divides = model_validator(mode="after")(check_heads)


_LOOP: Final = LoopConfig(
    n_epochs=60,
    batch_size=64,
    learning_rate=1.5e-3,
    n_warmup_steps=200,
    averaging=0.995,
    epochs_per_validation=3,
    patience=4,
)


class TransformerConfig(BaseModel):
    """Training of the transformer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: TransformerNetworkConfig = Field(
        default_factory=TransformerNetworkConfig, description="Sizes of the network."
    )
    loop: LoopConfig = Field(
        default=_LOOP, description="Length and pace of the training."
    )
    conditions: tuple[str, ...] = Field(
        default=DEFAULT_CONDITIONS,
        description="Columns that genes can be asked for. Of the default ones, those "
        "that the datasets lack are left out.",
    )
    seed: int = Field(default=0, ge=0, description="Decides everything drawn.")
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of formulas set aside."
    )
    n_prefixes: int = Field(
        default=2,
        ge=1,
        description="Unfinished forms of each gene in a batch, of evenly spread "
        "lengths.",
    )
    free_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of a batch learned without any condition.",
    )
    hidden_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="Chance of each single condition to be hidden in the others.",
    )
    similar_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of genes in which similar elements stand in; the network is "
        "told.",
    )
    shuffle: bool = Field(
        default=True,
        description="Whether the sites of a gene come in a new random order each time, "
        "and every site that is left is a right answer; else they come in one order, "
        "cations first and then by letter, and only the next one is right.",
    )
    augment: bool = Field(
        default=True,
        description="Whether a gene comes in a random one of its equivalent "
        "descriptions each time; else as the dataset has it.",
    )

    @field_validator("loop", mode="before")
    @classmethod
    def _complete_loop(cls, content: Any) -> Any:
        return complete_loop(content, _LOOP)


class TransformerTrainingConfig(BaseModel):
    """A whole training: the transformer, and the ensemble that predicts beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["transformer"] = Field(
        default="transformer", description="Kind of the generator."
    )
    generator: TransformerConfig = Field(
        default_factory=TransformerConfig, description="The transformer."
    )
    predictor: PredictorConfig | None = Field(
        default_factory=PredictorConfig,
        description="The ensemble that predicts properties of genes, which the "
        "transformer does not; none if nothing shall be predicted.",
    )

    @property
    def censored_properties(self) -> frozenset[str]:
        """The properties of which a value below zero means zero."""
        if self.predictor is None:
            return frozenset()
        items = (*self.predictor.properties, *self.predictor.helpers)
        return frozenset(item.name for item in items if item.is_censored_at_zero)


AnyTrainingConfig = TrainingConfig | TransformerTrainingConfig
"""Options of either kind of generator."""
