"""All that is known of one candidate, as the section that opens when it is chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.report.page.analogues import render_analogues
from wyckflow.report.page.band_lines import draw_electrons, draw_phonons
from wyckflow.report.page.crystal import (
    cif_of,
    reduce_candidate,
    take_operations,
    viewer_json,
    wyckoff_table,
)
from wyckflow.report.page.decisions import render_decisions, render_provenance
from wyckflow.report.page.electrons import describe_electrons
from wyckflow.report.page.markup import Html, facts, join, note, tag
from wyckflow.report.page.words import (
    AT_LEAST,
    NOVELTY,
    formula,
    is_lower_bound,
    mark,
    number,
    percent,
    quantity,
    seconds,
    space_group,
)
from wyckflow.schemas.dft import RunMark

if TYPE_CHECKING:
    from wyckflow.schemas.candidate import CandidateDoc
    from wyckflow.schemas.report import Evidence, ReportData

SIMULATED: Final = "SIMULATED: numbers here come from a simulator, not from VASP"


def render_candidate(
    data: ReportData, candidate: CandidateDoc, operations: dict[str, str]
) -> Html:
    """Return the section of a candidate as a template that waits to be opened.

    Parameters
    ----------
    data
        Of the report.
    candidate
        Which.
    operations
        Those of its space group are added, for its CIF.
    """
    evidence = data.evidence_of(candidate)
    heading = tag(
        "h2",
        formula(candidate.formula_pretty),
        tag("small", f" {space_group(candidate.space_group_number)}"),
        tabindex="-1",
    )
    band = tag("p", SIMULATED, class_="simulated") if candidate.is_simulated else None
    parts = [
        heading,
        band,
        _facts(candidate, evidence),
        _section("Structure", _structure(candidate, operations)),
        _section("Known analogues", render_analogues(data, candidate)),
        _section("Phonons", _phonons(evidence)),
        _section("Electrons", _electrons(candidate, evidence)),
        _section("Decisions", render_decisions(candidate)),
        _section("Where it comes from", render_provenance(candidate, evidence)),
    ]
    return tag("template", *parts, id=f"t-{candidate.gene_id}")


def _section(title: str, content: Html) -> Html:
    return tag("section", tag("h3", title), content)


# --- numbers --------------------------------------------------------------------------


def _facts(candidate: CandidateDoc, evidence: Evidence) -> Html:
    """Return the numbers that matter, those that are known."""
    scale = candidate.energy_scale or "CHGNet"
    relaxation = evidence.relaxation
    novelty = None if evidence.novelty is None else NOVELTY[evidence.novelty]
    return facts(
        [
            ("gene", tag("code", candidate.gene)),
            ("verdict", mark(candidate.verdict)),
            ("sites", f"{candidate.nsites} in the conventional cell"),
            ("volume", quantity(candidate.volume_per_atom, "Å³/atom", 2)),
            (
                f"above the hull, {scale}",
                _hull(candidate),
            ),
            (
                "within 0.05 eV/atom of the DFT hull",
                None
                if candidate.probability_within_50_mev is None
                else f"{percent(candidate.probability_within_50_mev)} likely",
            ),
            (
                "above the hull, DFT",
                quantity(candidate.dft_energy_above_hull, "eV/atom"),
            ),
            (
                f"formation energy, {scale}",
                quantity(candidate.formation_energy_per_atom, "eV/atom"),
            ),
            (
                "formation energy, predicted",
                _predicted(candidate, evidence, "formation_energy_per_atom", "eV/atom"),
            ),
            ("band gap, DFT", quantity(candidate.band_gap, "eV")),
            ("band gap, predicted", _predicted(candidate, evidence, "band_gap", "eV")),
            ("novelty", novelty),
            (
                "symmetry while relaxing",
                {True: "kept", False: "changed", None: None}[
                    candidate.is_symmetry_kept
                ],
            ),
            (
                "relaxation",
                None if relaxation is None else relaxation.outcome.replace("_", " "),
            ),
            (
                "cost of it",
                None
                if evidence.relaxation_cpu_s is None
                else f"{seconds(evidence.relaxation_cpu_s)} CPU s",
            ),
        ]
    )


def _hull(candidate: CandidateDoc) -> str | None:
    """Return the distance to the hull, or what it is at least."""
    words = quantity(candidate.energy_above_hull, "eV/atom")
    if words is None or not is_lower_bound(candidate):
        return words
    return f"{AT_LEAST} {words}"


def _predicted(
    candidate: CandidateDoc, evidence: Evidence, name: str, unit: str
) -> str | None:
    """Return what the generator predicted, with one standard deviation."""
    value: float | None = getattr(candidate, f"predicted_{name}")
    if value is None:
        return None
    deviation = evidence.deviations.get(name)
    spread = "" if deviation is None else f" ± {number(deviation, 2)}"
    return f"{number(value, 2)}{spread} {unit}"


# --- structure ------------------------------------------------------------------------


def _structure(candidate: CandidateDoc, operations: dict[str, str]) -> Html:
    """Return viewer, files and positions."""
    if candidate.structure is None:
        return join(
            [
                note("It was not relaxed, so there is no structure to show."),
                wyckoff_table(candidate.gene, None),
            ]
        )
    reduced = reduce_candidate(candidate)
    name = f"{candidate.formula_pretty}_{candidate.gene_id}"
    viewer = tag(
        "div",
        class_="viewer",
        data_crystal=viewer_json(candidate.structure, candidate.formula_pretty),
        data_name=name,
    )
    group = str(
        candidate.space_group_number
        if reduced is None
        else reduced.gene.space_group_number
    )
    cif, symmetry = take_operations(cif_of(candidate, reduced))
    if symmetry:
        operations[group] = symmetry
    files = tag(
        "p",
        tag("button", "Download CIF", type="button", data_file=f"{name}.cif"),
        " ",
        tag("button", "Download POSCAR", type="button", data_poscar=f"{name}.vasp"),
        tag("script", Html(_script_text(cif)), type="text/plain", data_group=group),
        class_="files",
    )
    return join([viewer, files, wyckoff_table(candidate.gene, reduced)])


def _script_text(text: str) -> str:
    """Return text that cannot end the element it stands in."""
    return text.replace("</", "<\\/").replace("<!--", "<\\!--")


# --- bands ----------------------------------------------------------------------------


def _phonons(evidence: Evidence) -> Html:
    """Return phonon bands and the verdict on the lattice."""
    found = evidence.phonons
    if found is None:
        return note("Phonons were not computed for it.")
    document = found.document
    parts: list[Html] = [
        facts(
            [
                ("lattice", mark(document.verdict)),
                ("lowest frequency", quantity(document.min_frequency_thz, "THz", 2)),
                ("highest frequency", quantity(document.max_frequency_thz, "THz", 2)),
                (
                    "supercell",
                    None
                    if document.n_atoms_supercell is None
                    else f"{document.n_atoms_supercell} atoms, "
                    f"{document.n_displacements} displacements",
                ),
                (
                    "cost",
                    None
                    if document.cpu_s is None
                    else f"{seconds(document.cpu_s)} CPU s",
                ),
            ]
        )
    ]
    if document.reason:
        parts.append(note(document.reason))
    if found.spectrum is None:
        parts.append(note("Its bands were not kept."))
    else:
        parts.append(draw_phonons(found.spectrum, found.settings))
        parts.append(
            note(
                "Imaginary frequencies are drawn below zero. CHGNet's phonons are too "
                "soft on average: only a clear instability rejects a crystal."
            )
        )
    return join(parts)


def _electrons(candidate: CandidateDoc, evidence: Evidence) -> Html:
    """Return electronic bands, masses, descriptors."""
    found = evidence.electrons
    if found is None:
        return note("No DFT bands have been computed for it.")
    parts: list[Html] = []
    drawn = None if found.bands is None else draw_electrons(found.bands, found.document)
    if drawn is None:
        parts.append(note("There are no bands along a path to draw."))
    else:
        parts.append(drawn)
        parts.append(
            tag(
                "p",
                tag("span", "● holes", class_="hole"),
                " ",
                tag("span", "● electrons", class_="electron"),
                "; thick: Kane's dispersion as far as it was fitted. Energies are "
                "above the valence band edge, or the Fermi level of a metal.",
                class_="note",
            )
        )
    parts.append(describe_electrons(found.document))
    if candidate.dft_mark is not None:
        parts.append(
            note(f"VASP runs: {RunMark(candidate.dft_mark).replace('_', ' ')}")
        )
    return join(parts)
