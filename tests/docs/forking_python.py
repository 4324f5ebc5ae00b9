"""A Python that has read the heavy packages once and forks a process per command.

A command of ``wyckflow`` spends most of its time on importing. This program does that
once, then reads a line of JSON per request from its input: how a process is to be
started, or whose end to wait for. The process is a copy that calls what the installed
``wyckflow`` calls, in a folder and an environment of its own. FireWorks, which takes
its configuration from the environment when it is imported, is left to the copies.
"""

import gc
import json
import os
import runpy
import signal
import sys
import time
import traceback
from importlib import import_module
from pathlib import Path

HEAVY = ("matplotlib.pyplot", "pandas", "torch", "chgnet.model", "pyxtal", "phonopy")


def main():
    import wyckflow.cli.main  # noqa: F401 (and most of wyckflow with it)

    for name in HEAVY:
        try:
            import_module(name)
        except ImportError:
            continue
    gc.freeze()
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = {"code": wait(request["wait"], request["patience_s"])}
        else:
            answer = {"pid": start(request)}
        print(json.dumps(answer), flush=True)


def wait(number, patience_s):
    """Return how a process ended; one that takes too long is killed with its own."""
    limit = time.monotonic() + patience_s
    while True:
        ended, status = os.waitpid(number, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > limit:
            os.killpg(number, signal.SIGKILL)
            os.waitpid(number, 0)
            return "nothing: it took too long and was killed"
        time.sleep(0.02)


def start(request):
    """Fork, and return the number of the process."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        code = become(request)
    except BaseException:  # noqa: BLE001 (a process ends here, as Python would end it)
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def become(request):
    """Run a command, or a script, in a process that knows nothing of the others."""
    os.setsid()
    out = os.open(request["out"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (out, 1), (out, 2)):
        os.dup2(source, target)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["folder"])
    program, *words = request["argv"]
    try:
        if program == "wyckflow":
            from wyckflow.cli.main import run

            sys.argv = ["wyckflow", *words]
            run()
        else:
            sys.argv = words
            sys.path.insert(0, str(Path(words[0]).resolve().parent))
            runpy.run_path(words[0], run_name="__main__")
    except SystemExit as leave:
        if isinstance(leave.code, str):
            print(leave.code, file=sys.stderr)
        return leave.code if isinstance(leave.code, int) else int(bool(leave.code))
    return 0


if __name__ == "__main__":
    main()
