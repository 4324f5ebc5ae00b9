"""What a training says of itself: options, course, and figures on rows held out."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.model import ModelDoc


class Figure(BaseModel):
    """One figure of a model, with its 95 % interval where there is one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quantity: str = Field(
        description="What it is, with its unit, such as 'recall at 0.4'."
    )
    rows: str = Field(description="The rows that it was measured on.")
    subset: str = Field(default="all", description="Which of these rows.")
    value: FiniteFloat | None = Field(
        description="The figure; none where these rows do not define it."
    )
    low: FiniteFloat | None = Field(
        default=None, description="Lower end of its 95 % interval."
    )
    high: FiniteFloat | None = Field(
        default=None, description="Upper end of its 95 % interval."
    )
    n: int = Field(default=0, ge=0, description="How many rows it rests on.")


class TrainingMetric(BaseModel):
    """A number that a training writes down after each epoch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="What it is, with its unit.")
    value: FiniteFloat | None = Field(description="The number; none if not finite.")


class EpochRecord(BaseModel):
    """One pass over the training rows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epoch: int = Field(ge=1, description="Its number, counted from 1.")
    metrics: list[TrainingMetric] = Field(
        description="Losses and figures after it, on training and validation rows."
    )


class TrainingDoc(WyckflowDoc):
    """A model that was trained, and how it went."""

    model_id: str = Field(description="Hash of the model: weights and story.")
    kind: str = Field(description="What it does, such as 'mpvae' or 'classifier'.")
    config: dict[str, Any] = Field(description="Options of the training.")
    seed: int = Field(description="Seed of everything that was drawn.")
    dataset_ids: list[str] = Field(
        description="Names of the datasets that it learned from, in order."
    )
    n_train: int = Field(ge=0, description="Rows that it learned from.")
    n_validation: int = Field(
        ge=0, description="Rows kept for calibration or for stopping."
    )
    n_test: int = Field(ge=0, description="Rows of the figures, not learned from.")
    epochs: list[EpochRecord] = Field(description="The course of the training.")
    test_figures: list[Figure] = Field(
        default_factory=list, description="Figures on the test rows."
    )
    model: ModelDoc = Field(description="The model itself, its file in pieces.")
