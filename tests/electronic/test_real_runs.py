"""Real bands of VASP: their masses against differences by hand, and against effmass."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from model_bands import SCALE

from wyckflow.electronic.analyse import analyse_bands
from wyckflow.electronic.bands import Atoms, Bands
from wyckflow.schemas.electronic import BandKind, Carrier, FitQuality

ZINCBLENDE = np.array([[0, 0, 0], [0.25, 0.25, 0.25]])


def read_procar(folder, numbers):
    """Bands of a PROCAR and the cell of its OUTCAR; only the path, if it has a mesh."""
    with gzip.open(folder / "PROCAR.gz", "rt") as stream:
        text = stream.read()
    with gzip.open(folder / "OUTCAR.gz", "rt") as stream:
        outcar = stream.read()
    heads = re.findall(r"# of k-points:\s*(\d+)\s*# of bands:\s*(\d+)", text)
    n_points, n_bands = map(int, heads[0])
    rows = re.findall(r"k-point\s+\d+ :\s{3}(.{33})\s+weight = ([\d.]+)", text)
    kpoints = np.array(
        [[float(row[i : i + 11]) for i in (0, 11, 22)] for row, _ in rows]
    )
    weights = np.array([float(weight) for _, weight in rows])[:n_points]
    levels = np.array([float(one) for one in re.findall(r"# energy\s+(\S+)", text)])
    levels = levels.reshape(len(heads), n_points, n_bands).transpose(0, 2, 1)
    is_path = weights == 0 if (weights == 0).any() else weights >= 0
    cell = outcar.split("direct lattice vectors")[1].splitlines()[1:4]
    return Bands(
        lattice=np.array([[float(one) for one in row.split()[:3]] for row in cell]),
        kpoints=kpoints[:n_points][is_path],
        energies=levels[:, :, is_path],
        fermi=float(re.findall(r"E-fermi :\s+(\S+)", outcar)[-1]),
        n_electrons=float(re.findall(r"NELECT =\s+(\S+)", outcar)[0]),
        atoms=Atoms(ZINCBLENDE, np.array(numbers)),
    )


@pytest.fixture
def telluride(vasp_outputs):
    """CdTe with HSE06."""
    return read_procar(vasp_outputs / "CdTe_HSE06_bands", [48, 52])


def test_cadmium_telluride_has_its_edges_at_gamma(telluride):
    document = analyse_bands(telluride)
    assert document.kind is BandKind.SEMICONDUCTOR
    assert document.is_gap_direct
    assert document.space_group_number == 216
    assert (document.electrons.label, document.holes.label) == ("Γ", "Γ")
    assert (document.electrons.n_valleys, document.holes.n_valleys) == (1, 3)
    assert document.electrons.quality is FitQuality.GOOD


def test_masses_of_cadmium_telluride_are_those_of_the_nearest_points(telluride):
    """Curvature from the two points beside Γ on each line, without any fit."""
    edge = next(
        one
        for one in analyse_bands(telluride).valleys
        if one.carrier is Carrier.ELECTRON
    )
    k = np.linalg.norm(telluride.kpoints @ telluride.reciprocal, axis=1)
    energy = telluride.energies[0, 9] - telluride.energies[0, 9].min()
    near = np.argsort(k)[3:12]
    near = near[energy[near] > 1e-3]
    by_hand = np.median(SCALE / 2 * k[near] ** 2 / energy[near])
    assert edge.conductivity_mass == pytest.approx(by_hand, rel=0.05)


def test_effmass_agrees_on_cadmium_telluride(telluride):
    analysis = pytest.importorskip("effmass.analysis", reason="pip install effmass")
    inputs = pytest.importorskip("effmass.inputs")
    data = inputs.Data.__new__(inputs.Data)
    energies = telluride.energies[0]
    data.spin_channels, (data.number_of_bands, data.number_of_kpoints) = (
        1,
        energies.shape,
    )
    data.energies, data.kpoints = energies, telluride.kpoints
    data.fermi_energy, data.reciprocal_lattice = telluride.fermi, telluride.reciprocal
    data.VBM, data.CBM = energies[8].max(), energies[9].min()
    data.occupancy = (energies < (data.VBM + data.CBM) / 2).astype(float)
    for valley in analyse_bands(telluride).valleys:
        sign = -1 if valley.carrier is Carrier.HOLE else 1
        for line in valley.lines:
            theirs = [
                abs(analysis.Segment(data, line.band, chosen).kane_mass_band_edge())
                for chosen in segments(telluride, line.band, sign)
            ]
            nearest = min(theirs, key=lambda mass: abs(mass / line.mass - 1))
            assert line.mass == pytest.approx(nearest, rel=0.01)


def segments(bands, band, sign):
    """Points within a quarter of an electronvolt of Γ, outwards, of every line."""
    for first, last in bands.lines():
        energy = sign * bands.energies[0, band, first : last + 1]
        low = int(energy.argmin())
        if np.abs(bands.kpoints[first + low]).max() > 1e-6:
            continue
        step = 1 if low == 0 else -1
        end = last + 1 if step > 0 else first - 1
        places = range(first + low, end, step)
        yield [one for one in places if energy[one - first] - energy[low] < 0.25]


def test_spin_polarised_germanium_counts_both_spins_as_one(vasp_outputs):
    bands = read_procar(vasp_outputs / "Ge_spin_polarised_procar", [32, 32])
    assert bands.n_spins == 2
    document = analyse_bands(bands)
    assert "both spins" in document.notes[0]
    assert document.electrons.n_valleys == 6
    assert document.electrons.spin_degeneracy == 2
    assert document.holes.n_b == 3
    assert "dense mesh" in document.electrons.reason
    assert document.electrons.conductivity_mass is None
