"""The job that proposes genes of one composition, ranked and cut to a budget."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 (jobflow reads the annotation)
from typing import TYPE_CHECKING, Final

import numpy as np
from jobflow import Maker

from wyckflow.crystal.elements import reduced_formula
from wyckflow.crystal.enumeration import (
    EnumerationLimits,
    check_composition,
    find_smallest_cell,
)
from wyckflow.crystal.tables import load_space_group
from wyckflow.errors import ModelError, TargetError
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers.models import load_generator
from wyckflow.schemas.base import Provenance
from wyckflow.schemas.model import ModelDoc  # noqa: TC001 (jobflow reads it)
from wyckflow.schemas.structure_prediction import (
    GeneSource,
    PolymorphQuestion,
    ProposalDoc,
    ProposedGene,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from wyckflow.ml.mpvae.generator import MultiPropertyVAE
    from wyckflow.ml.sampling.proposal import Chosen, Proposal, ProposalOptions

N_TRIALS: Final = 5
"""Relaxations per gene, about as many as the first WyCryst paper gave each."""


@dataclass
class ProposeMaker(Maker):
    """Propose genes of one composition, in one space group or in any.

    The generator looks around all known crystals of the same stoichiometry, and an
    enumeration of Wyckoff positions adds what it did not think of. The most promising
    genes are chosen until the relaxations they cost are as many as the budget.

    Attributes
    ----------
    name
        Name of the job.
    budget
        Relaxations allowed.
    n_trials
        Relaxations per gene; give `RelaxMaker` the same. If None, by its free
        coordinates, as there: 2 to 20. Few of many genes find more than many of few.
    with_generator
        Whether the generator is asked.
    with_enumeration
        Whether genes are enumerated.
    max_atoms
        Most atoms in the primitive cell.
    max_freedom
        Most free coordinates of an enumerated gene.
    max_orbits
        Most orbits of an enumerated gene.
    max_assignments
        Most ways, equivalent ones included, to fill one cell of one space group that
        are written down; where there are more, those with many orbits are left out.
    n_shortlist
        Enumerated genes that the ensemble looks at.
    levels
        Noise on the starts of the generator, one round per level.
    n_decoded
        Sequences that the generator decodes per level.
    seed
        Of everything random.
    """

    name: str = "gene propose"
    budget: int = 300
    n_trials: int | None = N_TRIALS
    with_generator: bool = True
    with_enumeration: bool = True
    max_atoms: int = 20
    max_freedom: int = 9
    max_orbits: int = 8
    max_assignments: int = 500
    n_shortlist: int = 2000
    levels: tuple[float, ...] = (0.0, 0.5, 0.7, 0.85)
    n_decoded: int = 1000
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse options that would fail on the worker."""
        self.levels = tuple(self.levels)
        if self.budget < 1:
            raise ValueError(f"{self.budget=} must be at least 1.")
        if self.n_trials is not None and self.n_trials < 1:
            raise ValueError(f"{self.n_trials=} must be at least 1, or None.")
        if self.n_trials is not None and self.n_trials > self.budget:
            raise TargetError(
                f"A budget of {self.budget} relaxations does not pay for one gene of "
                f"{self.n_trials}; raise it, or lower the number of trials."
            )
        if self.seed < 0:
            raise ValueError(f"{self.seed=} must not be negative.")
        self._options()

    @wyckflow_job(ProposalDoc)
    def make(
        self,
        formula: str,
        space_group_number: int | None = None,
        model: str | Path | ModelDoc = "bundled",
    ) -> ProposalDoc:
        """Propose genes.

        Parameters
        ----------
        formula
            Such as ``CaTiO3``.
        space_group_number
            Where the crystal is; its ground state in any group if None.
        model
            ``bundled``, a file that every worker can read, or a reference to a
            registered or just trained model.
        """
        from wyckflow.settings import WyckflowSettings

        question = read_question(formula, space_group_number, max_atoms=self.max_atoms)
        here = WyckflowSettings.load()
        name, loaded = load_proposer(model, here.device, here.threads)
        document, _ = self.propose(question, name, loaded)
        return document

    def propose(
        self,
        question: PolymorphQuestion,
        model_name: str,
        model: MultiPropertyVAE,
        *,
        report: Callable[[str, float], None] | None = None,
    ) -> tuple[ProposalDoc, Proposal]:
        """Propose genes by a model at hand, without a job.

        Parameters
        ----------
        question
            What is looked for, from :func:`read_question`.
        model_name
            Its name.
        model
            The model.
        report
            Told what is done, and the share of it.

        Returns
        -------
        tuple
            The document, and the whole ranking.
        """
        from wyckflow.ml.sampling.proposal import choose_genes, propose_genes
        from wyckflow.relax.race import RaceOptions

        number = question.space_group_number
        composition = check_composition(question.composition)
        options, problem = self._options(), ""
        space_groups = None if number is None else [number]
        try:
            proposal = propose_genes(
                composition,
                model,
                space_groups=space_groups,
                options=options,
                seed=self.seed,
                report=report,
            )
        except ModelError as error:
            if options.enumeration is None:
                raise
            problem = str(error)
            proposal = propose_genes(
                composition,
                None,
                space_groups=space_groups,
                options=options,
                report=report,
            )
        chosen = choose_genes(
            proposal,
            self.budget,
            RaceOptions(n_trials=self.n_trials).n_trials_of,
            space_group_number=number,
        )
        identity = model.to_checkpoint().identity
        document = self._write(question, proposal, chosen)
        return document.model_copy(
            update={
                "model_name": model_name,
                "model_id": identity,
                "problem": problem,
                "provenance": Provenance.collect(
                    model=f"{model_name} {identity}", device=model.device
                ),
            }
        ), proposal

    def _write(
        self, question: PolymorphQuestion, proposal: Proposal, chosen: Chosen
    ) -> ProposalDoc:
        """Count what was proposed, and list what was chosen."""
        made, listed = proposal.generated, proposal.enumerated
        both = proposal.is_generated & proposal.is_enumerated
        rows = [
            ProposedGene(
                gene=choice.gene.to_text(),
                gene_id=choice.gene.gene_id,
                source=_source_of(proposal, choice.rank - 1),
                predicted_rank=choice.rank,
                predicted_formation_energy=_number(proposal.energies[choice.rank - 1]),
                predicted_deviation=_number(proposal.deviations[choice.rank - 1]),
                n_trials=choice.n_trials,
            )
            for choice in chosen.choices
        ]
        return ProposalDoc(
            question=question,
            neutrality=judge_neutrality(question.composition),
            n_starts=made.n_starts if made else 0,
            n_decoded=made.n_decoded if made else 0,
            failures=made.failures if made else {},
            n_generated=len(made) if made else 0,
            n_assignments=listed.n_assignments if listed else 0,
            n_assignments_left_out=listed.n_left_out if listed else 0,
            n_enumerated=len(listed) if listed else 0,
            n_in_both=int(both.sum()),
            n_genes=proposal.n_genes,
            n_never_of_group=chosen.n_never_of_group,
            n_of_higher_symmetry=chosen.n_of_higher_symmetry,
            max_atoms=self.max_atoms,
            max_freedom=self.max_freedom,
            max_orbits=self.max_orbits,
            ranked_by=proposal.ranked_by,
            budget=self.budget,
            n_relaxations=chosen.n_relaxations,
            chosen=rows,
            genes=[row.gene for row in rows],
        )

    def _options(self) -> ProposalOptions:
        """Return what decides the genes."""
        from wyckflow.ml.sampling.composition import CompositionOptions
        from wyckflow.ml.sampling.proposal import ProposalOptions

        generator = CompositionOptions(
            levels=self.levels, n_decoded=self.n_decoded, max_atoms=self.max_atoms
        )
        enumeration = EnumerationLimits(
            max_atoms=self.max_atoms,
            max_freedom=self.max_freedom,
            max_orbits=self.max_orbits,
            max_assignments=self.max_assignments,
        )
        return ProposalOptions(
            composition=generator if self.with_generator else None,
            enumeration=enumeration if self.with_enumeration else None,
            n_shortlist=self.n_shortlist,
        )


