"""One Python for all pages, what readers bring, and a database with small campaigns."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from page_runner import ForkingPython, PageRunner  # noqa: E402 (found by the above)

EXAMPLES = Path(__file__).parents[2] / "examples"
OXIDES = """\
name: oxides
target:
  elements_only: [Sr, Ti, O]
  elements_all: [Sr, Ti, O]
  space_groups: "221"
generate: {keep_known: true}
n_genes: 5
screen: {name: all, filters: [uniqueness]}
relax: {n_trials: 1}
phonon: {min_length: 4.0}
budget: {relaxations: 5}
"""


@pytest.fixture(scope="session")
def forking_python():
    """Starts commands without importing everything anew."""
    python = ForkingPython()
    yield python
    python.close()


@pytest.fixture(scope="session")
def shelf(tmp_path_factory):
    """Where the things that readers bring are made, once each."""
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def open_terminal(forking_python, tmp_path):
    """Open a terminal in a folder, with a home of its own."""
    opened = []

    def start(folder):
        home = tmp_path / f"home-{len(opened)}"
        home.mkdir()
        folder.mkdir(exist_ok=True)
        opened.append(PageRunner(forking_python, folder, home))
        return opened[-1]

    yield start
    for terminal in opened:
        terminal.abandon()
    for files in tmp_path.rglob("launchpad.yaml"):
        if (files.parent / "database").exists():
            start(files.parent).type("wyckflow db stop")


@pytest.fixture(scope="session")
def recorded_campaigns():
    """What the database holds once the small campaigns have run."""
    return {}


@pytest.fixture
def go_to_project(recorded_campaigns, request):
    """Go to a project; two small campaigns have run in it if it is to be filled."""

    def go(terminal, *, filled):
        project = request.getfixturevalue("project")
        database = request.getfixturevalue("database")
        terminal.folder = project.folder
        if not filled:
            return
        with database.client() as client:
            store = client[database.name]
            if not recorded_campaigns:
                run_campaigns(terminal)
                for name in store.list_collection_names():
                    recorded_campaigns[name] = list(store[name].find())
                return
            for name, documents in recorded_campaigns.items():
                if documents:  # put back what came out the first time
                    store[name].delete_many({})
                    store[name].insert_many(documents)

    return go


@pytest.fixture
def name_server(request):
    """Say in a terminal where a MongoDB with users is, and its password."""

    def name(terminal):
        server = request.getfixturevalue("mongo_server")
        user, _, rest = server.uri.removeprefix("mongodb://").partition(":")
        password, _, place = rest.partition("@")
        terminal.env["MONGO_URI"] = f"mongodb://{user}@{place}"
        terminal.env["MONGO_PASSWORD"] = unquote(password)

    return name


def run_campaigns(terminal):
    """Run oxides in one process, and my-first with workers."""
    (terminal.folder / "oxides.yaml").write_text(OXIDES)
    terminal.type("wyckflow submit oxides.yaml --local")
    terminal.type(f"python {EXAMPLES / 'submit_demo.py'}")
    for kind in ("cpu", "gpu"):
        terminal.type(f"wyckflow worker start --category {kind}", background=True)
    terminal.let_workers_finish()
    terminal.type("wyckflow build")
