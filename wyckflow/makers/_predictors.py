"""A trained model of any kind, asked for properties of crystals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import ATOMIC_NUMBERS
from wyckflow.errors import ModelError
from wyckflow.schemas.prediction import PredictionRefusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.ml.forward.crystals import Crystals
    from wyckflow.ml.forward.model import ForwardModel
    from wyckflow.ml.generator import Predictions
    from wyckflow.ml.kinds import AnyGenerator

    Values = tuple[NDArray[np.float64], NDArray[np.float64]]

DEFAULT_DESCRIPTIONS: Final = 4
BUNDLED_SCALE: Final = "Materials Project (MP2020 corrections), PBE gaps"

GENE_ALONE: Final = "the gene alone"
_READS: Final = {
    "composition": "the composition alone",
    "gene": GENE_ALONE,
    "wycryst": GENE_ALONE,
}
_READS_ALL: Final = "cell and coordinates"


@dataclass(frozen=True, eq=False)
class PropertyPredictor:
    """A trained model, asked for the properties of crystals.

    Attributes
    ----------
    name, identity
        Of the model.
    device
        Where it computes.
    predicted_by
        What of it predicts.
    predicted_from
        What of a crystal it reads.
    needs_cells
        Whether genes alone do not do.
    scale
        Of its energies and gaps.
    properties
        What it predicts.
    knows
        Which elements the crystals have that it learned from, by atomic number.
    n_descriptions
        Equivalent descriptions of a crystal averaged over.
    ask
        Returns predictions for crystals.
    find_unfit
        Returns which crystals do not fit into what it reads.
    """

    name: str
    identity: str
    device: str
    predicted_by: str
    predicted_from: str
    needs_cells: bool
    scale: str
    properties: tuple[str, ...]
    knows: NDArray[np.bool_]
    n_descriptions: int
    ask: Callable[[Crystals], Predictions]
    find_unfit: Callable[[Crystals], NDArray[np.bool_]]

    @classmethod
    def load(
        cls,
        name: str,
        model: AnyGenerator | ForwardModel,
        *,
        n_descriptions: int | None = None,
    ) -> PropertyPredictor:
        """Ask a model.

        Parameters
        ----------
        name, model
            As :func:`wyckflow.makers.models.load_model` returns them.
        n_descriptions
            Equivalent descriptions of a crystal to average over; by default 4, and for
            a forward model what its options say.

        Raises
        ------
        ModelError
            If it predicts nothing.
        """
        from wyckflow.ml.forward.model import ForwardModel

        if not model.property_names:
            raise ModelError(
                f"The model {name} was trained without networks that predict; give "
                "another, or train it again with a 'predictor'."
            )
        if isinstance(model, ForwardModel):
            return _ask_forward(name, model, n_descriptions)
        return _ask_generator(name, model, n_descriptions or DEFAULT_DESCRIPTIONS)

    def find_refused(self, crystals: Crystals) -> NDArray[Any]:
        """Return why each crystal is refused, None where it is not (n,).

        Parameters
        ----------
        crystals
            With cells or without.
        """
        refused: NDArray[Any] = np.full(len(crystals), None, object)
        if self.needs_cells and not crystals.has_cells:
            refused[:] = PredictionRefusal.NO_CELL
        else:
            refused[self.find_unfit(crystals)] = PredictionRefusal.TOO_LARGE
        unknown = ~self.knows[crystals.atomic_numbers]
        refused[crystals.crystal_indices[unknown]] = PredictionRefusal.UNKNOWN_ELEMENT
        return refused

    def explain(self, refusal: PredictionRefusal, gene: WyckoffGene) -> str:
        """Say in words why a crystal is refused.

        Parameters
        ----------
        refusal
            As `find_refused` returns it.
        gene
            Of the crystal.
        """
        if refusal is PredictionRefusal.NO_CELL:
            return (
                f"The model {self.name} reads {self.predicted_from}, and a gene has no "
                "cell; give a structure, such as that of 'wyckflow relax'."
            )
        if refusal is PredictionRefusal.TOO_LARGE:
            return (
                f"It has more sites, atoms or elements than the model {self.name} "
                "has room for."
            )
        elements = [
            item
            for item in sorted(set(gene.elements))
            if not self.knows[ATOMIC_NUMBERS[item]]
        ]
        return (
            f"The model {self.name} learned from no crystal with {', '.join(elements)}."
        )

    def predict(self, crystals: Crystals) -> Values:
        """Return values and uncertainties, (n, properties) each.

        Parameters
        ----------
        crystals
            None that is refused.
        """
        if not len(crystals):
            nothing = np.zeros((0, len(self.properties)))
            return nothing, nothing
        found = self.ask(crystals)
        # As in generation: what networks disagree about, and the error they expect.
        return found.mean, np.hypot(found.spread, found.expected_error)


def _ask_generator(
    name: str, model: AnyGenerator, n_descriptions: int
) -> PropertyPredictor:
    """Ask the networks beside a generator, which read genes."""
    from wyckflow.ml.kinds import name_predictor
    from wyckflow.ml.model_file import BUNDLED_MODELS

    checkpoint = model.to_checkpoint()
    knows = np.array(model.memory.elements.any(axis=0))
    knows[0] = True  # no site
    return PropertyPredictor(
        name=name,
        identity=checkpoint.identity,
        device=str(model.device),
        predicted_by=name_predictor(model),
        predicted_from=GENE_ALONE,
        needs_cells=False,
        scale=BUNDLED_SCALE
        if name in BUNDLED_MODELS
        else _name_scale(checkpoint.info.dataset_ids),
        properties=model.property_names,
        knows=knows,
        n_descriptions=n_descriptions,
        ask=lambda crystals: model.predict_sites(
            crystals.sites, n_descriptions=n_descriptions
        ),
        find_unfit=lambda crystals: np.zeros(len(crystals), np.bool_),
    )


def _ask_forward(
    name: str, model: ForwardModel, n_descriptions: int | None
) -> PropertyPredictor:
    """Ask a forward model."""
    config, representation = model.config, model.representation
    if not config.augment:
        n_descriptions = 1  # it never learned that they are alike
    elif n_descriptions is None:
        n_descriptions = config.n_descriptions
    checkpoint = model.to_checkpoint()
    n = len(model.members)
    return PropertyPredictor(
        name=name,
        identity=checkpoint.identity,
        device=str(model.device),
        predicted_by=f"{n} network{'s' * (n != 1)} of kind {representation.name!r}",
        predicted_from=_READS.get(representation.name, _READS_ALL),
        needs_cells=representation.needs_cells,
        scale=_name_scale(checkpoint.info.dataset_ids),
        properties=model.property_names,
        knows=model.known_elements,
        n_descriptions=n_descriptions,
        ask=lambda crystals: model.predict(crystals, n_descriptions=n_descriptions),
        find_unfit=model.find_unfit,
    )


def _name_scale(dataset_ids: list[str]) -> str:
    return f"that of the data that it learned from ({' and '.join(dataset_ids)})"
