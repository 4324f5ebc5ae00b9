"""Options of a training, as a YAML file holds them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

from wyckflow.errors import TrainingError, nearest_name
from wyckflow.ml.mpvae.config import NetworkConfig

if TYPE_CHECKING:
    from pathlib import Path

    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.transformer.config import AnyTrainingConfig


class LoopConfig(BaseModel):
    """How long, how fast, and when to stop: all that decides the rate of each step.

    The rate rises for some steps and then falls along a cosine whose end is that of the
    last epoch. A training cannot be shortened on the way: with fewer epochs it is
    another one from its first step on.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_epochs: int = Field(
        default=60,
        ge=1,
        description="Passes over the rows, at the end of which the rate has fallen.",
    )
    batch_size: int = Field(default=128, ge=2, description="Genes per step.")
    learning_rate: float = Field(default=1.5e-3, gt=0, description="At its highest.")
    final_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Share of it that is added all the time, and is left at the end of "
        "the last epoch.",
    )
    weight_decay: float = Field(default=0.03, ge=0, description="Of AdamW.")
    n_warmup_steps: int = Field(
        default=100, ge=0, description="Steps until the rate is at its highest."
    )
    averaging: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="How slowly the averaged weights follow those of the steps.",
    )
    clip: float = Field(default=1.0, gt=0, description="Largest norm of a gradient.")
    epochs_per_validation: int = Field(
        default=4, ge=1, description="Epochs between two looks at the validation rows."
    )
    patience: int = Field(
        default=5,
        ge=1,
        description="Looks without progress after which the training stops.",
    )


def complete_loop(content: Any, default: LoopConfig) -> Any:
    """Fill in what a file leaves out of a loop, from the defaults of its network.

    Parameters
    ----------
    content
        What came; anything but a mapping is returned as it is.
    default
        The defaults.
    """
    return default.model_dump() | content if isinstance(content, dict) else content


class TargetProperty(BaseModel):
    """A property to learn."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Column of the dataset.")
    weight: float = Field(default=1.0, gt=0, description="Of its loss.")
    is_censored_at_zero: bool = Field(
        default=False,
        description="Whether a zero says only that the value is not positive, as the "
        "band gap of a metal does: predictions below it are then not corrected.",
    )


DEFAULT_PROPERTIES: tuple[TargetProperty, ...] = (
    TargetProperty(name="formation_energy_per_atom"),
    TargetProperty(name="band_gap", weight=0.5, is_censored_at_zero=True),
)


class GeneratorConfig(BaseModel):
    """Training of the autoencoder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    network: NetworkConfig = Field(
        default_factory=NetworkConfig, description="Sizes of the networks."
    )
    loop: LoopConfig = Field(
        default_factory=LoopConfig, description="Length and pace of the training."
    )
    properties: tuple[TargetProperty, ...] = Field(
        default=DEFAULT_PROPERTIES, description="What the heads learn."
    )
    seed: int = Field(default=0, ge=0, description="Decides everything drawn.")
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of formulas set aside."
    )
    exact_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="Share of a batch read back without noise.",
    )
    free_share: float = Field(
        default=0.45,
        ge=0,
        le=1,
        description="Share of a batch decoded from noise alone.",
    )
    random_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of the genes read back whose elements are random ones.",
    )
    scrambled_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of the genes read back whose sites are put anywhere.",
    )
    similar_share: float = Field(
        default=0.4,
        ge=0,
        le=1,
        description="Share of the other genes in which similar elements stand in.",
    )
    divergence_weight: float = Field(
        default=2e-3, ge=0, description="Of the divergence from the prior, per nat."
    )
    property_weight: float = Field(
        default=1.0, ge=0, description="Of the losses of all properties."
    )

    @model_validator(mode="after")
    def _shares_add_up(self) -> Self:
        if self.exact_share + self.free_share > 1:
            raise ValueError(
                f"{self.exact_share=} and {self.free_share=} are more than a whole "
                "batch; make one of them smaller."
            )
        return self


_PREDICTOR_LOOP: Final = LoopConfig(
    n_epochs=26,
    batch_size=64,
    learning_rate=1e-3,
    weight_decay=0.05,
    n_warmup_steps=200,
    averaging=0.998,
    patience=10,
)