def read_question(
    formula: str, space_group_number: int | None = None, *, max_atoms: int = 20
) -> PolymorphQuestion:
    """Return what is looked for, or say why it cannot be found.

    Parameters
    ----------
    formula
        Such as ``CaTiO3``.
    space_group_number
        Where the crystal is; anywhere if None.
    max_atoms
        Most atoms in the primitive cell.

    Raises
    ------
    ReferenceDataError
        If it is no formula.
    TargetError
        If its counts are no whole numbers, CHGNet does not know an element, or no cell
        within the limit holds it.
    GeneError
        If there is no such space group.
    """
    from wyckflow.relax.guards import find_unsupported_elements
    from wyckflow.relax.potential import SUPPORTED_ATOMIC_NUMBERS
    from wyckflow.thermo.reference_table import parse_formula

    found = parse_formula(formula)
    if any(count != int(count) for count in found.values()):
        raise TargetError(
            f"{formula!r} has no whole numbers of atoms; write the formula of an "
            "ordered crystal, such as 'Ca2Ti2O6'."
        )
    composition = check_composition({e: int(n) for e, n in found.items()})
    problem = find_unsupported_elements(composition, SUPPORTED_ATOMIC_NUMBERS)
    if problem:
        raise TargetError(
            f"{formula!r} cannot be predicted: {problem.reason}, so that nothing "
            "would have an energy. Leave that element out."
        )
    _check_size(formula, composition, space_group_number, max_atoms)
    return PolymorphQuestion(
        formula_pretty=_as_written(formula, composition),
        composition=composition,
        space_group_number=space_group_number,
    )


