"""Known phases from the Materials Project, which a stand-in answers for here."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
from pymatgen.entries.computed_entries import ComputedEntry

from wyckflow.thermo.source import load_reference

pytestmark = pytest.mark.mongo

TITLES = {"Fe": "PAW_PBE Fe_pv 02Aug2007", "O": "PAW_PBE O 08Apr2002"}


def entry(formula, energy, name, **data):
    """Return an entry as mp-api returns it; with U where there is iron in an oxide."""
    elements = [symbol for symbol in TITLES if symbol in formula]
    has_u = len(elements) > 1
    parameters = {
        "run_type": "GGA+U" if has_u else "GGA",
        "is_hubbard": has_u,
        "hubbards": {"Fe": 5.3, "O": 0.0} if has_u else {},
        "potcar_spec": [{"titel": TITLES[s], "hash": None} for s in elements],
    }
    return ComputedEntry(
        formula, energy, parameters=parameters, data=data, entry_id=name
    )


OXIDE = {"oxide_type": "oxide", "oxidation_states": {"Fe": 2, "O": -2}}


@pytest.fixture
def asked(monkeypatch):
    """Stand in for mp-api; return what it was asked."""
    asked = []

    class Rester:
        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

        def get_entries_in_chemsys(self, system, additional_criteria):
            asked.append((system, additional_criteria))
            if system == "O":
                return []
            return [
                entry("Fe", -8.0, "mp-13"),
                entry("O2", -10.0, "mp-1"),
                entry("FeO", -13.0, "mp-2", **OXIDE),
            ]

        def get_database_version(self):
            return "2026.11.01"

    module = ModuleType("mp_api.client")
    module.MPRester = Rester
    monkeypatch.setitem(sys.modules, "mp_api", ModuleType("mp_api"))
    monkeypatch.setitem(sys.modules, "mp_api.client", module)
    return asked


def test_phases_go_where_jobs_find_them(asked, project, wyckflow, monkeypatch):
    monkeypatch.chdir(project.folder)
    words = ["--chemsys", "Fe-O", "-s", "O-Fe", "--entries", "kept.json.gz"]
    done = wyckflow("hull", "fetch", "mp", *words)
    assert done.code == 0, done.err
    assert "Materials Project 2026.11.01" in done.out
    criteria = {"thermo_types": ["GGA_GGA+U"]}
    assert asked == [("Fe-O", criteria)] * 2
    version = done.out.split()[-1]
    found = load_reference(version, folder=project.folder / "references")
    assert (len(found), str(found.scale), found.kind) == (3, "mp2020-gga-u", "total")
    assert found.provenance["thermo type"] == "GGA_GGA+U"
    # The oxide's correction of 2020 and that for iron with U, by hand.
    place = list(found.ids).index("mp-2")
    assert found.energies[place] == pytest.approx((-13.0 - 0.687 - 2.256) / 2)
    assert version in wyckflow("hull", "list").out
    # From the file that was kept, the same phases, and so the same version.
    again = wyckflow("hull", "import", "kept.json.gz")
    assert again.code == 0, again.err
    assert again.out.split()[-1] == version


def test_nothing_found_is_said(asked, project, wyckflow, monkeypatch):
    monkeypatch.chdir(project.folder)
    done = wyckflow("hull", "fetch", "mp", "-s", "O")
    assert done.code == 1
    assert "no GGA_GGA+U entry in O" in done.err


def test_without_a_key_it_says_where_to_get_one(asked, project, wyckflow, monkeypatch):
    def refuse():
        raise ValueError("Please obtain a valid API key")

    monkeypatch.chdir(project.folder)
    monkeypatch.setattr(sys.modules["mp_api.client"], "MPRester", refuse)
    done = wyckflow("hull", "fetch", "mp", "-s", "Fe-O")
    assert done.code == 1
    assert "MP_API_KEY" in done.err


def test_without_mp_api_it_says_what_to_install(project, wyckflow, monkeypatch):
    monkeypatch.chdir(project.folder)
    monkeypatch.setitem(sys.modules, "mp_api", None)
    done = wyckflow("hull", "fetch", "mp", "-s", "Fe-O")
    assert done.code == 1
    assert "wyckflow[mp]" in done.err
