"""Reduced structures to CIF, with exactly the symmetry that they have.

Writers that look for the symmetry in the coordinates find another one at another
tolerance. Here space group, operations and orbits are known, and go into the file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from wyckflow.crystal._geometry import lengths_and_angles
from wyckflow.crystal.tables import TRANSLATION_DENOMINATOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from wyckflow.crystal.reduced import ReducedStructure
    from wyckflow.crystal.tables import SpaceGroup

_SITE_TAGS: Final = (
    "label",
    "type_symbol",
    "symmetry_multiplicity",
    "Wyckoff_symbol",
    "fract_x",
    "fract_y",
    "fract_z",
    "occupancy",
)


def write_cif(
    structure: ReducedStructure,
    name: str = "",
    *,
    site_columns: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """Return the text of a CIF with one atom per orbit and all operations.

    Parameters
    ----------
    structure
        Any reduced structure; the file has the setting that it has.
    name
        Of the data block; the formula if not given. White space becomes ``_``.
    site_columns
        More words about each orbit, by the end of their tag ``_atom_site_...``.
    """
    more = site_columns or {}
    gene = structure.gene
    lengths, angles = lengths_and_angles(structure.lattice)
    sizes = dict(zip("abc", lengths, strict=True))
    corners = dict(zip(("alpha", "beta", "gamma"), angles, strict=True))
    lines = [f"data_{'_'.join((name or gene.formula).split())}"]
    lines += [f"_cell_length_{axis} {length:.8f}" for axis, length in sizes.items()]
    lines += [f"_cell_angle_{angle} {value:.8f}" for angle, value in corners.items()]
    lines += [
        f"_cell_volume {structure.volume:.6f}",
        f"_chemical_formula_structural {gene.formula}",
        f"_space_group_IT_number {gene.space_group_number}",
        f"_space_group_name_H-M_alt '{gene.space_group.symbol.replace('_', '')}'",
        "loop_",
        "_space_group_symop_id",
        "_space_group_symop_operation_xyz",
        *_operations(gene.space_group),
        "loop_",
        *(f"_atom_site_{tag}" for tag in (*_SITE_TAGS, *more)),
        *(
            " ".join(words)
            for words in zip(_sites(structure), *more.values(), strict=True)
        ),
        "",
    ]
    return "\n".join(lines)


def _operations(group: SpaceGroup) -> Iterator[str]:
    """Write the operations as CIF does: ``x+1/2,-y,z``."""
    from pymatgen.core.operations import SymmOp

    operations = zip(group.rotations, group.translations, strict=True)
    for number, (rotation, shift) in enumerate(operations, 1):
        fraction = shift / TRANSLATION_DENOMINATOR
        operation = SymmOp.from_rotation_and_translation(rotation, fraction)
        yield f"{number} '{operation.as_xyz_str()}'"


def _sites(structure: ReducedStructure) -> Iterator[str]:
    """Write the first atom of every orbit."""
    coordinates, _ = structure.expand()
    gene, points = structure.gene, coordinates[structure.orbit_table.first_atoms]
    sites = zip(gene.sites, gene.multiplicities, points, strict=True)
    for number, (site, multiplicity, (x, y, z)) in enumerate(sites, 1):
        yield (
            f"{site.element}{number} {site.element} {multiplicity} {site.letter} "
            f"{x:.10f} {y:.10f} {z:.10f} 1"
        )
