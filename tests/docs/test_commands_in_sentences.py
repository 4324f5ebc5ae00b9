"""Commands that sentences, help texts and messages tell people to give can be given.

Those in the blocks of pages are typed by ``test_pages_run.py``; nobody types these.
"""

from __future__ import annotations

import ast
import re
import shlex

import pytest
import typer
from page_blocks import read_blocks
from page_runner import REPOSITORY

from wyckflow.cli.main import app

PAGES = sorted(
    page
    for page in [
        *REPOSITORY.glob("*.md"),
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "benchmarks").glob("*.md"),
    ]
    if "_build" not in page.parts and page.name != "CHANGELOG.md"
)
ROOT = typer.main.get_command(app)

_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_IN_PAGE = re.compile(r"`(wyckflow [a-z][^`]*)`")
_IN_MESSAGE = re.compile(r"""(?<!\w)'(wyckflow [a-z][^']*)'|`(wyckflow [a-z][^`]*)`""")
_IN_HELP = re.compile(r"^(?:Example|Then): (wyckflow .*?)$", re.MULTILINE)
_STEP = re.compile(r"^ {4}(?:.* && )?(wyckflow .*?) {2,}\w", re.MULTILINE)
_BETWEEN = re.compile(r"&&|;|\||, or ")


def find_command(words):
    """Return the command that the words name, and what is left of them."""
    command, rest = ROOT, list(words)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    return command, rest


def find_fault(line, *, is_mention_fine):
    """Return why a command cannot be given as it stands, or nothing.

    The name of a command alone, and a line that ends in the name of an option, only
    mention it.
    """
    words = [word for word in shlex.split(line)[1:] if word != "--traceback"]
    command, rest = find_command(words)
    if hasattr(command, "commands"):
        return "" if not rest or rest[0] in {"COMMAND", "--help"} else "no such command"
    options = {
        name
        for option in command.params
        for name in (*option.opts, *option.secondary_opts)
    }
    for word in rest:
        if re.match("--?[a-z]", word) and word.partition("=")[0] not in options:
            return f"no option {word}"
    if is_mention_fine and (not rest or rest[-1].startswith("-")):
        return ""
    parser = command.make_parser(command.context_class(command))
    values, surplus, _ = parser.parse_args(rest)
    missing = [
        option.name
        for option in command.params
        if option.required and not has_value(values.get(option.name))
    ]
    return f"{surplus=}, {missing=}" if surplus or missing else ""


def has_value(found):
    """Return whether a parser found something; what stands for nothing is no text."""
    return isinstance(found, str) or (isinstance(found, list | tuple) and bool(found))


def faults_of(lines, *, is_mention_fine=False):
    """Return what cannot be given, with the reason."""
    found = {}
    for line in lines:
        for part in map(str.strip, _BETWEEN.split(" ".join(line.split()))):
            if part.startswith("wyckflow "):
                fault = find_fault(part, is_mention_fine=is_mention_fine)
                found |= {part: fault} if fault else {}
    return found


def list_helps(command):
    """Yield the help of a command and of all below it, without its line ends."""
    yield re.sub(r"(?<=\S)\n(?=\S)", " ", command.help or "")
    for child in getattr(command, "commands", {}).values():
        yield from list_helps(child)


def texts_of(source):
    """Yield every text of a module; what is put in when it runs is an X."""
    parts_of_others = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            parts_of_others |= set(map(id, node.values))
            yield "".join(
                part.value if isinstance(part, ast.Constant) else "X"
                for part in node.values
            )
        elif isinstance(node, ast.Constant) and id(node) not in parts_of_others:
            yield str(node.value)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(REPOSITORY)))
def test_a_command_within_a_sentence_can_be_given(page):
    sentences = re.sub("<!--.*?-->", "", _BLOCK.sub("", page.read_text()))
    assert faults_of(_IN_PAGE.findall(sentences), is_mention_fine=True) == {}


def test_a_block_that_no_test_runs_can_be_given():
    skipped = [
        line
        for page in PAGES
        for block in read_blocks(page.read_text())
        if block.skip_reason is not None
        for line in block.commands()
    ]
    assert any(line.startswith("wyckflow ") for line in skipped)
    assert faults_of(skipped) == {}


def test_the_examples_of_help_texts_can_be_given():
    shown = [line for text in list_helps(ROOT) for line in _IN_HELP.findall(text)]
    assert len(shown) > len(ROOT.commands)
    assert faults_of(shown) == {}


def test_the_first_steps_can_be_taken_one_after_the_other():
    steps = [shlex.split(line) for line in _STEP.findall(app.info.help)]
    assert {"init", "worker", "status"} <= {words[1] for words in steps}
    assert faults_of(map(shlex.join, steps)) == {}
    (written,) = [words[-1] for words in steps if words[1:3] == ["campaign", "new"]]
    (sent,) = [words[-1] for words in steps if words[1] == "submit"]
    assert written == sent


def test_what_messages_tell_to_give_can_be_given():
    shown = []
    for path in sorted((REPOSITORY / "wyckflow").rglob("*.py")):
        source = path.read_text()
        if re.search("['`]wyckflow [a-z]", source):
            for text in texts_of(source):
                shown += [one or other for one, other in _IN_MESSAGE.findall(text)]
    assert len(shown) > len(PAGES)
    assert faults_of(shown, is_mention_fine=True) == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wyckflow worker start", "category"),
        ("wyckflow init --uri mongodb://...", "folder"),
        ("wyckflow status oxides other", "other"),
        ("wyckflow candidates --elements Pb", "--elements"),
        ("wyckflow campaigns show", "no such command"),
    ],
)
def test_a_command_that_cannot_be_given_is_found(line, said):
    assert said in faults_of([line])[line]
