"""Known analogues without a data set: from the model's memory and bundled phases.

No table of known genes comes with wyckflow. But a model with a latent space keeps the
points of the crystals it learned from, and hashed keys of their genes: what its decoder
reads from such a point is one of these genes if its key is among them.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import canonical_keys, pack_genes
from wyckflow.errors import ModelError
from wyckflow.store.evidence.known import (
    MOST_ANALOGUES,
    compare_genes,
    elements_of,
    pack_elements,
)
from wyckflow.store.evidence.phases import SOURCE, load_phases

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.schemas.report import Analogue
    from wyckflow.store.evidence.models import CampaignModel
    from wyckflow.store.evidence.phases import KnownPhases

    Recalled = dict[bytes, list[WyckoffGene]]

LEARNED: Final = "learned from"
"""Name of a crystal of which but the gene is known."""
MOST_RECALLED: Final = 4000
"""Points that are read back; those of the best candidates first."""


def find_remembered(
    model: CampaignModel | None, genes: Sequence[str], notes: list[str]
) -> tuple[str, list[tuple[Analogue, ...]]]:
    """Return where analogues were looked for, in words, and those of each gene.

    Parameters
    ----------
    model
        Of the campaign, if it could be opened.
    genes
        In text form, the best candidates first.
    notes
        A sentence is added if the model could not be asked.
    """
    read = [WyckoffGene.from_text(text) for text in genes]
    phases = load_phases()
    recalled: Recalled = {}
    words = ""
    if model is not None and model.has_space and read:
        try:
            recalled, words = recall_genes(model, read)
        except ModelError as error:
            notes.append(f"No letters of known crystals: {error}")
    words += (
        f"Without letters: {len(phases):,} phases of the {SOURCE} that come with "
        "wyckflow. Much more is known: '--known DATASET' compares with your own."
    )
    systems = _systems_of(read)
    found = [
        _join(gene, recalled.get(system, []), phases)
        for gene, system in zip(read, systems, strict=True)
    ]
    return words, found


def recall_genes(
    model: CampaignModel, genes: Sequence[WyckoffGene]
) -> tuple[Recalled, str]:
    """Read genes that a model learned from, those of the elements of some genes.

    Parameters
    ----------
    model
        With a latent space.
    genes
        What they should be analogues of.

    Returns
    -------
    tuple
        Genes by their elements, as `elements_of` writes them, and how many could be
        read, in a sentence.
    """
    memory = model.memory
    rows = _rows_of(memory.elements, _systems_of(genes))
    if not len(rows):
        return {}, (
            f"The model {model.name} has learned from no crystal of exactly the "
            "elements of any candidate. "
        )
    drawn = model.generator.sample_around(  # type: ignore[union-attr]  # has_space
        memory.latents[rows].astype(np.float32), level=0.0, seed=0, temperature=0.0
    )
    own = rows[drawn.seed_index]
    keys = canonical_keys(drawn.space_group_numbers, drawn.codes)
    fits = memory.is_known(keys)
    fits &= drawn.space_group_numbers == memory.space_groups[own]
    fits &= (drawn.codes > 0).sum(axis=1) == memory.n_sites[own]
    systems = elements_of(drawn.codes)
    fits &= (systems == pack_elements(memory.elements[own])).all(axis=1)
    found: dict[bytes, dict[int, WyckoffGene]] = defaultdict(dict)
    read = drawn.genes
    for place in np.flatnonzero(fits).tolist():
        found[systems[place].tobytes()].setdefault(int(keys[place]), read[place])
    words = (
        f"Letters: of crystals that the model {model.name} learned from, read from its "
        f"latent space and kept if it knows their key ({int(fits.sum()):,} of "
        f"{len(rows):,}); ids are those of their formula. "
    )
    return {system: list(one.values()) for system, one in found.items()}, words


def _systems_of(genes: Sequence[WyckoffGene]) -> list[bytes]:
    """Return the elements of each gene as a key."""
    if not genes:
        return []
    return [row.tobytes() for row in elements_of(pack_genes(genes)[1])]


def _rows_of(elements: NDArray[np.bool_], systems: Sequence[bytes]) -> NDArray[np.intp]:
    """Return the rows of a memory that have exactly the elements of some gene."""
    first = {system: place for place, system in reversed(list(enumerate(systems)))}
    packed = pack_elements(elements)
    order = [first.get(row.tobytes(), -1) for row in packed]
    places = np.array(order, np.int64)
    rows = np.flatnonzero(places >= 0)
    best = np.argsort(places[rows], kind="stable")[:MOST_RECALLED]
    return np.sort(rows[best])


def _join(
    gene: WyckoffGene, recalled: Sequence[WyckoffGene], phases: KnownPhases
) -> tuple[Analogue, ...]:
    """Return analogues with letters, and then phases without."""
    near = []
    for other in recalled:
        name, distance = phases.name_of(other.formula)
        source = SOURCE if name else LEARNED
        near.append(compare_genes(gene, other, name or LEARNED, source, distance))
    near.sort(key=lambda one: (-one.is_same_group, -one.n_shared, one.name))
    known = {other.formula for other in recalled}
    others = phases.list_of(gene.composition)
    bare = [one for one in others if one.formula_pretty not in known]
    return (*near[:MOST_ANALOGUES], *bare[:MOST_ANALOGUES])
