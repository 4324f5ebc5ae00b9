"""From relaxed crystals to verdicts on their lattices, none in the way of another."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from wyckflow.relax.evaluate import evaluate_structures
from wyckflow.relax.guards import find_unsupported_elements
from wyckflow.relax.network import QuotientNetwork
from wyckflow.relax.phonon.analysis import CrystalPhonons, analyse_crystal, refuse
from wyckflow.relax.phonon.crystal_cell import find_primitive_cell
from wyckflow.relax.phonon.forces import compute_forces, find_problem
from wyckflow.relax.phonon.lattice_dynamics import list_displacements, set_up_phonons
from wyckflow.relax.phonon.options import PhononOptions
from wyckflow.relax.phonon.supercell import choose_supercell
from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.relax.phonon.crystal_cell import CrystalCell
    from wyckflow.relax.phonon.forces import ForceTask, TaskForces
    from wyckflow.relax.phonon.supercell import Supercell
    from wyckflow.relax.potential import Potential

logger = logging.getLogger(__name__)

_ATOMS_AT_ONCE_CPU: Final = 500
_ATOMS_AT_ONCE_GPU: Final = 20_000
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, eq=False, slots=True)
class Crystal:
    """What is to be judged.

    Attributes
    ----------
    name
        That of no other crystal of the batch: the id of its gene.
    formula
        Reduced, such as ``NaCl``.
    gene
        Its arrangement; None if it has none.
    structure
        Relaxed; None if there is no minimum.
    problem
        Why there is none.
    """

    name: str
    formula: str
    gene: WyckoffGene | None
    structure: ReducedStructure | None
    problem: str = ""

    @classmethod
    def of(cls, name: str, structure: ReducedStructure) -> Self:
        """Return a crystal at its minimum.

        Parameters
        ----------
        name
            That of no other crystal of the batch.
        structure
            As relaxed.
        """
        return cls(name, structure.gene.formula, structure.gene, structure)


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """A crystal whose displaced cells are known.

    Attributes
    ----------
    crystal, cell, supercell
        What is looked at.
    phonons
        Phonopy's object with the displacements.
    task
        The cells to evaluate.
    max_force, max_stress_gpa
        At rest, in eV/A and GPa.
    cpu_s
        Processor time so far.
    """

    crystal: Crystal
    cell: CrystalCell
    supercell: Supercell
    phonons: Any
    task: ForceTask
    max_force: float
    max_stress_gpa: float
    cpu_s: float

    @property
    def n_atoms_in_all(self) -> int:
        """Atoms of all cells to evaluate."""
        return len(self.task.numbers) * self.task.n_cells


class _CannotJudgeError(Exception):
    """Ends the preparation of a crystal with a reason."""


def compute_phonons(
    crystals: Iterable[Crystal],
    potential: Potential,
    options: PhononOptions | None = None,
    report: Callable[[int], None] | None = None,
) -> Iterator[CrystalPhonons]:
    """Judge crystals one after the other; their cells are evaluated together.

    Parameters
    ----------
    crystals
        At their minima.
    potential
        The network.
    options
        What decides the verdicts.
    report
        Told how many crystals are done.

    Yields
    ------
    CrystalPhonons
        One per crystal, in order.

    Raises
    ------
    Exception
        What the network raised, if it fails on a crystal of copper too.
    """
    options = options or PhononOptions()
    _share_thread_limit()
    network = QuotientNetwork(potential, options.dtype)
    limit = _ATOMS_AT_ONCE_CPU if network.device == "cpu" else _ATOMS_AT_ONCE_GPU
    portion: list[Plan | CrystalPhonons] = []
    n_atoms = n_done = 0
    for crystal in crystals:
        portion.append(plan_crystal(crystal, potential, options))
        n_atoms += getattr(portion[-1], "n_atoms_in_all", 0)
        if n_atoms >= limit:
            yield from _finish(portion, network, potential, options)
            n_done += len(portion)
            portion, n_atoms = [], 0
            if report is not None:
                report(n_done)
    yield from _finish(portion, network, potential, options)
    if report is not None:
        report(n_done + len(portion))


def _share_thread_limit() -> None:
    """Give phonopy as many threads as torch has.

    Its compiled part takes all cores unless told otherwise, before it is first used.
    """
    import torch

    os.environ.setdefault("RAYON_NUM_THREADS", str(torch.get_num_threads()))


def plan_crystal(
    crystal: Crystal, potential: Potential, options: PhononOptions
) -> Plan | CrystalPhonons:
    """Look for the displacements of a crystal, or say why it cannot be judged.

    Parameters
    ----------
    crystal
        What came.
    potential
        The network.
    options
        With the limits.
    """
    clock = time.process_time()
    try:
        return _plan(crystal, potential, options, clock)
    except _CannotJudgeError as problem:
        return refuse(crystal, str(problem))
    except Exception as error:
        _check_machine(potential, error)
        logger.exception("Preparing the phonons of %s failed", crystal.name)
        return refuse(crystal, _describe(error))


def _plan(
    crystal: Crystal, potential: Potential, options: PhononOptions, clock: float
) -> Plan:
    """Go through all that can speak against a crystal, the cheap things first."""
    if crystal.structure is None:
        raise _CannotJudgeError(crystal.problem or "it has no relaxed structure")
    elements = crystal.structure.gene.elements
    unknown = find_unsupported_elements(elements, SUPPORTED_ATOMIC_NUMBERS)
    if unknown:
        raise _CannotJudgeError(unknown.reason)
    max_force, max_stress = _look_at_rest(crystal.structure, potential, options)
    cell = find_primitive_cell(crystal.structure)
    supercell = choose_supercell(
        cell, min_length=options.min_length, max_atoms=options.max_atoms
    )
    if supercell is None:
        raise _CannotJudgeError(
            f"no supercell of {options.max_atoms} atoms or fewer keeps images "
            f"{options.min_length:g} A apart ({cell.n_atoms} atoms in the primitive "
            "cell)"
        )
    phonons = set_up_phonons(cell, supercell, options.displacement)
    task = list_displacements(phonons)
    if len(task.numbers) * task.n_cells > options.max_atoms_in_all:
        raise _CannotJudgeError(
            f"{task.n_cells} cells of {len(task.numbers)} atoms are more than "
            f"{options.max_atoms_in_all} atoms in all"
        )
    return Plan(
        crystal=crystal,
        cell=cell,
        supercell=supercell,
        phonons=phonons,
        task=task,
        max_force=max_force,
        max_stress_gpa=max_stress,
        cpu_s=time.process_time() - clock,
    )


def _look_at_rest(
    structure: ReducedStructure, potential: Potential, options: PhononOptions
) -> tuple[float, float]:
    """Return the largest force and stress; both must be small."""
    problem = find_problem(_cell_at_rest(structure), potential.cutoff)
    if problem is not None:
        raise _CannotJudgeError(problem.reason)
    (found,) = evaluate_structures([structure], potential, dtype=options.dtype)
    force = float(np.linalg.norm(found.forces, axis=1).max())
    stress = float(abs(found.stress_gpa).max())
    if not np.isfinite([force, stress]).all():
        raise _CannotJudgeError("the network answered with no number")
    if force > options.max_force or stress > options.max_stress_gpa:
        raise _CannotJudgeError(
            f"not at its minimum: force {force:.3g} eV/A (at most {options.max_force:g}"
            f"), stress {stress:.3g} GPa (at most {options.max_stress_gpa:g}); relax "
            "it first"
        )
    return force, stress


def _cell_at_rest(structure: ReducedStructure) -> ForceTask:
    """Return a crystal as a task without displacements."""
    from wyckflow.relax.phonon.forces import ForceTask

    coordinates, numbers = structure.expand()
    return ForceTask(
        lattice=structure.lattice,
        coordinates=coordinates,
        numbers=numbers,
        atoms=np.zeros(0, dtype=np.int64),
        displacements=np.zeros((0, 3)),
    )


def _finish(
    portion: Sequence[Plan | CrystalPhonons],
    network: QuotientNetwork,
    potential: Potential,
    options: PhononOptions,
) -> Iterator[CrystalPhonons]:
    """Evaluate the cells of a portion and judge its crystals."""
    plans = [one for one in portion if isinstance(one, Plan)]
    clock = time.process_time()
    forces = iter(_evaluate_guardedly(plans, network, potential))
    n_atoms = sum(plan.n_atoms_in_all for plan in plans) or 1
    per_atom = (time.process_time() - clock) / n_atoms
    for one in portion:
        if isinstance(one, Plan):
            yield _judge(one, next(forces), potential, options, per_atom)
        else:
            yield one


def _evaluate_guardedly(
    plans: Sequence[Plan], network: QuotientNetwork, potential: Potential
) -> list[TaskForces | Exception]:
    """Evaluate all cells together, and each crystal alone where that fails."""
    if not plans:
        return []
    try:
        return [*compute_forces([plan.task for plan in plans], network)]
    except Exception as error:
        _check_machine(potential, error)
        if len(plans) == 1:
            logger.exception("The phonons of %s failed", plans[0].crystal.name)
            return [error]
    alone: list[TaskForces | Exception] = []
    for plan in plans:
        alone += _evaluate_guardedly([plan], network, potential)
    return alone


def _judge(
    plan: Plan,
    forces: TaskForces | Exception,
    potential: Potential,
    options: PhononOptions,
    cpu_s_per_atom: float,
) -> CrystalPhonons:
    """Turn forces into a verdict."""
    crystal = plan.crystal
    clock = time.process_time() - plan.cpu_s - cpu_s_per_atom * plan.n_atoms_in_all
    if isinstance(forces, Exception):
        return refuse(crystal, _describe(forces))
    if not (np.isfinite(forces.displaced).all() and np.isfinite(forces.at_rest).all()):
        reason = "the network answered with no number in a displaced cell"
        return refuse(crystal, reason)
    try:
        result = analyse_crystal(plan, forces, options)
    except Exception as error:
        _check_machine(potential, error)
        logger.exception("Analysing the phonons of %s failed", crystal.name)
        return refuse(crystal, _describe(error))
    return result.with_cpu(time.process_time() - clock)


def _check_machine(potential: Potential, error: Exception) -> None:
    """Raise the error again if the network can do nothing any more."""
    from wyckflow.crystal.gene import WyckoffGene
    from wyckflow.crystal.reduced import ReducedStructure

    gene = WyckoffGene.from_text("225 Cu:a")
    copper = ReducedStructure(gene, np.eye(3) * 3.61, np.zeros((1, 3)))
    try:
        evaluate_structures([copper], potential)
    except Exception:
        logger.exception("The network fails on copper too, so it is not the crystals")
        raise error from None


def _describe(error: Exception) -> str:
    """Word an exception on one line."""
    words = " ".join(f"{type(error).__name__}: {error}".split())
    return words[:_LONGEST_REASON]
