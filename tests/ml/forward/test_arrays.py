"""The arrays that networks read, against other ways to write them."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.crystal.elements import SYMBOLS
from wyckflow.crystal.gene import WyckoffGene
from wyckflow.errors import TrainingError
from wyckflow.ml.codec.sites import tensorise_genes
from wyckflow.ml.codec.wycryst import N_ROWS, ROWS, encode_wycryst, fits_wycryst
from wyckflow.ml.forward.atoms import expand
from wyckflow.ml.forward.crystals import (
    count_cosets,
    crystals_from_genes,
    crystals_from_structures,
    move,
)
from wyckflow.ml.forward.ftcp import FtcpRepresentation, FtcpSizes, reciprocal_points
from wyckflow.ml.forward.gene_lattice import GeneLatticeRepresentation, cell_features
from wyckflow.ml.forward.representation import (
    REPRESENTATIONS,
    Limited,
    Representation,
    open_representation,
)
from wyckflow.ml.forward.wycryst import count_elements

PEROVSKITE = WyckoffGene.from_text("221 Ca:a Ti:b O:c")
OWN = ("gene", "gene-l", "wycryst", "wycryst-l", "ftcp")


@pytest.fixture(scope="module")
def small_crystals(random_crystals):
    """Those that do not take long."""
    sizes = np.diff(expand(random_crystals).offsets)
    return random_crystals.take(np.flatnonzero(sizes <= 48)[::6])


def test_the_array_is_the_published_one(random_genes):
    sites = tensorise_genes(random_genes)
    fits = fits_wycryst(sites)
    genes = [gene for gene, fit in zip(random_genes, fits, strict=True) if fit]
    representation = open_representation("wycryst")
    ours = representation.encode(crystals_from_genes(genes))
    assert np.array_equal(ours, encode_wycryst(sites.take(fits)).crystal)


def test_more_elements_and_the_letter_without_a_row_have_room():
    genes = [
        WyckoffGene.from_text("1 Li:a Na:a K:a Ca:a"),
        WyckoffGene.from_text("47 Li:A2 O:a"),
    ]
    crystals = crystals_from_genes(genes)
    assert count_elements(crystals).tolist() == [4, 2]
    narrow = open_representation("wycryst")
    assert narrow.holds(crystals).tolist() == [False, True]
    wide = narrow.fitted(crystals)
    assert wide.sizes.n_columns == 4
    assert wide.holds(crystals).all()
    array = wide.encode(crystals)
    assert array.shape == (2, N_ROWS, 4)
    assert array[0, :103].sum() == 4
    assert array[1, ROWS["empty"].start].tolist() == [2, 0, 0, 0]
    assert array[1, ROWS["n_atoms"].start].tolist() == [16, 1, 0, 0]


def test_lawrencium_is_the_last_element():
    crystals = crystals_from_genes(
        [WyckoffGene.from_text("1 Rf:a O:a"), WyckoffGene.from_text("1 Lr:a O:a")]
    )
    assert open_representation("wycryst").holds(crystals).tolist() == [False, True]


def test_cell_and_points_stand_below_the_array(make_structure):
    rng = np.random.default_rng(0)
    structure = make_structure(WyckoffGene.from_text("62 Ca:c O:d"), rng)
    crystals = crystals_from_structures([structure])
    representation = open_representation("wycryst-l").fitted(crystals)
    array = representation.encode(crystals)[0]
    assert array.shape == (N_ROWS + 2 + 2 * 2, 3)
    lattice = structure.to_structure().lattice
    assert array[N_ROWS] * 10 == pytest.approx(lattice.abc, rel=1e-5)
    assert array[N_ROWS + 1] * 180 == pytest.approx(lattice.angles, rel=1e-5)
    assert array[N_ROWS + 2] == pytest.approx(crystals.coordinates[0], abs=1e-6)
    assert array[N_ROWS + 3] * 24 == pytest.approx([4, 0, 0])
    assert array[N_ROWS + 4] == pytest.approx(crystals.coordinates[1], abs=1e-6)
    assert array[N_ROWS + 5] * 24 == pytest.approx([0, 8, 0])


def test_waves_are_sums_over_the_atoms_of_pymatgen(make_structure):
    """Each number of reciprocal space, summed atom by atom."""
    from wyckflow.ml.codec.wycryst import binary_features

    rng = np.random.default_rng(1)
    for text in ("62 Ca:c Ti:a O:c O:d", "225 Na:a Cl:b", "186 Zn:b S:b"):
        reduced = make_structure(WyckoffGene.from_text(text), rng)
        structure = reduced.to_structure()
        crystals = crystals_from_structures([reduced])
        representation = FtcpRepresentation(FtcpSizes()).fitted(crystals)
        array = representation.encode(crystals)[0]
        assert array.shape == representation.shape
        points = reciprocal_points(59)
        waves = np.zeros((92, 59))
        for site in structure:
            phase = np.exp(-2j * np.pi * (points @ site.frac_coords))
            waves += np.outer(binary_features()[site.specie.Z], phase.real)
        waves /= len(structure)
        assert array[-92:, 3:] == pytest.approx(waves, abs=1e-4)
        reciprocal = structure.lattice.reciprocal_lattice_crystallographic
        lengths = np.linalg.norm(points @ reciprocal.matrix, axis=1)
        assert array[-93, 3:] == pytest.approx(lengths, rel=1e-4)
        elements = [e.Z for e in structure.composition.elements]
        columns = array[:103, :3].argmax(axis=0)[: len(elements)] + 1
        assert sorted(columns.tolist()) == sorted(elements)
        assert not array[:-93, 3:].any()


def test_reciprocal_points_are_one_of_each_pair_from_the_lowest():
    points = reciprocal_points(59)
    assert len(np.unique(np.vstack([points, -points]), axis=0)) == 118
    sizes = np.abs(points).sum(axis=1)
    assert (np.diff(sizes) >= 0).all()
    assert points[:3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert np.array_equal(reciprocal_points(9), points[:9])


def test_distances_between_orbits_do_not_depend_on_the_description(small_crystals):
    import torch

    representation = GeneLatticeRepresentation()
    rows = np.arange(len(small_crystals))
    torch.manual_seed(0)
    network = representation.network(1).eval()
    moved = move(small_crystals, count_cosets(small_crystals) - 1)
    for crystals in (small_crystals, moved):
        batch = representation.batch(representation.prepare(crystals), rows, None)
        seen = network.trunk._see(batch).sum(dim=(1, 2))
        if crystals is small_crystals:
            first = seen
    assert torch.allclose(first, seen, rtol=1e-3, atol=1e-3)


def test_cell_features_are_those_of_pymatgen(make_structure):
    rng = np.random.default_rng(3)
    structure = make_structure(WyckoffGene.from_text("14 Zr:e O:e2"), rng)
    features = cell_features(crystals_from_structures([structure]))[0]
    whole = structure.to_structure()
    volume = np.log(whole.volume / len(whole) / 15)
    assert features[0] == pytest.approx(volume, rel=1e-5)
    shape = np.log(np.array(whole.lattice.abc) / whole.volume ** (1 / 3))
    assert features[2:5] == pytest.approx(shape, rel=1e-4, abs=1e-6)
    cosines = np.cos(np.radians(whole.lattice.angles))
    assert features[5:] == pytest.approx(cosines, abs=1e-6)


@pytest.mark.parametrize("name", OWN)
def test_networks_answer_for_every_crystal(name, small_crystals):
    import torch

    representation = open_representation(name)
    assert isinstance(representation, Representation)
    if isinstance(representation, Limited):
        representation = representation.fitted(small_crystals)
        assert representation.holds(small_crystals).all()
    prepared = representation.prepare(small_crystals)
    rows = np.arange(len(small_crystals))[::2]
    network = representation.network(2).eval()
    with torch.no_grad():
        batch = representation.batch(prepared, rows, np.random.default_rng(0))
        value, log_spread = network(representation.to(batch, "cpu"))
        alone = representation.batch(prepared, rows[3:4], None)
        together = representation.batch(prepared, rows, None)
        assert torch.allclose(network(alone)[0], network(together)[0][3:4], atol=1e-4)
    assert value.shape == log_spread.shape == (len(rows), 2)
    assert torch.isfinite(value).all()


@pytest.mark.parametrize("name", OWN)
def test_all_descriptions_are_seen_as_often_from_every_description(
    name, make_structure
):
    """The mean over all descriptions is the same wherever one begins."""
    import torch

    genes = [
        WyckoffGene.from_text("62 Ca:c Ti:b O:c O:d"),
        WyckoffGene.from_text("216 Li:a Zn:c F:e"),
        WyckoffGene.from_text("12 Li:a O:i2"),
    ]
    rng = np.random.default_rng(0)
    crystals = crystals_from_structures([make_structure(gene, rng) for gene in genes])
    representation = open_representation(name)
    if isinstance(representation, Limited):
        representation = representation.fitted(crystals)
    torch.manual_seed(1)
    network = representation.network(1).eval()
    counts = count_cosets(crystals)

    def mean(described):
        total = 0.0
        for index in range(int(counts.max())):
            moved = move(described, index % counts)
            batch = representation.batch(
                representation.prepare(moved), np.arange(len(moved)), None
            )
            total = total + network(batch)[0].detach().double()
        return total / int(counts.max())

    single = network(
        representation.batch(representation.prepare(crystals), np.arange(3), None)
    )[0]
    moved = move(crystals, counts - 1)
    assert torch.allclose(mean(crystals), mean(moved), atol=2e-4)
    assert not torch.allclose(mean(crystals), single.double(), atol=1e-6)


def test_published_sizes_have_the_published_parameters():
    network = open_representation("wycryst", {"preset": "published"}).network(1)
    n_parameters = sum(p.numel() for p in network.convolutions.parameters())
    n_parameters += sum(p.numel() for p in network.dense.parameters())
    assert network.dense[0].in_features == 7168
    # The published encoder has 8.06 M, with two branches behind the dense layer.
    assert 7.3e6 < n_parameters < 7.5e6


def test_unknown_names_are_refused_with_the_nearest():
    with pytest.raises(TrainingError, match="Did you mean 'wycryst'"):
        open_representation("wicryst")
    with pytest.raises(TrainingError, match="Did you mean 'dense'"):
        open_representation("wycryst", {"dence": 3})
    with pytest.raises(TrainingError, match="no preset 'large'"):
        open_representation("wycryst", {"preset": "large"})


def test_all_representations_open():
    for name in REPRESENTATIONS:
        assert open_representation(name).name == name


def test_formula_order_decides_the_columns():
    crystals = crystals_from_genes([PEROVSKITE])
    array = open_representation("ftcp").fitted(crystals)
    assert array.n_columns == 3
    order = open_representation("wycryst").encode(crystals)[0, :103].argmax(axis=0)
    assert [SYMBOLS[place] for place in order] == ["Ca", "Ti", "O"]


def test_a_wrong_value_is_not_taken_for_a_wrong_name():
    with pytest.raises(TrainingError, match="greater than or equal to 3") as caught:
        open_representation("wycryst", {"n_columns": 2})
    assert "Did you mean" not in str(caught.value)
