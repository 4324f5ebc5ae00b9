"""The top of the page: what was asked, what it cost, where genes were lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.report.look import inline_svg
from wyckflow.report.page.electrons import band_table
from wyckflow.report.page.markup import Html, facts, join, note, table, tag
from wyckflow.report.panels import list_panels

if TYPE_CHECKING:
    from wyckflow.schemas.report import ReportData
    from wyckflow.schemas.screening import FunnelStep

_SECTIONS: Final = {
    "parity": (
        "Predicted and computed",
        "No candidate has both a prediction and a computed value yet.",
    ),
    "energies": ("Distance to the hull", "No candidate was held against the hull yet."),
    "distributions": (
        "What was generated",
        "No genes and no model were found for this campaign.",
    ),
    "latent": (
        "The latent space",
        "The model of this campaign has no latent space that could be shown.",
    ),
}
_WIDTHS: Final = {1: "one", 2: "pairs", 4: "pairs"}
"""How figures stand by their number, where three in a row would leave a gap."""
_AHEAD: Final = {
    "energies": (
        "Distances to the hull by CHGNet are those of a network: the probability in "
        "the table says how likely DFT agrees."
    ),
}


def render_head(data: ReportData) -> Html:
    """Return title, request and cost.

    Parameters
    ----------
    data
        Of the report.
    """
    counts = (
        f"{data.n_candidates:,} candidates, {len(data.candidates):,} of them here; "
        f"gathered {data.made_at:%Y-%m-%d %H:%M} UTC by wyckflow "
        f"{data.wyckflow_version}"
    )
    return tag(
        "header",
        tag("h1", data.campaign),
        tag("p", counts, class_="note"),
        tag(
            "div",
            tag("section", tag("h2", "Asked for"), _request(data)),
            tag("section", tag("h2", "Cost"), _budget(data)),
            class_="columns",
        ),
    )


def _request(data: ReportData) -> Html:
    """Return the target in words, and the models."""
    if data.request is None:
        return note("These jobs were sent without a campaign's file.")
    spec = data.request.spec
    conditions = spec.target.conditions() or {"target": "anything"}
    screen = spec.screen if isinstance(spec.screen, str) else "of its own"
    rounds = [
        f"{item.n_genes:,} genes by {item.model_name} ({item.model_id[:8]})"
        for item in data.request.rounds
    ]
    reason = f": {data.request.reason}" if data.request.reason else ""
    return facts(
        [
            *((_name(name), words) for name, words in conditions.items()),
            ("screen", screen),
            ("rounds", join(rounds, "<br>") if rounds else None),
            ("state", f"{data.request.state}{reason}"),
        ]
    )


def _name(condition: str) -> str:
    """Return what a condition is on, with its unit."""
    unit = {"band_gap": " (eV)", "formation_energy_per_atom": " (eV/atom)"}
    return condition.replace("_per_atom", "").replace("_", " ") + unit.get(
        condition, ""
    )


def _budget(data: ReportData) -> Html:
    """Return what was used beside what is allowed."""
    rows = [
        [
            line.name,
            f"{line.used:,.3g}",
            "no limit" if line.allowed is None else f"{line.allowed:,g}",
        ]
        for line in data.budget
    ]
    if not rows:
        return note("Nothing is known of its cost.")
    return table(["", "used", "allowed"], rows, numbers=(1, 2), caption="cost")


# --- funnel ---------------------------------------------------------------------------


def render_funnel(data: ReportData) -> Html:
    """Return a bar per stage that opens to the reasons.

    Parameters
    ----------
    data
        Of the report.
    """
    if not data.funnel:
        return _part("Funnel", note("No stage has finished yet."), "funnel")
    most = max(step.n_in for step in data.funnel) or 1
    steps = [_step(step, most) for step in data.funnel]
    legend = tag(
        "p",
        tag("span", "passed", class_="key good"),
        tag("span", "failed", class_="key bad"),
        tag("span", "could not be judged", class_="key open"),
        " A stage opens to its reasons.",
        class_="note",
    )
    return _part("Funnel", join([legend, *steps]), "funnel")


def _step(step: FunnelStep, most: int) -> Html:
    """Return one stage."""
    name = step.filter.replace("_", " ")
    parts = (
        (step.n_pass, "good", "passed"),
        (step.n_fail, "bad", "failed"),
        (step.n_cannot_judge, "open", "could not be judged"),
    )
    bars = [
        tag(
            "i",
            class_=kind,
            style=f"width:{100 * n / most:.2f}%",
            title=f"{n:,} {word}",
        )
        for n, kind, word in parts
        if n
    ]
    summary = tag(
        "summary",
        tag("b", name),
        tag("span", *bars, class_="bar", aria_hidden="true"),
        tag("span", f"{step.n_pass:,} of {step.n_in:,}", class_="count"),
    )
    reasons = [[item.reason, f"{item.n_genes:,}"] for item in step.reasons]
    inside = [
        tag("p", step.rule[:1].upper() + step.rule[1:] + "."),
        table(["why not", "genes"], reasons, numbers=(1,))
        if reasons
        else note("It stopped nothing."),
    ]
    if step.n_fail or step.n_cannot_judge:
        inside.append(
            tag(
                "p",
                tag("a", "Those in the table", href="#candidates", data_stop=name),
            )
        )
    return tag("details", summary, *inside, class_="step")


# --- figures --------------------------------------------------------------------------


def render_figures(data: ReportData) -> Html:
    """Return the figures by section; a section without data says so.

    Parameters
    ----------
    data
        Of the report.
    """
    return join(_figures(data, group) for group in _SECTIONS)


def _figures(data: ReportData, group: str) -> Html:
    """Return the figures of one section."""
    title, missing = _SECTIONS[group]
    panels = list_panels(data, group)
    if not panels:
        return _part(title, note(missing), group)
    drawn = [
        tag(
            "figure",
            tag("h3", panel.title),
            Html(
                inline_svg(panel.figure(), name=panel.name, title=join([panel.title]))
            ),
            tag("figcaption", panel.caption),
        )
        for panel in panels
    ]
    ahead = note(_AHEAD[group]) if group in _AHEAD else None
    kind = f"figures {_WIDTHS.get(len(drawn), '')}".strip()
    return _part(title, join([ahead, tag("div", *drawn, class_=kind)]), group)


def render_bands(data: ReportData) -> Html:
    """Return gaps and masses of all candidates that have bands.

    Parameters
    ----------
    data
        Of the report.
    """
    rows = [
        (item, found.document)
        for item in data.candidates
        if (found := data.evidence_of(item).electrons) is not None
    ]
    if not rows:
        content = note("No DFT bands have been computed yet.")
    else:
        how = note(
            "m: conductivity mass, ? where it is uncertain, ~ where only the mean over "
            "the path is known. N_v: pockets, bands in each, electrons per band."
        )
        content = join([band_table(rows), how])
    return _part("Band edges and masses", content, "masses")


def render_notes(data: ReportData) -> Html | None:
    """Return what could not be gathered; nothing if all could.

    Parameters
    ----------
    data
        Of the report.
    """
    if not data.notes:
        return None
    items = tag("ul", *(tag("li", sentence) for sentence in data.notes))
    return _part("What is missing here", items, "missing")


def _part(title: str, content: Html, name: str) -> Html:
    return tag("section", tag("h2", title), content, id=name)
