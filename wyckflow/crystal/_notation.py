"""How genes are written: ``221 Ca:a Ti:b O:c``, and labels such as ``4e``.

White space separates the space group and the elements. Behind an element stand a colon
and its letters with commas between them; a number behind a letter repeats it.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import GeneError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wyckflow.crystal.tables import SpaceGroup

FORM: Final = "Write it like '221 Ca:a Ti:b O:c' or '14 Ti:a O:e2'."

_LABEL: Final = re.compile(r"(\d*)([a-zA])")
_REPEATED_LABEL: Final = re.compile(r"(\d+[a-zA])(\d*)")
_LETTERS: Final = re.compile(r"(?:[a-zA]\d*)+")
_REPEATED_LETTER: Final = re.compile(r"([a-zA])(\d*)")


def read_text(text: str) -> tuple[int, list[tuple[str, str]]]:
    """Read the space-group number and (element, letter) pairs of a gene's text.

    Raises
    ------
    GeneError
        If the text cannot be read.
    """
    words = re.sub(r"\s*([:,])\s*", r"\1", text).replace(";", " ").split()
    numbers = [word for word in words if word.isdecimal()]
    if len(numbers) != 1:
        raise GeneError(
            f"{text!r} holds {len(numbers)} space-group numbers; expected one. {FORM}"
        )
    group = load_space_group(int(numbers[0]))
    pairs = []
    for word in words:
        if word.isdecimal():
            continue
        element, _, labels = word.partition(":")
        if not (element and labels):
            raise GeneError(
                f"Cannot read {word!r} of {text!r}: expected an element, a colon and "
                f"Wyckoff letters. {FORM}"
            )
        for label in labels.split(","):
            pairs += [(element, letter) for letter in _read_letters(group, label, text)]
    return group.number, pairs


def write_text(space_group_number: int, pairs: Iterable[tuple[str, str]]) -> str:
    """Write sorted (element, letter) pairs as the text of a gene."""
    letters: dict[str, Counter[str]] = {}
    for element, letter in pairs:
        letters.setdefault(element, Counter())[letter] += 1
    words = [str(space_group_number)]
    for element, counts in letters.items():
        labels = (f"{letter}{n if n > 1 else ''}" for letter, n in counts.items())
        words.append(f"{element}:{','.join(labels)}")
    return " ".join(words)


def read_label(group: SpaceGroup, label: str) -> str:
    """Return the letter of ``4e`` or ``e``; a multiplicity must be the right one.

    Raises
    ------
    GeneError
        If it is no label, or the multiplicity is not that of the letter.
    """
    match = _LABEL.fullmatch(label.strip())
    if match is None:
        raise GeneError(
            f"{label!r} is no Wyckoff label; expected one such as '4e' or 'e'."
        )
    position = group.position(match[2])
    if match[1] and int(match[1]) != position.multiplicity:
        raise GeneError(
            f"{label!r} is no position of space group {group.number}, whose letter "
            f"{position.letter!r} has multiplicity {position.multiplicity}. Give "
            "labels of the ITA standard setting and the conventional cell."
        )
    return position.letter


def _read_letters(group: SpaceGroup, label: str, text: str) -> list[str]:
    """Read what stands between two commas: ``4e``, ``4e2``, ``e2`` or ``cd``."""
    if labelled := _REPEATED_LABEL.fullmatch(label):
        counted = [(read_label(group, labelled[1]), labelled[2])]
    elif _LETTERS.fullmatch(label):
        counted = _REPEATED_LETTER.findall(label)
    else:
        raise GeneError(f"Cannot read the letters {label!r} of {text!r}. {FORM}")
    letters = [letter for letter, n in counted for _ in range(int(n or 1))]
    if len(set(letters)) < len({letter for letter, _ in counted}):
        raise GeneError(f"{label!r} of {text!r} repeats a letter 0 times. {FORM}")
    return letters
