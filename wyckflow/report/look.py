"""How figures look: colours all eyes tell apart; figures as files or as text."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

from wyckflow.errors import DocumentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.figure import Figure

INK: Final = "#3b4252"
"""Of text and axes."""
FAINT: Final = "#c8ccd4"
"""Of lines that guide the eye."""
BACKGROUND: Final = "#b9c0cc"
"""Of what others are compared with."""
BLUE, ORANGE, GREEN = "#0072b2", "#e69f00", "#009e73"
RED, SKY, PINK = "#d55e00", "#56b4e9", "#cc79a7"
COLOURS: Final = (BLUE, ORANGE, GREEN, RED, PINK, SKY)
"""After Okabe and Ito, told apart with every kind of colour vision."""

_THEME: Final = {
    INK: "var(--ink)",
    FAINT: "var(--faint)",
    BACKGROUND: "var(--background-bars)",
    BLUE: "var(--band)",
}
_RC: Final[Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9.0,
    "pdf.fonttype": 42,
}
_POINTS_PER_INCH: Final = 72
_MOST_TICKS: Final = 6


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure.

    Parameters
    ----------
    width, height
        In inches.
    """
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def clean_axes(axes: Any) -> None:
    """Take away what carries nothing, and give the rest the colour of the ink.

    Parameters
    ----------
    axes
        Of matplotlib.
    """
    from matplotlib.ticker import MaxNLocator

    for axis in (axes.xaxis, axes.yaxis):
        locator = axis.get_major_locator()
        if isinstance(locator, MaxNLocator):
            locator.set_params(nbins=_MOST_TICKS)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(FAINT)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    for label in (axes.xaxis.label, axes.yaxis.label, axes.title):
        label.set_color(INK)


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure; PDF and SVG hold their text as text.

    Parameters
    ----------
    figure
        What to write.
    path
        PNG, PDF or SVG, by its ending.

    Raises
    ------
    DocumentError
        If the file cannot be written.
    """
    from matplotlib import rc_context

    try:
        with rc_context(_RC):
            figure.savefig(path, dpi=200)
    except (OSError, ValueError) as error:
        raise DocumentError(f"{str(path)!r} cannot be drawn: {error}.") from error


def inline_svg(figure: Figure, *, name: str, title: str) -> str:
    """Return a figure as an SVG element whose colours follow those of the page.

    Parameters
    ----------
    figure
        What to draw.
    name
        Unique in the page: ids within the figure are made from it.
    title
        For those who do not see it; as markup, so already escaped.
    """
    from matplotlib import rc_context

    buffer = io.StringIO()
    none: Mapping[str, None] = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    options: Any = {**_RC, "svg.hashsalt": name}
    with rc_context(options):
        figure.savefig(buffer, format="svg", transparent=True, metadata=none)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    # A style for all elements would reach out of the figure into the page.
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", text)
    for colour, variable in _THEME.items():
        text = text.replace(colour, variable)
    width, height = figure.get_size_inches() * _POINTS_PER_INCH
    head = (
        f'<svg viewBox="0 0 {width:g} {height:g}" class="figure" role="img" '
        f'xmlns:xlink="http://www.w3.org/1999/xlink"><title>{title}</title>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, text, count=1).strip()
