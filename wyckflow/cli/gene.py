"""``wyckflow gene``: what a gene says, and how else it can be written."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.markup import escape

from wyckflow.cli.console import out, plain_table, say
from wyckflow.cli.options import JsonOption
from wyckflow.crystal.equivalence import NormalizerKind, equivalent_genes
from wyckflow.crystal.full_symmetry import find_full_gene
from wyckflow.crystal.gene import WyckoffGene

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Genes: a space group with Wyckoff letters for each element.",
)


@app.callback()
def main() -> None:
    """Genes: a space group with Wyckoff letters for each element."""


@app.command(no_args_is_help=True)
def equivalents(
    gene: Annotated[
        str,
        typer.Argument(
            metavar="GENE", help="Such as '62 Ca:c Ti:b O:cd'.", show_default=False
        ),
    ],
    kind: Annotated[
        NormalizerKind,
        typer.Option(
            help="euclidean: other origins and orientations of the same cell; affine: "
            "also other axes, as in gene ids; augmentation: euclidean, and renamed "
            "axes in orthorhombic groups."
        ),
    ] = NormalizerKind.EUCLIDEAN,
    as_json: JsonOption = False,
) -> None:
    """Write a gene in every equivalent way: which element is on which letters.

    All lines describe the same crystals, and share the gene's id. They follow
    from the normalizer of the space group, as the International Tables define it.

    Example: wyckflow gene equivalents '62 Ca:c Ti:b O:cd'

    Example: wyckflow gene equivalents '221 Ca:a Ti:b O:c'
    """
    own = WyckoffGene.from_text(gene)
    forms = equivalent_genes(own, kind=kind)
    full = find_full_gene(own)
    if as_json:
        found = {
            "gene_id": own.gene_id,
            "formula": own.formula,
            "space_group_number": own.space_group_number,
            "equivalents": [form.to_text() for form in forms],
            "full_symmetry": full.to_text(),
        }
        out.print_json(json.dumps(found))
        return
    group = own.space_group
    table = plain_table("", *own.elements, "gene")
    for number, form in enumerate(forms, 1):
        columns = [
            ", ".join(
                position.label
                for site, position in zip(form.sites, form.positions, strict=True)
                if site.element == element
            )
            for element in own.elements
        ]
        table.add_row(str(number), *columns, escape(form.to_text()))
    out.print(
        f"[bold]{own.formula}[/bold] in {group.symbol.replace('_', '')} "
        f"({group.number}), {own.n_sites} atoms in the conventional cell, "
        f"{own.positional_degrees_of_freedom} free coordinates"
    )
    out.print(table)
    if full is not own:
        say(f"All its crystals have a higher symmetry: {full.to_text()}")
    plural = "ways" if len(forms) > 1 else "way"
    say(f"{len(forms)} equivalent {plural} ({kind.value}), gene id {own.gene_id}")
