"""Deviations are found one by one, and mark the result."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pymatgen.io.vasp.inputs import Kpoints

from wyckflow.errors import DocumentError
from wyckflow.makers import vasp as makers
from wyckflow.schemas.dft import RunMark
from wyckflow.vasp.audit import RunRecord, audit_run, worst_mark

MAKERS = (
    makers.relax_normal_maker(),
    makers.relax_precise_maker(),
    makers.static_maker(),
    makers.bands_maker(),
    makers.dfpt_maker(),
)
each_maker = pytest.mark.parametrize("maker", MAKERS, ids=lambda item: item.name)


def record(maker, structure):
    """Return the record of a run that went exactly as its inputs say."""
    inputs = maker.input_set_generator.get_input_set(structure, potcar_spec=True)
    return RunRecord(
        step=maker.name,
        structure=inputs["POSCAR"].structure,
        incar=dict(inputs["INCAR"]),
        kpoints=inputs["KPOINTS"],
        potcars=("PAW_PBE Fe_pv 02Aug2007", "PAW_PBE O 08Apr2002"),
        vasp_version="6.4.2",
        is_converged=True,
    )


def change(run, **tags):
    return replace(run, incar={**run.incar, **tags})


@each_maker
def test_our_inputs_are_as_published(maker, wustite):
    """Sets and audit hold the published values apart, so a slip in one shows."""
    audit = audit_run(record(maker, wustite))
    assert audit.deviations == []
    assert audit.mark is RunMark.AS_PUBLISHED


@each_maker
@pytest.mark.parametrize(
    ("tag", "value"),
    [("ISYM", 0), ("SYMPREC", 1e-6), ("EDIFF", 1e-4), ("GGA", "PS"), ("LDAU", False)],
)
def test_a_changed_setting_is_named_and_marks_the_run(maker, tag, value, wustite):
    audit = audit_run(change(record(maker, wustite), **{tag: value}))
    (deviation,) = audit.deviations
    assert (deviation.setting, deviation.found) == (tag, str(value))
    assert audit.mark is RunMark.DEVIATES


@pytest.mark.parametrize("tag", ["ISYM", "ISMEAR", "ENCUT"])
def test_a_setting_that_is_missing_is_a_deviation(tag, wustite):
    run = record(makers.static_maker(), wustite)
    lost = {name: value for name, value in run.incar.items() if name != tag}
    (deviation,) = audit_run(replace(run, incar=lost)).deviations
    assert (deviation.setting, deviation.found) == (tag, "")


def test_another_u_is_a_deviation(wustite):
    run = change(record(makers.static_maker(), wustite), LDAUU=[4.0, 0])
    (deviation,) = audit_run(run).deviations
    assert deviation.setting == "LDAUU"
    assert deviation.expected == "[5.3, 0.0]"


def test_a_mesh_that_a_handler_changed_is_a_deviation(wustite):
    run = record(makers.static_maker(), wustite)
    n = run.kpoints.kpts[0]
    others = (
        Kpoints(style=Kpoints.supported_modes.Monkhorst, kpts=(n,)),
        Kpoints(style=Kpoints.supported_modes.Gamma, kpts=((n[0] + 1, n[1], n[2]),)),
        None,
    )
    for other in others:
        (deviation,) = audit_run(replace(run, kpoints=other)).deviations
        assert deviation.setting == "KPOINTS"


@pytest.mark.parametrize(
    ("change", "mark"),
    [
        ({"vasp_version": "6.4.2-simulated"}, RunMark.SIMULATED),
        ({"potcars": ("PAW_PBE Fe_pv SIMULATED",)}, RunMark.SIMULATED),
        ({"is_converged": False}, RunMark.INCOMPLETE),
        ({"vasp_version": None}, RunMark.INCOMPLETE),
        ({"incar": {}, "is_converged": False}, RunMark.INCOMPLETE),
    ],
)
def test_what_is_not_a_finished_dft_run_is_marked_so(change, mark, wustite):
    run = record(makers.static_maker(), wustite)
    assert audit_run(replace(run, **change)).mark is mark


def test_corrections_are_recorded_as_custodian_writes_them(wustite):
    attempt = {
        "corrections": [
            {
                "errors": ["brmix"],
                "actions": [{"dict": "INCAR", "action": {"_set": {"IMIX": 1}}}],
                "handler": {"@class": "VaspErrorHandler"},
            }
        ]
    }
    run = record(makers.static_maker(), wustite)
    audit = audit_run(replace(run, custodian=(attempt, {"corrections": None})))
    (correction,) = audit.corrections
    assert (correction.handler, correction.errors) == ("VaspErrorHandler", ["brmix"])
    assert '"IMIX": 1' in correction.actions
    assert audit.mark is RunMark.AS_PUBLISHED  # mixing is no published setting


@pytest.mark.parametrize(
    ("validation", "mark"),
    [
        ({"is_valid": True, "reasons": []}, RunMark.AS_PUBLISHED),
        ({"is_valid": False, "reasons": ["ENCUT is 400"]}, RunMark.DEVIATES),
        (None, RunMark.DEVIATES),
    ],
)
def test_a_run_for_the_hull_is_what_its_validator_says(validation, mark, wustite):
    run = replace(
        record(makers.static_maker(), wustite),
        step="vasp mp static",
        validation=validation,
    )
    assert audit_run(run).mark is mark


def test_a_whole_is_as_good_as_its_worst_part():
    assert worst_mark([RunMark.AS_PUBLISHED, RunMark.DEVIATES]) is RunMark.DEVIATES
    assert worst_mark(RunMark) is RunMark.SIMULATED
    assert worst_mark([]) is RunMark.INCOMPLETE


def test_an_unknown_step_is_refused_with_the_nearest(wustite):
    run = replace(record(makers.static_maker(), wustite), step="vasp statik")
    with pytest.raises(DocumentError, match="Did you mean 'vasp static'"):
        audit_run(run)
