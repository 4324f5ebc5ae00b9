"""Accepted genes ordered by promise, and cut into shards of equal cost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from jobflow import Flow, Maker, job, run_locally

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.flows.shard import ShardFlowMaker
from wyckflow.makers.plan import BY_HULL, BY_ORDER, BY_RANKER, PlanMaker, rank_genes
from wyckflow.makers.relax import RelaxMaker
from wyckflow.makers.screen import ScreenMaker
from wyckflow.relax.cost import estimate_cpu_s
from wyckflow.schemas.generation import GeneChunk, GenerationDoc

TEXTS = [
    "225 Na:a Cl:b",
    "221 Sr:a Ti:b O:c",
    "62 Ca:c Ti:b O:c,d",
    "225 Mg:a O:b",
    "136 Ti:a O:f",
]
GENES = [WyckoffGene.from_text(text) for text in TEXTS]


@pytest.fixture
def screening():
    """What a screen that lets everything pass says of the genes."""
    maker = ScreenMaker(screen={"name": "all", "filters": ["uniqueness"]})
    return maker.make.original(maker, TEXTS)


def generation(energies, genes=GENES, errors=0.1):
    zeros = np.zeros(len(genes), np.float32)
    named = {"formation_energy_per_atom": np.asarray(energies, np.float32)}
    errors = np.broadcast_to(np.float32(errors), len(genes))
    chunk = GeneChunk.pack(
        genes,
        log_probabilities=zeros,
        seeds=zeros.astype(np.int32),
        predictions=named,
        deviations={"formation_energy_per_atom": errors},
    )
    counts = dict.fromkeys(("n_asked", "n_decoded", "n_genes"), len(genes))
    return GenerationDoc(
        model_id="m",
        model_name="m",
        method="prior",
        target={},
        seed=0,
        level=0.5,
        temperature=1,
        failures={},
        properties=["formation_energy_per_atom"],
        chunks=[chunk],
        **counts,
    )


def plan(maker, *arguments, **options):
    """Run the job's own work, and return its document and what it adds."""
    response = maker.make.original(maker, *arguments, **options)
    return response.output, response.addition


def genes_of(addition):
    """The genes of each shard."""
    shards = [part.jobs if isinstance(part, Flow) else [part] for part in addition.jobs]
    return [jobs[0].function_args[0] for jobs in shards]


def test_every_gene_is_in_one_shard_and_shards_cost_about_the_same(screening):
    minutes = float(estimate_cpu_s(GENES).sum()) / 60 / 2
    document, addition = plan(PlanMaker(shard_minutes=minutes), screening)
    assert [text for shard in genes_of(addition) for text in shard] == [
        gene.to_text() for gene in GENES
    ]
    assert document.n_accepted == document.n_planned == 5
    costs = [shard.estimated_cpu_s for shard in document.shards]
    assert all(cost >= 60 * minutes for cost in costs[:-1])
    assert sum(costs) == pytest.approx(document.estimated_cpu_s)
    assert sum(costs) == pytest.approx(estimate_cpu_s(GENES).sum())
    assert document.ranked_by == BY_ORDER
    assert [shard.job_uuids for shard in document.shards] == [
        [job.uuid] for job in addition.jobs
    ]


def test_there_are_never_more_shards_than_allowed(screening):
    document, addition = plan(
        PlanMaker(shard_minutes=1e-9, max_shards=2), screening, identity="c/0"
    )
    assert len(document.shards) == len(addition.jobs) == 2
    many, _ = plan(PlanMaker(shard_minutes=1e-9), screening)
    assert len(many.shards) == 5


def test_the_most_promising_come_first_by_distance_to_the_hull_not_by_energy(screening):
    """Na-Cl at -2.2 eV/atom is below its hull, and titanates there are far above."""
    energies = [-2.2, -2.4, -2.4, -2.4, -2.4]
    document, addition = plan(
        PlanMaker(ranker="generator", max_genes=1), screening, generation(energies)
    )
    assert document.ranked_by == BY_HULL
    assert genes_of(addition) == [[GENES[0].to_text()]]
    assert (document.n_planned, document.n_over_budget) == (1, 4)


