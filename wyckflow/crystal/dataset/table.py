"""A dataset: crystals as genes with cells and coordinates, properties, and their story.

A dataset is one file, an npz archive of arrays with a JSON text beside them, and is
named by a hash of its content: the same rows have the same name wherever and whenever
they were made.
"""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydantic import ValidationError

from wyckflow.crystal.dataset._arrays import RowArrays, pack_arrays
from wyckflow.crystal.dataset.metadata import (
    FORMAT_VERSION,
    PARTS,
    DatasetMetadata,
    Part,
    SplitInfo,
)
from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.keys import LETTER_BITS, canonical_keys
from wyckflow.crystal.tables import WYCKOFF_LETTERS
from wyckflow.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    import pandas as pd
    from numpy.typing import ArrayLike, NDArray

    from wyckflow.crystal.reduced import ReducedStructure

ID_LENGTH: Final = 16
_METADATA: Final = "metadata"
_PARTS: Final = "parts"


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One crystal of a dataset.

    Attributes
    ----------
    index
        Its place in the dataset.
    gene
        Space group and sites.
    properties
        Those that are known for it, in the units of the dataset.
    texts
        Labels such as ``material_id``.
    """

    index: int
    gene: WyckoffGene
    properties: Mapping[str, float]
    texts: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Crystals with their properties; read-only.

    Attributes
    ----------
    arrays
        All rows as arrays; genes are made of them when asked for.
    metadata
        Where it came from and what its numbers mean.
    parts
        Code of the part of every row (an index into `PARTS`), if it was split.
    """

    arrays: RowArrays
    metadata: DatasetMetadata
    parts: NDArray[np.uint8] | None = None

    # --- rows -------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.arrays)

    def __getitem__(self, index: int) -> DatasetRow:
        """Return one row."""
        index = range(len(self))[index]
        properties = {
            name: float(values[index])
            for name, values in self.arrays.properties.items()
            if not np.isnan(values[index])
        }
        texts = {k: str(values[index]) for k, values in self.arrays.texts.items()}
        return DatasetRow(index, self.genes[index], properties, texts)

    def __iter__(self) -> Iterator[DatasetRow]:
        """Go through the rows."""
        return (self[index] for index in range(len(self)))

    @cached_property
    def genes(self) -> tuple[WyckoffGene, ...]:
        """The genes of all rows, made once."""
        arrays, offsets = self.arrays, self.arrays.site_offsets.tolist()
        elements = [SYMBOLS[number - 1] for number in arrays.atomic_numbers.tolist()]
        letters = [WYCKOFF_LETTERS[index] for index in arrays.letter_indices.tolist()]
        sites = list(zip(elements, letters, strict=True))
        return tuple(
            WyckoffGene.from_pairs(number, sites[start:end])
            for number, start, end in zip(
                arrays.space_group_numbers.tolist(),
                offsets[:-1],
                offsets[1:],
                strict=True,
            )
        )

    @cached_property
    def formulas(self) -> tuple[str, ...]:
        """The reduced formula of every row."""
        return tuple(gene.formula for gene in self.genes)

    @property
    def codes(self) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Space-group numbers and site codes, as `wyckflow.crystal.keys` takes them."""
        return pack_rows(self.arrays)

    @cached_property
    def keys(self) -> NDArray[np.uint64]:
        """A number per row that equivalent genes share, as in their `gene_id`."""
        return canonical_keys(*self.codes)

    @property
    def properties(self) -> Mapping[str, NDArray[np.float64]]:
        """The properties by name, not-a-number where a row has no value."""
        return self.arrays.properties

    def structure(self, index: int) -> ReducedStructure:
        """Return the crystal of a row in the standard setting.

        Parameters
        ----------
        index
            Its place in the dataset.
        """
        from wyckflow.crystal.reduced import ReducedStructure

        index = range(len(self))[index]
        start, end = self.arrays.site_offsets[index : index + 2]
        return ReducedStructure(
            gene=self.genes[index],
            lattice=self.arrays.lattices[index],
            parameters=self.arrays.coordinates[start:end],
        )

    # --- selections ----------------------------------------------------------------

    def select(self, rows: ArrayLike) -> Dataset:
        """Return some of the rows as a dataset of its own.

        Parameters
        ----------
        rows
            A truth value per row, or the places of the wanted ones in any order.
        """
        chosen = np.asarray(rows)
        if chosen.dtype == bool:
            if len(chosen) != len(self):
                raise DatasetError(
                    f"A selection of {len(chosen)} truth values came for a dataset of "
                    f"{len(self)} rows; give one per row."
                )
            chosen = np.flatnonzero(chosen)
        indices = np.arange(len(self))[chosen.astype(np.int64)]
        return Dataset(
            arrays=self.arrays.take(indices),
            metadata=self.metadata.model_copy(update={"parent_id": self.dataset_id}),
            parts=None if self.parts is None else self.parts[indices],
        )

    def part(self, part: Part | str) -> Dataset:
        """Return the rows of one part.

        Parameters
        ----------
        part
            ``train``, ``validation`` or ``test``.

        Raises
        ------
        DatasetError
            If the dataset was not split.
        """
        if self.parts is None:
            raise DatasetError(
                f"Dataset {self.dataset_id} was not split; run "
                "'wyckflow data split' on its file, or use split_dataset."
            )
        return self.select(self.parts == PARTS.index(Part(part)))

    def with_split(self, parts: NDArray[np.uint8], info: SplitInfo) -> Dataset:
        """Return the same rows with another split.

        Parameters
        ----------
        parts
            Code of the part of every row.
        info
            How they were chosen.
        """
        update = {"split": info, "parent_id": self.dataset_id}
        metadata = self.metadata.model_copy(update=update)
        return replace(self, parts=parts, metadata=metadata)

    # --- other forms -----------------------------------------------------------------

    @cached_property
    def dataset_id(self) -> str:
        """Name of the dataset: 16 hexadecimal digits of a hash of its content."""
        identity = self.metadata.identity()
        if self.parts is not None:
            identity += self.parts.tobytes().hex()
        return self.arrays.content_hash(identity)[:ID_LENGTH]

    def to_pandas(self) -> pd.DataFrame:
        """Return a table with one row per crystal."""
        import pandas as pd

        columns: dict[str, Any] = dict(self.arrays.texts)
        columns |= {
            "formula_pretty": self.formulas,
            "space_group_number": self.arrays.space_group_numbers,
            "gene": [gene.to_text() for gene in self.genes],
            "gene_id": [f"{key:016x}" for key in self.keys.tolist()],
            "nsites": [gene.n_sites for gene in self.genes],
        }
        columns |= self.arrays.properties
        if self.parts is not None:
            columns["part"] = [PARTS[code].value for code in self.parts.tolist()]
        return pd.DataFrame(columns)

    def save(self, path: Path) -> None:
        """Write the dataset to a file; an interrupted write leaves no half of it.

        Parameters
        ----------
        path
            Usually with the ending ``.npz``.
        """
        story = {"dataset_id": self.dataset_id} | self.metadata.model_dump(mode="json")
        text = json.dumps(story, sort_keys=True, ensure_ascii=False)
        arrays = self.arrays.to_mapping()
        arrays[_METADATA] = np.frombuffer(text.encode(), np.uint8)
        if self.parts is not None:
            arrays[_PARTS] = self.parts
        write_bytes(path, pack_arrays(arrays))


def load_dataset(path: Path) -> Dataset:
    """Read a dataset and see that it is whole.

    Parameters
    ----------
    path
        A file that `Dataset.save` wrote.

    Raises
    ------
    DatasetError
        If there is no such file, it is of another kind or version, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        story = json.loads(bytes(arrays.pop(_METADATA)))
        dataset_id = story.pop("dataset_id")
    except FileNotFoundError:
        raise DatasetError(f"There is no dataset {str(path)!r}.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{str(path)!r} is no dataset of wyckflow; make one with 'wyckflow data "
            "import'."
        ) from error
    if story.get("format_version") != FORMAT_VERSION:
        raise DatasetError(
            f"{str(path)!r} has format {story.get('format_version')}, but this "
            f"wyckflow reads format {FORMAT_VERSION}: import the sources again."
        )
    try:
        parts = arrays.pop(_PARTS, None)
        dataset = Dataset(
            arrays=RowArrays.from_mapping(arrays),
            metadata=DatasetMetadata.model_validate(story),
            parts=parts,
        )
        found = dataset.dataset_id
    except (KeyError, ValidationError, ValueError) as error:
        raise DatasetError(f"{str(path)!r} is damaged: {error}.") from error
    if found != dataset_id:
        raise DatasetError(
            f"{str(path)!r} is damaged: its content has the name {found}, but it was "
            f"written as {dataset_id}. Import the sources again."
        )
    return dataset


def pack_rows(arrays: RowArrays) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
    """Write rows as `wyckflow.crystal.keys.pack_genes` writes their genes.

    Parameters
    ----------
    arrays
        Any rows.
    """
    codes = np.zeros((len(arrays), int(arrays.n_sites.max(initial=0))), np.int16)
    filled = np.arange(codes.shape[1]) < arrays.n_sites[:, None]
    elements = arrays.atomic_numbers.astype(np.int16) << LETTER_BITS
    codes[filled] = elements + arrays.letter_indices
    return arrays.space_group_numbers.astype(np.int16), codes


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file at once or not at all.

    Parameters
    ----------
    path
        What to write or replace.
    content
        All of it.

    Raises
    ------
    DatasetError
        If the folder is missing or not writable.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    try:
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        raise DatasetError(f"{str(path)!r} cannot be written: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
