"""The page without a browser: whole, safe, bounded, and honest about what lacks."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from report_things import NOW, make_candidate, make_data, make_evidence, make_structure

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import DocumentError
from wyckflow.report.page.analogues import render_analogues
from wyckflow.report.page.crystal import element_table, viewer_json
from wyckflow.report.page.decisions import render_decisions
from wyckflow.report.page.markup import Html, join, table, tag
from wyckflow.report.page.render import render_page, write_page
from wyckflow.schemas.report import ReportData

VOID = {"br", "hr", "img", "input", "meta", "link"}
HOSTILE = "\"><script>alert(1)</script>'&"


class Reader(HTMLParser):
    """Finds what does not fit together, and what could reach out."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.problems = [], [], []
        self.n_scripts = 0

    def handle_starttag(self, name, attributes):
        values = dict(attributes)
        if name not in VOID:
            self.open.append(name)
        if "id" in values:
            self.ids.append(values["id"])
        if name == "script":
            self.n_scripts += 1
        for key, value in attributes:
            if key in {"src", "href", "xlink:href"} and not (
                (value or "").startswith(("#", "data:image/"))
            ):
                self.problems.append(f"{name} {key}={value}")
            if key.startswith("on"):
                self.problems.append(f"{name} {key}")

    def handle_startendtag(self, name, attributes):
        self.handle_starttag(name, attributes)
        if name not in VOID:
            self.open.pop()

    def handle_endtag(self, name):
        if not self.open or self.open.pop() != name:
            self.problems.append(f"</{name}>")


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page():
    return render_page(make_data())


def test_the_page_is_whole_and_reaches_out_to_nothing(page):
    reader = read(page)
    assert reader.problems == []
    assert len(reader.ids) == len(set(reader.ids))
    assert "default-src 'none'" in page
    assert not re.search(r"url\((?!#)", page)
    assert "@import" not in page


def test_every_candidate_has_a_row_and_a_section(page):
    data = make_data()
    ids = [item.gene_id for item in data.candidates]
    assert re.findall(r'<template id="t-(\w+)"', page) == ids
    assert re.findall(r'<tr data-id="(\w+)"', page) == ids
    assert "10 more are in the database" in page
    assert "Novelty is against minerals" in page


def test_whatever_comes_from_outside_is_escaped():
    hostile = make_candidate(
        0,
        verdicts=[
            {
                "stage": "gene screen",
                "verdict": "fail",
                "reason": HOSTILE,
                "filter": HOSTILE,
            }
        ],
        outcomes=[{"stage": "chgnet relax", "outcome": HOSTILE}],
        energy_scale=HOSTILE,
        hull_scale=HOSTILE,
        hull_version=HOSTILE,
        model_id=HOSTILE,
        job_uuids=[HOSTILE],
    )
    data = make_data(
        has_figures=False,
        campaign=HOSTILE,
        known_name=HOSTILE,
        notes=(HOSTILE,),
        candidates=(hostile,),
    )
    text = render_page(data)
    plain = read(
        render_page(make_data(has_figures=False, candidates=(make_candidate(0),)))
    )
    reader = read(text)
    assert reader.problems == []
    assert reader.n_scripts == plain.n_scripts
    assert "<script>alert" not in text
    assert text.count("&lt;script&gt;alert") > 5


def test_analogues_stand_beside_the_candidate_with_letters_or_without(page):
    section = page[page.index("<template") : page.index("</template>")]
    part = section[section.index("Known analogues") : section.index("Phonons</h3>")]
    assert "letters not at hand" in part
    bare = part[part.index("mp-3") :]
    assert bare.index("0.123") < bare.index("</tr>")
    assert "From minerals, 12 crystals." in part
    assert part.index("known-1") < part.index("known-2") < part.index("mp-3")


def test_a_candidate_without_analogues_says_what_was_looked_through():
    data = make_data(has_figures=False)
    place = data.candidates[3]
    text = render_analogues(data, place)
    assert f"No known crystal of exactly {place.chemsys} was found" in text
    assert data.analogues_from in text
    unknown = replace(data, evidence={})
    assert "--known DATASET" in render_analogues(unknown, place)


def test_values_of_decisions_have_the_unit_of_their_stage():
    verdicts = [
        {"stage": "hull distance", "verdict": "pass", "value": 0.02, "threshold": 0.1},
        {"stage": "chgnet phonon", "verdict": "pass", "value": -0.3, "threshold": -2.0},
    ]
    text = render_decisions(make_candidate(0, verdicts=verdicts))
    for words in ("0.02 eV/atom", "0.1 eV/atom", "\N{MINUS SIGN}0.3 THz"):
        assert words in text


def test_two_reports_of_the_same_data_are_the_same():
    data = make_data(n_relaxed=2)
    assert render_page(data) == render_page(data)


def test_simulated_numbers_carry_a_band():
    plain = render_page(make_data(n_relaxed=1, has_figures=False))
    assert '<p class="simulated">SIMULATED' not in plain
    made_up = make_candidate(0, is_simulated=True)
    text = render_page(make_data(has_figures=False, candidates=(made_up,)))
    assert text.count('<p class="simulated">SIMULATED') == 2  # of page and section
    assert ">SIM<" in text.replace(" SIM", "SIM")


