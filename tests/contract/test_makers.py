"""What every maker promises, found by importing them all; new ones join by existing."""

from __future__ import annotations

import inspect
import pkgutil
from importlib import import_module

import bson
import pytest
from fireworks import Workflow
from jobflow import Flow, Job, Maker
from jobflow.managers.fireworks import flow_to_workflow
from monty.json import MontyDecoder
from pymatgen.core.structure import Structure

import wyckflow.flows
import wyckflow.makers
from wyckflow.flows.campaign import CampaignFlowMaker
from wyckflow.flows.demo import DemoFlowMaker
from wyckflow.flows.dft import DftFlowMaker
from wyckflow.flows.hull import HullReferenceFlowMaker
from wyckflow.flows.shard import ShardFlowMaker
from wyckflow.flows.structure_prediction import CrystalStructurePredictionFlowMaker
from wyckflow.flows.train import TrainFlowMaker
from wyckflow.makers.dft_audit import DftAuditMaker
from wyckflow.makers.dft_gate import DftGateMaker
from wyckflow.makers.dft_hull import DftStabilityMaker
from wyckflow.makers.dispersion import DispersionAnalysisMaker, DispersionMaker
from wyckflow.makers.electronic import ElectronicMaker
from wyckflow.makers.generate import GenerateMaker
from wyckflow.makers.hull import HullMaker
from wyckflow.makers.lattice import LatticeStabilityMaker
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.makers.phonon import PhononMaker
from wyckflow.makers.plan import PlanMaker
from wyckflow.makers.predict import PredictMaker
from wyckflow.makers.propose import ProposeMaker, read_question
from wyckflow.makers.reference import CollectReferenceMaker, HullReferenceMaker
from wyckflow.makers.relax import RelaxMaker
from wyckflow.makers.screen import ScreenMaker
from wyckflow.makers.train_classifier import TrainClassifierMaker
from wyckflow.makers.train_forward import TrainForwardMaker
from wyckflow.makers.train_generator import TrainGeneratorMaker
from wyckflow.makers.vasp import MagnetismMaker
from wyckflow.makers.vasp_preflight import VaspPreflightMaker
from wyckflow.resources import CATEGORY_BY_JOB_NAME, Category, check_routed, route
from wyckflow.schemas.base import WyckflowDoc
from wyckflow.schemas.screening import ScreeningDoc
from wyckflow.schemas.structure_prediction import ProposalDoc

GENES = ["221 Sr:a Ti:b O:c", "225 Na:a Cl:b"]

CUBE = Structure([[3.0, 0, 0], [0, 3.0, 0], [0, 0, 3.0]], ["Po"], [[0, 0, 0]])

PROPOSAL = ProposalDoc(
    question=read_question("CaTiO3"),
    neutrality="pass",
    n_generated=0,
    n_assignments=0,
    n_assignments_left_out=0,
    n_enumerated=0,
    n_in_both=0,
    n_genes=0,
    max_atoms=20,
    max_freedom=9,
    max_orbits=8,
    ranked_by="nothing",
    budget=1,
    n_relaxations=0,
    chosen=[],
    genes=[],
)

EXAMPLES = {
    ProposeMaker: ("CaTiO3",),
    OrderPhasesMaker: (PROPOSAL, []),
    CrystalStructurePredictionFlowMaker: ("CaTiO3",),
    DftFlowMaker: (CUBE,),
    DftGateMaker: (CUBE,),
    DftAuditMaker: ([],),
    DftStabilityMaker: ({"energy": -1.0, "composition": {"Po": 1}},),
    LatticeStabilityMaker: (CUBE, None, None),
    DispersionMaker: (CUBE,),
    DispersionAnalysisMaker: (CUBE, [[2, 0, 0], [0, 2, 0], [0, 0, 2]], [None], []),
    MagnetismMaker: (CUBE,),
    VaspPreflightMaker: (CUBE,),
    CampaignFlowMaker: (),
    GenerateMaker: (),
    PredictMaker: (GENES,),
    PlanMaker: (ScreeningDoc(n_genes=0, n_accepted=0, funnel=[]),),
    ShardFlowMaker: (GENES,),
    DemoFlowMaker: (GENES,),
    PhononMaker: ([],),
    ElectronicMaker: ("vasprun.xml",),
    HullMaker: ([], "chgnet-0.3.0"),
    HullReferenceMaker: (["phases.csv"],),
    HullReferenceFlowMaker: (["phases.csv"],),
    CollectReferenceMaker: ([],),
    RelaxMaker: (GENES,),
    ScreenMaker: (GENES,),
    TrainGeneratorMaker: (["rows.npz"],),
    TrainForwardMaker: (["rows.npz"],),
    TrainFlowMaker: (["rows.npz"],),
    TrainClassifierMaker: (["made.npz"], ["hypothetical.npz"]),
}
"""Arguments of ``make`` for each maker: a new maker adds a line."""


