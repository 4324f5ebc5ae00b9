"""The exceptions of wyckflow: what came, what was expected, what to do.

A scientific failure (no convergence, not neutral) is never one of these: it is a
value in a document. These are for wrong input, wrong set-up and broken machines.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class WyckflowError(Exception):
    """Base of every error that wyckflow raises on purpose."""


class ConfigurationError(WyckflowError):
    """A setting, a project file or a worker file is missing or wrong."""


class DatabaseError(WyckflowError):
    """The database cannot be reached, entered, written, or is another version."""


class QueryError(WyckflowError, ValueError):
    """A question to the database cannot be understood."""


class ServerError(DatabaseError):
    """The embedded MongoDB server could not be started or stopped."""


class RoutingError(ConfigurationError):
    """A job would run on no worker, or on a wrong one."""


class GeneError(WyckflowError, ValueError):
    """A gene is not one that can exist, or its text cannot be read."""


class UnknownWyckoffLetterError(GeneError):
    """A Wyckoff letter does not exist in the space group."""


class StructureError(WyckflowError, ValueError):
    """A structure cannot be read, or cannot be expressed as a gene."""


class DatasetError(WyckflowError, ValueError):
    """A dataset file cannot be read, or holds what it should not."""


class ReferenceDataError(WyckflowError, ValueError):
    """Reference energies cannot be read, or are not what they say they are."""


class ScaleMismatchError(ReferenceDataError):
    """Two energies that cannot be compared were about to be."""


class TargetError(WyckflowError):
    """A target contradicts itself, or cannot be met by what a model knows.

    Not a ValueError, which pydantic would hide in a report of its own.
    """


class CampaignError(WyckflowError):
    """A campaign's file is wrong, or a campaign cannot do what is asked.

    Not a ValueError, which pydantic would hide in a report of its own.
    """


class ExportError(WyckflowError):
    """A folder with an exported campaign cannot be written, or not be trusted.

    Not a ValueError, which pydantic would hide in a report of its own.
    """


class ModelError(WyckflowError):
    """A model is not there, or cannot give what is asked of it."""


class CheckpointError(ModelError):
    """The file of a trained model cannot be read, or is of another kind or version."""


class TrainingError(WyckflowError, ValueError):
    """A model cannot be trained as asked, or on what came."""


class BandsError(WyckflowError, ValueError):
    """A band structure cannot be read, or its arrays do not fit together."""


class ScreenError(WyckflowError, ValueError):
    """A screen, or one of its filters, is not one that can be asked."""


class DocumentError(WyckflowError):
    """A stored document is of another version or damaged.

    Not a ValueError, which pydantic would hide in a report of its own.
    """


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint such as `` Did you mean 'symprec'?``, or an empty string.

    Parameters
    ----------
    name
        What came.
    known
        The names that would have been understood.
    """
    matches = get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" Did you mean {matches[0]!r}?" if matches else ""