def test_what_is_not_known_is_said_not_drawn():
    data = ReportData("empty", NOW, "0.1.0")
    text = render_page(data)
    assert read(text).problems == []
    for words in (
        "No stage has finished yet",
        "There are no candidates yet",
        "No candidate has both a prediction and a computed value",
        "No candidate was held against the hull",
        "No DFT bands have been computed yet",
        "No genes and no model were found",
        "has no latent space",
        "without a campaign",
    ):
        assert words in text
    assert 'class="figure"' not in text


def test_a_candidate_without_evidence_says_so():
    bare = make_candidate(0, "Na:a O:b", is_relaxed=False)
    text = render_page(make_data(has_figures=False, candidates=(bare,), evidence={}))
    for words in (
        "It was not relaxed",
        "Nobody looked",
        "Phonons were not computed",
        "No DFT bands",
    ):
        assert words in text


def test_a_large_page_leaves_out_the_last_sections_and_stays_below_its_limit():
    data = make_data(n_relaxed=40, has_figures=False)
    whole = render_page(data)
    limit = len(whole.encode()) - 100_000
    less = render_page(data, most_bytes=limit)
    assert len(less.encode()) <= limit
    kept = re.findall(r'<template id="t-(\w+)"', less)
    assert 0 < len(kept) < 42
    assert kept == [item.gene_id for item in data.candidates[: len(kept)]]
    assert less.count("<tr data-id=") == 42


def test_a_thousand_candidates_fit():
    """Sections weighed one by one: none is faked, only not all are put together."""
    from wyckflow.report.page.candidate import render_candidate

    data = make_data(n_relaxed=6)
    sizes = [len(render_candidate(data, item, {}).encode()) for item in data.candidates]
    assert 1000 * np.mean(sizes[1:6]) < 12e6


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(DocumentError, match="cannot be written"):
        write_page(
            make_data(n_relaxed=1, has_figures=False), tmp_path / "none" / "x.html"
        )


def test_the_file_holds_what_was_rendered(tmp_path):
    data = make_data(n_relaxed=1, has_figures=False)
    seen = []
    size = write_page(data, tmp_path / "x.html", report=seen.append)
    assert Path(tmp_path / "x.html").stat().st_size == size
    assert seen == [1, 2, 3]


# --- parts --------------------------------------------------------------------------


def test_markup_escapes_all_but_markup():
    assert tag("td", "<b>", Html("<i>x</i>"), None, 3) == "<td>&lt;b&gt;<i>x</i>3</td>"
    assert (
        tag("a", "x", href='"', hidden=True, id=None) == '<a href="&quot;" hidden>x</a>'
    )
    assert tag("input", type="text") == '<input type="text">'
    assert tag("i", data_v=1.5, class_="a") == '<i data-v="1.5" class="a"></i>'
    assert join(["<", Html("<br>")], ", ") == "&lt;, <br>"
    assert 'class="number"' in table(["a"], [["<1>"]], numbers=(0,))


def test_the_viewer_gets_the_structure_as_it_is():
    gene = WyckoffGene.from_text("225 Na:a Cl:b")
    structure = make_structure(gene)
    sent = json.loads(viewer_json(structure.as_dict(), "NaCl"))
    rows = np.array(sent["atoms"]).reshape(-1, 4)
    again = Structure(
        sent["cell"], [sent["symbols"][int(row[0])] for row in rows], rows[:, 1:]
    )
    assert again.matches(structure)
    assert ((rows[:, 1:] >= 0) & (rows[:, 1:] < 1)).all()


def test_elements_have_the_colours_that_chemists_know():
    found = json.loads(element_table(["O", "Na", "C"]))
    assert found["O"][0] == "#ff0d0d"  # red, as in Jmol
    assert found["C"] == ["#909090", pytest.approx(0.76, abs=0.05), 0]
    assert found["Na"][1] > found["O"][1]


def test_the_cif_of_a_section_is_the_structure():
    text = render_page(make_data(n_relaxed=1, has_figures=False))
    cif = re.search(r'<script type="text/plain"[^>]*>(.*?)</script>', text, re.DOTALL)[
        1
    ]
    packed = re.search(r'id="operations">(.*?)</script>', text)[1]
    cif = cif.replace("@operations@", json.loads(packed)["225"])
    found = Structure.from_str(cif, fmt="cif")
    assert found.matches(make_structure(WyckoffGene.from_text("225 Na:a Cl:b")))


def test_operations_are_held_once_for_all_of_a_space_group():
    text = render_page(make_data(has_figures=False))
    assert text.count("-x, -y, -z") == 1
    assert text.count("@operations@") == 6 + 1  # once per crystal, and in the script


def test_letters_stand_side_by_side_and_differences_are_marked():
    candidate = make_candidate(1)  # KBr beside NaCl
    evidence = make_evidence(candidate, 1)
    text = render_page(
        make_data(
            has_figures=False,
            candidates=(candidate,),
            evidence={candidate.gene_id: evidence},
        )
    )
    row = re.search(r"<tr><td>4a</td>(.*?)</tr>", text)[1]
    assert row == '<td>K</td><td><em class="other">Na</em></td>'
    assert "<code>221 Na:a Cl:b</code>" in text
