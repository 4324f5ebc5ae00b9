"""Small jobs for real workers; imported by their processes through PYTHONPATH."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jobflow import Flow, JobConfig, Maker, OnMissing, Response, job
from pydantic import Field
from pymongo.errors import AutoReconnect

from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._running import got_on
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.blob import pack_arrays


class ToyDoc(WyckflowDoc):
    """A number and some bulk."""

    value: int = Field(description="A number.")
    blob: bytes | None = Field(default=None, description="Packed arrays.")


@dataclass
class ToyMaker(Maker):
    """Multiply by ten, slowly if wanted, and leave a line in a file."""

    name: str = "gene screen"
    seconds: float = 0.0
    diary: str | None = None
    breaks_off: bool = False
    needs_room_at: str | None = None
    keeps: bool = False

    @wyckflow_job(ToyDoc)
    def make(self, value: int) -> ToyDoc:
        if self.diary:
            with Path(self.diary).open("a") as stream:
                stream.write(f"start {value}\n")
        if self.keeps:
            got_on()
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            time.sleep(0.02)
        if self.diary:
            with Path(self.diary).open("a") as stream:
                stream.write(f"end {value}\n")
        if self.breaks_off:
            raise AutoReconnect("as when the server is killed")
        if self.needs_room_at:
            with Path(self.needs_room_at).open("wb", buffering=0) as stream:
                stream.write(bytes(1 << 20))
        if value < 0:
            raise ValueError(f"{value=} is negative")
        arrays = {"x": np.arange(1000) * value}
        return ToyDoc(value=10 * value, blob=pack_arrays(arrays))


@job(config=JobConfig(on_missing_references=OnMissing.NONE, pass_manager_config=False))
def collect(parts):
    return {"values": parts}


@dataclass
class FanMaker(Maker):
    """Fan out at run time: GPU children and a collector."""

    name: str = "gene generate"
    part: ToyMaker = field(default_factory=lambda: ToyMaker(name="chgnet relax"))
    n_parts: int = 3

    @job(config=JobConfig(pass_manager_config=False))
    def make(self) -> Response:
        parts = [self.part.make(i) for i in range(self.n_parts)]
        gather = collect([part.output.value for part in parts])
        gather.name = "hull distance"
        return Response(replace=Flow([*parts, gather], output=gather.output))


@job(config=JobConfig(pass_manager_config=False))
def make_unlabelled():
    """Create a job whose name no routing table knows."""
    child = collect([1])
    child.name = "somebody else's analysis"
    return Response(replace=child)


@job
def kill_worker():
    """End the process that runs this, as a crash would."""
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)
