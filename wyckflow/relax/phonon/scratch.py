"""Crystals that a job has judged, kept on disk until it is done.

A worker may be killed at any moment. The same job, run again, finds what was finished
in a folder named by its content, and a job with other crystals, options or weights
looks elsewhere.
"""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from pydantic import ValidationError

from wyckflow import __version__
from wyckflow.errors import DocumentError
from wyckflow.relax.phonon.analysis import CrystalPhonons
from wyckflow.relax.phonon.pack import make_document
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.phonon import PhononBatchDoc

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from wyckflow.relax.phonon.stability import Crystal
    from wyckflow.relax.potential import Potential
    from wyckflow.schemas.phonon import PhononSettings

logger = logging.getLogger(__name__)

_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class PhononScratch:
    """The finished crystals of one job, each in a file of its own.

    A disk that is full or cannot be written costs the protection and not the job.

    Attributes
    ----------
    folder
        Of this job alone.
    settings
        What decides the verdicts.
    energy_scale
        Of the network.
    """

    folder: Path
    settings: PhononSettings
    energy_scale: str

    @classmethod
    def of_job(
        cls,
        parent: Path,
        crystals: Sequence[Crystal],
        settings: PhononSettings,
        potential: Potential,
    ) -> PhononScratch:
        """Return the place of a job.

        Parameters
        ----------
        parent
            Folder with the places of all jobs.
        crystals
            What is judged, in order.
        settings, potential
            What decides the verdicts.
        """
        content = {
            "crystals": [
                [one.name, one.structure.as_dict() if one.structure else one.problem]
                for one in crystals
            ],
            "settings": settings.model_dump(mode="json"),
            "potential": potential.identity,
            "version": [__version__, PhononBatchDoc.SCHEMA_VERSION],
        }
        text = json.dumps(content, sort_keys=True)
        name = f"phonon-{sha256(text.encode()).hexdigest()[:_DIGITS]}"
        return cls(parent / name, settings, potential.energy_scale)

    def load(self) -> dict[str, CrystalPhonons]:
        """Return the finished crystals by their names; damaged files are passed over.

        Bands come back in single precision.
        """
        found: dict[str, CrystalPhonons] = {}
        for path in sorted(self.folder.glob("*.json")):
            try:
                document = PhononBatchDoc.model_validate_json(path.read_bytes())
                one = _unpack(document)
            except (OSError, ValidationError, DocumentError, KeyError) as error:
                logger.warning("%s is damaged, its crystal is redone: %s", path, error)
                continue
            found[one.document.name] = one
        if found:
            logger.info("%d crystals are judged already", len(found))
        return found

    def add(self, result: CrystalPhonons) -> None:
        """Keep a crystal, safe from a kill once this returns.

        Parameters
        ----------
        result
            Of one crystal.
        """
        document = make_document(
            [result],
            self.settings,
            Provenance.collect(),
            energy_scale=self.energy_scale,
        )
        name = sha256(result.document.name.encode()).hexdigest()[:_DIGITS]
        part = self.folder / f"{name}.part"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            part.write_text(document.model_dump_json(), encoding="utf-8")
            part.replace(self.folder / f"{name}.json")  # whole, or not at all
        except OSError as error:
            logger.warning(
                "What is judged cannot be kept in %s (%s); a kill of this job would "
                "lose it. Set WYCKFLOW_SCRATCH to a folder with room",
                self.folder,
                error,
            )

    def remove(self) -> None:
        """Remove the folder, the job being done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _unpack(document: PhononBatchDoc) -> CrystalPhonons:
    """Return the one crystal of a document."""
    (item,) = document.results
    return CrystalPhonons(
        item,
        document.cell(item.name),
        tuple(document.soft_modes(item.name)),
        document.spectrum(item.name),
    )
