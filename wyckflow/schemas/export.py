"""The manifest of a campaign in a folder: which files there are, and their hashes."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from wyckflow.errors import ExportError

FOLDER_VERSION: Final = 1
"""Layout of the folder; raised when an older wyckflow would misread it."""


class ExportedFile(BaseModel):
    """One file of an exported campaign."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(description="Below the folder, parts joined by '/'.")
    sha256: str = Field(description="Hash of its bytes.")
    n_bytes: int = Field(ge=0, description="Its size.")

    @field_validator("path")
    @classmethod
    def _stay_inside(cls, path: str) -> str:
        pure = PurePosixPath(path)
        if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path:
            raise ExportError(
                f"The manifest names the file {path!r}, which is not inside the "
                "folder: do not import it; export the campaign again."
            )
        return path


class ExportManifest(BaseModel):
    """What an exported campaign consists of; nothing in it depends on the date."""

    model_config = ConfigDict(extra="forbid")

    folder_version: int = Field(
        default=FOLDER_VERSION, ge=1, description="Layout of the folder."
    )
    campaign: str = Field(description="Name of the campaign.")
    wyckflow_version: str = Field(description="Version that wrote the folder.")
    n_candidates: int = Field(ge=0, description="Candidates.")
    n_structures: int = Field(ge=0, description="Of these, how many have a structure.")
    n_outputs: int = Field(ge=0, description="Outputs of jobs.")
    content_id: str = Field(
        default="", description="Hash of the names and hashes of all files."
    )
    files: list[ExportedFile] = Field(description="Every file but this one, by name.")

    @model_validator(mode="after")
    def _check_content(self) -> Self:
        expected = self.hash_files()
        if self.content_id not in ("", expected):
            raise ExportError(
                "The manifest was changed: its list of files has the hash "
                f"{expected}, not {self.content_id}. Export the campaign again."
            )
        self.content_id = expected
        return self

    def hash_files(self) -> str:
        """Return the hash of the names and hashes of all files."""
        lines = sorted(f"{item.sha256}  {item.path}" for item in self.files)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
