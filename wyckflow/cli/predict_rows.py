"""What ``wyckflow predict`` is given: files, genes, datasets, candidates."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from wyckflow.crystal.gene import WyckoffGene
from wyckflow.crystal.reduced import ReducedStructure
from wyckflow.errors import DatasetError, StructureError
from wyckflow.relax.intake import Entry, open_intake

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from wyckflow.crystal.dataset.table import Dataset
    from wyckflow.store.connect import Database

_DATASET = ".npz"


def open_rows(
    files: Sequence[Path],
    genes: Sequence[str],
    campaign: str | None,
    *,
    project: Path | None,
    symprec: float,
    with_cells: bool,
) -> tuple[int, Iterator[Entry]]:
    """Look through all that came; return how many rows it has, and the rows.

    Parameters
    ----------
    files
        Tables, structure files, lists of genes, and datasets.
    genes, campaign
        Further genes, and the name of a campaign with candidates.
    project
        Where the campaign is.
    symprec
        Tolerance in A of the symmetry of structures.
    with_cells
        Whether candidates and rows of datasets are wanted with their structures.
    """
    n_rows, parts = 0, []
    datasets = [path for path in files if path.suffix.lower() == _DATASET]
    others = [path for path in files if path not in datasets]
    for path in datasets:
        from wyckflow.crystal.dataset.table import load_dataset

        dataset = load_dataset(path)
        n_rows += len(dataset)
        parts.append(_read_dataset(dataset, path.name, with_cells=with_cells))
    if others or genes:
        intake = open_intake(others, genes)
        n_rows += len(intake)
        parts.append(intake.entries(symprec=symprec))
    if campaign:
        from wyckflow.store.candidates.genes import count_candidates
        from wyckflow.store.project import load_project

        database = load_project(project).database()
        n_rows += count_candidates(database, campaign)
        read = _read_structures if with_cells else _read_genes
        parts.append(read(database, campaign, symprec))
    if not n_rows:
        raise DatasetError("The files have no rows; give others.")
    return n_rows, chain(*parts)


def _read_dataset(dataset: Dataset, name: str, *, with_cells: bool) -> Iterator[Entry]:
    """Yield the rows of a dataset; names are those of its materials if it has any."""
    labels = dataset.arrays.texts.get("material_id")
    for index, gene in enumerate(dataset.genes):
        place = f"{name}:{index + 1}"
        label = str(labels[index]) if labels is not None else ""
        label = label or f"{gene.formula}-{index + 1}"
        if not with_cells:
            yield Entry(label, place, gene)
            continue
        try:
            structure = dataset.structure(index)
        except StructureError as error:
            yield Entry(label, place, refusal=str(error))
        else:
            yield Entry(label, place, gene, structure)


def _read_genes(database: Database, campaign: str, _: float) -> Iterator[Entry]:
    """Yield the candidates of a campaign by their genes."""
    from wyckflow.store.candidates.genes import iter_candidate_genes

    for gene_id, text in iter_candidate_genes(database, campaign):
        yield Entry(gene_id, f"campaign {campaign}", WyckoffGene.from_text(text))


def _read_structures(
    database: Database, campaign: str, symprec: float
) -> Iterator[Entry]:
    """Yield the candidates of a campaign as they were relaxed, if they were."""
    from wyckflow.store.candidates.genes import iter_candidate_structures

    source = f"campaign {campaign}"
    for gene_id, text, stored in iter_candidate_structures(database, campaign):
        gene = WyckoffGene.from_text(text)
        if stored is None:
            yield Entry(gene_id, source, gene)
            continue
        found = _reduce(stored, symprec)
        if isinstance(found, str):
            yield Entry(gene_id, source, gene, refusal=found)
        else:
            yield Entry(gene_id, source, found.gene, found)


def _reduce(stored: dict[str, Any], symprec: float) -> ReducedStructure | str:
    """Bring a stored structure to the standard setting, or say why not."""
    from pymatgen.core.structure import Structure

    try:
        structure = Structure.from_dict(stored)
        return ReducedStructure.from_structure(structure, symprec=symprec)
    except StructureError as error:
        return str(error)
