"""What is said of each gene of a set, before anything is averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from wyckflow.errors import DatasetError, nearest_name
from wyckflow.screening.metrics.profile import find_neutral
from wyckflow.screening.novelty import NoveltyLevel, judge_novelty

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import ArrayLike, NDArray

    from wyckflow.schemas.target import Window
    from wyckflow.screening.metrics.gene_set import GeneSet
    from wyckflow.screening.novelty import KnownGenes, NoveltyLevels

ENERGY_COLUMN: Final = "energy_above_hull"


@dataclass(frozen=True, eq=False, slots=True)
class JudgedGenes:
    """One entry per gene of a set in every array.

    Attributes
    ----------
    genes
        The set.
    is_first
        Whether no equivalent gene stands earlier.
    novelty
        How new it is, where it is known what is known.
    energies
        Energy above the hull in eV/atom, not-a-number where it is not known.
    in_target
        Whether all ranges of the target are met, where there is a target; a gene
        without a number does not meet them.
    """

    genes: GeneSet
    is_first: NDArray[np.bool_]
    novelty: NoveltyLevels | None
    energies: NDArray[np.float64]
    in_target: NDArray[np.bool_] | None

    @property
    def is_novel(self) -> NDArray[np.bool_]:
        """Different genes that are not known; without a set of known ones, all."""
        if self.novelty is None:
            return self.is_first
        return self.is_first & ~self.novelty.known_gene

    def count_levels(self) -> dict[str, int] | None:
        """Count the different genes by how new they are."""
        if self.novelty is None:
            return None
        levels = self.novelty.level[self.is_first]
        return {
            level.name.lower(): int((levels == level).sum()) for level in NoveltyLevel
        }

    def iter_rows(self) -> Iterator[dict[str, Any]]:
        """Yield a record per gene, as a table would show it."""
        table, novelty = self.genes.table, self.novelty
        is_neutral, is_unknown = find_neutral(table)
        for place, gene in enumerate(table.genes()):
            row: dict[str, Any] = {
                "row": int(table.rows[place]) + 1,
                "gene": gene.to_text(),
                "gene_id": f"{int(table.keys[place]):016x}",
                "formula_pretty": gene.formula,
                "is_repetition": not self.is_first[place],
                "is_neutral": "" if is_unknown[place] else bool(is_neutral[place]),
            }
            if novelty is not None:
                level = NoveltyLevel(int(novelty.level[place]))
                row["novelty"] = level.name.lower()
                row["has_known_formula"] = bool(novelty.known_formula[place])
                row["has_known_parent_gene"] = bool(novelty.known_parent_gene[place])
            if self.in_target is not None:
                row["is_in_target"] = bool(self.in_target[place])
            if np.isfinite(self.energies).any():
                energy = float(self.energies[place])
                row[ENERGY_COLUMN] = "" if np.isnan(energy) else energy
            yield row


def judge_genes(
    genes: GeneSet,
    *,
    known: KnownGenes | None = None,
    energies: ArrayLike | None = None,
    target: Mapping[str, Window] | None = None,
) -> JudgedGenes:
    """Look at every gene of a set.

    Parameters
    ----------
    genes
        The set.
    known
        What counts as known.
    energies
        Energy above the hull in eV/atom per gene, not-a-number where it is not known;
        None looks for a column ``energy_above_hull`` of the set.
    target
        Ranges of columns of the set, such as predictions.

    Raises
    ------
    DatasetError
        If energies do not fit the genes, or the target names no column.
    """
    table = genes.table
    is_first = np.zeros(len(genes), bool)
    is_first[genes.first_rows] = True
    codes = table.space_group_numbers, table.codes
    return JudgedGenes(
        genes=genes,
        is_first=is_first,
        novelty=None if known is None else judge_novelty(codes, known),
        energies=_check_energies(genes, energies),
        in_target=_find_in_target(genes, target) if target else None,
    )


def _check_energies(genes: GeneSet, energies: ArrayLike | None) -> NDArray[np.float64]:
    if energies is None:
        nothing = np.full(len(genes), np.nan)
        return np.asarray(genes.columns.get(ENERGY_COLUMN, nothing), np.float64)
    found = np.asarray(energies, np.float64)
    if found.shape != (len(genes),):
        raise DatasetError(
            f"Energies of shape {found.shape} came for {len(genes)} genes; give one "
            "number (eV/atom) per gene, not-a-number where there is none."
        )
    return found


def _find_in_target(genes: GeneSet, target: Mapping[str, Window]) -> NDArray[np.bool_]:
    """Compare columns with ranges."""
    hits = np.ones(len(genes), bool)
    for name, window in target.items():
        if name not in genes.columns:
            raise DatasetError(
                f"{genes.name} has no column of numbers {name!r}; it has "
                f"{', '.join(genes.columns) or 'none'}."
                f"{nearest_name(name, genes.columns)}"
            )
        values = genes.columns[name]
        hits &= (values >= window.lower) & (values <= window.upper)
    return hits
