"""The manifest of an exported campaign."""

from __future__ import annotations

import pytest

from wyckflow.errors import ExportError
from wyckflow.schemas.export import ExportedFile, ExportManifest


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a/../../b", "", "a\\b"])
def test_a_manifest_names_no_file_outside_its_folder(path):
    with pytest.raises(ExportError, match="not inside the folder"):
        ExportedFile(path=path, sha256="0" * 64, n_bytes=1)


def test_a_manifest_knows_its_files_in_any_order():
    files = [
        ExportedFile(path=name, sha256=name * 64, n_bytes=1) for name in ("a", "b")
    ]
    numbers = {"n_candidates": 1, "n_structures": 1, "n_outputs": 1}
    first, second = (
        ExportManifest(campaign="c", wyckflow_version="0", files=some, **numbers)
        for some in (files, files[::-1])
    )
    assert first.content_id == second.content_id


def test_a_manifest_whose_hash_is_not_that_of_its_files_is_refused():
    numbers = {"n_candidates": 1, "n_structures": 1, "n_outputs": 1, "files": []}
    with pytest.raises(ExportError, match="manifest was changed"):
        ExportManifest(
            campaign="c", wyckflow_version="0", content_id="0" * 16, **numbers
        )
