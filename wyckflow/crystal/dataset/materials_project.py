"""Structures and properties from the Materials Project, saved as one JSON file.

What was downloaded is kept as it came, with the version of the database: importing it
is a step of its own, which can be repeated without the network.
"""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from wyckflow.crystal.dataset.table import write_bytes
from wyckflow.errors import ConfigurationError, DatasetError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

KEY_VARIABLE: Final = "MP_API_KEY"
LICENCE: Final = "CC-BY-4.0"
_KEY_PAGE: Final = "https://next-gen.materialsproject.org/api"

FIELDS: Final = (
    "material_id",
    "formula_pretty",
    "structure",
    "formation_energy_per_atom",
    "energy_above_hull",
    "band_gap",
    "is_gap_direct",
    "theoretical",
)
"""What is asked for of every material."""


@dataclass(frozen=True, slots=True)
class MaterialsProjectQuery:
    """Which materials to fetch.

    Attributes
    ----------
    n_elements
        Fewest and most elements.
    max_n_sites
        Most atoms in the primitive cell.
    max_energy_above_hull
        In eV/atom.
    chemsys
        Chemical systems such as ``Ca-O-Ti`` or ``*-O``; none: all.
    is_theoretical
        Only materials that were never made (true) or that were (false); None: both.
    """

    n_elements: tuple[int, int] = (2, 3)
    max_n_sites: int = 20
    max_energy_above_hull: float = 0.08
    chemsys: tuple[str, ...] = ()
    is_theoretical: bool | None = None

    def to_arguments(self) -> dict[str, Any]:
        """Return the arguments of the client's search."""
        arguments: dict[str, Any] = {
            "num_elements": self.n_elements,
            "num_sites": (1, self.max_n_sites),
            "energy_above_hull": (0.0, self.max_energy_above_hull),
            "deprecated": False,
            "fields": list(FIELDS),
        }
        if self.chemsys:
            arguments["chemsys"] = list(self.chemsys)
        if self.is_theoretical is not None:
            arguments["theoretical"] = self.is_theoretical
        return arguments


def fetch_materials_project(
    output: Path,
    query: MaterialsProjectQuery | None = None,
    *,
    client: AbstractContextManager[Any] | None = None,
) -> int:
    """Download materials into a file that can be imported.

    Parameters
    ----------
    output
        Where to write; ``.json.gz`` is usual, ``.json`` is not compressed.
    query
        Which materials.
    client
        Connection to the Materials Project; made with the key in ``MP_API_KEY`` if it
        is not given.

    Returns
    -------
    int
        How many were found.

    Raises
    ------
    ConfigurationError
        If the client or the key is missing.
    DatasetError
        If the server does not answer, or nothing matches.
    """
    query = query or MaterialsProjectQuery()
    connection = client if client is not None else open_client()
    try:
        with connection as session:
            database_version = str(session.get_database_version())
            found = session.materials.summary.search(**query.to_arguments())
    except Exception as error:  # the client raises what its libraries raise
        raise DatasetError(
            f"The Materials Project did not answer ({type(error).__name__}: "
            f"{str(error)[:200]}). See that the key in {KEY_VARIABLE} is valid and the "
            "network reachable, and try again."
        ) from error
    if not found:
        raise DatasetError(
            f"The Materials Project has nothing for {query}; ask for more."
        )
    document = {
        "source": "Materials Project",
        "licence": LICENCE,
        "database_version": database_version,
        "query": asdict(query),
        "records": sorted(map(_to_record, found), key=lambda r: str(r["material_id"])),
    }
    content = json.dumps(document).encode()
    if output.name.endswith(".gz"):
        content = gzip.compress(content, mtime=0)
    write_bytes(output, content)
    return len(found)


def open_client() -> AbstractContextManager[Any]:
    """Open a connection with the user's own key.

    Raises
    ------
    ConfigurationError
        If the key or the package is missing.
    """
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise ConfigurationError(
            f"The Materials Project wants your own key: copy it from {_KEY_PAGE} and "
            f"run export {KEY_VARIABLE}=..., then try again."
        )
    try:
        mp_api = import_module("mp_api.client")
    except ImportError:
        raise ConfigurationError(
            "The Materials Project is reached through the package mp-api, which is not "
            "installed: run pip install mp-api, then try again."
        ) from None
    client: AbstractContextManager[Any] = mp_api.MPRester(key)
    return client


def _to_record(material: Any) -> dict[str, Any]:
    """Take our fields out of what the client returns, as plain data."""
    record = {}
    for field in FIELDS:
        value = (
            material.get(field)
            if isinstance(material, dict)
            else getattr(material, field, None)
        )
        if value is not None and hasattr(value, "as_dict"):
            value = value.as_dict()
        is_plain = value is None or isinstance(value, (bool, int, float, dict))
        record[field] = value if is_plain else str(value)
    return record
