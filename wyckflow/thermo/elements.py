"""Start structures of the elements: the corners of every hull on a potential's scale.

Total energies need a reference for each element on the same scale. The packaged table
has textbook structures of the 89 elements that CHGNet knows: molecular crystals of the
gases, the known forms of the others, and for every metal all simple packings at its own
volume. A potential relaxes them all, and the lowest of an element counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import yaml

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ReferenceDataError, nearest_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

SOURCE: Final = "wyckflow elements"
"""What a reference entry of these names as its source."""

_PLACEHOLDER: Final = "X:"


@dataclass(frozen=True, slots=True)
class ElementPrototype:
    """One structure in which an element may be lowest.

    Attributes
    ----------
    element
        Chemical symbol.
    name
        Of the structure: its packing, molecule or a namesake.
    structure
        Where a relaxation begins.
    """

    element: str
    name: str
    structure: ReducedStructure

    @property
    def id(self) -> str:
        """Its id as a reference entry, such as ``element-Cu-fcc``."""
        return f"element-{self.element}-{self.name.replace(' ', '-')}"


@lru_cache(maxsize=1)
def load_element_prototypes() -> Mapping[str, tuple[ElementPrototype, ...]]:
    """Return all start structures by the symbol of their element.

    Raises
    ------
    ReferenceDataError
        If the packaged table is damaged.
    """
    text = files("wyckflow.thermo").joinpath("data", "elements.yaml").read_text("utf-8")
    table = yaml.safe_load(text)
    found: dict[str, list[ElementPrototype]] = {}
    for element, forms in table["structures"].items():
        found[element] = [_read_structure(element, form) for form in forms]
    for element, volume in table["metals"].items():
        found.setdefault(element, []).extend(
            _fill_packing(element, name, packing, volume)
            for name, packing in table["packings"].items()
        )
    return {element: tuple(forms) for element, forms in found.items()}


def choose_prototypes(
    elements: Iterable[str] | None = None,
) -> list[ElementPrototype]:
    """Return the start structures of some elements, or of all.

    Parameters
    ----------
    elements
        Chemical symbols; all of the table if not given.

    Raises
    ------
    ReferenceDataError
        If the table has no structure of an element.
    """
    table = load_element_prototypes()
    wanted = list(table) if elements is None else sorted(set(elements))
    for element in wanted:
        if element not in table:
            raise ReferenceDataError(
                f"There is no start structure of {element!r}; the table has "
                f"{len(table)} elements, those that CHGNet knows."
                f"{nearest_name(str(element), table)}"
            )
    return [form for element in wanted for form in table[element]]


def _read_structure(element: str, form: Mapping[str, Any]) -> ElementPrototype:
    """Return one structure of the table as it stands there."""
    structure = _build(form["gene"], _lattice(form["cell"]), form.get("coordinates"))
    if structure.gene.elements != (element,):
        raise ReferenceDataError(
            f"{form['name']!r} stands under {element} and is {structure.gene}; the "
            "packaged table of elements is damaged, reinstall wyckflow."
        )
    return ElementPrototype(element, form["name"], structure)


def _fill_packing(
    element: str, name: str, packing: Mapping[str, Any], volume: float
) -> ElementPrototype:
    """Return a packing with an element on every site and a given volume per atom."""
    gene = packing["gene"].replace(_PLACEHOLDER, f"{element}:")
    unscaled = _build(gene, _lattice(packing["cell"]), packing.get("coordinates"))
    factor = (volume * unscaled.n_atoms / unscaled.volume) ** (1 / 3)
    structure = unscaled.with_values(lattice=unscaled.lattice * factor)
    return ElementPrototype(element, name, structure)


def _build(
    gene: str,
    lattice: NDArray[np.float64],
    coordinates: Sequence[Sequence[float]] | None,
) -> ReducedStructure:
    """Return a structure; without coordinates no site is free."""
    parsed = WyckoffGene.from_text(gene)
    rows = coordinates or np.zeros((parsed.n_orbits, 3))
    return ReducedStructure(parsed, lattice, np.array(rows))


def _lattice(cell: Sequence[float]) -> NDArray[np.float64]:
    """Return cell vectors of three lengths and three angles in degrees."""
    lengths, (alpha, beta, gamma) = cell[:3], np.cos(np.radians(cell[3:]))
    height = np.sqrt(1 - gamma**2)
    y = (alpha - beta * gamma) / height
    vectors: NDArray[np.float64] = np.array(
        [
            [1.0, 0.0, 0.0],
            [gamma, height, 0.0],
            [beta, y, np.sqrt(max(1 - beta**2 - y**2, 0.0))],
        ]
    )
    vectors *= np.array(lengths)[:, None]
    return vectors
