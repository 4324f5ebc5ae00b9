"""The folder of real VASP runs, and models of bands for all tests here."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # so that tests find model_bands


@pytest.fixture
def vasp_outputs():
    """Files of real VASP runs, which lie beside the published data."""
    folder = Path(os.environ.get("WYCKFLOW_DATA", "/none")).parent / "vasp_outputs"
    if not folder.is_dir():
        pytest.skip("set WYCKFLOW_DATA; vasp_outputs is looked for beside it")
    return folder
