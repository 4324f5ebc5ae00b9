"""What generators of every kind have in common: they learn, are kept, and predict."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import numpy as np
import torch

from wyckflow.errors import TrainingError
from wyckflow.ml.checkpoint import (
    Checkpoint,
    CheckpointInfo,
    load_checkpoint,
    save_checkpoint,
)
from wyckflow.ml.codec.sites import SiteTensors, tensorise_codes, tensorise_genes
from wyckflow.ml.ensemble import DEFAULT_DESCRIPTIONS
from wyckflow.ml.generator import Predictions
from wyckflow.ml.memory import Memory, memory_from_arrays
from wyckflow.ml.predictor import Predictor, predictor_from_arrays
from wyckflow.ml.training.config import TrainingConfig
from wyckflow.ml.training.fitting import fit_ensemble, train_task
from wyckflow.ml.training.rows import gather_rows, scaler_from_info
from wyckflow.ml.weights import fill_module, pack_weights

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.training.loop import Progress, Task
    from wyckflow.ml.training.rows import Scaler, TrainingRows
    from wyckflow.ml.transformer.config import AnyTrainingConfig

_NETWORK: Final = "network"


class TrainedGenerator(ABC):
    """A generator of genes: one network, and an ensemble beside it that predicts.

    Make one with `fit` or `load`; what is asked of it before raises. A kind says what
    its network is, what this is trained on, and what is remembered of it.

    Parameters
    ----------
    config
        Options of the training.
    device
        Where to compute.
    """

    kind: ClassVar[str]
    """What files of it are called."""
    kind_version: ClassVar[int] = 1
    part: ClassVar[str]
    """What figures of its network begin with."""
    description: ClassVar[str]
    """A sentence for people, in every file."""
    config_class: ClassVar[type[AnyTrainingConfig]]

    config: AnyTrainingConfig
    network: nn.Module
    scaler: Scaler
    known_elements: NDArray[np.bool_]
    memory: Memory

    def __init__(
        self, config: AnyTrainingConfig | None = None, *, device: str = "cpu"
    ) -> None:
        self.config = config or self.config_class()
        self.device = device
        self.info: CheckpointInfo | None = None
        self.metrics: dict[str, float] = {}
        self.predictor: Predictor | None = None

    # --- what a kind says of itself --------------------------------------------------

    @abstractmethod
    def _properties_to_learn(self, datasets: Sequence[Dataset]) -> list[str]:
        """Return the columns that the network learns, or can be asked for."""

    @abstractmethod
    def _stored_properties(self, info: CheckpointInfo) -> list[str]:
        """Return the same of a stored network."""

    @abstractmethod
    def _new_network(self, n_properties: int) -> nn.Module:
        """Return a network with fresh weights."""

    @abstractmethod
    def _new_task(self, rows: TrainingRows, scaler: Scaler) -> Task:
        """Return what the loop needs to train the network."""

    def _calibrate(self, task: Any) -> dict[str, float]:  # noqa: ARG002 - see kinds
        """Mend what rows that were set aside show to be off; return new figures."""
        return {}

    @abstractmethod
    def _remember(self, rows: TrainingRows) -> Memory:
        """Write down what is kept of the crystals that it has learned from."""

    @abstractmethod
    def _tell_more(self) -> dict[str, Any]:
        """Return what the story of a file says beside what it says of every kind."""

    # --- learning --------------------------------------------------------------------

    def fit(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Learn from datasets; rows of the first one judge.

        Parameters
        ----------
        datasets
            At least one; more of them may lack properties that the first one has.
        folder
            Where to keep logs and states, so that an interrupted training goes on.
        report
            Is told of every step.

        Raises
        ------
        TrainingError
            If the datasets cannot be learned from as the options ask.
        """
        _check_properties(self.config)
        options = self.config.generator
        names = self._properties_to_learn(datasets)
        rows = gather_rows(
            datasets,
            names,
            validation_share=options.validation_share,
            seed=options.seed,
        )
        self.scaler = rows.fit_scaler()
        with torch.random.fork_rng():
            torch.manual_seed(options.seed)
            self.network = self._new_network(len(names)).to(self.device)
        task = self._new_task(rows, self.scaler)
        self.metrics = train_task(
            task, options.loop, self.part, folder=folder, report=report
        )
        figures = self._calibrate(task)
        self.metrics |= {f"{self.part}_{key}": x for key, x in figures.items()}
        self.known_elements, self.predictor = rows.known_elements, None
        if self.config.predictor is not None:
            self.fit_predictor(datasets, folder=folder, report=report)
        self.memory = self._remember(rows)
        self.info = self._tell_story(rows)
        return self

    def fit_predictor(
        self,
        datasets: Sequence[Dataset],
        *,
        folder: Path | None = None,
        report: Callable[[Progress], None] | None = None,
    ) -> Self:
        """Train the ensemble alone, which is all that predictions take.

        Parameters
        ----------
        datasets, folder, report
            As in `fit`.

        Raises
        ------
        TrainingError
            If the options ask for no ensemble, or the datasets do not do.
        """
        if self.config.predictor is None:
            raise TrainingError(
                "The options ask for no predictor; leave 'predictor' out of them for "
                "the default one."
            )
        self.predictor, figures = fit_ensemble(
            self.config.predictor,
            datasets,
            device=self.device,
            folder=folder,
            report=report,
        )
        self.metrics |= figures
        return self

    # --- keeping ---------------------------------------------------------------------

    def _tell_story(self, rows: TrainingRows) -> CheckpointInfo:
        """Return how it came about."""
        options = self.config.generator
        return CheckpointInfo(
            kind=self.kind,
            kind_version=self.kind_version,
            config=self.config.model_dump(mode="json"),
            scalers=self.scaler.to_info(),
            seed=options.seed,
            dataset_ids=list(rows.dataset_ids),
            split={
                "by": "formula",
                "validation_share": options.validation_share,
                "n_training": len(rows.training),
                "n_validation": len(rows.validation),
                **self._tell_more(),
            },
            metrics=self.metrics,
            description=self.description,
        )

    def to_checkpoint(self) -> Checkpoint:
        """Return all that is needed to make the model again.

        Raises
        ------
        TrainingError
            If nothing was learned yet.
        """
        if self.info is None:
            raise TrainingError("This generator was not trained; fit or load it first.")
        arrays: dict[str, NDArray[Any]] = {"known_elements": self.known_elements}
        arrays |= pack_weights(_NETWORK, self.network)
        if self.predictor is not None:
            arrays |= self.predictor.to_arrays()
        return Checkpoint(self.info, arrays | self.memory.to_arrays())

    def save(self, path: Path) -> str:
        """Write the model to a file; return its identity.

        Parameters
        ----------
        path
            Usually with the ending ``.npz``.
        """
        return save_checkpoint(path, self.to_checkpoint())

    @classmethod
    def load(cls, source: Path | bytes | Checkpoint, *, device: str = "cpu") -> Self:
        """Make a model of its checkpoint.

        Parameters
        ----------
        source
            A file, its bytes, or what was read of it.
        device
            Where to compute.

        Raises
        ------
        CheckpointError
            If it is of another kind or version, or damaged.
        """
        checkpoint = source
        if not isinstance(checkpoint, Checkpoint):
            checkpoint = load_checkpoint(
                checkpoint, kind=cls.kind, kind_version=cls.kind_version
            )
        info, arrays = checkpoint.info, checkpoint.arrays
        model = cls(cls.config_class.model_validate(info.config), device=device)
        names = model._stored_properties(info)
        network = model._new_network(len(names))
        fill_module(_NETWORK, network, arrays)
        model.network = network.to(device)
        model.scaler = scaler_from_info(info.scalers, names)
        model.known_elements = arrays["known_elements"]
        options = model.config.predictor
        if options is not None:
            model.predictor = predictor_from_arrays(arrays, info.split, options, device)
        model.memory = memory_from_arrays(arrays)
        model.info, model.metrics = info, dict(info.metrics)
        return model

    # --- predicting ------------------------------------------------------------------

    def predict(
        self,
        genes: Sequence[WyckoffGene],
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
    ) -> Predictions:
        """Return the properties expected of genes.

        Parameters
        ----------
        genes
            Any genes.
        n_descriptions
            How many equivalent descriptions to average over.
        """
        return self.predict_sites(tensorise_genes(genes), n_descriptions=n_descriptions)

    def predict_codes(
        self,
        space_group_numbers: NDArray[Any],
        codes: NDArray[Any],
        *,
        n_descriptions: int = DEFAULT_DESCRIPTIONS,
    ) -> Predictions:
        """Return the same for packed genes."""
        sites = tensorise_codes(space_group_numbers, codes)
        return self.predict_sites(sites, n_descriptions=n_descriptions)

    def predict_sites(
        self, sites: SiteTensors, *, n_descriptions: int = DEFAULT_DESCRIPTIONS
    ) -> Predictions:
        """Return the same for genes as arrays; nothing without an ensemble.

        Parameters
        ----------
        sites
            The genes.
        n_descriptions
            How many equivalent descriptions to average over.
        """
        if self.predictor is None:
            nothing = np.zeros((len(sites), 0))
            return Predictions((), nothing, nothing, nothing)
        return self.predictor.predict(
            sites,
            n_descriptions=n_descriptions,
            censored=self.config.censored_properties,
            device=self.device,
        )


def _check_properties(config: AnyTrainingConfig) -> None:
    """Refuse heads and an ensemble that learn different properties.

    What the ensemble predicts of the known crystals is remembered under the names of
    the heads, so that an autoencoder with others would look for genes at the wrong
    property.
    """
    if not isinstance(config, TrainingConfig) or config.predictor is None:
        return
    heads, ensemble = (
        ", ".join(item.name for item in part.properties)
        for part in (config.generator, config.predictor)
    )
    if heads != ensemble:
        raise TrainingError(
            f"The section 'generator' of the options learns {heads or 'nothing'}, and "
            f"'predictor' {ensemble}; give both the same properties in the same order."
        )
