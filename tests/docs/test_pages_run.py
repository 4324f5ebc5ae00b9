"""Every command that a page shows is typed, in the page's order, as readers do it.

Each page has a folder of its own. A block that no test can run says why, in a comment
above it, and appears here as skipped with that reason.
"""

from __future__ import annotations

import pytest
from given_things import make_thing
from page_blocks import read_blocks
from page_runner import REPOSITORY, PageError

MOST_SKIPPED = 10
"""Commands in all pages; a page that shows what nobody can try teaches little."""

PAGES = sorted(
    page for page in (REPOSITORY / "docs").rglob("*.md") if "_build" not in page.parts
)
BLOCKS = {page: read_blocks(page.read_text()) for page in PAGES}


def runs(block):
    return block.has("run") or block.has("file") or block.commands()


def is_code_of_a_guide(block):
    """These are run by ``test_guides_run.py``, but for those that cannot."""
    return block.language == "python" and block.skip_reason is not None


def name_of(page):
    return str(page.relative_to(REPOSITORY / "docs").with_suffix(""))


WITH_COMMANDS = [page for page in PAGES if any(map(runs, BLOCKS[page]))]
WITH_SLOW = [p for p in WITH_COMMANDS if any(b.has("slow") for b in BLOCKS[p])]
SKIPPED = [
    pytest.param(block, id=f"{name_of(page)}:{block.line}")
    for page in PAGES
    for block in BLOCKS[page]
    if block.skip_reason is not None
]


@pytest.fixture
def read_page(open_terminal, go_to_project, name_server, shelf, tmp_path):
    """Do what a page says."""

    def prepare(block, terminal):
        if block.has("project"):
            go_to_project(terminal, filled="with campaigns" in block.values("project"))
        if block.has("server"):
            name_server(terminal)
        for name in [
            name for names in block.values("given") for name in names.split(", ")
        ]:
            make_thing(name, terminal.folder, shelf)
        for command in block.values("first"):
            terminal.type(command)
        for name in block.values("file"):
            (terminal.folder / name).write_text(block.text)

    def read(blocks, *, with_slow):
        terminal = open_terminal(tmp_path / "reader")
        (terminal.folder / "examples").symlink_to(REPOSITORY / "examples")
        done = [b for b in blocks if not b.skip_reason]
        done = [b for b in done if with_slow or not b.has("slow")]
        scripts = [block for block in done if block.has("run")]
        for block in done:
            prepare(block, terminal)
            if block in scripts[-1:]:
                whole = "\n".join(script.text for script in scripts)
                (terminal.folder / "script.py").write_text(whole)
                terminal.type("python script.py")
            follow(block, terminal)
        terminal.close()

    return read


def follow(block, terminal):
    """Type the commands of a block; a block that is a file is there already."""
    fails, background = block.has("fails"), block.has("background")
    for command in block.commands() if not block.has("file") else []:
        terminal.type(command, fails=fails, background=background)
    if block.has("wait"):
        terminal.let_workers_finish()


@pytest.mark.mongo
@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("pages")
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_a_page_does_what_it_says(page, read_page):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    read_page(BLOCKS[page], with_slow=False)


@pytest.mark.slow
@pytest.mark.mongo
@pytest.mark.timeout(3600)
@pytest.mark.xdist_group("pages")
@pytest.mark.parametrize("page", WITH_SLOW, ids=name_of)
def test_a_page_does_what_it_says_also_where_that_takes_long(page, read_page):
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    read_page(BLOCKS[page], with_slow=True)


@pytest.mark.parametrize("block", SKIPPED)
def test_a_block_that_is_not_run_says_why(block):
    assert len(block.skip_reason) > len("because")
    pytest.skip(block.skip_reason)


def test_few_commands_are_not_run():
    blocks = [block for found in BLOCKS.values() for block in found]
    all_of_them = [line for block in blocks for line in block.commands()]
    skipped = [
        line for block in blocks if block.skip_reason for line in block.commands()
    ]
    assert len(all_of_them) > 5 * len(skipped)
    assert len(skipped) <= MOST_SKIPPED, skipped


def test_marks_stand_at_blocks_with_something_to_do():
    for page, blocks in BLOCKS.items():
        marked = [block for block in blocks if block.marks and not runs(block)]
        idle = [block.line for block in marked if not is_code_of_a_guide(block)]
        assert idle == [], page


GOOD = """
<!-- test: given genes.txt -->

```console
$ cp genes.txt "two words.txt"  # a comment
$ cd .. && mkdir -p deeper; cd deeper
$ export WORD=heard
```

```text
$ never-typed
```

<!-- test: read -n 5000 as -n 3 -->
<!-- test: add -o - -->
```console
$ test "$WORD" = heard -a 3 = 3
```
"""


def test_a_page_keeps_folder_variables_and_smaller_forms(open_terminal, tmp_path):
    blocks = read_blocks(GOOD)
    assert [block.line for block in blocks] == [4, 10, 16]
    assert blocks[2].commands()[0].endswith("-o -")
    terminal = open_terminal(tmp_path / "reader")
    (terminal.folder / "genes.txt").write_text("225 Na:a Cl:b\n")
    for command in blocks[0].commands():
        terminal.type(command)
    assert (tmp_path / "reader" / "two words.txt").exists()
    assert terminal.folder == tmp_path / "deeper"
    assert terminal.env["WORD"] == "heard"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("wyckflow relax none.cif -o out", "none.cif"),
        ("false", "ended with 1"),
        ("wyckflow screen none.txt > verdicts.txt", "none.txt"),
        ("python none.py", "none.py"),
    ],
)
def test_a_command_that_fails_fails_the_page(open_terminal, tmp_path, line, said):
    terminal = open_terminal(tmp_path / "reader")
    with pytest.raises(PageError, match=said):
        terminal.type(line)
    terminal.type(line, fails=True)


def test_a_command_that_should_have_failed_fails_the_page(open_terminal, tmp_path):
    with pytest.raises(PageError, match="ended with 0"):
        open_terminal(tmp_path / "reader").type("wyckflow version", fails=True)


@pytest.mark.parametrize("mark", ["skipped because", "sometimes"])
def test_a_mark_that_nobody_knows_is_refused(mark):
    with pytest.raises(ValueError, match="no mark is called"):
        read_blocks(f"<!-- test: {mark} -->\n```console\n$ true\n```\n")
