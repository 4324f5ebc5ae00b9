"""Draws the architecture from the code: who may import whom and does, and the jobs.

``architecture-picture:: imports`` reads the floors from the contract of import-linter
in ``pyproject.toml`` and the imports from the modules themselves.
``architecture-picture:: jobs`` builds the flows and reads their jobs, what each waits
for, and its kind of worker. Pictures are SVG within the page: they follow its light or
dark colours, and say in words what they say in colour.
"""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from jobflow import Flow
    from sphinx.application import Sphinx

REPOSITORY: Final = Path(__file__).parents[2]
PACKAGE: Final = "wyckflow"

TEXT: Final = "var(--color-foreground-primary, #222)"
FAINT: Final = "var(--color-foreground-muted, #666)"
GROUND: Final = "var(--color-background-secondary, #f4f4f2)"
KIND_COLOURS: Final = {"gpu": "#0072B2", "cpu": "#009E73", "vasp": "#D55E00"}
"""Of Okabe and Ito: every kind of colour vision tells them apart."""

CELL: Final = 34
ROW_HEAD: Final = 150
COLUMN_HEAD: Final = 84
BOX: Final = (132, 40)
GAP: Final = (14, 30)


def read_floors(pyproject: Path) -> list[list[str]]:
    """Return the packages by floor, the highest first, as the contract has them."""
    contract = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]
    (layers,) = (c["layers"] for c in contract["contracts"] if c["type"] == "layers")
    return [[name.strip() for name in floor.split("|")] for floor in layers]


def count_imports(package: Path) -> Counter[tuple[str, str]]:
    """Count the modules of each package that import from each other package."""
    found: Counter[tuple[str, str]] = Counter()
    for path in sorted(package.rglob("*.py")):
        own = path.relative_to(package).parts[0].removesuffix(".py")
        others = set(_imported_packages(ast.parse(path.read_text()), package.name))
        found.update((own, other) for other in others - {own})
    return found