def judge_neutrality(composition: Mapping[str, int]) -> str:
    """Return whether charges can balance, by the default rule of the screens.

    Parameters
    ----------
    composition
        Atoms of each element.
    """
    from wyckflow.screening.neutrality.judge import judge_charge_neutrality

    return judge_charge_neutrality(composition).verdict.value


def load_proposer(
    model: str | Path | ModelDoc, device: str = "cpu", threads: int = 1
) -> tuple[str, MultiPropertyVAE]:
    """Return a generator with a latent space, from wherever it is.

    Parameters
    ----------
    model, device, threads
        As in :func:`wyckflow.makers.models.load_generator`.

    Raises
    ------
    ModelError
        If it is none, or of another kind.
    """
    from wyckflow.ml.mpvae.generator import MultiPropertyVAE

    name, loaded = load_generator(model, device, threads)
    if not isinstance(loaded, MultiPropertyVAE):
        raise ModelError(
            f"The model {name!r} has no latent space to look around in; give an "
            "autoencoder, such as 'bundled'."
        )
    return name, loaded


def _check_size(
    formula: str,
    composition: dict[str, int],
    space_group_number: int | None,
    max_atoms: int,
) -> None:
    """Refuse a composition that finds no room."""
    n_atoms = sum(composition.values())
    if n_atoms > max_atoms:
        raise TargetError(
            f"One formula unit of {formula} has {n_atoms} atoms, and the limit is "
            f"{max_atoms} in the primitive cell; raise it to {n_atoms} or more."
        )
    if space_group_number is None:
        return
    group = load_space_group(space_group_number)
    units = find_smallest_cell(composition, group.number)
    if units * n_atoms > max_atoms:
        raise TargetError(
            f"Space group {group.number} ({group.symbol}) holds {formula} from "
            f"{units} formula units, {units * n_atoms} atoms, in the primitive cell "
            f"on, and the limit is {max_atoms}; raise it to {units * n_atoms} or more."
        )


def _as_written(formula: str, composition: Mapping[str, int]) -> str:
    """Keep the order of a plain formula, such as CuInS2; reduce any other."""
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    is_plain = "".join(symbol + count for symbol, count in parts) == formula
    written = {symbol: int(count or 1) for symbol, count in parts}
    if is_plain and len(written) == len(parts) and written == dict(composition):
        return formula
    return reduced_formula(composition)


def _source_of(proposal: Proposal, place: int) -> GeneSource:
    """Return where a gene came from."""
    if not proposal.is_enumerated[place]:
        return GeneSource.GENERATED
    is_generated = proposal.is_generated[place]
    return GeneSource.BOTH if is_generated else GeneSource.ENUMERATED


def _number(value: np.float64) -> float | None:
    """Return a number, or None for what is none."""
    return None if np.isnan(value) else float(value)
