"""The rows of a dataset as arrays: cut, joined, hashed, and put into a file."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

_PROPERTY: Final = "property/"
_TEXT: Final = "text/"

# Digits that are hashed: what lies behind them differs between processors.
_HASHED_DECIMALS: Final = 8


@dataclass(frozen=True, eq=False, slots=True)
class RowArrays:
    """Rows of a dataset.

    ``n`` rows have ``m`` sites in all, row after row; the sites of a row are in the
    order of its gene.

    Attributes
    ----------
    space_group_numbers
        (n,), 1 to 230.
    n_sites
        (n,), sites (orbits) of each row.
    atomic_numbers
        (m,).
    letter_indices
        (m,), 0 for letter ``a``.
    coordinates
        (m, 3), the point of each orbit on the first point of its Wyckoff position.
    lattices
        (n, 3, 3), conventional cell vectors in rows, in A.
    sources, records
        (n,), the source that a row came from, and its place there, counted from 1.
    properties
        (n,) each, not-a-number where a row has no value.
    texts
        (n,) each, empty where a row has none.
    """

    space_group_numbers: NDArray[np.uint8]
    n_sites: NDArray[np.int32]
    atomic_numbers: NDArray[np.uint8]
    letter_indices: NDArray[np.uint8]
    coordinates: NDArray[np.float64]
    lattices: NDArray[np.float64]
    sources: NDArray[np.int32]
    records: NDArray[np.int64]
    properties: Mapping[str, NDArray[np.float64]]
    texts: Mapping[str, NDArray[np.str_]]

    def __post_init__(self) -> None:
        """Protect the arrays; they are shared."""
        for array in self.to_mapping().values():
            array.flags.writeable = False

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.space_group_numbers)

    @property
    def site_offsets(self) -> NDArray[np.int64]:
        """Where the sites of each row begin, and where the last ones end (n + 1,)."""
        offsets = np.zeros(len(self) + 1, np.int64)
        np.cumsum(self.n_sites, out=offsets[1:])
        return offsets

    def take(self, indices: NDArray[np.int64]) -> Self:
        """Return some of the rows, in any order.

        Parameters
        ----------
        indices
            Which ones.
        """
        counts = self.n_sites[indices]
        starts = self.site_offsets[indices]
        before = np.cumsum(counts) - counts
        sites = np.arange(counts.sum()) + np.repeat(starts - before, counts)
        return type(self)(
            space_group_numbers=self.space_group_numbers[indices],
            n_sites=counts,
            atomic_numbers=self.atomic_numbers[sites],
            letter_indices=self.letter_indices[sites],
            coordinates=self.coordinates[sites],
            lattices=self.lattices[indices],
            sources=self.sources[indices],
            records=self.records[indices],
            properties={k: v[indices] for k, v in self.properties.items()},
            texts={k: v[indices] for k, v in self.texts.items()},
        )

    def content_hash(self, identity: str) -> str:
        """Return a hash of what the rows say, not of where they came from.

        Parameters
        ----------
        identity
            What else makes two datasets different.
        """
        total = hashlib.sha256(identity.encode())
        for name, array in sorted(self.to_mapping().items()):
            if name in {"sources", "records"}:
                continue
            total.update(f"\n{name} {array.shape}\n".encode())
            total.update(_stable_bytes(array, rounded="/" not in name))
        return total.hexdigest()

    def to_mapping(self) -> dict[str, NDArray[Any]]:
        """Return all arrays by name, the columns with a prefix."""
        names = (name for name in self.__slots__ if name not in {"properties", "texts"})
        return (
            {name: getattr(self, name) for name in names}
            | {_PROPERTY + name: array for name, array in self.properties.items()}
            | {_TEXT + name: array for name, array in self.texts.items()}
        )

    @classmethod
    def from_mapping(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read the form of :meth:`to_mapping`; other arrays are passed over.

        Parameters
        ----------
        arrays
            By name.

        Raises
        ------
        KeyError
            If one is missing.
        """
        names = (name for name in cls.__slots__ if name not in {"properties", "texts"})
        return cls(
            **{name: arrays[name] for name in names},
            properties=_with_prefix(arrays, _PROPERTY),
            texts=_with_prefix(arrays, _TEXT),
        )


def join_rows(parts: Sequence[RowArrays]) -> RowArrays:
    """Put rows with the same columns one after another.

    Parameters
    ----------
    parts
        At least one.
    """
    mappings = [part.to_mapping() for part in parts]
    return RowArrays.from_mapping(
        {name: np.concatenate([m[name] for m in mappings]) for name in mappings[0]}
    )


def pack_arrays(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Compress arrays into the bytes of an npz file; the same ones to the same bytes.

    Parameters
    ----------
    arrays
        By name.
    """
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **dict(arrays))
    return buffer.getvalue()


def _with_prefix(
    arrays: Mapping[str, NDArray[Any]], prefix: str
) -> dict[str, NDArray[Any]]:
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def _stable_bytes(array: NDArray[Any], *, rounded: bool) -> bytes:
    """Return the content of an array, alike on every machine."""
    if array.dtype.kind == "U":
        return "\n".join(array.tolist()).encode()
    if array.dtype.kind == "f" and rounded:
        array = np.round(array, _HASHED_DECIMALS) + 0.0  # -0.0 becomes 0.0
    return array.astype(array.dtype.newbyteorder("<")).tobytes()
