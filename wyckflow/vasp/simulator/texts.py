"""The simulator's OUTCAR, OSZICAR, CONTCAR, CHGCAR and WAVECAR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from pymatgen.io.vasp.inputs import Poscar

from wyckflow.vasp.simulator.vasprun import ENERGY_ERRORS

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pymatgen.core.structure import Structure

    from wyckflow.vasp.simulator.bands import Bands
    from wyckflow.vasp.simulator.engine import Motion, Snapshot
    from wyckflow.vasp.simulator.inputs import RunInputs

_CYCLES: Final = (
    "       N       E                     dE             d eps       ncg     rms"
    "          rms(c)"
)
_LINE: Final = " " + "-" * 83
_KBAR_ORDER: Final = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (2, 0))
_DENSITY_POINTS: Final = 8
_FIXED_DENSITY: Final = 10


def write_outcar(
    path: Path,
    version: str,
    inputs: RunInputs,
    motion: Motion,
    bands: Bands,
    *,
    seconds: float,
) -> None:
    """Write what pymatgen and custodian look for in OUTCAR.

    Parameters
    ----------
    path
        Where.
    version
        Of the program, which says SIMULATED.
    inputs, motion, bands
        Of the run.
    seconds
        That it took.
    """
    lines = [*_head(version, inputs)]
    for number, step in enumerate(motion.steps, 1):
        lines += _step_lines(number, step, inputs, motion, bands)
    lines += [
        "",
        " General timing and accounting informations for this job:",
        " ========================================================",
        "",
        f"                  Total CPU time used (sec): {seconds:12.3f}",
        f"                            User time (sec): {seconds:12.3f}",
        f"                          System time (sec): {0:12.3f}",
        f"                         Elapsed time (sec): {seconds:12.3f}",
        "",
        "                   Maximum memory used (kb):      100000.",
        "                   Average memory used (kb):          N/A",
    ]
    path.write_text("\n".join(lines) + "\n")


def write_oszicar(path: Path, inputs: RunInputs, motion: Motion) -> list[str]:
    """Write OSZICAR, and return its lines, which VASP also prints.

    Parameters
    ----------
    path
        Where.
    inputs, motion
        Of the run.
    """
    lines, first = [], motion.steps[0].energy
    for number, step in enumerate(motion.steps, 1):
        lines.append(_CYCLES)
        for cycle, error in enumerate(ENERGY_ERRORS, 1):
            lines.append(
                f"DAV: {cycle:3d}    {step.energy + error:20.12E}  {error:12.5E}  "
                f"{-error:12.5E}   100   {0.1**cycle:.3E}"
            )
        text = (
            f"{number:4d} F= {step.energy:.8E} E0= {step.energy:.8E}  "
            f"d E ={step.energy - first:.6E}"
        )
        if inputs.n_spins > 1:
            text += f"  mag= {motion.moments.sum():9.4f}"
        lines.append(text)
    path.write_text("\n".join(lines) + "\n")
    return lines


def write_structures(folder: Path, inputs: RunInputs, structure: Structure) -> None:
    """Write CONTCAR, an empty WAVECAR, and a flat CHGCAR where INCAR asks for one.

    Parameters
    ----------
    folder
        Of the run.
    inputs
        Of the run.
    structure
        At its end.
    """
    poscar = Poscar(structure)
    poscar.write_file(folder / "CONTCAR", significant_figures=16)
    (folder / "WAVECAR").touch()
    given = inputs.parameters
    if not given["LCHARG"] or given["ICHARG"] >= _FIXED_DENSITY:
        return
    n = _DENSITY_POINTS
    values = np.full((n**3 // 4, 4), float(given["NELECT"]))
    rows = [" ".join(f"{value:.10E}" for value in row) for row in values]
    (folder / "CHGCAR").write_text(
        "\n".join([poscar.get_str(), f"  {n} {n} {n}", *rows]) + "\n"
    )


def _head(version: str, inputs: RunInputs) -> Iterable[str]:
    """Yield the beginning of OUTCAR."""
    given, n_points = inputs.parameters, len(inputs.grid.points)
    yield f" vasp.{version} SIMULATED by wyckflow, not VASP"
    yield " running    1 mpi-ranks, with    1 threads/rank, on    1 nodes"
    yield ""
    yield " INCAR:"
    yield from (f"   {name} = {value}" for name, value in inputs.incar.items())
    yield from (f" POTCAR:    {title}" for title in inputs.titles)
    yield (
        f"   k-points           NKPTS = {n_points:6d}   k-points in BZ     "
        f"NKDIM = {n_points:6d}   number of bands    NBANDS= {given['NBANDS']:6d}"
    )
    yield f"   total plane-waves  NPLWV = {32**3:6d}"
    yield f"   ISPIN  = {inputs.n_spins:6d}    spin polarized calculation?"
    yield f"   NSW    = {given['NSW']:6d}    number of steps for IOM"
    yield f"   IBRION = {given['IBRION']:6d}    ionic relax"
    yield f"   NELECT = {given['NELECT']:12.4f}    total number of electrons"
    yield f"   LEPSILON= {'T' if given['LEPSILON'] else 'F'}"


def _step_lines(
    number: int, step: Snapshot, inputs: RunInputs, motion: Motion, bands: Bands
) -> Iterable[str]:
    """Yield one ionic step of OUTCAR."""
    for cycle in range(1, len(ENERGY_ERRORS) + 1):
        yield f"\n{'-' * 39} Iteration {number:6d}({cycle:4d})  {'-' * 39}"
        yield "  entropy T*S    EENTRO =         0.00000000"
    yield f"{'-' * 24} aborting loop because EDIFF is reached {'-' * 40}"
    yield ""
    yield f" E-fermi : {bands.fermi:9.4f}     XC(G=0): -10.0000     alpha+bet :-10.0000"
    yield ""
    yield from _charge_lines(inputs, motion)
    stress = "".join(f"{step.stress_kbar[place]:12.5f}" for place in _KBAR_ORDER)
    pressure = float(np.trace(step.stress_kbar)) / 3
    yield f"  in kB  {stress}"
    yield f"  external pressure = {pressure:10.2f} kB  Pullay stress =  0.00 kB"
    yield " POSITION                                       TOTAL-FORCE (eV/Angst)"
    yield _LINE
    for place, force in zip(step.structure.cart_coords, step.forces, strict=True):
        where = "".join(f"{value:13.5f}" for value in place)
        yield f" {where}    " + "".join(f"{value:14.6f}" for value in force)
    yield _LINE
    drift = "".join(f"{value:14.6f}" for value in step.forces.sum(axis=0))
    yield f"    total drift:                               {drift}"
    yield ""
    yield "  FREE ENERGIE OF THE ION-ELECTRON SYSTEM (eV)"
    yield "  ---------------------------------------------------"
    yield f"  free  energy   TOTEN  = {step.energy:18.8f} eV"
    yield ""
    yield (
        f"  energy  without entropy= {step.energy:18.8f}  "
        f"energy(sigma->0) = {step.energy:18.8f}"
    )


def _charge_lines(inputs: RunInputs, motion: Motion) -> Iterable[str]:
    """Yield charges and, with spin, moments of the atoms."""
    n_atoms, n_electrons = len(motion.moments), float(inputs.parameters["NELECT"])
    tables = [("total charge", np.full(n_atoms, n_electrons / n_atoms))]
    if inputs.n_spins > 1:
        tables.append(("magnetization (x)", motion.moments))
    for title, values in tables:
        yield f"\n {title}\n"
        yield "# of ion       s       p       d       tot"
        yield "-" * 42
        for number, value in enumerate(values, 1):
            yield f"{number:5d}     {0:8.3f}{0:8.3f}{value:8.3f}{value:8.3f}"
        total = float(np.sum(values))
        yield "-" * 42
        yield f"tot       {0:8.3f}{0:8.3f}{total:8.3f}{total:8.3f}"
        yield ""
    total = float(motion.moments.sum())
    yield f" number of electron {n_electrons:14.7f} magnetization {total:14.7f}"
