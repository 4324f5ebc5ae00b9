"""Options of a forward model, as a YAML file and a checkpoint hold them."""

from __future__ import annotations

from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wyckflow.ml.forward.representation import check_name
from wyckflow.ml.training.config import LoopConfig, TargetProperty, complete_loop

_LOOP: Final = LoopConfig(
    n_epochs=40,
    batch_size=64,
    learning_rate=2e-3,
    weight_decay=0.05,
    n_warmup_steps=50,
    averaging=0.99,
    epochs_per_validation=2,
    patience=8,
)


class ForwardProperty(TargetProperty):
    """A property to learn."""

    is_logarithmic: bool = Field(
        default=False,
        description="Whether the network learns the logarithm: for positive properties "
        "that span orders of magnitude, such as a thermal conductivity.",
    )

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.is_logarithmic and self.is_censored_at_zero:
            raise ValueError(
                f"{self.name!r} is both logarithmic and censored at zero, where there "
                "is no logarithm; choose one."
            )
        return self


class ForwardConfig(BaseModel):
    """Training of networks that predict properties of crystals."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["forward"] = Field(default="forward", description="Kind of model.")
    representation: str = Field(
        default="gene",
        description="What the networks see: 'composition', 'gene', 'gene-l' (and the "
        "cell), 'wycryst', 'wycryst-l' (and cell and coordinates), 'ftcp', 'graph'.",
    )
    augment: bool = Field(
        default=False,
        description="Whether each crystal is described in another of its equivalent "
        "ways in every epoch, and predictions are averaged over several.",
    )
    properties: tuple[ForwardProperty, ...] = Field(
        default=(ForwardProperty(name="formation_energy_per_atom"),),
        min_length=1,
        description="What is learned.",
    )
    n_members: int = Field(
        default=1,
        ge=1,
        description="Networks, with seeds counted on from the seed; each sets other "
        "formulas aside.",
    )
    n_descriptions: int = Field(
        default=8,
        ge=1,
        description="Equivalent descriptions of a crystal that a prediction is "
        "averaged over, if the networks were trained on them.",
    )
    network: dict[str, Any] = Field(
        default_factory=dict,
        description="Sizes of the network; which there are depends on what it sees.",
    )
    loop: LoopConfig = Field(
        default=_LOOP,
        description="Length and pace of the training of each network.",
    )
    seed: int = Field(default=0, ge=0, description="Decides everything drawn.")
    validation_share: float = Field(
        default=0.1, gt=0, lt=1, description="Share of formulas set aside."
    )

    @field_validator("representation")
    @classmethod
    def _is_known(cls, name: str) -> str:
        check_name(name)
        return name

    @field_validator("loop", mode="before")
    @classmethod
    def _complete_loop(cls, content: Any) -> Any:
        return complete_loop(content, _LOOP)

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        names = [item.name for item in self.properties]
        if len(set(names)) < len(names):
            raise ValueError(f"properties {names} came; name each only once.")
        return self