def test_the_bundled_ranker_orders_whatever_the_generator_says(screening):
    """It knows rock salt from salt whose anions sit between its cations."""
    texts = ["225 Na:a Cl:c", "225 Na:a Cl:b", "225 Mg:a O:c", "225 Mg:a O:b"]
    energies = [-5.0, 5.0, -5.0, 5.0]  # wrong, and not asked
    genes = [WyckoffGene.from_text(text) for text in texts]
    document, addition = plan(PlanMaker(), screen(texts), generation(energies, genes))
    assert document.ranked_by == BY_RANKER
    order = [text for shard in genes_of(addition) for text in shard]
    assert order.index(texts[1]) < order.index(texts[0])
    assert order.index(texts[3]) < order.index(texts[2])
    bare = generation(energies, genes).model_copy(update={"properties": []})
    _, again = plan(PlanMaker(), screen(texts), bare)
    assert genes_of(again) == genes_of(addition)


def test_of_genes_below_the_hull_the_surest_comes_first(screening):
    """How far below says little: the reference is partial."""
    energies, errors = [-9.0, -9.5, 5.0, 5.0, 5.0], [0.1, 0.6, 0.1, 0.1, 0.1]
    document = generation(energies, errors=errors)
    _, addition = plan(PlanMaker(ranker="generator", max_genes=2), screening, document)
    assert genes_of(addition) == [[GENES[0].to_text(), GENES[1].to_text()]]
    order, _ = rank_genes(GENES[:2], np.array([-9.0, -9.5]), np.array([0.1, 0.6]))
    assert order == [0, 1]
    # With nothing known of the errors, the lower one is the better guess.
    assert rank_genes(GENES[:2], np.array([-9.0, -20.0]))[0] == [1, 0]


def test_a_gene_with_an_element_that_the_reference_lacks_comes_last():
    strange = WyckoffGene.from_text("225 Po:a Rn:b")
    order, _ = rank_genes([strange, GENES[0]], np.array([-9.0, 0.5]))
    assert order == [1, 0]


def test_energies_belong_to_the_genes_that_were_accepted():
    """The second gene is dropped by the screen; the energies still fit."""
    genes = [GENES[0], GENES[0], GENES[1], GENES[3]]
    maker = ScreenMaker(screen={"name": "all", "filters": ["uniqueness"]})
    screened = maker.make.original(maker, [gene.to_text() for gene in genes])
    assert screened.n_accepted == 3
    document = generation([-2.2, 9, 5, -4.0], genes)
    _, addition = plan(PlanMaker(ranker="generator", max_genes=2), screened, document)
    assert set(genes_of(addition)[0]) == {GENES[0].to_text(), GENES[3].to_text()}


def test_without_budget_or_genes_nothing_is_added(screening):
    document, addition = plan(PlanMaker(max_genes=0), screening)
    assert addition is None
    assert (document.n_planned, document.shards) == (0, [])
    maker = ScreenMaker(screen={"name": "all", "filters": ["uniqueness"]})
    document, addition = plan(PlanMaker(), maker.make.original(maker, []))
    assert (addition, document.n_accepted) == (None, 0)


@pytest.mark.parametrize("shard_maker", [RelaxMaker(), ShardFlowMaker()])
def test_the_same_identity_gives_the_same_ids(screening, shard_maker):
    maker = PlanMaker(shard_maker=shard_maker, shard_minutes=1e-9)
    first, _ = plan(maker, screening, identity="c/0")
    again, _ = plan(maker, screening, identity="c/0")
    other, _ = plan(maker, screening, identity="c/1")
    ids = [uuid for shard in first.shards for uuid in shard.job_uuids]
    assert len(set(ids)) == len(ids)
    assert first.shards == again.shards
    assert set(ids).isdisjoint(u for s in other.shards for u in s.job_uuids)


