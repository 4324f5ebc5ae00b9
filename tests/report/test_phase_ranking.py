"""The folder of a prediction, and its figure."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest
from pymatgen.core.structure import Structure

from wyckflow.errors import ConfigurationError, DocumentError
from wyckflow.makers.order_phases import OrderPhasesMaker
from wyckflow.report.phase_ranking import plot_phases
from wyckflow.report.prediction_folder import (
    prepare_prediction_folder,
    write_prediction_folder,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "makers"))


@pytest.fixture
def parts():
    """A proposal, its relaxation, and the answer."""
    from test_order_phases import CUBIC, SWAPPED, batch, proposal

    asked = proposal(CUBIC, "221 Ti:a Sr:b O:c", SWAPPED)
    relaxed = batch((CUBIC, -8.0), (SWAPPED, -7.5))
    return asked, [relaxed], OrderPhasesMaker().order(asked, [relaxed])


def test_tables_and_crystals_say_the_same(parts, tmp_path):
    files = write_prediction_folder(tmp_path, *parts)
    rows = list(csv.DictReader((tmp_path / "phases.csv").open()))
    assert [row["file"] for row in rows] == files
    assert [row["rank"] for row in rows] == ["1", "2"]
    assert [float(row["energy_above_best_mev_per_atom"]) for row in rows] == [0, 500]
    for row in rows:
        crystal = Structure.from_file(tmp_path / row["file"])
        assert crystal.composition.reduced_formula == "SrTiO3"
        assert crystal.get_space_group_info()[1] == int(row["space_group"])
        assert crystal.lattice.a == pytest.approx(float(row["a_a"]), abs=1e-3)
    genes = list(csv.DictReader((tmp_path / "genes.csv").open()))
    assert len(genes) == 3
    assert genes[0]["outcome"] == "converged"
    metadata = json.loads((tmp_path / "metadata.json").read_text())
    assert metadata["answer"]["energy_scale"] == "chgnet-0.3.0"
    assert (tmp_path / "phases.png").stat().st_size > 5000


def test_an_earlier_prediction_is_replaced_only_if_asked(parts, tmp_path):
    write_prediction_folder(tmp_path, *parts)
    with pytest.raises(ConfigurationError, match="--overwrite"):
        prepare_prediction_folder(tmp_path, overwrite=False)
    mine = tmp_path / "structures" / "mine.cif"
    mine.write_text("mine")
    prepare_prediction_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.rglob("*.*")] == ["mine.cif"]


def test_what_is_not_ours_is_left_alone(tmp_path):
    (tmp_path / "phases.csv").write_text("a,b\n")
    with pytest.raises(ConfigurationError, match="not written by an earlier"):
        prepare_prediction_folder(tmp_path, overwrite=True)
    with pytest.raises(ConfigurationError, match="is a file"):
        prepare_prediction_folder(tmp_path / "phases.csv", overwrite=True)


def test_nothing_cannot_be_drawn(parts, tmp_path):
    nothing = parts[2].model_copy(update={"phases": []})
    with pytest.raises(DocumentError, match="raise the budget"):
        plot_phases(tmp_path / "a.png", nothing)
    with pytest.raises(DocumentError, match="cannot be drawn"):
        plot_phases(tmp_path / "no" / "a.png", parts[2])
