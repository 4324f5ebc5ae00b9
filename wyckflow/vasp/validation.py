"""Whether a run is compatible with the Materials Project, by its own validator.

The verdict needs the files of the run, so it is made beside them, right after VASP, and
travels as a small JSON file that becomes a part of the run's document.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any, Final

from custodian.custodian import Validator
from monty.io import zopen

from wyckflow.vasp.audit import is_simulated

VALIDATION_NAME: Final = "mp_validation"
"""Name under which the document of a run has the verdict."""

_FILES: Final = ("INCAR", "KPOINTS", "POSCAR", "POTCAR", "OUTCAR", "vasprun.xml")
_HEAD: Final = 1000

_logger = logging.getLogger(__name__)


class MpCompatibilityValidator(Validator):
    """Write the verdict into the folder of the run; never fails the run."""

    def check(self, directory: str = "./") -> bool:
        """Judge a folder; False means that custodian goes on.

        Parameters
        ----------
        directory
            Of the run.
        """
        verdict = validate_folder(Path(directory))
        path = Path(directory) / f"{VALIDATION_NAME}.json"
        path.write_text(json.dumps(verdict), encoding="utf-8")
        return False


def validate_folder(folder: Path, *, needs_potcar: bool = True) -> dict[str, Any]:
    """Return whether the run in a folder is compatible, and why not.

    Parameters
    ----------
    folder
        With the inputs and outputs of VASP.
    needs_potcar
        Whether a run without its POTCAR is refused; a published one cannot have it.
    """
    found = {_key(name): path for name in _FILES if (path := _find(folder, name))}
    missing = [name for name in _FILES if _key(name) not in found]
    # A run by k-spacing has no KPOINTS.
    optional = {"KPOINTS"} if needs_potcar else {"KPOINTS", "POTCAR"}
    needed = [name for name in missing if name not in optional]
    if needed:
        reason = f"cannot be judged without {', '.join(needed)}"
        return {"is_valid": False, "reasons": [reason], "warnings": []}
    if _is_simulated(found["vasprun"]):
        return {"is_valid": False, "reasons": ["a simulator wrote it"], "warnings": []}
    from pymatgen.io.validation import VaspValidator

    try:
        verdict = VaspValidator.from_vasp_input(
            vasp_file_paths=found, fast=False, check_potcar=needs_potcar
        )
        reasons, warnings = list(verdict.reasons), list(verdict.warnings)
    except Exception as error:  # the validator's own failure is no verdict
        _logger.warning("The validator failed on %s", folder, exc_info=True)
        reasons, warnings = [f"cannot be judged: {error}"], []
    return {"is_valid": not reasons, "reasons": reasons, "warnings": warnings}


def _is_simulated(vasprun: Path) -> bool:
    """Whether the head of a file says so; the validator cannot read such a version."""
    with zopen(vasprun, "rt", encoding="latin-1") as stream:
        return is_simulated(stream.read(_HEAD))


def _key(name: str) -> str:
    return "vasprun" if name == "vasprun.xml" else name.lower()


def _find(folder: Path, name: str) -> Path | None:
    """Return a file, packed or not."""
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    return None
