"""The job that says whether the lattices of relaxed crystals hold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobflow import Maker

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import ScaleMismatchError, StructureError
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._running import got_on, when_stored
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.phonon import PhononBatchDoc, PhononSettings
from wyckflow.schemas.relaxation import Outcome, RelaxationBatchDoc

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from pymatgen.core.structure import Structure

    from wyckflow.relax.phonon.options import PhononOptions
    from wyckflow.relax.phonon.stability import Crystal


@dataclass
class PhononMaker(Maker):
    """Judge the lattices of relaxed crystals by the phonons of CHGNet.

    Atoms of a supercell are displaced, one at a time and as few as symmetry allows, and
    phonopy turns the forces into frequencies. CHGNet makes phonons too soft, so by
    default only a clear instability makes a crystal unstable. A crystal that is not at
    its minimum, is too large or has an unknown element cannot be judged, which is a
    verdict. A job that was killed goes on with the crystals that were not finished, see
    the setting ``scratch``.

    Attributes
    ----------
    name
        Name of the job.
    min_length
        Shortest distance between an atom and its image in the supercell, in A.
    max_atoms
        Atoms of the largest supercell; beyond, a crystal cannot be judged.
    max_atoms_in_all
        Atoms of all displaced supercells of a crystal together, which bounds its time.
    displacement
        Of one atom at a time, in A.
    max_force
        Largest force of a crystal at its minimum, in eV/A.
    max_stress_gpa
        Largest component of its stress, in GPa.
    tolerance_thz
        Modes above minus this count as stable, in THz.
    reject_thz
        A mode below minus this, at a wave vector that fits the supercell, makes a
        crystal unstable, in THz.
    mesh_length
        Length that the mesh of wave vectors resolves, in A.
    dtype
        ``float32`` or ``float64``, of the network's layers.
    weights
        CHGNet's weights, those that the crystals were relaxed with.
    symprec
        Tolerance in A at which the symmetry of structures is found that come without.
    """

    name: str = "chgnet phonon"
    min_length: float = 10.0
    max_atoms: int = 400
    max_atoms_in_all: int = 60_000
    displacement: float = 0.05
    max_force: float = 0.02
    max_stress_gpa: float = 0.5
    tolerance_thz: float = 0.1
    reject_thz: float = 2.0
    mesh_length: float = 40.0
    dtype: str = "float32"
    weights: str = "0.3.0"
    symprec: float = 0.01

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        from wyckflow.relax.potential import check_weights

        check_weights(self.weights)
        self._options()

    @wyckflow_job(PhononBatchDoc)
    def make(
        self,
        relaxed: RelaxationBatchDoc | Sequence[ReducedStructure | Structure],
        only: Collection[str] | None = None,
    ) -> PhononBatchDoc:
        """Judge relaxed crystals.

        Parameters
        ----------
        relaxed
            What ``RelaxMaker`` returned, or structures at their minimum.
        only
            Ids of the genes to judge, such as those near the hull; all if None.
        """
        from wyckflow.relax.phonon.pack import make_document
        from wyckflow.relax.phonon.scratch import PhononScratch
        from wyckflow.relax.phonon.stability import compute_phonons
        from wyckflow.relax.potential import load_potential
        from wyckflow.settings import WyckflowSettings

        crystals = list_crystals(relaxed, self.symprec)
        if only is not None:
            wanted = set(only)
            crystals = [one for one in crystals if one.name in wanted]
        here = WyckflowSettings.load()
        potential = load_potential(
            self.weights, device=here.device, threads=here.threads
        )
        if isinstance(relaxed, RelaxationBatchDoc):
            check_scale(relaxed, potential.energy_scale)
        settings = self._settings()
        scratch = PhononScratch.of_job(
            here.scratch_folder(), crystals, settings, potential
        )
        done = scratch.load()
        waiting = [one for one in crystals if one.name not in done]
        for found in compute_phonons(waiting, potential, self._options()):
            scratch.add(found)
            got_on()
            done[found.document.name] = found
        document = make_document(
            [done[one.name] for one in crystals],
            settings,
            Provenance.collect(model=potential.identity, device=potential.device),
            energy_scale=potential.energy_scale,
        )
        when_stored(scratch.remove)
        return document

    def _options(self) -> PhononOptions:
        """Return what decides the verdicts."""
        from wyckflow.relax.phonon.options import PhononOptions

        names = PhononOptions.__dataclass_fields__
        return PhononOptions(**{name: getattr(self, name) for name in names})

    def _settings(self) -> PhononSettings:
        """Return the same for the document."""
        names = PhononSettings.model_fields
        return PhononSettings(**{name: getattr(self, name) for name in names})


def check_scale(relaxed: RelaxationBatchDoc, energy_scale: str) -> None:
    """Refuse crystals that another potential relaxed.

    Parameters
    ----------
    relaxed
        The crystals.
    energy_scale
        Of the potential at hand.

    Raises
    ------
    ScaleMismatchError
        If they are at the minima of another energy.
    """
    if relaxed.energy_scale != energy_scale:
        raise ScaleMismatchError(
            f"These crystals are at minima on the scale {relaxed.energy_scale!r}, and "
            f"phonons were asked for on {energy_scale!r}, where they are none; give "
            "PhononMaker the weights of the relaxation."
        )


def list_crystals(
    relaxed: RelaxationBatchDoc | Sequence[ReducedStructure | Structure],
    symprec: float,
) -> list[Crystal]:
    """Return what is to be judged; one that comes twice is judged once.

    Parameters
    ----------
    relaxed
        A document, or structures.
    symprec
        Tolerance in A at which the symmetry of bare structures is found.
    """
    from wyckflow.relax.phonon.stability import Crystal

    crystals: dict[str, Crystal] = {}
    if isinstance(relaxed, RelaxationBatchDoc):
        relaxations = zip(relaxed.results, relaxed.list_structures(), strict=True)
        for item, structure in relaxations:
            is_minimum = item.outcome is Outcome.CONVERGED
            crystal = Crystal(
                name=item.gene_id,
                formula=item.formula_pretty,
                gene=WyckoffGene.from_text(item.gene),
                structure=structure if is_minimum else None,
                problem=f"its relaxation ended {item.outcome}: {item.reason}",
            )
            crystals.setdefault(crystal.name, crystal)
        return [*crystals.values()]
    for place, structure in enumerate(relaxed):
        crystal = _take_structure(structure, place, symprec)
        if crystal.name in crystals:
            crystal = replace(crystal, name=f"{crystal.name}-{place}")
        crystals[crystal.name] = crystal
    return [*crystals.values()]


def _take_structure(
    structure: ReducedStructure | Structure, place: int, symprec: float
) -> Crystal:
    """Find the symmetry of a structure, or say why it has none."""
    from wyckflow.relax.phonon.stability import Crystal

    if isinstance(structure, ReducedStructure):
        return Crystal.of(structure.gene.gene_id, structure)
    try:
        reduced = ReducedStructure.from_structure(structure, symprec=symprec)
    except StructureError as error:
        formula = structure.composition.reduced_formula
        return Crystal(f"structure-{place}", formula, None, None, str(error))
    return Crystal.of(reduced.gene.gene_id, reduced)
