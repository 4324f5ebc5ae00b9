"""Markup as text that is safe by construction: whatever is no markup is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_VOID: Final = frozenset({"br", "hr", "img", "input", "meta"})


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


Child = object
"""Markup is taken as it is, None is nothing, everything else is text."""


def tag(name: str, *children: Child, **attributes: str | float | bool | None) -> Html:
    """Return an element.

    Parameters
    ----------
    name
        Such as ``td``.
    *children
        What is in it.
    **attributes
        An underscore stands for a dash, and one at the end for nothing, as in
        ``class_``. True is an attribute without value; None and False leave it out.
    """
    words = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        word = key.rstrip("_").replace("_", "-")
        words.append(word if value is True else f'{word}="{escape(str(value))}"')
    head = f"<{' '.join(words)}>"
    if name in _VOID:
        return Html(head)
    return Html(f"{head}{join(children)}</{name}>")


def join(children: Iterable[Child], between: str = "") -> Html:
    """Return markup one after the other, text among it escaped.

    Parameters
    ----------
    children
        Markup, text, numbers, None.
    between
        Markup between them.
    """
    parts = [
        child if isinstance(child, Html) else escape(str(child), quote=False)
        for child in children
        if child is not None
    ]
    return Html(between.join(parts))


def table(
    heads: Sequence[Child],
    rows: Iterable[Sequence[Child]],
    *,
    numbers: Iterable[int] = (),
    caption: str | None = None,
) -> Html:
    """Return a plain table that can be scrolled sideways where it is too wide.

    Parameters
    ----------
    heads
        Of the columns.
    rows
        Cells by row.
    numbers
        Columns that hold numbers: aligned to the right.
    caption
        What it shows, for those who do not see it.
    """
    right = frozenset(numbers)

    def kind(place: int) -> str | None:
        return "number" if place in right else None

    head = [
        tag("th", cell, scope="col", class_=kind(place))
        for place, cell in enumerate(heads)
    ]
    body = [
        tag("tr", *(tag("td", cell, class_=kind(i)) for i, cell in enumerate(row)))
        for row in rows
    ]
    named = tag("caption", caption) if caption else None
    whole = tag("table", named, tag("thead", tag("tr", *head)), tag("tbody", *body))
    return tag("div", whole, class_="wide")


def facts(pairs: Iterable[tuple[Child, Child]]) -> Html:
    """Return names and values, those without a value left out.

    Parameters
    ----------
    pairs
        Name and value.
    """
    known = [(name, value) for name, value in pairs if value is not None]
    return tag(
        "dl",
        *(tag("div", tag("dt", name), tag("dd", value)) for name, value in known),
        class_="facts",
    )


def note(*children: Child) -> Html:
    """Return a sentence that says what is not there, or how to read it.

    Parameters
    ----------
    *children
        Of the sentence.
    """
    return tag("p", *children, class_="note")
