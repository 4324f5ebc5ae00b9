"""The base of every document: a version of its layout and where it came from."""

from __future__ import annotations

import os
import platform
import socket
import sys
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from wyckflow import __version__
from wyckflow.errors import DocumentError

KEY_PACKAGES = (
    "chgnet",
    "fireworks",
    "jobflow",
    "numpy",
    "phonopy",
    "pymatgen",
    "pyxtal",
    "seekpath",
    "smact",
    "spglib",
    "torch",
)
"""Packages whose version can change a result, recorded where they are installed."""


def _as_utc(moment: datetime) -> datetime:
    """Give a time that came back from MongoDB its zone again."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


UtcDatetime = Annotated[datetime, AfterValidator(_as_utc)]
"""A time in UTC, also after MongoDB, which returns times without their zone."""


class PackageVersion(BaseModel):
    """The version of one installed package."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(description="Name of the distribution.")
    version: str = Field(description="Installed version.")


class Provenance(BaseModel):
    """What made a document: software, machine, time."""

    model_config = ConfigDict(extra="forbid")

    wyckflow_version: str = Field(description="Version of wyckflow.")
    python_version: str = Field(description="Version of Python.")
    packages: list[PackageVersion] = Field(
        description="Versions of the packages that can change a result.",
    )
    model: str | None = Field(
        default=None,
        description="Model behind the numbers: name, version and hash of its weights.",
    )
    host: str = Field(description="Name of the machine.")
    platform: str = Field(description="Operating system and processor.")
    device: str = Field(
        default="cpu",
        description="Device that computed: cpu or the name of an accelerator.",
    )
    process_id: int = Field(description="Process that made the document.")
    created_at: UtcDatetime = Field(description="When the document was made (UTC).")
    wall_s: float | None = Field(
        default=None,
        description="Elapsed seconds of the job's own work.",
    )
    cpu_s: float | None = Field(
        default=None,
        description="Processor seconds (user and system) of the job's own work.",
    )

    @classmethod
    def collect(cls, *, model: str | None = None, device: str = "cpu") -> Self:
        """Describe this process.

        Parameters
        ----------
        model
            Identity of the model used, if any.
        device
            Where the numbers were computed.
        """
        return cls(
            wyckflow_version=__version__,
            python_version=platform.python_version(),
            packages=[item.model_copy() for item in _installed_versions()],
            model=model,
            host=socket.gethostname(),
            platform=f"{sys.platform} {platform.machine()}",
            device=device,
            process_id=os.getpid(),
            created_at=datetime.now(UTC),
        )


class WyckflowDoc(BaseModel):
    """Base of every document that a job emits.

    A subclass raises its ``SCHEMA_VERSION`` when its layout changes in a way that
    older readers would misread, and says so under *Documents* in the changelog.
    """

    # Bytes of a blob are no text, so JSON takes them as base64.
    model_config = ConfigDict(
        extra="forbid", ser_json_bytes="base64", val_json_bytes="base64"
    )

    SCHEMA_VERSION: ClassVar[int] = 1

    OLDEST_SCHEMA_VERSION: ClassVar[int] = 1
    """Oldest layout that is read as it is, what it lacks being null; raised together
    with ``SCHEMA_VERSION`` where a field changes its meaning."""

    schema_version: int = Field(
        default=0, ge=0, description="Version of this document's layout."
    )
    provenance: Provenance = Field(
        default_factory=Provenance.collect,
        description="Software, machine and time that made this document.",
    )

    @classmethod
    def check_version(cls, found: Any) -> None:
        """Refuse a layout that would be misread.

        Parameters
        ----------
        found
            ``schema_version`` of a document.

        Raises
        ------
        DocumentError
            With the remedy.
        """
        oldest, newest = cls.OLDEST_SCHEMA_VERSION, cls.SCHEMA_VERSION
        if not isinstance(found, int) or isinstance(found, bool):
            raise DocumentError(
                f"{cls.__name__} has schema_version {found!r}, which is no whole "
                "number: the document is damaged, or not from wyckflow."
            )
        if found > newest:
            raise DocumentError(
                f"{cls.__name__} has schema_version {found}, but wyckflow "
                f"{__version__} knows versions up to {newest}: install "
                "the wyckflow that wrote it, or a newer one."
            )
        if found < oldest:
            raise DocumentError(
                f"{cls.__name__} has schema_version {found}, but wyckflow "
                f"{__version__} reads versions from {oldest} on: read it with the "
                "wyckflow that wrote it, or run the job again."
            )

    @model_validator(mode="before")
    @classmethod
    def _check_schema_version(cls, content: Any) -> Any:
        """Fill the version of a new document; refuse one that would be misread.

        Before its fields are looked at, since another layout has others.
        """
        if not isinstance(content, dict):
            return content
        found = content.get("schema_version", cls.SCHEMA_VERSION)
        cls.check_version(found)
        return {**content, "schema_version": found}


@cache
def _installed_versions() -> tuple[PackageVersion, ...]:
    """List the key packages that are installed here; asked of the disk once."""
    found = []
    for name in KEY_PACKAGES:
        try:
            found.append(PackageVersion(name=name, version=version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)
