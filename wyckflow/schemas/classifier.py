"""The card of a classifier: what its score means, and how far it can be trusted."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat

from wyckflow.schemas.training import Figure


class DatasetUse(BaseModel):
    """A dataset, and what it was used for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the file, without its ending.")
    dataset_id: str = Field(description="Hash of its content.")
    use: str = Field(description="Such as 'train: positive' or 'test'.")
    n_rows: int = Field(ge=0, description="Rows that were used.")


class ReliabilityPoint(BaseModel):
    """Rows of similar score, and how many of them turned out positive."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mean_score: FiniteFloat = Field(description="Mean score of the rows.")
    share: FiniteFloat = Field(
        description="Share of positives among them; for a score at even odds, the "
        "share that even numbers of positives and negatives would give."
    )
    low: FiniteFloat = Field(description="Lower end of its 95 % interval.")
    high: FiniteFloat = Field(description="Upper end of its 95 % interval.")
    n: int = Field(ge=0, description="How many rows.")


class ClassifierCard(BaseModel):
    """What a classifier is and how good it is, as shipped with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name for people.")
    task: str = Field(description="What it tells, such as 'metal'.")
    identity: str = Field(description="The sha256 of the model it describes.")
    meaning: str = Field(description="What a score is the probability of.")
    threshold: FiniteFloat = Field(
        ge=0, le=1, description="Score at which its figures are stated."
    )
    assumptions: list[str] = Field(
        default_factory=list, description="What the probability rests on."
    )
    limits: list[str] = Field(
        default_factory=list, description="What it cannot tell, as measured."
    )
    datasets: list[DatasetUse] = Field(
        default_factory=list, description="What it learned from and was tested on."
    )
    figures: list[Figure] = Field(
        default_factory=list,
        description="Figures on rows that it has not learned from; see the limits.",
    )
    reliability: list[ReliabilityPoint] = Field(
        default_factory=list, description="The calibration plot, by rising score."
    )

    def find(self, quantity: str, rows: str, subset: str = "all") -> Figure:
        """Return one figure.

        Parameters
        ----------
        quantity, rows, subset
            As in the figure.

        Raises
        ------
        KeyError
            If the card has none such.
        """
        for figure in self.figures:
            if (figure.quantity, figure.rows, figure.subset) == (
                quantity,
                rows,
                subset,
            ):
                return figure
        raise KeyError((quantity, rows, subset))
