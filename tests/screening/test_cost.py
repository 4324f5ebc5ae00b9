"""What a screen drops of known crystals, counted by hand on a few."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wyckflow.crystal.dataset.importing import ImportOptions, import_dataset
from wyckflow.errors import ScreenError
from wyckflow.screening.cost import KnownGroup, cost_of, select_known
from wyckflow.screening.evidence import Evidence
from wyckflow.screening.presets import PRESETS, load_costs, load_preset, parse_screen

DATA = os.environ.get("WYCKFLOW_DATA")

SCREEN = parse_screen(
    """
    filters:
    - uniqueness
    - {filter: max_sites, max_sites: 8}
    - {filter: exclude_elements, elements: [Cu]}
    - {filter: minimum_score, score: s, above: 0.5}
    """
)
CRYSTALS = {  # space group, conventional edge, elements and points, gap, above hull
    "NaCl": (225, 5.64, {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}, 5.0, 0.0),
    "CaF2": (225, 5.46, {"Ca": (0, 0, 0), "F": (0.25, 0.25, 0.25)}, 7.0, 0.0),
    "CuCl": (216, 5.42, {"Cu": (0, 0, 0), "Cl": (0.25, 0.25, 0.25)}, 0.6, 0.3),
    "Cu": (225, 3.61, {"Cu": (0, 0, 0)}, 0.0, 0.0),
}


def write_rows(path, *, with_gaps=True):
    import pandas as pd
    from pymatgen.core import Lattice, Structure

    rows = []
    for name, (group, edge, atoms, gap, above) in CRYSTALS.items():
        structure = Structure.from_spacegroup(
            group, Lattice.cubic(edge), list(atoms), [list(p) for p in atoms.values()]
        )
        row = {"material_id": name, "cif": structure.to(fmt="cif")}
        if with_gaps:
            row |= {"band_gap": gap, "energy_above_hull": above}
        rows.append(row)
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Two insulators, one unstable semiconductor with copper, copper."""
    folder = tmp_path_factory.mktemp("known")
    table = write_rows(folder / "rows.csv")
    return import_dataset(
        [table], folder / "known.npz", options=ImportOptions()
    ).dataset


def order_of(dataset):
    return [row.texts["material_id"] for row in dataset]


def test_shares_are_counted_alone_and_in_order(dataset):
    scores = {"NaCl": 0.1, "CaF2": 0.9, "CuCl": 0.1, "Cu": np.nan}
    evidence = Evidence({"s": np.array([scores[n] for n in order_of(dataset)])})
    cost = cost_of(SCREEN, dataset, evidence=evidence)
    alone = {item.filter: item.share_alone for item in cost.filters}
    in_order = {item.filter: item.share_in_order for item in cost.filters}
    # CaF2 has 12 atoms; CuCl and Cu hold copper; NaCl and CuCl score low, Cu nothing
    assert alone == {
        "uniqueness": 0.0,
        "max_sites": 0.25,
        "exclude_elements": 0.5,
        "minimum_score": 0.75,
    }
    assert in_order["exclude_elements"] == 0.5
    assert in_order["minimum_score"] == 0.25  # NaCl; the others were gone
    assert cost.filters[-1].share_unjudged == 0.25
    assert (cost.share_dropped, cost.n_crystals) == (1.0, 4)


def test_a_filter_without_evidence_is_not_measured(dataset):
    cost = cost_of(SCREEN, dataset)
    assert cost.filters[-1].share_alone is None
    assert "no s" in cost.filters[-1].remark
    assert cost.share_dropped == 0.75
    assert str(cost).startswith("this screen (without minimum_score) drops 75.0% of 4")


def test_groups_of_crystals(dataset):
    rows = select_known(dataset, KnownGroup.STABLE_SEMICONDUCTORS)
    assert {order_of(dataset)[row] for row in rows} == {"NaCl", "CaF2"}
    cost = cost_of(SCREEN, dataset, group="stable_semiconductors")
    assert (cost.n_crystals, cost.share_dropped) == (2, 0.5)
    assert "stable semiconductors" in cost.reference


def test_groups_that_are_not_there_are_refused(dataset, tmp_path):
    table = write_rows(tmp_path / "rows.csv", with_gaps=False)
    plain = import_dataset(
        [table], tmp_path / "known.npz", options=ImportOptions()
    ).dataset
    with pytest.raises(ScreenError, match="band_gap"):
        select_known(plain, KnownGroup.STABLE_SEMICONDUCTORS)
    metal = dataset.select([order_of(dataset).index("Cu")])
    with pytest.raises(ScreenError, match="no crystal"):
        select_known(metal, KnownGroup.STABLE_SEMICONDUCTORS)
    with pytest.raises(ScreenError, match="one number per gene"):
        cost_of(SCREEN, dataset, evidence=Evidence({"s": np.zeros(3)}))


@pytest.mark.parametrize("name", PRESETS)
def test_the_packaged_costs_fit_their_presets(name):
    costs = load_costs(load_preset(name))
    assert len(costs) == len(KnownGroup)
    for cost in costs:
        filters = [item.name for item in load_preset(name).filters]
        assert [item.filter for item in cost.filters] == filters
        in_order = [item.share_in_order or 0 for item in cost.filters]
        assert sum(in_order) == pytest.approx(cost.share_dropped, abs=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not DATA, reason="needs WYCKFLOW_DATA")
def test_the_packaged_costs_are_those_of_the_data(tmp_path):
    source = Path(DATA) / "mp20_biternary_train.csv.gz"
    options = ImportOptions(keep_duplicates=True)
    found = import_dataset([source], tmp_path / "mp20.npz", options=options).dataset
    for group, stored in zip(
        KnownGroup, load_costs(load_preset("default")), strict=True
    ):
        cost = cost_of(load_preset("default"), found, group=group)
        assert cost.n_crystals == stored.n_crystals
        assert cost.share_dropped == pytest.approx(stored.share_dropped, abs=1e-4)
