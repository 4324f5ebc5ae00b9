"""A trained model as a document: its card, and its file in blobs."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field

from wyckflow.errors import ModelError
from wyckflow.schemas.base import WyckflowDoc

if TYPE_CHECKING:
    from pathlib import Path

CHUNK_BYTES = 6 * 1024 * 1024
"""Size of a piece of a model's file; a blob may have 8 MB."""


class FileChunk(BaseModel):
    """A piece of a file."""

    model_config = ConfigDict(
        extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    blob: bytes = Field(description="Bytes of the file, in order.")


class ModelDoc(WyckflowDoc):
    """A model that was trained: what it is, and the file that holds it.

    Its identity is ``model_id``, a hash of what was learned, so that the same model is
    stored once.
    """

    model_id: str = Field(description="Hash of the content: weights and story.")
    sha256: str = Field(description="Hash of the file, by which damage is noticed.")
    name: str = Field(description="Name for people.")
    kind: str = Field(description="What it does, such as 'mpvae' or 'classifier'.")
    n_bytes: int = Field(ge=0, description="Size of the file.")
    card: dict[str, Any] = Field(
        default_factory=dict,
        description="What the file says of itself: properties and their units, "
        "dataset, options, seed, and metrics on rows held out.",
    )
    chunks: list[FileChunk] = Field(
        default_factory=list,
        description="The file in pieces; empty where only the card was asked for.",
    )

    @classmethod
    def from_bytes(
        cls,
        content: bytes,
        *,
        model_id: str,
        name: str,
        kind: str,
        card: dict[str, Any],
    ) -> Self:
        """Describe the bytes of a model's file.

        Parameters
        ----------
        content
            The whole file.
        model_id, name, kind, card
            As in the fields.
        """
        starts = range(0, len(content), CHUNK_BYTES)
        return cls(
            model_id=model_id,
            sha256=hashlib.sha256(content).hexdigest(),
            name=name,
            kind=kind,
            n_bytes=len(content),
            card=card,
            chunks=[FileChunk(blob=content[at : at + CHUNK_BYTES]) for at in starts],
        )

    def to_bytes(self) -> bytes:
        """Return the file, checked against its hash.

        Raises
        ------
        ModelError
            If pieces are missing or damaged.
        """
        content = b"".join(chunk.blob for chunk in self.chunks)
        found = hashlib.sha256(content).hexdigest()
        if found != self.sha256:
            raise ModelError(
                f"The stored file of model {self.name!r} has {len(content):,} of "
                f"{self.n_bytes:,} bytes and the hash {found[:12]} instead of "
                f"{self.sha256[:12]}: import it again from a good copy with "
                "'wyckflow model import FILE'."
            )
        return content

    def write(self, folder: Path) -> Path:
        """Put the file into a folder under its hash, once, and return its path.

        Parameters
        ----------
        folder
            A cache; made if absent.
        """
        path = folder / f"{self.model_id}.model"
        if not path.exists():
            content = self.to_bytes()
            folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(f".part-{os.getpid()}")
            part.write_bytes(content)
            part.replace(path)
        return path
