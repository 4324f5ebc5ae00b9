"""How much room an atom takes: the volume prior and the radii of trial structures.

The volume of a crystal is close to the sum of one volume per atom, if that volume may
depend on the company: magnesium is large in alloys and small in oxides. So each element
has two volumes, for a mean electronegativity of the crystal at either end of a range,
and what lies between is interpolated. The packaged table holds them for every element
that the data contains and a stated guess for the others, together with covalent radii
(Cordero et al., Dalton Trans. 2008, 2832; the smaller of two spin states, sp3 carbon).
"""

from __future__ import annotations

import csv
import gzip
import json
import math
import re
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.crystal.elements import ELECTRONEGATIVITIES
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMA_VERSION: Final = 1

# An element seen in fewer structures than this gets the volume of its homologue.
MIN_STRUCTURES: Final = 5

# Where pymatgen's table holds the high-spin radius, or that of sp2 carbon (A).
_SMALLER_RADII: Final = {"C": 0.76, "Mn": 1.39, "Fe": 1.32, "Co": 1.26}

# Volumes of homologues go as this power of the covalent radius: the slope of
# log(volume) against log(radius) over all elements of the data.
_RADIUS_EXPONENT: Final = 0.9

# Mean electronegativities (Pauling) that the two volumes stand for, and the weight
# against their difference, small beside that of the data.
_ELECTRONEGATIVITY_RANGE: Final = (0.8, 4.0)
_PENALTY: Final = 0.003

_LARGEST_FIELD: Final = 10_000_000  # characters; a CIF is longer than csv's default
_FORMULA: Final = re.compile(r"_chemical_formula_sum\s+'?([^'\n]+)")
_VOLUME: Final = re.compile(r"_cell_volume\s+([\d.]+)")
_AMOUNT: Final = re.compile(r"([A-Z][a-z]?)([\d.]*)")


@dataclass(frozen=True, slots=True)
class AtomicVolume:
    """What is known of the size of one element.

    Attributes
    ----------
    electropositive_volume, electronegative_volume
        Its part of the volume of a crystal in A^3, where the mean electronegativity is
        that of an alkali metal, and where it is that of fluorine.
    covalent_radius
        In A.
    n_structures
        Crystals of the data that contain it.
    is_fallback
        Whether the volumes are those of its homologue, scaled by the radii, for want
        of data.
    """

    electropositive_volume: float
    electronegative_volume: float
    covalent_radius: float
    n_structures: int
    is_fallback: bool


@dataclass(frozen=True, slots=True)
class AtomicVolumes:
    """The volume prior.

    Attributes
    ----------
    elements
        By symbol.
    log_volume_std
        Standard deviation of log(estimate / true volume) over the fitted crystals.
    median_relative_error
        Of the same estimates.
    """

    elements: Mapping[str, AtomicVolume]
    log_volume_std: float
    median_relative_error: float

    def missing(self, elements: Iterable[str]) -> tuple[str, ...]:
        """Return those elements, sorted, that the table does not hold."""
        return tuple(sorted({e for e in elements if e not in self.elements}))

    def estimate(self, composition: Mapping[str, float]) -> float:
        """Estimate the volume of a cell in A^3.

        Parameters
        ----------
        composition
            Atoms of each element in the cell; not empty.

        Raises
        ------
        DatasetError
            If an element is not in the table.
        """
        if missing := self.missing(composition):
            raise DatasetError(
                f"No atomic volume is known for {', '.join(missing)}; the table holds "
                f"{len(self.elements)} elements from H to Cm."
            )
        fraction = _electronegative_fraction(composition)
        return float(
            sum(
                n * (1 - fraction) * self.elements[e].electropositive_volume
                + n * fraction * self.elements[e].electronegative_volume
                for e, n in composition.items()
            )
        )


