"""What the documentation shows exists: commands, options, files, names in Python."""

from __future__ import annotations

import ast
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest
import typer
import yaml

import wyckflow
from wyckflow.cli.main import app
from wyckflow.resources import CATEGORY_BY_JOB_NAME, GLUE_JOB
from wyckflow.settings import WyckflowSettings

REPOSITORY = Path(wyckflow.__file__).parents[1]
PAGES = sorted(
    page
    for page in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    if "_build" not in page.parts
)
PLACEHOLDERS = {"COMMAND", "--help"}

each_page = pytest.mark.parametrize(
    "page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY))
)


def blocks(page, *languages):
    """Return the code blocks of a page in some languages."""
    pattern = rf"^```(?:{'|'.join(languages)})\n(.*?)^```"
    return re.findall(pattern, page.read_text(), re.DOTALL | re.MULTILINE)


def shown_commands(page, program):
    """Return every call of a program, in blocks and within sentences."""
    lines = "\n".join(blocks(page, "console", "bash", "")).splitlines()
    lines += re.findall(r"`([^`\n]+)`", page.read_text())
    for line in lines:
        text = re.sub(r"\s#\s.*$", "", line).removeprefix("$ ").replace("exec ", "")
        for part in re.split(r"&&|;", text):
            if re.match(rf"\s*{program}(\s|$)", part):
                yield shlex.split(part)


def find_command(words):
    """Return the command that the words name, and what is left of them."""
    command, rest = typer.main.get_command(app), list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


def test_pages_are_found():
    assert REPOSITORY / "docs" / "user" / "install.md" in PAGES


@each_page
def test_every_command_shown_exists_with_its_options(page):
    for words in shown_commands(page, "wyckflow"):
        rest = [word for word in words[1:] if word != "--traceback"]
        if not rest or set(rest) & PLACEHOLDERS:
            continue
        command, left = find_command(rest)
        options = {name for option in command.params for name in option.opts}
        if hasattr(command, "commands"):
            assert not left, f"{shlex.join(words)}: no such command"
        for word in left:
            if word.startswith("-"):
                assert word.split("=")[0] in options, shlex.join(words)


@each_page
def test_every_make_target_shown_exists(page):
    targets = re.findall(
        r"^([a-z]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE
    )
    for words in shown_commands(page, "make"):
        assert set(words[1:]) <= set(targets), shlex.join(words)


@each_page
def test_every_import_shown_works(page):
    for block in blocks(page, "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("wyckflow"):
                module = import_module(node.module)
                for name in node.names:
                    assert hasattr(module, name.name), ast.unparse(node)


@each_page
def test_every_setting_shown_exists(page):
    text = page.read_text()
    known = {f"WYCKFLOW_{name.upper()}" for name in WyckflowSettings.model_fields}
    assert set(re.findall(r"\bWYCKFLOW_[A-Z_]+[A-Z]\b", text)) <= known
    for block in blocks(page, "yaml"):
        if "# wyckflow.yaml" in block:
            assert set(yaml.safe_load(block)) <= set(WyckflowSettings.model_fields)


@each_page
def test_every_example_file_shown_exists(page):
    folders = (REPOSITORY / "examples", REPOSITORY / "examples" / "queues")
    present = {path.name for folder in folders for path in folder.iterdir()}
    shown = re.findall(r"\b(?:slurm|pbs)_\w+\.(?:yaml|txt)\b", page.read_text())
    shown += re.findall(r"\bexamples/(\w+\.py)\b", page.read_text())
    assert set(shown) <= present


def test_links_of_the_top_pages_lead_somewhere():
    """Sphinx checks those below docs; nobody else checks these."""
    for page in REPOSITORY.glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (REPOSITORY / target).exists(), f"{page.name}: {target}"


def test_the_table_of_jobs_is_the_one_that_routes():
    page = (REPOSITORY / "docs" / "user" / "workers.md").read_text()
    rows = re.findall(r"^\| (`.+`) \| `(gpu|cpu|vasp)` \|$", page, re.MULTILINE)
    shown = {
        name: category
        for names, category in rows
        for name in re.findall("`(.+?)`", names)
    }
    ours = {k: v for k, v in CATEGORY_BY_JOB_NAME.items() if k != GLUE_JOB}
    assert shown == ours


@pytest.mark.parametrize(
    "page", sorted((REPOSITORY / "docs" / "user").glob("*.md")), ids=lambda p: p.stem
)
def test_a_page_for_users_begins_with_what_it_is_good_for(page):
    _, paragraph, *_ = page.read_text().split("\n\n")
    assert paragraph.startswith("After this page you")
