"""The simulator's vasprun.xml, in the layout that VASP 6 writes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import numpy as np
from pymatgen.core import Element

from wyckflow.vasp.simulator.inputs import count_valence

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import ArrayLike, NDArray
    from pymatgen.core.structure import Structure

    from wyckflow.vasp.simulator.bands import Bands
    from wyckflow.vasp.simulator.engine import Motion, Snapshot
    from wyckflow.vasp.simulator.inputs import RunInputs

Node = ET.Element

_PARTS = (
    "alphaZ",
    "ewald",
    "hartreedc",
    "XCdc",
    "pawpsdc",
    "pawaedc",
    "eentropy",
    "bandstr",
    "atom",
)
_RESPONSE_CYCLES = 10
"""Cycles per displacement that linear response adds to the list."""

ENERGY_ERRORS = (1.0, 1e-2, 1e-5, 0.0)
"""What each cycle is above the final energy, eV."""


def write_vasprun(
    path: Path,
    version: str,
    inputs: RunInputs,
    motion: Motion,
    bands: Bands,
    *,
    is_converged: bool = True,
) -> None:
    """Write the file.

    Parameters
    ----------
    path
        Where.
    version
        Of the program, which says SIMULATED.
    inputs, motion, bands
        Of the run.
    is_converged
        Whether the electrons converged before NELM cycles were over.
    """
    root = Node("modeling")
    generator = _add(root, "generator")
    for name, text in (("program", "vaspsim"), ("version", version)):
        _add(generator, "i", text, name=name, type="string")
    _add(generator, "i", "SIMULATED", name="platform", type="string")
    _add_values(_add(root, "incar"), inputs.incar)
    _add_kpoints(root, inputs)
    _add_values(_add(root, "parameters"), inputs.parameters)
    _add_atoms(root, inputs)
    _add_structure(root, motion.steps[0].structure, name="initialpos")
    for step in motion.steps:
        calculation = _add_step(root, step, inputs, is_converged=is_converged)
        if step is motion.steps[-1]:
            _add_eigenvalues(calculation, bands)
            _add_dos(calculation, bands, inputs)
            if motion.dynamical_matrix is not None:
                _add_modes(calculation, motion.dynamical_matrix)
    _add_structure(root, motion.steps[-1].structure, name="finalpos")
    ET.indent(root, " ")
    ET.ElementTree(root).write(path, encoding="ISO-8859-1")


def _add(parent: Node, tag: str, text: str | None = None, **attributes: str) -> Node:
    node = ET.SubElement(parent, tag, attributes)
    node.text = text
    return node


def _row(values: Iterable[float]) -> str:
    return " " + " ".join(f"{value:16.8f}" for value in values) + " "


def _add_rows(parent: Node, rows: ArrayLike, tag: str = "v") -> None:
    for row in np.asarray(rows, float):
        _add(parent, tag, _row(np.atleast_1d(row)))


def _add_array(parent: Node, name: str, rows: ArrayLike) -> None:
    _add_rows(_add(parent, "varray", name=name), rows)


def _add_values(parent: Node, values: dict[str, Any]) -> None:
    """Add settings by their kind."""
    for name, value in values.items():
        if isinstance(value, bool):
            _add(parent, "i", "T" if value else "F", name=name, type="logical")
        elif isinstance(value, (int, np.integer)):
            _add(parent, "i", str(int(value)), name=name, type="int")
        elif isinstance(value, (float, np.floating)):
            _add(parent, "i", f"{float(value):16.8f}", name=name)
        elif isinstance(value, (list, tuple)):
            are_whole = all(isinstance(item, int) for item in value)
            kind = {"type": "int"} if are_whole else {}
            words = [str(x) if are_whole else f"{float(x):14.8f}" for x in value]
            _add(parent, "v", " ".join(words), name=name, **kind)
        else:
            _add(parent, "i", str(value), name=name, type="string")


def _add_kpoints(root: Node, inputs: RunInputs) -> None:
    grid, node = inputs.grid, _add(root, "kpoints")
    if grid.style != "Reciprocal":
        generation = _add(node, "generation", param=grid.style)
        divisions = " ".join(map(str, grid.divisions))
        _add(generation, "v", divisions, name="divisions", type="int")
        _add(generation, "v", "0 0 0", name="usershift")
    _add_array(node, "kpointlist", grid.points)
    _add_array(node, "weights", grid.weights[:, None])


def _add_atoms(root: Node, inputs: RunInputs) -> None:
    """Add which atoms there are; pymatgen reads five columns per kind."""
    info = _add(root, "atominfo")
    _add(info, "atoms", str(len(inputs.structure)))
    _add(info, "types", str(len(inputs.symbols)))
    each = _add(_add(info, "array", name="atoms"), "set")
    for site in inputs.structure:
        row = _add(each, "rc")
        _add(row, "c", f"{site.specie.symbol:2s}")
        _add(row, "c", str(inputs.symbols.index(site.specie.symbol) + 1))
    kinds = _add(_add(info, "array", name="atomtypes"), "set")
    blocks = zip(inputs.symbols, inputs.counts, inputs.titles, strict=True)
    for symbol, count, title in blocks:
        row, mass = _add(kinds, "rc"), float(Element(symbol).atomic_mass)
        texts = (str(count), f"{symbol:2s}", f"{mass:.8f}")
        for text in (*texts, f"{count_valence(symbol):.8f}", f" {title} "):
            _add(row, "c", text)


def _add_structure(parent: Node, structure: Structure, name: str = "") -> None:
    node = _add(parent, "structure", **({"name": name} if name else {}))
    crystal, lattice = _add(node, "crystal"), structure.lattice
    _add_array(crystal, "basis", lattice.matrix)
    _add(crystal, "i", f"{lattice.volume:16.8f}", name="volume")
    _add_array(crystal, "rec_basis", lattice.inv_matrix.T)
    _add_array(node, "positions", structure.frac_coords)


def _add_energy(parent: Node, energy: float, *, has_parts: bool = False) -> None:
    node = _add(parent, "energy")
    for name in _PARTS if has_parts else ():
        _add(node, "i", f"{0:16.8f}", name=name)
    for name in ("e_fr_energy", "e_wo_entrp", "e_0_energy"):
        _add(node, "i", f"{energy:16.8f}", name=name)


def _add_step(
    root: Node, step: Snapshot, inputs: RunInputs, *, is_converged: bool
) -> Node:
    """Add an ionic step; its last cycle and its energy agree, as pymatgen expects."""
    node = _add(root, "calculation")
    for error in ENERGY_ERRORS:
        cycle = _add(node, "scstep")
        _add_energy(cycle, step.energy + error, has_parts=error in {0.0, 1.0})
    if not is_converged:
        for _ in range(int(inputs.parameters["NELM"]) - len(ENERGY_ERRORS)):
            _add_energy(_add(node, "scstep"), step.energy)
    elif inputs.is_linear_response:
        for _ in range(_RESPONSE_CYCLES * 3 * len(step.structure)):
            _add_energy(_add(node, "scstep"), step.energy)
    _add_structure(node, step.structure)
    _add_array(node, "forces", step.forces)
    _add_array(node, "stress", step.stress_kbar)
    _add_energy(node, step.energy)
    return node


def _add_eigenvalues(parent: Node, bands: Bands) -> None:
    array = _add(_add(parent, "eigenvalues"), "array")
    for name in ("eigene", "occ"):
        _add(array, "field", name)
    spins = _add(array, "set")
    pairs = zip(bands.energies, bands.occupations, strict=True)
    for spin, (energies, occupations) in enumerate(pairs, 1):
        points = _add(spins, "set", comment=f"spin {spin}")
        for at, rows in enumerate(np.stack([energies, occupations], axis=-1), 1):
            _add_rows(_add(points, "set", comment=f"kpoint {at}"), rows, "r")


def _add_dos(parent: Node, bands: Bands, inputs: RunInputs) -> None:
    """Add the density of states, without which nobody reads the Fermi level."""
    node = _add(parent, "dos")
    _add(node, "i", f"{bands.fermi:16.8f}", name="efermi")
    array = _add(_add(node, "total"), "array")
    for name in ("energy", "total", "integrated"):
        _add(array, "field", name)
    spins, given = _add(array, "set"), inputs.parameters
    width = max(float(given["SIGMA"]), 0.05)
    tables = bands.density_of_states(inputs.grid.weights, int(given["NEDOS"]), width)
    for spin, table in enumerate(tables, 1):
        _add_rows(_add(spins, "set", comment=f"spin {spin}"), table, "r")


def _add_modes(parent: Node, matrix: NDArray[np.float64]) -> None:
    """Add the modes; their squares in THz^2, as from version 6 on."""
    values, vectors = np.linalg.eigh(matrix)
    node = _add(parent, "dynmat")
    _add(node, "i", "THz^2", name="unit", type="string")
    _add_array(node, "hessian", matrix)
    _add(node, "v", _row(values), name="eigenvalues")
    _add_array(node, "eigenvectors", vectors.T)
