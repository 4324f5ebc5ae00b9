"""One simulated run: from the files of a folder to the files of VASP."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from wyckflow.errors import WyckflowError
from wyckflow.vasp.simulator.bands import make_bands
from wyckflow.vasp.simulator.engine import ENGINES, move_atoms
from wyckflow.vasp.simulator.faults import (
    SEGMENTATION_FAULT,
    Faults,
    describe_brmix,
    describe_crash,
    truncate,
)
from wyckflow.vasp.simulator.inputs import SimulatedFailureError, read_inputs
from wyckflow.vasp.simulator.texts import write_oszicar, write_outcar, write_structures
from wyckflow.vasp.simulator.vasprun import write_vasprun

if TYPE_CHECKING:
    from collections.abc import Sequence

VERSION: Final = "6.4.2-SIMULATED"
"""What every result says; from version 6 on, VASP writes squares of THz."""

_SHOWN: Final = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as ``vasp_std`` would, in the working directory; return its exit code.

    Parameters
    ----------
    arguments
        Of the command line; those of the process if None.
    """
    parser = argparse.ArgumentParser(
        prog="wyckflow-vasp-simulator",
        description="Stand in for VASP in the working directory. Not VASP, no DFT: "
        "everything it writes says SIMULATED.",
    )
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        default="toy",
        help="where energies and forces come from (default: a toy potential)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME:TIMES",
        help="fail so often in each folder, such as brmix:1 or crash:1",
    )
    parser.add_argument(
        "--count-in",
        type=Path,
        metavar="FOLDER",
        help="count all runs in this folder instead of each job's in its own",
    )
    parser.add_argument(
        "--spare",
        type=int,
        default=0,
        metavar="N",
        help="let the first N runs pass before anything fails",
    )
    options = parser.parse_args(arguments)
    folder = Path.cwd()
    try:
        faults = Faults(
            options.count_in or folder, options.fault, n_spared=options.spare
        )
        return simulate(folder, engine=options.engine, faults=faults)
    except WyckflowError as error:
        frame = "-" * 77
        _say(f" {frame}\n|  {error}\n {frame}")
        return 1


def simulate(
    folder: Path, *, engine: str = "toy", faults: Faults | Sequence[str] = ()
) -> int:
    """Write the results of a run into its folder; return the exit code.

    Parameters
    ----------
    folder
        With the inputs of VASP.
    engine
        Where energies and forces come from.
    faults
        Failures to inject, such as ``brmix:1``, counted in the folder.

    Raises
    ------
    SimulatedFailureError
        Where VASP would refuse the inputs.
    """
    began = time.perf_counter()
    wanted = faults if isinstance(faults, Faults) else Faults(folder, faults)
    if wanted.strikes("crash"):
        describe_crash()
        return SEGMENTATION_FAULT
    _say(f" vasp.{VERSION} (SIMULATED by wyckflow, not VASP)")
    try:
        inputs = read_inputs(folder)
    except (OSError, ValueError) as error:
        raise SimulatedFailureError(f"ERROR: {error}") from error
    _say(
        " running    1 mpi-ranks, on    1 nodes\n POSCAR found :"
        f"{len(inputs.symbols):3d} types and {len(inputs.structure):6d} ions"
    )
    if wanted.strikes("brmix"):
        _say(describe_brmix())
        return 0
    motion = move_atoms(inputs, engine)
    last = motion.steps[-1].structure
    bands = make_bands(inputs, last, motion.moments)
    vasprun = folder / "vasprun.xml"
    is_converged = not wanted.strikes("unconverged")
    write_vasprun(vasprun, VERSION, inputs, motion, bands, is_converged=is_converged)
    if wanted.strikes("truncated"):
        truncate(vasprun)
    if wanted.strikes("silent"):
        vasprun.unlink()
    lines = write_oszicar(folder / "OSZICAR", inputs, motion)
    write_structures(folder, inputs, last)
    seconds = time.perf_counter() - began
    write_outcar(folder / "OUTCAR", VERSION, inputs, motion, bands, seconds=seconds)
    _say("\n".join(lines[-_SHOWN:]))
    is_relaxed = inputs.is_relaxation and motion.is_finished
    _say(
        " reached required accuracy - stopping structural energy minimisation"
        if is_relaxed
        else " writing wavefunctions"
    )
    return 0


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
