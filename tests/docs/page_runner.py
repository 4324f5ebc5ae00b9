"""Types the commands of a page, one after the other, as its reader would."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from wyckflow.store.project import load_project

REPOSITORY = Path(__file__).parents[2]
PATIENCE_S = 900.0
"""For one command: far more than any takes, also on a crowded machine."""

MAKE_ONLY_SAYS = f"make -n -C {REPOSITORY}"
"""What ``make`` does is what this test is part of; so it is asked what it would do."""


class PageError(AssertionError):
    """A page shows something that does not work."""


def split_words(line):
    """Split a line as a shell does; signs of the shell become words of their own."""
    parser = shlex.shlex(line, posix=True, punctuation_chars=True)
    parser.whitespace_split = True
    return list(parser)


def can_fork(words):
    """Say whether a line is one call of ours, at most with its output into a file."""
    signs = {word for word in words if set(word) <= set("();<>|&")}
    into_a_file = signs == {">"} and words[-2] == ">"
    is_script = words[0] == "python" and words[1].endswith(".py")
    ours = words[0] == "wyckflow" or is_script
    return ours and "$" not in "".join(words) and (not signs or into_a_file)


class ForkingPython:
    """Starts commands in processes of their own, without importing anything anew."""

    def __init__(self):
        program = Path(__file__).with_name("forking_python.py")
        self._process = subprocess.Popen(
            [sys.executable, str(program)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "200", "MPLBACKEND": "Agg"},
        )

    def start(self, argv, *, folder, env, out):
        request = {"argv": argv, "folder": str(folder), "env": env, "out": str(out)}
        return self._ask(request)["pid"]

    def wait(self, number):
        return self._ask({"wait": number, "patience_s": PATIENCE_S})["code"]

    def close(self):
        self._process.stdin.close()
        self._process.wait()

    def _ask(self, request):
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


class PageRunner:
    """A terminal: a folder, an environment, and what runs in the background."""

    def __init__(self, python, folder, home):
        self.python, self.folder, self.home = python, Path(folder), Path(home)
        self.out = self.home / "out.txt"
        self.env = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME", str(self.home)),
            "COLUMNS": "200",
            "MPLBACKEND": "Agg",
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": "1",
            "VENV": sys.prefix,
            "REPOSITORY": str(REPOSITORY),
        }
        self.background, self.n_terminals = [], 0

    def type(self, line, *, fails=False, background=False):
        """Run one line; its end must be as the page says."""
        line = re.sub(r"^make\b", MAKE_ONLY_SAYS, line)
        words = split_words(line)
        out = self.out
        out.unlink(missing_ok=True)
        if not can_fork(words):
            code = self._bash(line)
        else:
            if ">" in words:
                *words, _, name = words
                out = self.folder / name
                out.unlink(missing_ok=True)
            is_worker = words[:2] == ["wyckflow", "worker"]
            if background and is_worker:
                self.n_terminals += 1
                out = self.home / f"terminal-{self.n_terminals}.txt"
            number = self.python.start(words, folder=self.folder, env=self.env, out=out)
            if background and is_worker:
                self.background.append((line, number, out))
                return
            code = self.python.wait(number)
        if bool(code) != fails:
            raise PageError(f"$ {line}\n{self._said(out)}\nended with {code}")

    def let_workers_finish(self):
        """Wait until no job is open, then press Ctrl-C in every terminal."""
        database = load_project(self.folder).database()
        limit = time.monotonic() + PATIENCE_S
        with database.client() as client:
            jobs = client[database.name].fireworks
            open_states = {"state": {"$in": ["WAITING", "READY", "RUNNING"]}}
            looks = 0
            while looks < 3:  # a child becomes ready a moment after its parent
                looks = 0 if jobs.count_documents(open_states) else looks + 1
                if time.monotonic() > limit:
                    said = [self._said(out) for *_, out in self.background]
                    raise PageError(f"jobs stay open; workers said\n{said}")
                time.sleep(0.5)
            fizzled = jobs.count_documents({"state": "FIZZLED"})
        self.close()
        if fizzled:
            raise PageError(f"{fizzled} jobs failed")

    def close(self):
        """Press Ctrl-C in every terminal; a worker leaves in peace."""
        while self.background:
            line, number, out = self.background.pop()
            self._wait_for_a_word(out)
            os.kill(number, signal.SIGINT)
            if code := self.python.wait(number):
                raise PageError(f"$ {line} &\n{self._said(out)}\nended with {code}")

    def abandon(self):
        """Kill what a page that failed has left in the background."""
        while self.background:
            _, number, _ = self.background.pop()
            os.killpg(number, signal.SIGKILL)
            self.python.wait(number)

    @staticmethod
    def _wait_for_a_word(out):
        """Wait until a worker says something: from then on it hears Ctrl-C."""
        limit = time.monotonic() + PATIENCE_S
        while not (out.exists() and out.stat().st_size):
            if time.monotonic() > limit:
                raise PageError("a worker said nothing")
            time.sleep(0.1)

    def _bash(self, line):
        """Run a line of the shell, and keep its folder and variables."""
        kept = self.home / "kept"
        script = (
            f"{line}\ncode=$?\n(pwd; env -0) > {shlex.quote(str(kept))}\nexit $code"
        )
        with self.out.open("w") as out:
            done = subprocess.run(
                ["/bin/bash", "-c", script],
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                timeout=PATIENCE_S,
            )
        if kept.exists():
            where, _, variables = kept.read_text().partition("\n")
            self.folder = Path(where)
            pairs = [item.partition("=") for item in variables.split("\0") if item]
            self.env = {name: value for name, _, value in pairs}
        return done.returncode

    @staticmethod
    def _said(path):
        return path.read_text()[-3000:] if path.exists() else "(nothing was said)"