@lru_cache(maxsize=1)
def load_atomic_volumes() -> AtomicVolumes:
    """Load the packaged table; a second call returns the same object."""
    source = files("wyckflow.crystal").joinpath("data", "atomic_volumes.json")
    document = json.loads(source.read_text(encoding="utf-8"))
    return AtomicVolumes(
        elements={e: AtomicVolume(**row) for e, row in document["elements"].items()},
        log_volume_std=document["fit"]["log_volume_std"],
        median_relative_error=document["fit"]["median_relative_error"],
    )


def read_compositions(path: Path) -> tuple[list[dict[str, float]], list[float]]:
    """Read cell compositions and cell volumes (A^3) from a table of CIFs.

    Only the formula and the volume that each CIF states are read.

    Parameters
    ----------
    path
        A ``.csv.gz`` file with a column ``cif``.

    Raises
    ------
    DatasetError
        If there is no such column, or a CIF states no formula or no volume.
    """
    csv.field_size_limit(_LARGEST_FIELD)
    compositions, volumes = [], []
    with gzip.open(path, "rt", encoding="utf-8", newline="") as stream:
        for row_number, row in enumerate(csv.DictReader(stream), 1):
            cif = row.get("cif") or ""
            formula, volume = _FORMULA.search(cif), _VOLUME.search(cif)
            if formula is None or volume is None:
                raise DatasetError(
                    f"Row {row_number} of {path.name} has no CIF with a formula sum "
                    f"and a cell volume; its columns are {', '.join(map(str, row))}."
                )
            amounts = _AMOUNT.findall(formula[1])
            compositions.append({e: float(n or 1) for e, n in amounts})
            volumes.append(float(volume[1]))
    return compositions, volumes


def fit_atomic_volumes(
    compositions: Sequence[Mapping[str, float]],
    volumes: Sequence[float],
    *,
    source: str,
    licence: str,
) -> dict[str, Any]:
    """Fit two volumes per element; return the document of the packaged table.

    Non-negative least squares on the relative error. The packaged file was made by::

        records = [read_compositions(folder / name) for name in (
            "mp20_biternary_train.csv.gz", "mpts52_train.csv.gz")]
        document = fit_atomic_volumes(
            [c for part, _ in records for c in part],
            [v for _, part in records for v in part], source=..., licence=...)
        path.write_text(json.dumps(document, indent=1))

    Parameters
    ----------
    compositions
        Atoms of each element in the cell, one mapping per crystal.
    volumes
        Cell volumes in A^3.
    source, licence
        Of the data, kept beside the result.

    Raises
    ------
    DatasetError
        If nothing can be fitted.
    """
    if not compositions or len(compositions) != len(volumes) or min(volumes) <= 0:
        raise DatasetError(
            f"Got {len(compositions)} compositions and {len(volumes)} volumes; give "
            "one positive volume per composition, and at least one."
        )
    symbols = sorted({e for composition in compositions for e in composition})
    amounts = np.array([[c.get(e, 0.0) for e in symbols] for c in compositions])
    fractions = np.array([_electronegative_fraction(c) for c in compositions])
    ends = np.stack([1 - fractions, fractions], axis=1)
    relative = amounts[:, :, None] * (ends / np.asarray(volumes)[:, None])[:, None, :]
    pairs, ratios = _fit_pairs(relative)
    n_structures = dict(zip(symbols, (amounts > 0).sum(axis=0).tolist(), strict=True))
    fitted = {
        element: (float(low), float(high))
        for element, (low, high) in zip(symbols, pairs, strict=True)
        if n_structures[element] >= MIN_STRUCTURES
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "description": "Atomic volumes in A^3 at both ends of the range of mean "
        "electronegativity; covalent radii in A.",
        "source": source,
        "licence": licence,
        "radii": "Cordero et al., Dalton Trans. 2008, 2832, by way of pymatgen",
        "fit": {
            "n_structures": len(compositions),
            "median_relative_error": round(float(np.median(abs(ratios - 1))), 4),
            "log_volume_std": round(float(np.std(np.log(ratios))), 4),
        },
        "elements": _complete(fitted, n_structures),
    }


