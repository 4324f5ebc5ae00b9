"""The code blocks of a page, with what its comments tell the test about them.

Above a block stand comments that no reader sees, ``<!-- test: WORD ... -->``:

=========================  =====================================================
``project``                from here on in a project folder
``project with campaigns`` the same; oxides and my-first have run in it, small
``server``                 $MONGO_URI and $MONGO_PASSWORD are those of a server
``given genes.txt, runs``  files that the reader brings, made up by the test
``file NAME``              the block is the content of a file
``run``                    a Python block; all of them run as one, at the last
``first COMMAND``          something that the reader has done before
``read A as B``            a smaller form: B in the place of A
``add WORDS``              a smaller form: these words behind each command
``fails``                  the page shows an error, so the commands must fail
``background``             each worker has a terminal of its own
``wait``                   afterwards, workers in the background finish all jobs
``slow``                   takes long, even small: run with ``-m slow``
``skip because REASON``    cannot run in a test at all
=========================  =====================================================
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

WORDS = {
    "project",
    "server",
    "given",
    "file",
    "run",
    "first",
    "read",
    "add",
    "fails",
    "background",
    "wait",
    "slow",
    "skip",
}
COMMAND_LANGUAGES = ("console", "bash")

_PART = re.compile(
    r"^<!-- test: (?P<mark>.*?) -->$"
    r"|^```(?P<language>[\w{}-]*)[^\n]*\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass
class Block:
    """A code block, the line at which it begins, and its marks in their order."""

    language: str
    text: str
    line: int
    marks: list[tuple[str, str]] = field(default_factory=list)

    def has(self, word):
        return any(known == word for known, _ in self.marks)

    def values(self, word):
        return [value for known, value in self.marks if known == word]

    @property
    def skip_reason(self):
        """Why no test can run it, or None."""
        for value in self.values("skip"):
            return value.removeprefix("because").strip()
        return None

    def commands(self):
        """Return what is typed, in the smaller form if there is one."""
        if self.language not in COMMAND_LANGUAGES:
            return []
        lines = re.sub(r" \\\n\s*(?:> )?", " ", self.text).splitlines()
        if self.language == "console":
            lines = [line[2:] for line in lines if line.startswith("$ ")]
        found = [re.sub(r"\s+#\s.*$", "", line) for line in lines if line.strip()]
        return [self._smaller(line) for line in found]

    def _smaller(self, line):
        for value in self.values("read"):
            old, _, new = value.partition(" as")
            line = line.replace(old, new.strip())
        return " ".join([line, *self.values("add")])


def read_blocks(text):
    """Return the blocks of a page in their order."""
    found, marks = [], []
    for part in _PART.finditer(text):
        if part["mark"] is not None:
            word, _, value = part["mark"].partition(" ")
            if word not in WORDS:
                raise ValueError(f"no mark is called {word!r}; known: {sorted(WORDS)}")
            marks.append((word, value.strip()))
            continue
        line = text[: part.start()].count("\n") + 1
        found.append(Block(part["language"], part["text"], line, marks))
        marks = []
    if marks:
        raise ValueError(f"no block stands below {marks}")
    return found