def test_a_fixed_number_of_starts_makes_shards_larger(screening):
    few = PlanMaker(shard_maker=ShardFlowMaker(relax_maker=RelaxMaker(n_trials=1)))
    cheap, _ = plan(few, screening)
    usual, _ = plan(PlanMaker(), screening)
    assert cheap.estimated_cpu_s == pytest.approx(estimate_cpu_s(GENES, 1).sum())
    assert cheap.estimated_cpu_s < usual.estimated_cpu_s


def test_an_empty_plan_is_a_job_that_ends(job_store, tmp_path):
    screen = ScreenMaker().make(["225 Na:c Cl:a"])  # Na2Cl is not neutral
    job = PlanMaker().make(screen.output)
    run_locally(
        Flow([screen, job]),
        store=job_store,
        root_dir=tmp_path,
        ensure_success=True,
        log=False,
    )
    assert job_store.get_output(job.uuid)["n_planned"] == 0


def screen(texts):
    maker = ScreenMaker(screen={"name": "all", "filters": ["uniqueness"]})
    return maker.make.original(maker, texts)


def test_parts_are_ranked_together_and_what_comes_again_counts_once():
    """The same arrangement in another description is the same gene."""
    salt, again, titanate = TEXTS[0], "225 Na:b Cl:a", TEXTS[1]
    parts = [[titanate, salt], [again, TEXTS[3]], []]
    energies = [[-2.4, -1.0], [-2.2, 5.0], []]
    documents = [
        generation(values, [WyckoffGene.from_text(text) for text in texts])
        for texts, values in zip(parts, energies, strict=True)
    ]
    document, addition = plan(
        PlanMaker(ranker="generator"), [screen(texts) for texts in parts], documents
    )
    assert (document.n_accepted, document.n_repeated) == (4, 1)
    assert (document.n_planned, document.n_over_budget) == (3, 0)
    planned = [text for shard in genes_of(addition) for text in shard]
    # Where it is the most promising: below its hull, in the words of the second part.
    assert planned[0] == WyckoffGene.from_text(again).to_text()
    assert WyckoffGene.from_text(planned[0]).gene_id == GENES[0].gene_id
    assert set(planned[1:]) == {GENES[1].to_text(), GENES[3].to_text()}


def test_one_part_without_energies_leaves_all_in_their_order():
    documents = [generation([1.0], GENES[:1]), generation([-9.0], GENES[1:2])]
    bare = documents[1].model_copy(update={"properties": []})
    screens = [screen(TEXTS[:1]), screen(TEXTS[1:2])]
    document, addition = plan(
        PlanMaker(ranker="generator"), screens, [documents[0], bare]
    )
    assert document.ranked_by == BY_ORDER
    assert genes_of(addition) == [[gene.to_text() for gene in GENES[:2]]]


def many_genes(n, template="221 {a}:a {b}:b O:c"):
    """Different perovskites."""
    names = ["Ca", "Sr", "Ba", "Ti", "Zr", "Hf", "Mn", "Fe", "Co", "Ni", "Cu", "Zn"]
    names += ["Y", "La", "Mg", "Sc", "V", "Cr", "Ga", "Ge", "Sn", "Pb", "In", "Bi"]
    pairs = [(a, b) for a in names for b in names if a != b]
    assert n <= len(pairs)
    return [template.format(a=a, b=b) for a, b in pairs[:n]]


