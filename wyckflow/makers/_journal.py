"""Phases that are computed already, on disk, so that a run can be taken up again.

The first line names the work by its content: the input files, the options and the
network. Another run on the same file finds its own work there, or is refused.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final, Self

from wyckflow.errors import ConfigurationError
from wyckflow.makers._phases import Phase, compute_phases, file_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from wyckflow.makers._phases import PhaseOptions
    from wyckflow.relax.backends import Backend
    from wyckflow.relax.intake import Entry

FORMAT: Final = 1
_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Journal:
    """A file with one phase per line.

    Attributes
    ----------
    path
        The file.
    work
        What decides the energies: plain values, as in JSON.
    """

    path: Path
    work: Mapping[str, Any]

    @classmethod
    def of_work(cls, folder: Path, work: Mapping[str, Any]) -> Self:
        """Return the journal of some work, in a file named by it.

        Parameters
        ----------
        folder
            Where journals lie.
        work
            What decides the energies.
        """
        text = json.dumps(dict(work), sort_keys=True)
        name = sha256(text.encode()).hexdigest()[:_DIGITS]
        return cls(folder / f"hull-reference-{name}.jsonl", work)

    def run(
        self,
        entries: Iterable[Entry],
        backend: Backend,
        options: PhaseOptions,
        report: Callable[[float], None] | None = None,
    ) -> Iterator[Phase]:
        """Compute what is not there yet, keep it, and yield everything.

        Parameters
        ----------
        entries
            All of the work, the finished ones among them.
        backend
            What relaxes.
        options
            How.
        report
            Told how many are done, with fractions.
        """
        done = self.load()
        yield from done.values()
        waiting = (
            entry for entry in entries if (file_of(entry), entry.name) not in done
        )

        def tell(n_new: float) -> None:
            if report is not None:
                report(len(done) + n_new)

        tell(0)
        for phases in compute_phases(waiting, backend, options, tell):
            self.add(phases)
            yield from phases

    def load(self) -> dict[tuple[str, str], Phase]:
        """Return the phases of an earlier run by source and id.

        A line that a kill cut short is passed over.

        Raises
        ------
        ConfigurationError
            If the file is of other work.
        """
        try:
            lines = self.path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return {}
        if not lines or _read_json(lines[0]) != self._header:
            raise ConfigurationError(
                f"{self.path} is what another run left, with other files, options or "
                "another network; remove it, or name another output."
            )
        phases = [Phase(**row) for line in lines[1:] if (row := _read_json(line))]
        return {(phase.source, phase.id): phase for phase in phases}

    def add(self, phases: Iterable[Phase]) -> None:
        """Keep phases, safe from a kill once this returns.

        Parameters
        ----------
        phases
            New ones.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self.path.exists()
        with self.path.open("a", encoding="utf-8") as stream:
            # A newline first, since the last line may have been cut short.
            stream.write(json.dumps(self._header) + "\n" if is_new else "\n")
            stream.writelines(json.dumps(asdict(phase)) + "\n" for phase in phases)
            stream.flush()
            os.fsync(stream.fileno())

    def remove(self) -> None:
        """Remove the file, the work being done."""
        self.path.unlink(missing_ok=True)

    @property
    def _header(self) -> dict[str, Any]:
        # Through JSON, so that it equals what is read back.
        header: dict[str, Any] = json.loads(
            json.dumps({"format": FORMAT, "work": dict(self.work)})
        )
        return header


def _read_json(line: str) -> dict[str, Any] | None:
    """Return the object of a line, or None if it is none."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None