def _electronegative_fraction(composition: Mapping[str, float]) -> float:
    """Return where the mean electronegativity lies between the ends of its range."""
    weighted = sum(n * _electronegativity(e) for e, n in composition.items())
    low, high = _ELECTRONEGATIVITY_RANGE
    mean = weighted / sum(composition.values())
    return min(1.0, max(0.0, (mean - low) / (high - low)))


def _electronegativity(element: str) -> float:
    """Return Pauling's value, or that of krypton for elements without one."""
    value = ELECTRONEGATIVITIES[element]
    return value if math.isfinite(value) else ELECTRONEGATIVITIES["Kr"]


def _fit_pairs(
    relative: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit the two volumes of every element.

    Parameters
    ----------
    relative
        Atoms of each element at each end, over the volume; shape (crystals, elements,
        2), in 1/A^3.

    Returns
    -------
    tuple
        Volumes in A^3, shape (elements, 2), and estimated over true crystal volumes.
    """
    from scipy.optimize import nnls

    n_crystals, n_elements, _ = relative.shape
    design = relative.reshape(n_crystals, 2 * n_elements)
    # Where the data do not tell the two volumes apart they shall be the same.
    penalty = np.zeros((n_elements, n_elements, 2))
    penalty[np.arange(n_elements), np.arange(n_elements)] = _PENALTY, -_PENALTY
    rows = np.concatenate([design, penalty.reshape(n_elements, -1)])
    target = np.concatenate([np.ones(n_crystals), np.zeros(n_elements)])
    solution, _ = nnls(rows, target, maxiter=100 * n_elements)
    return solution.reshape(n_elements, 2), design @ solution


def _complete(
    fitted: Mapping[str, tuple[float, float]], n_structures: Mapping[str, int]
) -> dict[str, dict[str, float | int | bool]]:
    """Add the elements that were not fitted; those without a radius are left out."""
    radii = _covalent_radii()
    rows: dict[str, dict[str, float | int | bool]] = {}
    for element, radius in radii.items():
        low, high = _volumes_of(element, fitted, radii)
        rows[element] = {
            "electropositive_volume": round(low, 2),
            "electronegative_volume": round(high, 2),
            "covalent_radius": radius,
            "n_structures": n_structures.get(element, 0),
            "is_fallback": element not in fitted,
        }
    return rows


def _covalent_radii() -> dict[str, float]:
    """Return the covalent radii in A by symbol, in the order of the periodic table."""
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
    from pymatgen.core.periodic_table import Element

    radii = {**CovalentRadius.radius, **_SMALLER_RADII}
    return {e: radii[e] for e in sorted(radii, key=lambda symbol: Element(symbol).Z)}


def _volumes_of(
    element: str, fitted: Mapping[str, tuple[float, float]], radii: Mapping[str, float]
) -> tuple[float, float]:
    """Return the fitted volumes, or those of the nearest homologue, scaled."""
    if element in fitted:
        return fitted[element]
    from pymatgen.core.periodic_table import Element

    own = Element(element)
    homologues = [
        Element(other)
        for other in fitted
        if other in radii and _column(Element(other)) == _column(own)
    ]
    others = homologues or [Element(other) for other in fitted if other in radii]
    nearest = min(others, key=lambda other: (abs(other.Z - own.Z), other.Z))
    scale = (radii[element] / radii[nearest.symbol]) ** _RADIUS_EXPONENT
    low, high = fitted[nearest.symbol]
    return low * scale, high * scale


def _column(element: Any) -> tuple[int, int]:
    """Return the column of the periodic table, the f elements having their own."""
    if element.is_lanthanoid:
        return 0, element.Z - 57
    if element.is_actinoid:
        return 0, element.Z - 89
    return element.group, 0