class PredictorConfig(BaseModel):
    """Training of the ensemble that predicts properties from genes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    n_members: int = Field(default=3, ge=1, description="Networks of the ensemble.")
    width: int = Field(default=128, ge=8, description="Length of a token.")
    n_layers: int = Field(default=3, ge=1, description="Layers of attention.")
    n_heads: int = Field(default=4, ge=1, description="Attention heads.")
    dropout: float = Field(default=0.1, ge=0, lt=1, description="Share left out.")
    loop: LoopConfig = Field(
        default=_PREDICTOR_LOOP,
        description="Length and pace of the training of each member.",
    )
    properties: tuple[TargetProperty, ...] = Field(
        default=DEFAULT_PROPERTIES, min_length=1, description="What is learned."
    )
    helpers: tuple[TargetProperty, ...] = Field(
        default=(TargetProperty(name="energy_above_hull", weight=0.3),),
        description="Learned beside them where the datasets have it, since it helps.",
    )
    seed: int = Field(default=0, ge=0, description="Decides everything drawn.")
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of formulas set aside."
    )

    @field_validator("loop", mode="before")
    @classmethod
    def _complete_loop(cls, content: Any) -> Any:
        return complete_loop(content, _PREDICTOR_LOOP)


class TrainingConfig(BaseModel):
    """A whole training: the autoencoder, and the ensemble beside it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["mpvae"] = Field(
        default="mpvae",
        description="Kind of the generator: 'mpvae', or 'transformer' with options of "
        "its own.",
    )
    generator: GeneratorConfig = Field(
        default_factory=GeneratorConfig, description="The autoencoder."
    )
    predictor: PredictorConfig | None = Field(
        default_factory=PredictorConfig,
        description="The ensemble; none if the heads of the autoencoder shall do.",
    )

    @property
    def censored_properties(self) -> frozenset[str]:
        """The properties of which a value below zero means zero."""
        items = [*self.generator.properties]
        if self.predictor is not None:
            items += [*self.predictor.properties, *self.predictor.helpers]
        return frozenset(item.name for item in items if item.is_censored_at_zero)


def load_training_config(path: Path) -> AnyTrainingConfig | ForwardConfig:
    """Read the options of a training from a YAML file.

    Parameters
    ----------
    path
        Options that it does not name keep their defaults.

    Raises
    ------
    TrainingError
        If the file cannot be read, or an option is unknown or wrong.
    """
    import yaml

    try:
        content: Any = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"{str(path)!r} cannot be read: {error}.") from error
    except yaml.YAMLError as error:
        raise TrainingError(f"{str(path)!r} is no YAML: {error}.") from error
    return parse_training_config(content, repr(str(path)))


def parse_training_config(
    content: Any, where: str
) -> AnyTrainingConfig | ForwardConfig:
    """Read the options of a training from what a file or a maker holds.

    Parameters
    ----------
    content
        Options that it does not name keep their defaults; ``model`` says of which kind
        of model they are: a generator, or ``forward`` for properties alone.
    where
        What it is, for the words of an error.

    Raises
    ------
    TrainingError
        If an option is unknown or wrong.
    """
    from wyckflow.ml.forward.config import ForwardConfig
    from wyckflow.ml.transformer.config import TransformerTrainingConfig

    kinds: dict[str, type[AnyTrainingConfig | ForwardConfig]] = {
        "mpvae": TrainingConfig,
        "transformer": TransformerTrainingConfig,
        "forward": ForwardConfig,
    }
    kind = content.get("model", "mpvae") if isinstance(content, dict) else "mpvae"
    if not isinstance(kind, str) or kind not in kinds:
        raise TrainingError(
            f"{where} asks for a model {kind!r}; choose one of {', '.join(kinds)}."
            f"{nearest_name(str(kind), kinds)}"
        )
    try:
        return kinds[kind].model_validate(content)
    except ValidationError as error:
        reasons = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
            for item in error.errors()
        )
        raise TrainingError(
            f"{where} cannot be used: {reasons}. 'wyckflow train --show' prints every "
            "option with its default."
        ) from error