def _imported_packages(tree: ast.AST, root: str) -> Iterator[str]:
    """Yield what a module imports when it runs, functions included."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == root:
                names = [f"{root}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            yield from _imported_packages(node, root)
            continue
        parts = [name.split(".") for name in names]
        yield from (p[1] for p in parts if p[0] == root and len(p) > 1)


def draw_imports(
    floors: Sequence[Sequence[str]], imports: Counter[tuple[str, str]]
) -> str:
    """Return the table of packages: rows import, columns are imported."""
    packages = [name for floor in floors for name in floor]
    floor_of = {name: row for row, floor in enumerate(floors) for name in floor}
    size = CELL * len(packages)
    parts = []
    for i, name in enumerate(packages):
        y, x = COLUMN_HEAD + CELL * i, ROW_HEAD + CELL * i
        parts += [
            _text(ROW_HEAD - 10, y + 22, name, anchor="end"),
            _text(
                0, 0, name, turn=f"translate({x + 21},{COLUMN_HEAD - 8}) rotate(-60)"
            ),
        ]
        for j, other in enumerate(packages):
            count, allowed = imports[name, other], floor_of[name] < floor_of[other]
            if count and not allowed and name != other:
                raise ValueError(f"{name} imports {other}, which its floor forbids.")
            parts.append(_cell(i, j, count, allowed=allowed))
    edge = 0
    for floor in floors:
        y = COLUMN_HEAD + CELL * edge
        parts.append(_stroke(0, y, ROW_HEAD + size, y))
        edge += len(floor)
    parts.append(_stroke(0, COLUMN_HEAD + size, ROW_HEAD + size, COLUMN_HEAD + size))
    title = "Packages by floor: how many modules of a row import from a column"
    return _svg(ROW_HEAD + size + 20, COLUMN_HEAD + size + 2, title, parts)


def _cell(row: int, column: int, count: int, *, allowed: bool) -> str:
    """Return a cell: forbidden ones are empty, used ones have their number."""
    x, y = ROW_HEAD + CELL * column, COLUMN_HEAD + CELL * row
    if not allowed:
        return ""
    shade = f"{min(0.15 + 0.02 * count, 0.6):.2f}" if count else "0"
    box = (
        f'<rect x="{x + 2}" y="{y + 2}" width="{CELL - 4}" height="{CELL - 4}" rx="4" '
        f'fill="#56B4E9" fill-opacity="{shade}" stroke="{FAINT}" stroke-opacity="0.4"/>'
    )
    words = _text(x + CELL / 2, y + 22, str(count), anchor="middle") if count else ""
    return box + words


@dataclass(frozen=True)
class JobBox:
    """A job of a flow: its name, its kind of worker, and the jobs it waits for."""

    name: str
    kind: str
    waits_for: tuple[str, ...]


def read_jobs(flow: Flow, kinds: dict[str, Any]) -> list[JobBox]:
    """Return the jobs of a flow, each behind those that it waits for."""
    graph = flow.graph
    name = {node: str(data["label"]) for node, data in graph.nodes(data=True)}
    left, found = sorted(graph.nodes, key=lambda node: name[node]), []
    placed: set[str] = set()
    while left:
        ready = [n for n in left if set(graph.predecessors(n)) <= placed]
        for node in ready:
            before = tuple(sorted(name[n] for n in graph.predecessors(node)))
            found.append(JobBox(name[node], str(kinds[name[node]]), before))
        placed |= set(ready)
        left = [node for node in left if node not in placed]
    return found


def draw_jobs(lanes: Sequence[tuple[str, Sequence[JobBox]]]) -> str:
    """Return the jobs in lanes side by side, downwards by what they wait for."""
    parts, left, height = [_arrow_head()], 0.0, 0.0
    for title, jobs in lanes:
        parts.append(_text(left, 14, title, weight="600"))
        place = _place(jobs, left, 28)
        for job in jobs:
            direct = _direct(job, jobs)
            parts += [_arrow(place[other], place[job.name]) for other in direct]
        parts += [_box(job, place[job.name]) for job in jobs]
        height = max(height, *(y + BOX[1] for _, y in place.values()))
        left = max(x for x, _ in place.values()) + BOX[0] + 3 * GAP[0]
    title = "The jobs of a campaign and of one crystal's DFT, with their workers"
    return _svg(left - 3 * GAP[0], height + 2, title, parts)


def _direct(job: JobBox, jobs: Iterable[JobBox]) -> list[str]:
    """Return what a job waits for, without what that waits for already."""
    before: dict[str, set[str]] = {}
    for one in jobs:  # in their order, so that all behind each is known
        behind = (before[name] for name in one.waits_for)
        before[one.name] = set(one.waits_for).union(*behind)
    return [n for n in job.waits_for if not any(n in before[o] for o in job.waits_for)]


def _place(
    jobs: Sequence[JobBox], left: float, top: float
) -> dict[str, tuple[float, float]]:
    """Return the corner of each box: a row by depth, below what it waits for."""
    depth: dict[str, int] = {}
    rows: dict[int, list[JobBox]] = {}
    for job in jobs:
        depth[job.name] = max((depth[n] + 1 for n in job.waits_for), default=0)
        rows.setdefault(depth[job.name], []).append(job)
    place: dict[str, tuple[float, float]] = {}

    def middle(job: JobBox) -> tuple[float, str]:
        above = [place[n][0] for n in _direct(job, jobs)]
        return sum(above) / max(len(above), 1), job.name

    for row, found in rows.items():
        y = top + row * (BOX[1] + GAP[1])
        for column, job in enumerate(sorted(found, key=middle)):
            place[job.name] = (left + column * (BOX[0] + GAP[0]), y)
    return place


def _box(job: JobBox, corner: tuple[float, float]) -> str:
    x, y = corner
    colour = KIND_COLOURS[job.kind]
    return (
        f'<rect x="{x + 1}" y="{y}" width="{BOX[0] - 2}" height="{BOX[1]}" rx="6" '
        f'fill="{GROUND}" stroke="{colour}" stroke-width="2"/>'
        + _text(x + BOX[0] / 2, y + 17, job.name, anchor="middle", size=12)
        + _text(x + BOX[0] / 2, y + 32, job.kind, anchor="middle", size=11, fill=FAINT)
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    if start[0] == end[0] and end[1] - start[1] > BOX[1] + GAP[1]:
        side, y1, y2 = start[0] - GAP[0] / 2, start[1] + BOX[1] / 2, end[1] + BOX[1] / 2
        return (  # around the boxes in between
            f'<path d="M{start[0]:g} {y1:g} H{side:g} V{y2:g} H{end[0]:g}" fill="none" '
            f'stroke="{FAINT}" marker-end="url(#arrow-head)"/>'
        )
    x1, y1 = start[0] + BOX[0] / 2, start[1] + BOX[1]
    x2, y2 = end[0] + BOX[0] / 2, end[1] - 1
    bend = y2 - GAP[1] / 2
    return (
        f'<path d="M{x1:g} {y1:g} V{bend - 8:g} C{x1:g} {bend + 4:g} {x2:g} '
        f'{bend - 8:g} {x2:g} {y2:g}" fill="none" stroke="{FAINT}" '
        'marker-end="url(#arrow-head)"/>'
    )


def _arrow_head() -> str:
    return (
        '<defs><marker id="arrow-head" viewBox="0 0 8 8" refX="7" refY="4" '
        'markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0 8 4 0 8z" fill="{FAINT}"/></marker></defs>'
    )


def _stroke(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{FAINT}"/>'


def _text(x: float, y: float, words: str, **how: Any) -> str:
    anchor, size = how.get("anchor", "start"), how.get("size", 13)
    weight, fill = how.get("weight", "400"), how.get("fill", TEXT)
    turn = how.get("turn", "")
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" font-size="{size}" '
        f'transform="{turn}" '
        f'font-weight="{weight}" fill="{fill}">{escape(words)}</text>'
    )


def _svg(width: float, height: float, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" '
        f'role="img" aria-label="{escape(title)}" font-family="sans-serif" '
        f'style="width: 100%; max-width: {width:g}px; height: auto">\n'
        f"<title>{escape(title)}</title>\n"
        + "\n".join(filter(None, parts))
        + "\n</svg>"
    )


def picture_of_imports(repository: Path = REPOSITORY) -> str:
    """Return the picture of the floors of this repository."""
    floors = read_floors(repository / "pyproject.toml")
    return draw_imports(floors, count_imports(repository / PACKAGE))


def picture_of_jobs() -> str:
    """Return the picture of the jobs of a campaign and of one crystal's DFT."""
    from pymatgen.core import Lattice, Structure

    from wyckflow.flows.campaign import CampaignFlowMaker
    from wyckflow.flows.dft import DftFlowMaker
    from wyckflow.flows.shard import ShardFlowMaker
    from wyckflow.resources import CATEGORY_BY_JOB_NAME as KINDS

    crystal = Structure(Lattice.cubic(3.3), ["Po"], [[0, 0, 0]])
    flows = {
        "Each round": CampaignFlowMaker().make(),
        "Each shard": ShardFlowMaker().make(["221 Po:a"]),
        "Each crystal let through to VASP": DftFlowMaker().make(crystal),
    }
    return draw_jobs([(title, read_jobs(f, KINDS)) for title, f in flows.items()])


PICTURES: Final = {"imports": picture_of_imports, "jobs": picture_of_jobs}


class ArchitecturePicture(SphinxDirective):
    """One of the pictures, drawn when the page is built."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the picture."""
        self.env.note_reread()  # the code may have changed, the page not
        picture = PICTURES[self.arguments[0]]()
        return [nodes.raw("", picture, format="html")]


def setup(app: Sphinx) -> dict[str, bool]:
    """Tell Sphinx of the directive."""
    app.add_directive("architecture-picture", ArchitecturePicture)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
