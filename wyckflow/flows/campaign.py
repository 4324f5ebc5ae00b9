"""One round of a campaign: from a target to crystals that were looked at."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from jobflow import Flow, Maker, OutputReference

from wyckflow.errors import CampaignError, ConfigurationError, nearest_name
from wyckflow.flows.shard import ShardFlowMaker
from wyckflow.makers._identity import identify, job_uuid
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.plan import PlanMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.makers.screen import ScreenMaker
from wyckflow.schemas.plan import PlanDoc

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from wyckflow.schemas.campaign import CampaignSpec

GENES_PER_PART: Final = 100_000
"""Genes that one job makes and one screens: some minutes of work, and their verdicts
are one blob of at most 8 MB."""

T = TypeVar("T", bound=Maker)


def identity_of(campaign: str, number: int) -> str:
    """Return the words from which the ids of the jobs of a round follow.

    Parameters
    ----------
    campaign
        Name of the campaign.
    number
        Number of the round, from 0.
    """
    return f"{campaign}/{number}"


def uuid_of_stage(campaign: str, number: int, job_name: str) -> str:
    """Return the id of one of the first jobs of a round.

    Parameters
    ----------
    campaign, number
        As in :func:`identity_of`.
    job_name
        ``gene generate``, ``gene screen`` or ``campaign plan``.
    """
    return job_uuid(identity_of(campaign, number), job_name)


def plan_reference(campaign: str, number: int) -> OutputReference:
    """Return what stands for the plan of a round that has one.

    Parameters
    ----------
    campaign, number
        As in :func:`identity_of`.
    """
    uuid = uuid_of_stage(campaign, number, "campaign plan")
    return OutputReference(uuid=uuid, output_schema=PlanDoc)


@dataclass
class CampaignFlowMaker(Maker):
    """Generate, screen, plan; the plan then adds shards of relaxation, hull, phonons.

    One round is one workflow of at most 300 jobs. A shard that fails is that shard's:
    the others go on. Many genes are made and screened in parts, by several workers at
    a time and with bounded memory; the plan looks at what was accepted alone.

    Attributes
    ----------
    name
        Name of the flow.
    generate_maker
        Makes the job that proposes genes.
    screen_maker
        Makes the job that drops most of them.
    plan_maker
        Makes the job that orders the rest and cuts it into shards, by its
        ``shard_maker``.
    number
        Number of the round, from 0. Each draws other genes from the same seed.
    genes_per_part
        Most genes that one job makes.
    """

    name: str = "campaign"
    generate_maker: GenerateMaker = field(default_factory=GenerateMaker)
    screen_maker: ScreenMaker = field(
        default_factory=lambda: ScreenMaker(screen="published")
    )
    plan_maker: PlanMaker = field(
        default_factory=lambda: PlanMaker(shard_maker=ShardFlowMaker())
    )
    number: int = 0
    genes_per_part: int = GENES_PER_PART

    def __post_init__(self) -> None:
        """Refuse a round that does not count."""
        if self.number < 0:
            raise ValueError(f"{self.number=} must not be negative.")
        if self.genes_per_part < 1:
            raise ValueError(f"{self.genes_per_part=} must be at least 1.")

    @classmethod
    def from_spec(
        cls, spec: CampaignSpec, *, number: int = 0, max_genes: int | None = None
    ) -> Self:
        """Return the maker of one round of a campaign, with every option checked.

        Parameters
        ----------
        spec
            What was asked for.
        number
            Number of the round, from 0.
        max_genes
            Genes that the budget leaves for relaxation; no limit if None.

        Raises
        ------
        CampaignError
            If a section of the file has an unknown or impossible option.
        """
        generate = _make(
            GenerateMaker,
            "generate",
            spec.generate,
            target=spec.target,
            n_genes=spec.n_genes,
            seed=spec.seed,
        )
        phonon = spec.phonon
        shard = ShardFlowMaker(
            relax_maker=_make(RelaxMaker, "relax", {"seed": spec.seed, **spec.relax}),
            hull_maker=_make(HullMaker, "hull", spec.hull),
            phonon_maker=(
                None if phonon is None else _make(PhononMaker, "phonon", phonon)
            ),
        )
        return cls(
            generate_maker=generate,
            screen_maker=_make(ScreenMaker, "screen", {}, screen=spec.screen),
            plan_maker=PlanMaker(
                shard_maker=shard,
                shard_minutes=spec.shard_minutes,
                max_genes=max_genes,
            ),
            number=number,
        )

    def make(
        self,
        model: str | Path | OutputReference = "bundled",
        identity: str | None = None,
        earlier: Sequence[OutputReference] = (),
    ) -> Flow:
        """Return the flow; its output is the plan.

        Parameters
        ----------
        model
            ``bundled``, a file that every worker can read, or the reference of a
            registered model.
        identity
            Campaign and round, see :func:`identity_of`. The same words give the jobs
            the same ids, so that a round that runs twice is stored once.
        earlier
            Plans of earlier rounds, see :func:`plan_reference`. What they hold is not
            relaxed again.
        """
        generated, screened = [], []
        for part, maker in enumerate(self._parts()):
            # The first part keeps the ids of a round without parts.
            own = f"{identity}/part {part}" if identity and part else identity
            generate = identify(maker.make(model, shard=self.number, part=part), own)
            generated.append(generate)
            screened.append(identify(self.screen_maker.make(generate.output), own))
        plan = identify(
            self.plan_maker.make(
                _one_or_all([job.output for job in screened]),
                generation=_one_or_all([job.output for job in generated]),
                identity=identity,
                **({"earlier": list(earlier)} if earlier else {}),
            ),
            identity,
        )
        return Flow([*generated, *screened, plan], output=plan.output, name=self.name)

    def _parts(self) -> list[GenerateMaker]:
        """Return makers of parts of about the same size."""
        n_genes = self.generate_maker.n_genes
        n_parts = -(-n_genes // self.genes_per_part)
        return [
            replace(self.generate_maker, n_genes=(n_genes + part) // n_parts)
            for part in range(n_parts)
        ]


def _one_or_all(outputs: list[OutputReference]) -> Any:
    """Return one output as itself, so that a small round looks as it always did."""
    return outputs if len(outputs) > 1 else outputs[0]


def _make(maker: type[T], section: str, options: Mapping[str, Any], **fixed: Any) -> T:
    """Make a maker of the options of a section, or say which of them is wrong."""
    known = {item.name for item in fields(maker)} - {"name", *fixed}
    for name in options:
        if name in fixed:
            raise CampaignError(
                f"{name!r} does not belong into the section {section!r} of a "
                "campaign's file: it stands at the top of the file."
            )
        if name not in known:
            raise CampaignError(
                f"The section {section!r} of a campaign's file has no option {name!r}; "
                f"it knows {', '.join(sorted(known))}."
                f"{nearest_name(str(name), known)}"
            )
    try:
        made: T = maker(**options, **fixed)
    except (TypeError, ValueError, ConfigurationError) as error:
        raise CampaignError(
            f"The section {section!r} of the campaign's file cannot be used: {error}"
        ) from error
    return made
