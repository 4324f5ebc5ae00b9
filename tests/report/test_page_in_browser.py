"""The page in a real browser: it sorts, filters, turns crystals, and fits phones."""

from __future__ import annotations

import pytest
from pymatgen.core import Structure
from report_things import make_data

from wyckflow.report.page.render import write_page

AT_LEAST = "\N{GREATER-THAN OR EQUAL TO} "
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "salts.html"
    write_page(make_data(), path)
    return path.as_uri()


@pytest.fixture
def open_page(browser, address):
    """Open the page; whatever the browser complains about fails the test."""
    contexts, complaints = [], []

    def start(**options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda line: (
                complaints.append(line.text)
                if line.type in {"error", "warning"}
                else None
            ),
        )
        page.on(
            "request",
            lambda request: (
                complaints.append(request.url)
                if not request.url.startswith(("file:", "data:", "blob:"))
                else None
            ),
        )
        page.goto(address)
        return page

    yield start
    for context in contexts:
        context.close()
    assert complaints == []


def column(page, place):
    """Texts of a column of the rows that are shown."""
    cells = page.locator(f"#list tbody tr:visible td:nth-child({place})")
    return [text.removeprefix(AT_LEAST) for text in cells.all_inner_texts()]


def head(page, name):
    names = [one.split("\n")[0] for one in page.locator("#list th").all_inner_texts()]
    return names.index(name) + 1


def test_a_click_on_a_head_sorts_numbers_as_numbers_unknown_ones_last(open_page):
    page = open_page()
    place = head(page, "above hull")
    button = page.locator(f"#list th:nth-child({place}) button")
    button.click()
    rising = column(page, place)
    assert rising[:6] == sorted(rising[:6], key=float)
    assert rising[6:] == ["\N{EN DASH}"] * 2
    button.click()
    assert column(page, place)[:6] == rising[5::-1]
    assert column(page, place)[6:] == ["\N{EN DASH}"] * 2
    sorted_by = page.locator(f"#list th:nth-child({place})")
    assert sorted_by.get_attribute("aria-sort") == "descending"
    page.locator("#list th:nth-child(1) button").click()
    names = column(page, 1)
    assert names == sorted(names, key=str.lower)


def test_filters_narrow_the_table_and_can_be_undone(open_page):
    page = open_page()
    page.fill("#search", "te pb")
    assert column(page, 1) == ["TePb"]
    assert page.inner_text("#shown") == "1 of 8 shown"
    page.click("text=show all")
    page.wait_for_function("document.getElementById('shown').textContent[0] === '8'")
    page.select_option("#stop", "charge neutrality")
    assert len(column(page, 1)) == 2
    page.select_option("#stop", "nowhere")
    page.fill("#hull", "0.01")
    assert sorted(column(page, 1)) == ["KBr", "NaCl"]


def test_a_stage_of_the_funnel_opens_and_leads_to_those_it_stopped(open_page):
    page = open_page()
    page.click("summary:has-text('charge neutrality')")
    assert page.is_visible("text=no allowed <charges>")
    page.click("text=Those in the table")
    assert len(column(page, 1)) == 2


def pixels(page):
    """The picture of the viewer as the browser holds it."""
    return page.evaluate("document.querySelector('.viewer canvas').toDataURL()")


def test_a_crystal_can_be_turned_enlarged_and_repeated(open_page):
    page = open_page()
    page.click("#list >> text=NaCl")
    page.wait_for_selector(".viewer canvas")
    assert page.is_hidden("#overview")
    pictures = [pixels(page)]
    box = page.locator(".viewer canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 60, y + 20)
    page.mouse.up()
    pictures.append(pixels(page))
    page.click("[aria-label=larger]")
    pictures.append(pixels(page))
    page.click("[aria-label='number of cells']")
    pictures.append(pixels(page))
    page.focus(".viewer canvas")
    page.keyboard.press("ArrowLeft")
    pictures.append(pixels(page))
    assert len(set(pictures)) == len(pictures)
    n_atoms = page.evaluate("document.querySelector('.viewer').viewer.atoms.length")
    assert n_atoms == 125  # of 2 x 2 x 2 cells, with all that lie on their borders
    legend = page.locator(".viewer .atom").all_inner_texts()
    assert legend == ["Na", "Cl"]


def test_bonds_join_neighbours_alone(open_page):
    page = open_page()
    page.click("#list >> text=NaCl")
    bonds = page.evaluate(
        """() => { const v = document.querySelector('.viewer').viewer;
        return v.bonds.map(([i, j]) => [v.atoms[i].symbol, v.atoms[j].symbol].sort()
          .join('')); }"""
    )
    assert set(bonds) == {"ClNa"}
    assert len(bonds) == 54  # 3 x 3 x 3 points, two steps along each of 27 lines


def test_files_that_are_downloaded_hold_the_crystal(open_page, tmp_path):
    page = open_page()
    page.click("#list >> text=NaCl")
    found = []
    for words in ("Download CIF", "Download POSCAR"):
        with page.expect_download() as waiting:
            page.click(f"text={words}")
        path = tmp_path / waiting.value.suggested_filename
        waiting.value.save_as(path)
        kind = "cif" if path.suffix == ".cif" else "poscar"
        found.append(Structure.from_str(path.read_text(), fmt=kind))
    assert found[0].matches(found[1])
    assert found[0].get_space_group_info()[1] == 225
    assert found[1].lattice.a == pytest.approx(5.6)


def test_addresses_lead_to_candidates_and_back(open_page, address):
    page = open_page()
    page.fill("#search", "mgo")
    page.click("#list tbody tr:visible td:nth-child(2)")
    assert page.inner_text("#detail h2").startswith("MgO")
    kept = page.url
    page.click("text=all candidates")
    assert page.is_visible("#list")
    assert page.input_value("#search") == "mgo"
    page.goto(kept)
    assert page.inner_text("#detail h2").startswith("MgO")
    page.goto(f"{address}#c-nothing")
    assert page.is_visible("text=is not in this page")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_all_without_scrolling_sideways(open_page, scheme):
    page = open_page(
        viewport=PHONE, is_mobile=True, has_touch=True, color_scheme=scheme
    )
    width = "document.documentElement.scrollWidth"
    assert page.evaluate(width) <= PHONE["width"]
    page.tap("#list >> text=NaCl")
    page.wait_for_selector(".viewer canvas")
    assert page.evaluate(width) <= PHONE["width"]
    sizes = page.evaluate(
        """() => [...document.querySelectorAll('#detail p, #detail td, #detail dd')]
        .map((one) => parseFloat(getComputedStyle(one).fontSize))"""
    )
    assert min(sizes) >= 12


def luminance(colour):
    parts = [int(one) / 255 for one in colour.removeprefix("rgb(")[:-1].split(",")[:3]]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_paper(open_page, scheme):
    """By the rule of WCAG 2: a contrast of 4.5 for text."""
    page = open_page(color_scheme=scheme)
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    for place in (
        "body",
        ".note",
        "nav a",
        ".mark.good",
        ".mark.bad",
        "svg.figure text",
    ):
        style = "fill" if place.startswith("svg") else "color"
        ink = page.evaluate(
            f"getComputedStyle(document.querySelector('{place}')).{style}"
        )
        pair = sorted((luminance(paper), luminance(ink)))
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, place


def test_the_theme_can_be_chosen(open_page):
    page = open_page(color_scheme="light")
    paper = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(paper)
    page.click("#theme")
    assert page.evaluate(paper) != before
    page.click("#theme")
    assert page.evaluate(paper) == before
