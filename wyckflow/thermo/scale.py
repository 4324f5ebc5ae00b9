"""The scale of an energy: which method, with which corrections, gave the number.

Two energies may be compared only if they are on the same scale. The network CHGNet
0.3.0 was trained on energies that carry the corrections of the Materials Project
already, so nothing may be added to its energies; see :func:`refuse_correction`.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn, Self

from wyckflow.errors import ReferenceDataError, ScaleMismatchError, nearest_name

KNOWN_SCALES: Final[dict[str, str]] = {
    "chgnet-0.3.0": "CHGNet 0.3.0; corrected as the Materials Project does in 2020",
    "chgnet-0.2.0": "CHGNet 0.2.0; corrected as the Materials Project does in 2020",
    "chgnet-r2scan": "CHGNet trained on r2SCAN energies",
    "mp2020-gga-u": "PBE and PBE+U mixed and corrected (Materials Project, 2020)",
    "pbe-fine": "PBE of wyckflow's own fine settings, uncorrected",
    "pbe-mp": "PBE and PBE+U of the Materials Project's settings, uncorrected",
}
"""Scales by tag, with what they mean; others are allowed if well formed."""

# The form that wyckflow.relax.backends asks of a calculator, too.
_FORM: Final = re.compile(r"[a-z0-9][a-z0-9.+_-]*")
_CORRECTED: Final = ("chgnet-0.", "mp2020-")


class EnergyScale(str):
    """A checked tag of an energy scale, such as ``chgnet-0.3.0``.

    It is a text, so that it can be stored and compared as one.

    Parameters
    ----------
    tag
        Small letters, digits and ``-``, ``.``, ``+`` or ``_``.

    Raises
    ------
    ReferenceDataError
        If the tag is no such text.
    """

    __slots__ = ()

    def __new__(cls, tag: Any) -> Self:
        """Check the tag."""
        if not isinstance(tag, str) or not _FORM.fullmatch(tag):
            raise ReferenceDataError(
                f"{tag!r} is no tag of an energy scale: small letters, digits and "
                "'-', '.', '+' or '_' were expected, such as 'chgnet-0.3.0'."
                f"{nearest_name(str(tag), KNOWN_SCALES)}"
            )
        return super().__new__(cls, tag)

    @property
    def is_known(self) -> bool:
        """Whether wyckflow knows what the tag means."""
        return str(self) in KNOWN_SCALES

    @property
    def meaning(self) -> str:
        """What it stands for; empty if wyckflow does not know it."""
        return KNOWN_SCALES.get(str(self), "")

    @property
    def is_corrected(self) -> bool:
        """Whether energies on it contain corrections that must not be added again."""
        return self.startswith(_CORRECTED)


def require_same_scale(one: str, other: str, what: str) -> EnergyScale:
    """Return the scale that two things share.

    Parameters
    ----------
    one
        Scale of what is compared.
    other
        Scale of what it is compared with.
    what
        What is about to be done, for the message: ``"a relaxation with the hull"``.

    Raises
    ------
    ScaleMismatchError
        Naming both scales, if they differ.
    """
    first, second = EnergyScale(one), EnergyScale(other)
    if first != second:
        raise ScaleMismatchError(
            f"Energies of the scales {str(first)!r} and {str(second)!r} cannot be "
            f"compared ({what}): use energies and a reference of one scale."
            f"{_near_hint(first, second)}"
        )
    return first


def refuse_correction(scale: str, correction: Any) -> NoReturn:
    """Refuse to add a correction to an energy of a scale.

    wyckflow adds none anywhere: an energy that needs them (plain PBE) is corrected
    before it becomes an entry, and its scale then says so.

    Parameters
    ----------
    scale
        Scale of the energy.
    correction
        What was to be added, eV.

    Raises
    ------
    ReferenceDataError
        Always.
    """
    tag = EnergyScale(scale)
    why = (
        "its energies contain the corrections already and would be corrected twice"
        if tag.is_corrected
        else "a corrected energy is on another scale"
    )
    raise ReferenceDataError(
        f"A correction of {correction} eV came with an energy on the scale "
        f"{str(tag)!r}: {why}. Give the energy without a correction, or the corrected "
        "energy with the tag of its own scale, such as 'mp2020-gga-u'."
    )


def _near_hint(one: EnergyScale, other: EnergyScale) -> str:
    """Suggest a slip of the pen where one tag is unknown and like a known one."""
    for tag in (one, other):
        if not tag.is_known and (hint := nearest_name(tag, KNOWN_SCALES)):
            return f" {str(tag)!r} is not a known scale.{hint}"
    return ""
