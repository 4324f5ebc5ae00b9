"""Put the page together: one file, no network, bounded in size."""

from __future__ import annotations

import json
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING, Final

from wyckflow.errors import DocumentError
from wyckflow.report.page.candidate import SIMULATED, render_candidate
from wyckflow.report.page.candidate_table import render_table
from wyckflow.report.page.crystal import element_table
from wyckflow.report.page.markup import Html, join, tag
from wyckflow.report.page.overview import (
    render_bands,
    render_figures,
    render_funnel,
    render_head,
    render_notes,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from wyckflow.schemas.report import ReportData

MOST_BYTES: Final = 19_000_000
"""Of a page; what would make it larger is left out, and said to be."""

_SCRIPTS: Final = ("table.js", "viewer.js", "page.js")


def render_page(
    data: ReportData,
    *,
    most_bytes: int = MOST_BYTES,
    report: Callable[[int], None] = lambda _: None,
) -> str:
    """Return the whole page.

    Parameters
    ----------
    data
        Of the report.
    most_bytes
        Sections of candidates are left out, the worst first, where the page would be
        larger.
    report
        Told how many candidates are done.
    """
    elements = [symbol for item in data.candidates for symbol in item.elements]
    main = join(
        [
            render_head(data),
            render_notes(data),
            render_funnel(data),
            render_table(data),
            render_bands(data),
            render_figures(data),
        ]
    )
    table = element_table(elements)
    frame = _fill(data, main, Html(""), table, {})
    operations: dict[str, str] = {}
    room = most_bytes - len(frame.encode())
    sections = _render_sections(data, operations, room, report)
    return _fill(data, main, sections, table, operations)


def write_page(
    data: ReportData, path: Path, *, report: Callable[[int], None] = lambda _: None
) -> int:
    """Write the page to a file, and return its size in bytes.

    Parameters
    ----------
    data
        Of the report.
    path
        Usually with the ending ``.html``.
    report
        Told how many candidates are done.

    Raises
    ------
    DocumentError
        If the file cannot be written.
    """
    content = render_page(data, report=report).encode()
    try:
        path.write_bytes(content)
    except OSError as error:
        raise DocumentError(f"{str(path)!r} cannot be written: {error}.") from error
    return len(content)


def _render_sections(
    data: ReportData,
    operations: dict[str, str],
    most_bytes: int,
    report: Callable[[int], None],
) -> Html:
    """Return the sections of candidates that fit, and fill in their operations."""
    parts: list[Html] = []
    left = most_bytes
    for place, item in enumerate(data.candidates, start=1):
        n_before = sum(map(len, operations.values()))
        part = render_candidate(data, item, operations)
        # In JSON a line break takes two letters.
        left -= 2 * (sum(map(len, operations.values())) - n_before)
        left -= len(part.encode()) + 1
        if left < 0:
            break
        parts.append(part)
        report(place)
    return join(parts, "\n")


def _fill(
    data: ReportData,
    main: Html,
    sections: Html,
    elements: str,
    operations: dict[str, str],
) -> str:
    """Return the frame with everything in it."""
    band = tag("p", SIMULATED, class_="simulated") if data.is_simulated else Html("")
    return Template(_asset("page.html")).substitute(
        title=join([f"{data.campaign} · wyckflow"]),
        style=_asset("page.css"),
        script="\n".join(map(_asset, _SCRIPTS)),
        band=band,
        main=main,
        sections=sections,
        elements=elements,
        operations=json.dumps(operations, separators=(",", ":")),
    )


def _asset(name: str) -> str:
    """Return a file of the package."""
    return files("wyckflow.report.page").joinpath("assets", name).read_text("utf-8")
