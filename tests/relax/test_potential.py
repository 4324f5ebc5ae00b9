"""The network: the one that is installed, named in full, and silent."""

from __future__ import annotations

import hashlib
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from wyckflow.errors import ConfigurationError
from wyckflow.relax.potential import (
    SUPPORTED_ATOMIC_NUMBERS,
    load_potential,
    resolve_device,
)


def test_identity_is_that_of_the_installed_file(potential):
    (package,) = find_spec("chgnet").submodule_search_locations
    (path,) = Path(package).glob("pretrained/0.3.0/*.tar")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert potential.identity.split(", ") == [
        f"chgnet {version('chgnet')}",
        "weights 0.3.0",
        f"sha256 {digest}",
    ]
    assert potential.energy_scale == "chgnet-0.3.0"


def test_energy_is_chgnets(potential, predict):
    from pymatgen.core import Lattice, Structure
    from pymatgen.io.ase import AseAtomsAdaptor

    rutile = Structure.from_spacegroup(
        136,
        Lattice.tetragonal(4.6, 2.95),
        ["Ti", "O"],
        [[0, 0, 0], [0.305, 0.305, 0]],
    )
    atoms = AseAtomsAdaptor.get_atoms(rutile)
    atoms.calc = potential.calculator()
    energy = atoms.get_potential_energy() / len(rutile)
    assert energy == pytest.approx(float(predict(rutile)["e"]), abs=1e-5)


def test_loading_prints_nothing_and_happens_once(potential, capfd):
    from wyckflow.relax.potential import _load

    _load.cache_clear()
    first = load_potential(device="cpu")
    first.calculator()
    assert load_potential(device="cpu") is first
    assert capfd.readouterr().out == ""


def test_the_elements_are_the_89_of_the_training_set():
    from pymatgen.core.periodic_table import Element

    absent = {Element(symbol).Z for symbol in ("Po", "At", "Rn", "Fr", "Ra")}
    assert len(SUPPORTED_ATOMIC_NUMBERS) == 89
    assert SUPPORTED_ATOMIC_NUMBERS | absent == set(range(1, Element("Pu").Z + 1))


def test_unknown_weights_are_refused():
    with pytest.raises(ConfigurationError, match=r"0\.3\.0"):
        load_potential("0.4.0")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "tpu", ""])
def test_a_device_that_is_none_is_refused(device):
    pytest.importorskip("torch")
    with pytest.raises(ConfigurationError, match="no device"):
        resolve_device(device)


def test_a_device_that_is_absent_is_refused():
    torch = pytest.importorskip("torch")
    absent = torch.cuda.device_count()
    with pytest.raises(ConfigurationError, match="is not there"):
        resolve_device(f"cuda:{absent}")


def test_auto_prefers_an_accelerator():
    torch = pytest.importorskip("torch")
    expected = "cuda:0" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto") == expected
