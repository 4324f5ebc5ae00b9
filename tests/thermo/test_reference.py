"""Reference sets: what they hold, their version, their files."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Composition

from wyckflow.errors import ReferenceDataError, ScaleMismatchError
from wyckflow.thermo.composition import (
    Compositions,
    format_system,
    parse_system,
    reduce_counts,
)
from wyckflow.thermo.entry import EnergyKind, EnergyOrigin, ReferenceEntry
from wyckflow.thermo.reference import ReferenceSet

ENTRIES = [
    ReferenceEntry({"Sr": 1}, -1.7, "sr", "toy", "2026-01-31"),
    ReferenceEntry({"O": 8}, -4.9, "o", "toy"),
    ReferenceEntry({"Ti": 3}, -7.8, "ti", "other"),
    ReferenceEntry({"Sr": 2, "O": 2}, -6.0, "sro", origin=EnergyOrigin.EVALUATED),
    ReferenceEntry({"Sr": 1, "Ti": 1, "O": 3}, -8.0, "srtio3"),
]


def make_set(entries=ENTRIES, *, kind="total", scale="chgnet-0.3.0", name="toy"):
    return ReferenceSet.from_entries(name, entries, scale=scale, kind=kind)


@pytest.fixture
def reference():
    return make_set()


def test_entries_come_back_with_the_smallest_formula(reference):
    assert len(reference) == 5
    assert reference[0] == ENTRIES[0]
    assert reference[1].composition == {"O": 1}
    assert reference[3].composition == {"O": 1, "Sr": 1}
    assert reference[3].origin is EnergyOrigin.EVALUATED
    assert reference[-1].id == "srtio3"
    with pytest.raises(IndexError):
        reference[5]


def test_reduced_formulas_are_those_of_pymatgen():
    source = random.Random(0)  # noqa: S311 - a fixed sample, no secret
    symbols = ["H", "Li", "O", "P", "Ti", "Sr", "U"]
    for _ in range(200):
        part = source.sample(symbols, source.randint(1, 5))
        counts = {symbol: source.randint(1, 30) for symbol in part}
        expected = Composition(counts).reduced_composition
        (found,) = [Compositions.from_counts([counts])]
        # pymatgen leaves O2 and the like alone.
        if len(part) > 1 and not {"H", "Li", "O"} >= set(part):
            assert Composition(found.counts_of(0)) == expected
        pairs = reduce_counts(counts)
        assert pairs == sorted(pairs)
        assert np.gcd.reduce([count for _, count in pairs]) == 1


def test_the_version_does_not_depend_on_order_name_source_or_date(reference):
    shuffled = [replace(item, source="x", date="") for item in ENTRIES[::-1]]
    assert make_set(shuffled, name="y").version == reference.version
    assert make_set(ENTRIES * 2).version == reference.version
    assert len(make_set(ENTRIES * 2)) == 5


@pytest.mark.parametrize(
    "changed",
    [
        replace(ENTRIES[0], energy_per_atom=-1.7 - 1e-15),
        replace(ENTRIES[0], composition={"Ca": 1}),
        replace(ENTRIES[0], id="other"),
        replace(ENTRIES[0], origin=EnergyOrigin.EVALUATED),
    ],
    ids=["energy", "composition", "id", "origin"],
)
def test_the_version_depends_on_what_decides_a_verdict(reference, changed):
    assert make_set([changed, *ENTRIES[1:]]).version != reference.version
    assert make_set(scale="pbe-fine").version != reference.version
    assert make_set(kind="formation").version != reference.version
    assert make_set(ENTRIES[:4]).version != reference.version


def test_select_and_merge_are_inverse(reference):
    strontium = reference.select(chemsys="O-Sr")
    assert sorted(strontium.ids) == ["o", "sr", "sro"]
    rest = reference.select(ids=["ti", "srtio3"])
    assert strontium.merge(rest).version == reference.version
    assert rest.merge(strontium).merge(reference).version == reference.version
    assert reference.select(source="other").ids.tolist() == ["ti"]
    assert reference.select(origin="evaluated").ids.tolist() == ["sro"]
    assert len(reference.select(chemsys="Xe")) == 0


def test_what_merging_keeps_is_what_reading_finds(reference):
    merged = reference.take([0, 3]).merge(reference.take([1, 2, 3, 4]))
    assert reference.compositions.systems  # known before the next merge
    again = reference.merge(make_set([ReferenceEntry({"Ba": 1, "O": 1}, -6.0, "bao")]))
    for kept in (merged, again):
        read = ReferenceSet.from_bytes(kept.to_bytes())
        assert kept.version == read.version
        assert kept.digests == read.digests
        assert kept.compositions.pairs == read.compositions.pairs
        ours, theirs = kept.compositions.systems, read.compositions.systems
        assert {k: v.tolist() for k, v in ours.items()} == {
            k: v.tolist() for k, v in theirs.items()
        }


def test_sets_of_other_scales_and_kinds_cannot_be_merged(reference):
    with pytest.raises(ScaleMismatchError, match=r"chgnet-0\.3\.0.*pbe-fine"):
        reference.merge(make_set(scale="pbe-fine"))
    with pytest.raises(ReferenceDataError, match=r"total.*formation"):
        reference.merge(make_set(kind="formation"))


def test_total_energies_need_elements_and_formation_energies_do_not(reference):
    assert reference.covers("O-Sr-Ti")
    assert not reference.covers("O-Sr-Ba")
    assert reference.missing_elements(parse_system("Ba-O-Xe")) == ["Ba", "Xe"]
    compounds = reference.select(ids=["sro", "srtio3"])
    assert not compounds.covers("O-Sr")
    formation = make_set(ENTRIES[3:], kind=EnergyKind.FORMATION)
    assert formation.covers("O-Sr-Ti")
    assert not formation.covers("Ba-O")


def test_a_file_keeps_everything(reference, tmp_path):
    path = tmp_path / "toy.npz"
    told = replace(reference, provenance={"how": "by hand"})
    told.save(path)
    found = ReferenceSet.load(path)
    assert [found[place] for place in range(5)] == [told[place] for place in range(5)]
    assert (found.version, found.name) == (told.version, "toy")
    assert found.provenance == {"how": "by hand"}
    assert [item.name for item in tmp_path.iterdir()] == ["toy.npz"]
    with np.load(path, allow_pickle=False) as archive:
        assert not any(archive[name].dtype.hasobject for name in archive.files)


def test_an_empty_set_has_a_file_as_well(tmp_path):
    empty = make_set([])
    empty.save(tmp_path / "empty.npz")
    assert len(ReferenceSet.load(tmp_path / "empty.npz")) == 0
    assert empty.merge(make_set()).version == make_set().version


def test_a_damaged_file_is_refused(reference, tmp_path):
    path = tmp_path / "toy.npz"
    with pytest.raises(ReferenceDataError, match="cannot be read"):
        ReferenceSet.load(path)
    content = reference.to_bytes()
    for damaged in (b"", b"x" * 100, content[:-30], content[: len(content) // 2]):
        path.write_bytes(damaged)
        with pytest.raises(ReferenceDataError, match="wyckflow hull build"):
            ReferenceSet.load(path)


def test_one_wrong_byte_never_gives_other_energies(reference):
    content = reference.to_bytes()
    for place in range(0, len(content), 7):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        try:
            found = ReferenceSet.from_bytes(bytes(damaged))
        except ReferenceDataError:
            continue
        assert found.version == reference.version


def test_a_file_whose_numbers_were_changed_is_refused(reference, tmp_path):
    path = tmp_path / "toy.npz"
    reference.save(path)
    with np.load(path) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["energies"] = arrays["energies"] + 0.001
    np.savez(path, **arrays)
    with pytest.raises(ReferenceDataError, match="changed or damaged"):
        ReferenceSet.load(path)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        (ReferenceEntry({"Xx": 1}, 0.0, "x"), "no chemical element"),
        (ReferenceEntry({"Na": 0}, 0.0, "x"), "whole numbers above zero"),
        (ReferenceEntry({"Na": 0.5}, 0.0, "x"), "whole numbers above zero"),
        (ReferenceEntry({}, 0.0, "x"), "without elements"),
        (ReferenceEntry({"Na": 1}, float("nan"), "x"), "leave it out"),
        (ReferenceEntry({"Na": 1}, 0.0, ""), "no id"),
        (ReferenceEntry({"Na": 1}, 0.0, "x", date="yesterday"), "2026-01-31"),
    ],
)
def test_an_entry_that_cannot_be_is_refused(entry, words):
    with pytest.raises(ReferenceDataError, match=words):
        make_set([entry])


def test_arrays_cannot_be_changed(reference):
    with pytest.raises(ValueError, match="read-only"):
        reference.energies[0] = 0.0


def test_chemical_systems_are_read_in_any_order():
    assert (
        parse_system("Ti-O-Sr") == parse_system(["Sr", "Ti", "O", "O"]) == (8, 22, 38)
    )
    assert format_system((8, 22, 38)) == "O-Sr-Ti"
    with pytest.raises(ReferenceDataError, match="Did you mean 'Ti'"):
        parse_system("O-Tii")
    with pytest.raises(ReferenceDataError, match="without elements"):
        parse_system([])
