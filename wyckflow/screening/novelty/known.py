"""Reference sets: what counts as known, named, hashed, kept in a file, joined."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import numpy as np

from wyckflow.crystal.keys import anonymous_keys, canonical_keys, pack_genes
from wyckflow.errors import DatasetError
from wyckflow.screening.novelty.parents import (
    MAX_RELEASED,
    MAX_SITES,
    N_STEPS,
    join_codes,
    lower_symmetry_forms,
)
from wyckflow.screening.novelty.species import (
    formula_keys,
    gene_outlines,
    list_species,
    prototype_outlines,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wyckflow.crystal.dataset import Dataset
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.screening.novelty.species import Codes

ID_LENGTH: Final = 16
_FORMAT: Final = {
    "version": 1,
    "parent_steps": N_STEPS,
    "parent_max_released": MAX_RELEASED,
    "parent_max_sites": MAX_SITES,
}
_METADATA: Final = "metadata"
_GENES_AT_ONCE: Final = 2000
_KEYS: Final = (
    "gene_keys",
    "prototype_keys",
    "formula_keys",
    "parent_gene_keys",
    "parent_keys",
    "parent_outlines",
    "parent_gene_outlines",
)


@dataclass(frozen=True, eq=False, slots=True)
class KnownGenes:
    """A set of known crystals, as far as novelty asks for it.

    All arrays are sorted and hold no number twice.

    Attributes
    ----------
    name
        What people call it.
    sources
        What it was made of: the name of each part, and the id of the dataset or the
        number of genes that came.
    gene_keys
        Of the genes, up to a change of description.
    prototype_keys
        Of the genes without the names of their elements.
    formula_keys
        Of the reduced formulas.
    parent_gene_keys
        Of the genes, and of all forms in which a subgroup describes them.
    parent_keys
        The same without the names of the elements.
    parent_outlines, parent_gene_outlines
        Of both, for a quick first look.
    """

    name: str
    sources: tuple[str, ...]
    gene_keys: NDArray[np.uint64]
    prototype_keys: NDArray[np.uint64]
    formula_keys: NDArray[np.uint64]
    parent_gene_keys: NDArray[np.uint64]
    parent_keys: NDArray[np.uint64]
    parent_outlines: NDArray[np.uint64]
    parent_gene_outlines: NDArray[np.uint64]

    def __len__(self) -> int:
        """Return the number of different genes."""
        return len(self.gene_keys)

    @property
    def known_id(self) -> str:
        """Name of the content: 16 hexadecimal digits, whatever the order of the genes.

        It says which genes are known, not what they are called.
        """
        digest = hashlib.sha256(json.dumps(_FORMAT, sort_keys=True).encode())
        digest.update(self.gene_keys.astype("<u8").tobytes())
        return digest.hexdigest()[:ID_LENGTH]

    # --- making ---------------------------------------------------------------------

    @classmethod
    def from_codes(cls, codes: Codes, *, name: str, source: str = "") -> Self:
        """Make a set of genes that are written as arrays.

        Parameters
        ----------
        codes
            Space-group numbers and sites, as `wyckflow.crystal.keys.pack_genes` writes.
        name
            What to call it.
        source
            Where the genes are from.
        """
        numbers, sites = (np.asarray(array, np.int64) for array in codes)
        keys, first = np.unique(canonical_keys(numbers, sites), return_index=True)
        numbers, sites = numbers[first], sites[first]
        found: dict[str, list[NDArray[np.uint64]]] = {array: [] for array in _KEYS}
        for start in range(0, max(len(numbers), 1), _GENES_AT_ONCE):
            part = slice(start, start + _GENES_AT_ONCE)
            for array, values in _keys_of(numbers[part], sites[part]).items():
                found[array].append(np.unique(values))
        return cls(
            name=name,
            sources=(source or f"{len(keys)} genes",),
            **{k: np.unique(np.concatenate(parts)) for k, parts in found.items()},
        )

    @classmethod
    def from_genes(cls, genes: Sequence[WyckoffGene], *, name: str) -> Self:
        """Make a set of genes; repetitions do no harm.

        Parameters
        ----------
        genes
            Any number of them.
        name
            What to call it.
        """
        return cls.from_codes(pack_genes(genes), name=name)

    @classmethod
    def from_dataset(cls, dataset: Dataset, *, name: str | None = None) -> Self:
        """Make a set of the genes of a dataset.

        Parameters
        ----------
        dataset
            Any dataset.
        name
            What to call it; the names of its sources if not given.
        """
        files = ", ".join(source.name for source in dataset.metadata.sources)
        source = f"{files} (dataset {dataset.dataset_id})"
        return cls.from_codes(dataset.codes, name=name or files, source=source)

    def join(self, *others: KnownGenes, name: str | None = None) -> KnownGenes:
        """Return a set in which all is known that one of several knows.

        Parameters
        ----------
        *others
            Sets to add to this one.
        name
            What to call the whole; the names of the parts if not given.
        """
        parts = (self, *others)
        return KnownGenes(
            name=name or " + ".join(dict.fromkeys(part.name for part in parts)),
            sources=tuple(dict.fromkeys(s for part in parts for s in part.sources)),
            **{
                array: np.unique(np.concatenate([getattr(p, array) for p in parts]))
                for array in _KEYS
            },
        )

    # --- file -----------------------------------------------------------------------

    def save(self, path: Path) -> None:
        """Write the set to a file; an interrupted write leaves no half of it.

        Parameters
        ----------
        path
            Usually with the ending ``.npz``.
        """
        story = _FORMAT | {
            "name": self.name,
            "sources": self.sources,
            "known_id": self.known_id,
        }
        text = json.dumps(story, sort_keys=True, ensure_ascii=False)
        arrays = {array: getattr(self, array) for array in _KEYS}
        arrays[_METADATA] = np.frombuffer(text.encode(), np.uint8)
        draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
        try:
            with draft.open("wb") as stream:
                np.savez_compressed(stream, allow_pickle=False, **arrays)
            draft.replace(path)
        except OSError as error:
            raise DatasetError(f"{str(path)!r} cannot be written: {error}.") from error
        finally:
            draft.unlink(missing_ok=True)


def _keys_of(
    numbers: NDArray[np.int64], sites: NDArray[np.int64]
) -> dict[str, NDArray[np.uint64]]:
    """Return the numbers that a set holds of some genes."""
    own = numbers, sites
    forms = join_codes([own, lower_symmetry_forms(own)])
    species = list_species(forms)
    return {
        "gene_keys": canonical_keys(*own),
        "prototype_keys": anonymous_keys(*own),
        "formula_keys": formula_keys(list_species(own)),
        "parent_gene_keys": canonical_keys(*forms),
        "parent_keys": anonymous_keys(*forms),
        "parent_outlines": prototype_outlines(species),
        "parent_gene_outlines": gene_outlines(species),
    }


def is_known_file(path: Path) -> bool:
    """Tell whether a file looks like one that `KnownGenes.save` wrote.

    Parameters
    ----------
    path
        Any file, or none.
    """
    if path.suffix != ".npz" or not path.is_file():
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            return f"{_KEYS[0]}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False


def load_known(path: Path) -> KnownGenes:
    """Read a set and see that it is whole.

    Parameters
    ----------
    path
        A file that `KnownGenes.save` wrote.

    Raises
    ------
    DatasetError
        If there is no such file, it is of another kind or version, or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        story = json.loads(bytes(arrays.pop(_METADATA)))
        known = KnownGenes(
            name=story["name"],
            sources=tuple(story["sources"]),
            **{array: arrays[array].astype(np.uint64) for array in _KEYS},
        )
    except FileNotFoundError:
        raise DatasetError(f"There is no set of known genes {str(path)!r}.") from None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{str(path)!r} is no set of known genes; make one with KnownGenes and "
            "save it."
        ) from error
    if any(story.get(name) != value for name, value in _FORMAT.items()):
        raise DatasetError(
            f"{str(path)!r} was made by another version of wyckflow, which finds "
            "parents in another way; make it again from its sources: "
            f"{'; '.join(known.sources)}."
        )
    if known.known_id != story.get("known_id"):
        raise DatasetError(
            f"{str(path)!r} is damaged: its content has the name {known.known_id}, but "
            f"it was written as {story.get('known_id')}. Make it again."
        )
    return known
