"""What a job has finished, kept on disk until it is done.

A worker may be killed at any moment. What it finished lies in a folder that is named by
the content of the job: the same job, run again, finds it there, and a job with other
genes, options or weights looks elsewhere.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from wyckflow import __version__
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import StructureError
from wyckflow.relax.race import RelaxedGene
from wyckflow.schemas.relaxation import RelaxationBatchDoc, RelaxationDoc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.relax.backends import Backend
    from wyckflow.schemas.relaxation import RelaxationSettings

logger = logging.getLogger(__name__)

_FILE_NAME: Final = "finished.jsonl"
_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Scratch:
    """The finished genes of one job.

    A disk that is full or cannot be written costs the protection and not the job.

    Attributes
    ----------
    folder
        Of this job alone.
    """

    folder: Path

    @classmethod
    def of_job(
        cls,
        parent: Path,
        genes: Sequence[WyckoffGene],
        settings: RelaxationSettings,
        backend: Backend,
    ) -> Scratch:
        """Return the place of a job.

        Parameters
        ----------
        parent
            Folder with the places of all jobs.
        genes
            What is relaxed, in order.
        settings, backend
            What decides the numbers.
        """
        content = {
            "genes": [gene.to_text() for gene in genes],
            "settings": settings.model_dump(mode="json"),
            "backend": [backend.energy_scale, backend.identity],
            "version": [__version__, RelaxationBatchDoc.SCHEMA_VERSION],
        }
        text = json.dumps(content, sort_keys=True)
        return cls(parent / f"relax-{sha256(text.encode()).hexdigest()[:_DIGITS]}")

    def load(self) -> dict[str, RelaxedGene]:
        """Return the finished genes by their text; damaged lines are passed over."""
        try:
            lines = (self.folder / _FILE_NAME).read_text().splitlines()
        except FileNotFoundError:
            return {}
        except (OSError, UnicodeDecodeError) as error:
            logger.warning("%s cannot be read, all begins anew: %s", self.folder, error)
            return {}
        found: dict[str, RelaxedGene] = {}
        for line in lines:
            try:
                item = _read(line)
            except (ValueError, KeyError, TypeError, ValidationError, StructureError):
                logger.warning("A line of %s is cut short; its gene is redone", self)
                continue
            found.setdefault(item.document.gene, item)
        if found:
            logger.info("%d genes are finished already, in %s", len(found), self.folder)
        return found

    def add(self, genes: Mapping[str, RelaxedGene]) -> bool:
        """Keep genes, safe from a kill once this returns.

        Parameters
        ----------
        genes
            By their text.

        Returns
        -------
        bool
            Whether there was room for them.
        """
        lines = "".join(_write(item) for item in genes.values())
        path = self.folder / _FILE_NAME
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            is_torn = _is_torn(path)
            with path.open("a") as stream:
                stream.write(f"\n{lines}" if is_torn else lines)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            logger.warning(
                "What is finished cannot be kept in %s (%s); a kill of this job would "
                "lose it. Set WYCKFLOW_SCRATCH to a folder with room",
                self.folder,
                error,
            )
            return False
        return True

    def remove(self) -> None:
        """Remove the folder, the job being done."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _write(item: RelaxedGene) -> str:
    """Return a gene as one line."""
    structure = None if item.structure is None else item.structure.as_dict()
    content: dict[str, Any] = {
        "document": item.document.model_dump(mode="json"),
        "structure": structure,
    }
    return json.dumps(content) + "\n"


def _read(line: str) -> RelaxedGene:
    """Read the line of `_write`."""
    content = json.loads(line)
    structure = content["structure"]
    return RelaxedGene(
        RelaxationDoc.model_validate(content["document"]),
        None if structure is None else ReducedStructure.from_dict(structure),
    )


def _is_torn(path: Path) -> bool:
    """Return whether a kill left the last line without its end."""
    if not path.exists() or path.stat().st_size == 0:
        return False
    with path.open("rb") as stream:
        stream.seek(-1, os.SEEK_END)
        return stream.read(1) != b"\n"
