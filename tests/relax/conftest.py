"""One loaded network for all tests of relaxation."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def potential():
    pytest.importorskip("chgnet", reason="install wyckflow[ml]")
    from wyckflow.relax.potential import load_potential

    return load_potential(device="cpu")


@pytest.fixture(scope="session")
def predict():
    """CHGNet's own prediction for a structure, loaded apart from ours."""
    chgnet = pytest.importorskip("chgnet.model", reason="install wyckflow[ml]")
    model = chgnet.CHGNet.load(use_device="cpu", verbose=False)
    return model.predict_structure