def test_shards_get_smaller_so_that_workers_end_together():
    """With two workers, one that waits for the last shard waits for a small one."""
    screening = screen(many_genes(500, "62 {a}:c {b}:b O:c,d"))
    total = float(estimate_cpu_s(screening.genes()).sum())
    document, _ = plan(PlanMaker(shard_minutes=total / 60 / 3), screening)
    costs = [shard.estimated_cpu_s for shard in document.shards]
    assert sum(costs) == pytest.approx(total)
    assert costs[0] == max(costs)
    assert costs[0] < 0.15 * total
    ends = [0.0, 0.0]
    for cost in costs:  # the worker that is free first takes the next
        ends[ends.index(min(ends))] += cost
    assert max(ends) - min(ends) <= 21
    assert min(costs[:-1]) >= 20  # below, jobs are mostly orchestration


def test_a_plan_never_has_more_shards_or_genes_in_one_than_documents_take():
    screening = screen(many_genes(100))
    for seconds in (1e-9, 5.0, 1e6):
        maker = PlanMaker(
            shard_minutes=seconds, max_shards=4, max_genes_per_shard=20, max_genes=95
        )
        document, _ = plan(maker, screening)
        sizes = [shard.n_genes for shard in document.shards]
        assert sizes == [20, 20, 20, 20]
        assert (document.n_planned, document.n_over_budget) == (80, 20)
    wide = PlanMaker(shard_minutes=1e-9, max_shards=4, max_genes_per_shard=30)
    document, _ = plan(wide, screening)
    sizes = [shard.n_genes for shard in document.shards]
    assert len(sizes) <= 4
    assert max(sizes) <= 30
    assert sum(sizes) == 100


@pytest.mark.parametrize(
    "options",
    [
        {"max_shards": 0},
        {"shard_minutes": 0},
        {"max_genes": -1},
        {"max_genes_per_shard": 0},
    ],
)
def test_a_plan_that_cannot_be_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        PlanMaker(**options)


def test_what_an_earlier_round_planned_is_left_out_in_any_description():
    """And what it left out for its budget is not."""
    salt, titanate, fluorite = TEXTS[0], TEXTS[1], TEXTS[3]
    first, _ = plan(PlanMaker(max_genes=2), screen([salt, titanate, fluorite]))
    assert (first.n_planned, first.n_over_budget) == (2, 1)
    again = screen(["225 Na:b Cl:a", fluorite, TEXTS[4], titanate])
    document, addition = plan(PlanMaker(), again, earlier=[first])
    assert (document.n_accepted, document.n_planned_before) == (4, 2)
    assert (document.n_planned, document.n_over_budget, document.n_repeated) == (
        2,
        0,
        0,
    )
    texts = [WyckoffGene.from_text(text).to_text() for text in (fluorite, TEXTS[4])]
    assert genes_of(addition) == [texts]
    last, addition = plan(PlanMaker(), again, earlier=[first, document])
    assert (last.n_planned_before, last.n_planned, addition) == (4, 0, None)


def test_a_plan_of_before_that_kept_no_keys_leaves_nothing_out():
    first, _ = plan(PlanMaker(), screen(TEXTS[:1]))
    old = first.model_copy(update={"blob": None})
    document, _ = plan(PlanMaker(), screen(TEXTS[:1]), earlier=[old])
    assert (document.n_planned_before, document.n_planned) == (0, 1)


def test_a_plan_finds_the_plan_of_an_earlier_round_in_the_store(job_store, tmp_path):
    """As a reference, whose keys come from the store of bulk."""
    maker = PlanMaker(shard_maker=CountMaker())
    jobs = []
    for earlier in ((), (0,)):
        references = [jobs[number].output for number in earlier]
        job = maker.make(screen(TEXTS[:2]), earlier=references or None)
        run_locally(
            job,
            store=job_store,
            root_dir=tmp_path,
            ensure_success=True,
            log=False,
            allow_external_references=True,
        )
        jobs.append(job)
    first, second = (job_store.get_output(job.uuid) for job in jobs)
    assert (first["n_planned"], second["n_planned"]) == (2, 0)
    assert second["n_planned_before"] == 2


@dataclass
class CountMaker(Maker):
    """Take a shard and do next to nothing."""

    name: str = "chgnet relax"

    @job
    def make(self, genes):
        return len(genes)
