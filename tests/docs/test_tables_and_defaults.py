"""Tables of pages name all that there is, and numbers in sentences are the defaults."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields

from page_runner import REPOSITORY

DOCS = REPOSITORY / "docs"


def read_tables(page):
    """Yield head and rows of each table of a page."""
    blocks = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
    text = blocks.sub("", (DOCS / f"{page}.md").read_text())
    for part in re.findall(r"(?:^ *\|.*\|\n)+", text, re.MULTILINE):
        head, _, *rows = (
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
            for line in part.splitlines()
        )
        yield head, rows


def rows_of(page, head):
    """Return the rows of the one table that begins with these heads."""
    tables = read_tables(page)
    (rows,) = [rows for found, rows in tables if found[: len(head)] == head]
    return rows


def names_in(page, *head, column=0):
    """Return the names in a column of the table that begins with these heads."""
    cells = [row[column] for row in rows_of(page, list(head))]
    return {name for cell in cells for name in re.findall("`([^`]+)`", cell)}


def options_of(kind):
    """Return the options of a dataclass, but for its name."""
    return {field.name for field in fields(kind)} - {"name"}


def test_the_extras_are_all_in_the_table():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = {*project["optional-dependencies"]} - {"dev"}
    assert names_in("user/install", "Extra") == extras


def test_the_collections_with_an_index_are_in_the_table():
    from wyckflow.store.indexes import OUR_INDEXES

    collections = {index.collection for index in OUR_INDEXES}
    assert collections <= names_in("user/concepts", "Collection")


def test_each_end_of_a_relaxation_is_in_the_tables():
    from wyckflow.relax.free import Verdict
    from wyckflow.relax.result_folder import REFUSED
    from wyckflow.schemas.relaxation import Outcome

    failures = {*Outcome} - {Outcome.CONVERGED}
    assert names_in("user/troubleshooting", "Outcome") == failures
    ends = {*Outcome, REFUSED} - {Outcome.DROPPED}  # the best start is never dropped
    assert names_in("user/relax", "outcome") == ends
    assert names_in("user/relax", "symmetry") == {*Verdict}


def test_each_verdict_is_in_the_tables():
    from wyckflow.schemas.dft import RunMark
    from wyckflow.schemas.electronic import FitQuality
    from wyckflow.schemas.phonon import LatticeStability
    from wyckflow.schemas.screening import Verdict
    from wyckflow.screening.novelty import NoveltyLevel

    levels = {level.name.lower() for level in NoveltyLevel}
    assert names_in("user/dft", "mark") == {*RunMark}
    assert names_in("user/hull", "Verdict") == {*Verdict}
    assert names_in("user/masses", "quality") == {*FitQuality}
    assert names_in("user/novelty", "level", column=1) == levels
    assert names_in("user/phonons", "verdict") == {*LatticeStability}
    assert names_in("user/screening", "answer") == {*Verdict}


def test_each_option_and_choice_is_in_the_tables():
    from wyckflow.makers.hull import HullMaker
    from wyckflow.ml.forward.representation import REPRESENTATIONS
    from wyckflow.ml.sampling.options import Method
    from wyckflow.schemas.campaign import Budget, DftRequest
    from wyckflow.thermo.bundled import BUNDLED_REFERENCES

    methods = {*Method} - {Method.AUTO}
    assert names_in("user/campaigns", "In the file") == {*Budget.model_fields}
    asked = names_in("user/dft", "in the section `dft`", "default")
    assert asked == {*DftRequest.model_fields}
    assert names_in("user/forward", "`representation`") == {*REPRESENTATIONS}
    assert names_in("user/generate", "`--method`") == methods
    assert names_in("user/how-stable", "scale") == {*BUNDLED_REFERENCES}
    assert names_in("user/hull", "Field") == options_of(HullMaker)


def test_each_filter_is_in_the_table_with_its_options():
    from wyckflow.screening.filters import FILTERS
    from wyckflow.screening.presets import PRESETS

    assert names_in("user/screening", "name") == {*PRESETS}
    assert names_in("user/screening", "filter") == {*FILTERS}
    charges = FILTERS["charge_neutrality"]
    assert names_in("user/screening", "option") == options_of(charges)
    for name, options, _ in rows_of("user/screening", ["filter", "options"]):
        if options != "see below":
            kind = FILTERS[name.strip("`")]
            assert set(re.findall("`(.+?)`", options)) == options_of(kind), name


def assert_said(page, *sentences):
    """Hold sentences with the numbers that hold against a page."""
    text = " ".join((DOCS / f"{page}.md").read_text().split())
    assert [words for words in sentences if words not in text] == []


def test_the_times_of_workers_are_those_of_the_settings():
    from wyckflow.settings import WyckflowSettings
    from wyckflow.store.worker.room import LEAST_FREE_MB

    here = WyckflowSettings.model_construct()
    look_s, silence_s = here.recovery_period_s, here.rerun_after_s
    assert_said(
        "user/workers",
        f"a sign of life every {here.heartbeat_s:g} s",
        f"every worker looks every {look_s:g} s",
        f"After {silence_s:g} s of silence its job is given to another",
        f"cut off or stopped for more than {silence_s:g} s",
        f"while less than {LEAST_FREE_MB:g} MB are free",
    )
    assert_said("user/campaigns", f"between its jobs, every {look_s:g} s at most")
    assert_said(
        "dev/scaling",
        f"| look for lost jobs | each worker, every {look_s:g} s |",
        f"1,000 workers look {1000 / look_s:.0f} times a second",
    )


def test_the_limits_of_a_plan_are_those_of_its_maker():
    from wyckflow.makers.plan import PlanMaker
    from wyckflow.makers.propose import N_TRIALS, ProposeMaker

    plan, budget = PlanMaker, ProposeMaker.budget
    assert_said(
        "dev/scaling",
        f"| shards of a round | {plan.max_shards}, ",
        f"| genes of a shard | {plan.max_genes_per_shard}, ",
    )
    sees = f"The default of {budget} sees {budget // N_TRIALS}"
    assert_said("tutorials/2-structure-of-a-formula", sees)


def test_the_limits_of_a_relaxation_are_its_options():
    from wyckflow.relax.contract import RelaxOptions
    from wyckflow.relax.free import FreeOptions

    relax, free = RelaxOptions(), FreeOptions()
    assert_said(
        "user/relax",
        f"(`--symprec`, {relax.symprec:g} Å)",
        f"until no force is above {relax.fmax:g} eV/Å",
        f"no stress above {relax.max_stress_gpa:g} GPa",
        f"shaken by {free.kick:g} Å and its cell by {100 * free.strain:g} %",
        f"gained at least {1000 * free.min_gain:g} meV/atom",
        f"the cell has more than {free.max_atoms} atoms",
        f"below {free.relax.fmax:g} eV/Å is not seen",
    )


def test_the_limits_of_phonons_are_their_options():
    from wyckflow.makers.dispersion import DispersionMaker
    from wyckflow.makers.lattice import LatticeStabilityMaker
    from wyckflow.relax.phonon.options import PhononOptions

    chgnet = PhononOptions()
    # Classes, since making one imports atomate2.
    gamma, zone = LatticeStabilityMaker, DispersionMaker
    assert_said(
        "user/phonons",
        f"no mode is below -{chgnet.tolerance_thz:g} THz",
        f"is below -{chgnet.reject_thz:g} THz (`--reject`)",
        f"at least {chgnet.min_length:g} Å from its images",
        f"has {chgnet.max_atoms} atoms or fewer",
        f"a force above {chgnet.max_force:g} eV/Å",
        f"a stress above {chgnet.max_stress_gpa:g} GPa is not judged",
        f"Displacements are {chgnet.displacement:g} Å",
    )
    assert_said(
        "user/dft",
        f"any other mode below -{gamma.tolerance_thz:g} THz",
        f"A mode below -{zone.tolerance_thz:g} THz at a wave vector",
        f"more than {zone.max_runs}, or {zone.max_atoms} atoms",
    )


def test_the_windows_of_masses_and_the_hull_are_their_options():
    from wyckflow.electronic.analyse import ElectronicOptions
    from wyckflow.makers.hull import HullMaker

    masses = ElectronicOptions()
    assert_said(
        "user/masses",
        f"within {masses.valley_window:g} eV of an edge (`--valley-window`)",
        f"within {1000 * masses.degeneracy:g} meV of each other",
        f"Up to {masses.fit_window:g} eV from the edge (`--fit-window`)",
        f"at {masses.temperature:g} K (`--temperature`)",
    )
    assert_said("user/hull", f"that passes, {HullMaker.threshold:g} eV/atom")