def find_makers():
    """Return every maker that our packages define."""
    found = set()
    for package in (wyckflow.makers, wyckflow.flows):
        for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, item in inspect.getmembers(
                import_module(info.name), inspect.isclass
            ):
                is_ours = item.__module__.startswith(package.__name__)
                if is_ours and issubclass(item, Maker):
                    found.add(item)
    return sorted(found, key=lambda item: item.__name__)


MAKERS = find_makers()
JOB_MAKERS = [item for item in MAKERS if hasattr(item.make, "original")]

each_maker = pytest.mark.parametrize("maker", MAKERS, ids=lambda item: item.__name__)
each_job_maker = pytest.mark.parametrize(
    "maker", JOB_MAKERS, ids=lambda item: item.__name__
)


def test_makers_are_found():
    assert {DemoFlowMaker, RelaxMaker, ScreenMaker} <= set(MAKERS)
    assert {RelaxMaker, ScreenMaker} <= set(JOB_MAKERS)


@each_maker
def test_a_maker_is_a_dataclass_itself(maker):
    """A subclass without the decorator keeps the fields, and name, of its parent."""
    assert "__dataclass_params__" in vars(maker)


@each_maker
def test_a_maker_is_named_for_what_it_makes(maker):
    ending = "Maker" if maker in JOB_MAKERS else "FlowMaker"
    assert maker.__name__.endswith(ending)
    assert (maker.__name__.endswith("FlowMaker")) == (maker not in JOB_MAKERS)


@each_maker
def test_a_maker_survives_the_way_through_the_database(maker):
    before = maker()
    after = maker.from_dict(before.as_dict())
    assert after == before
    assert after.as_dict() == before.as_dict()


@each_maker
def test_what_is_made_survives_the_way_through_the_launchpad(maker):
    """FireWorks stores jobs its own way: what it does not know becomes text."""
    workflow = flow_to_workflow(maker().make(*EXAMPLES[maker]))
    stored = bson.decode(bson.encode(workflow.to_dict()))
    jobs = [fw.tasks[0]["job"] for fw in Workflow.from_dict(stored).fws]
    for job in [MontyDecoder().process_decoded(job) for job in jobs]:
        assert isinstance(job, Job)
        assert job.maker == type(job.maker).from_dict(job.maker.as_dict())


@each_maker
def test_every_field_has_a_default_and_is_documented(maker):
    maker()  # a campaign must work before anything is chosen
    document = inspect.getdoc(maker)
    for name in maker.__dataclass_fields__:
        assert f"\n{name}\n" in document, f"{name} is missing under Attributes"


@each_maker
def test_an_unknown_field_is_refused(maker):
    with pytest.raises(TypeError, match="no_such_option"):
        maker(no_such_option=1)


@each_maker
def test_every_maker_has_example_arguments_here(maker):
    assert maker in EXAMPLES, f"add {maker.__name__} to EXAMPLES"


@each_maker
def test_make_leaves_the_maker_as_it_was(maker):
    example = maker()
    before = example.as_dict()
    made = example.make(*EXAMPLES[maker])
    assert isinstance(made, Job if maker in JOB_MAKERS else Flow)
    assert example.as_dict() == before


@each_maker
def test_what_is_made_can_be_routed(maker):
    check_routed(route(maker().make(*EXAMPLES[maker])))


@each_job_maker
def test_a_job_emits_a_document_of_ours(maker):
    schema = maker().make(*EXAMPLES[maker]).output_schema
    assert issubclass(schema, WyckflowDoc)
    assert schema is not WyckflowDoc


@each_job_maker
def test_a_reference_to_a_field_that_is_not_there_fails_at_once(maker):
    made = maker().make(*EXAMPLES[maker])
    with pytest.raises(AttributeError, match="no_such_field"):
        made.output.no_such_field  # noqa: B018 (the access is the test)


@each_job_maker
def test_a_job_does_not_pass_its_worker_on_and_sends_bulk_to_the_blobs(maker):
    made = maker().make(*EXAMPLES[maker])
    assert made.config.pass_manager_config is False
    assert made._kwargs == {"blobs": "blob"}


@each_job_maker
def test_a_job_name_is_lower_case_and_has_a_kind_of_worker(maker):
    name = maker().name
    assert name == name.lower() == " ".join(name.split())
    assert name in CATEGORY_BY_JOB_NAME


def test_no_two_makers_share_a_job_name():
    names = [maker().name for maker in JOB_MAKERS]
    assert len(names) == len(set(names))


def test_no_job_name_is_part_of_another():
    """Jobflow finds jobs by a part of their name, so one would be routed as both."""
    names = set(CATEGORY_BY_JOB_NAME)
    inside = {(a, b) for a in names for b in names if a != b and a in b}
    assert inside == set()


def test_every_name_leads_to_a_kind_of_worker_that_exists():
    assert set(CATEGORY_BY_JOB_NAME.values()) <= set(Category)
