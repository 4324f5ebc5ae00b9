"""A campaign whose network is a formula; what a worker keeps on disk is the real thing.

Imported by the processes of workers, through PYTHONPATH.
"""

from __future__ import annotations

import hashlib
import logging
import time
from dataclasses import dataclass, field
from itertools import product
from types import SimpleNamespace

from jobflow import Flow, Maker, Response

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.makers._identity import identify
from wyckflow.makers._job import wyckflow_job
from wyckflow.makers._running import got_on, when_stored
from wyckflow.relax.race import RelaxedGene
from wyckflow.relax.scratch import Scratch
from wyckflow.schemas.plan import PlanDoc
from wyckflow.schemas.relaxation import (
    Outcome,
    RelaxationBatchDoc,
    RelaxationDoc,
    RelaxationSettings,
)
from wyckflow.settings import WyckflowSettings

logger = logging.getLogger("wyckflow.toy")

SETTINGS = RelaxationSettings(
    relaxer="a formula",
    engine="none",
    n_trials=1,
    seed=0,
    fmax=0.01,
    max_stress_gpa=0.1,
    max_steps=1,
    symprec=0.01,
)
BACKEND = SimpleNamespace(energy_scale="toy", identity="toy 1")
POISON = "225 He:a O:b"
METALS = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba", "Ag")
NONMETALS = ("O", "S", "F", "Cl")


def make_genes():
    """Eighty salts."""
    forms = ("225 {}:a {}:b", "221 {}:a {}:b")
    pairs = product(METALS, NONMETALS, forms)
    return [form.format(metal, other) for metal, other, form in pairs]


def energy_of(text):
    """What a gene weighs in here: any number that is its own."""
    return int(hashlib.sha256(text.encode()).hexdigest()[:6], 16) / -(16.0**6)


@dataclass
class ToyRelaxMaker(Maker):
    """Relax heat by heat, keep what is finished, go on where a killed job was."""

    name: str = "chgnet relax"
    seconds_per_heat: float = 0.3
    genes_per_heat: int = 4

    @wyckflow_job(RelaxationBatchDoc)
    def make(self, genes: list[str]) -> RelaxationBatchDoc:
        mine = [WyckoffGene.from_text(text) for text in genes]
        folder = WyckflowSettings.load().scratch_folder()
        scratch = Scratch.of_job(folder, mine, SETTINGS, BACKEND)
        found = scratch.load()
        for start in range(0, len(mine), self.genes_per_heat):
            heat = mine[start : start + self.genes_per_heat]
            if heat[0].to_text() in found:
                continue
            deadline = time.monotonic() + self.seconds_per_heat
            while time.monotonic() < deadline:
                time.sleep(0.01)
            relaxed = {gene.to_text(): relax(gene) for gene in heat}
            scratch.add(relaxed)
            got_on()
            found |= relaxed
            logger.info("%d of %d genes done", len(found), len(mine))
        document = RelaxationBatchDoc(
            energy_scale=BACKEND.energy_scale,
            settings=SETTINGS,
            n_converged=len(mine),
            results=[found[gene.to_text()].document for gene in mine],
        )
        when_stored(scratch.remove)
        return document


def relax(gene):
    """Return the end of a gene; one of them is a bug that nobody has found."""
    text = gene.to_text()
    if "He" in gene.composition:
        raise ZeroDivisionError(f"{text} is poison")
    return RelaxedGene(
        RelaxationDoc(
            outcome=Outcome.CONVERGED,
            energy_per_atom=energy_of(text),
            gene=text,
            gene_id=gene.gene_id,
            formula_pretty=gene.formula,
            space_group_number_before=gene.space_group_number,
        )
    )


@dataclass
class ToyPlanMaker(Maker):
    """Cut genes into shards, and start them with ids that follow from their place."""

    name: str = "campaign plan"
    relax_maker: ToyRelaxMaker = field(default_factory=ToyRelaxMaker)
    genes_per_shard: int = 16

    @wyckflow_job(PlanDoc)
    def make(self, genes: list[str]) -> Response:
        parts = [
            genes[start : start + self.genes_per_shard]
            for start in range(0, len(genes), self.genes_per_shard)
        ]
        jobs = [
            identify(self.relax_maker.make(part), f"toy/{number}")
            for number, part in enumerate([*parts, [POISON]])
        ]
        document = PlanDoc(
            identity="toy",
            ranked_by="nothing",
            n_accepted=len(genes),
            n_planned=len(genes),
            n_over_budget=0,
            estimated_cpu_s=0,
            shards=[],
        )
        return Response(output=document, addition=Flow(jobs, name="shards"))
