"""The file of a reference set: an npz archive of arrays, with a JSON text inside."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import ReferenceDataError
from wyckflow.thermo.composition import Compositions
from wyckflow.thermo.entry import EnergyKind
from wyckflow.thermo.reference import TEXT_COLUMNS, ReferenceSet
from wyckflow.thermo.scale import EnergyScale

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION: Final = 1
_METADATA: Final = "metadata"

# What damaged bytes raise depends on where they are damaged.
_DAMAGE: Final = (
    ArithmeticError,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def pack_reference(reference: ReferenceSet) -> bytes:
    """Return a set as the bytes of an npz archive.

    Parameters
    ----------
    reference
        Which.
    """
    metadata = {
        "format": FORMAT_VERSION,
        "name": reference.name,
        "scale": str(reference.scale),
        "kind": str(reference.kind),
        "version": reference.version,
        "provenance": dict(reference.provenance),
    }
    arrays: dict[str, Any] = {
        _METADATA: np.array(json.dumps(metadata, sort_keys=True)),
        "offsets": reference.compositions.offsets.astype(np.int32),
        "atomic_numbers": reference.compositions.atomic_numbers,
        "counts": reference.compositions.counts,
        "energies": reference.energies,
        "is_relaxed": reference.is_relaxed,
        **{name: getattr(reference, name) for name in TEXT_COLUMNS},
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def unpack_reference(content: bytes, *, where: str) -> ReferenceSet:
    """Read what :func:`pack_reference` wrote, and check it against its version.

    Parameters
    ----------
    content
        The bytes.
    where
        What they are, for the message of an error.

    Raises
    ------
    ReferenceDataError
        If they are no reference set, or one that was damaged.
    """
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        metadata = json.loads(str(arrays[_METADATA]))
        _check_format(metadata, where)
        found = _make_reference(metadata, arrays)
    except ReferenceDataError:
        raise
    except _DAMAGE as error:
        raise ReferenceDataError(
            f"{where} cannot be read as a reference set ({error}); give a file that "
            "'wyckflow hull build' or 'wyckflow hull export' wrote."
        ) from error
    if found.version != metadata["version"]:
        raise ReferenceDataError(
            f"{where} says it is version {metadata['version']}, but its content is "
            f"version {found.version}: it was changed or damaged."
        )
    return found


def _make_reference(
    metadata: Mapping[str, Any], arrays: Mapping[str, Any]
) -> ReferenceSet:
    return ReferenceSet(
        name=metadata["name"],
        scale=EnergyScale(metadata["scale"]),
        kind=EnergyKind(metadata["kind"]),
        compositions=Compositions(
            arrays["offsets"].astype(np.int64),
            arrays["atomic_numbers"],
            arrays["counts"],
        ),
        energies=arrays["energies"],
        is_relaxed=arrays["is_relaxed"],
        provenance=metadata["provenance"],
        **{name: arrays[name] for name in TEXT_COLUMNS},
    )


def _check_format(metadata: Mapping[str, Any], where: str) -> None:
    """Refuse a file that a newer wyckflow wrote."""
    if metadata["format"] > FORMAT_VERSION:
        raise ReferenceDataError(
            f"{where} has format {metadata['format']}, this wyckflow reads up to "
            f"{FORMAT_VERSION}: install a newer one."
        )
