"""From bands to the document: edges, pockets, masses, descriptors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import reduce
from math import gcd
from typing import TYPE_CHECKING, Final

import numpy as np

from wyckflow.electronic.descriptors import (
    TEMPERATURE,
    max_temperature,
    summarise_carrier,
)
from wyckflow.electronic.edges import Edges, find_edges
from wyckflow.electronic.masses import FIT_WINDOW
from wyckflow.electronic.mesh import (
    Mesh,
    tensor_from_dense,
    tensor_on_mesh,
    unfold_mesh,
)
from wyckflow.electronic.pocket_masses import (
    Ellipsoid,
    fit_ellipsoid,
    fit_pocket,
    mean_line_mass,
)
from wyckflow.electronic.point_group import PointGroup
from wyckflow.electronic.valleys import DEGENERACY, VALLEY_WINDOW, find_pockets, sign_of
from wyckflow.errors import BandsError
from wyckflow.schemas.electronic import (
    BandKind,
    Carrier,
    CarrierSummary,
    ChannelDoc,
    ElectronicDoc,
    ElectronicSettings,
    FitQuality,
    Valley,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from wyckflow.electronic.bands import Bands
    from wyckflow.electronic.hessian import MassTensor
    from wyckflow.electronic.valleys import Pocket

    Floats = NDArray[np.float64]

_SAME_ENERGY: Final = 1e-3
_EQUAL_SPINS: Final = 1e-3
_AROUND_GAP: Final = 2.0


@dataclass(frozen=True, slots=True)
class ElectronicOptions:
    """What decides the numbers.

    Attributes
    ----------
    valley_window
        Pockets this near to the edge are counted, in eV.
    fit_window
        Largest energy from the edge that a mass is fitted to, in eV.
    degeneracy
        Bands this near to each other at an edge count as one, in eV.
    temperature
        At which pockets above the edge are weighted, in K.
    symprec
        Tolerance of the symmetry in A.
    """

    valley_window: float = VALLEY_WINDOW
    fit_window: float = FIT_WINDOW
    degeneracy: float = DEGENERACY
    temperature: float = TEMPERATURE
    symprec: float = 1e-3

    def __post_init__(self) -> None:
        """Refuse what has no meaning."""
        for name in self.__dataclass_fields__:
            if not getattr(self, name) > 0:
                raise BandsError(
                    f"{name} is {getattr(self, name)}, but must be above zero; leave "
                    "it out to take the default."
                )


@dataclass(frozen=True, eq=False, slots=True)
class _Case:
    """What the pockets of a crystal are found in."""

    bands: Bands
    group: PointGroup
    options: ElectronicOptions
    mesh: Mesh | None
    dense: Sequence[Bands]


def analyse_bands(
    bands: Bands,
    options: ElectronicOptions | None = None,
    *,
    dense: Sequence[Bands] = (),
    name: str = "",
    gene: str | None = None,
    gene_id: str | None = None,
) -> ElectronicDoc:
    """Describe the electrons of a crystal near its gap.

    Metals, runs that are not converged and paths that are too coarse give a document
    with reasons instead of numbers.

    Parameters
    ----------
    bands
        Along lines, or on a uniform mesh.
    options
        What decides the numbers.
    dense
        Runs on dense meshes around pockets of the same cell, for full mass tensors.
    name, gene, gene_id
        Of the crystal, as they will stand in the document.
    """
    options = options or ElectronicOptions()
    notes = []
    if is_spin_equal(bands):
        notes.append("both spins have the same bands and are counted as one")
        bands = replace(bands, energies=bands.energies[:1])
    group = PointGroup.of(bands, options.symprec)
    notes += group.notes
    edges = find_edges(bands)
    if bands.problem:
        edges = Edges(BandKind.CANNOT_JUDGE, edges.channels, bands.problem)
    # Path or mesh, the neighbours of a wave vector are others.
    lines = bands.lines()
    mesh = unfold_mesh(bands, group)
    if mesh is not None:
        notes.append(
            "masses and pockets are those of a mesh of "
            f"{' x '.join(map(str, mesh.counts))} points in the whole zone"
        )
        bands = mesh.bands
    if not lines and mesh is None:
        notes.append(
            f"{len(bands.kpoints)} wave vector(s) make neither a path nor a mesh of "
            "the whole zone: pockets are not looked for"
        )
    case = _Case(bands, group, options, mesh, dense)
    valleys = _find_valleys(case, edges)
    summaries = {
        carrier: _summarise(carrier, valleys, edges, options) for carrier in Carrier
    }
    is_open = edges.kind is BandKind.SEMICONDUCTOR
    return ElectronicDoc(
        name=name,
        gene=gene,
        gene_id=gene_id,
        formula_pretty=_formula(bands),
        kind=edges.kind,
        reason=edges.reason,
        band_gap=edges.gap,
        is_gap_direct=(
            _is_direct(bands, edges, group) if is_open and (lines or mesh) else None
        ),
        direct_gap=edges.direct_gap,
        vbm=edges.vbm,
        cbm=edges.cbm,
        fermi_level=bands.fermi,
        channels=_describe_channels(bands, edges),
        valleys=valleys,
        holes=summaries[Carrier.HOLE],
        electrons=summaries[Carrier.ELECTRON],
        max_temperature=max_temperature(edges.gap) if is_open and edges.gap else None,
        space_group_number=group.space_group_number,
        n_kpoints=len(bands.kpoints),
        n_lines=0 if mesh else len(lines),
        settings=_settings(options),
        notes=notes,
        is_simulated=bands.is_simulated,
    )


def explain_refusal(
    reason: str,
    options: ElectronicOptions | None = None,
    *,
    name: str = "",
    gene: str | None = None,
    gene_id: str | None = None,
    is_simulated: bool = False,
) -> ElectronicDoc:
    """Return the document of a crystal whose bands cannot be read.

    Parameters
    ----------
    reason
        What is wrong with them.
    options
        What would have decided the numbers.
    name, gene, gene_id
        Of the crystal.
    is_simulated
        Whether the bands come from a simulator.
    """
    nothing = {
        carrier: CarrierSummary(
            carrier=carrier, quality=FitQuality.CANNOT_FIT, reason="no bands"
        )
        for carrier in Carrier
    }
    return ElectronicDoc(
        name=name,
        gene=gene,
        gene_id=gene_id,
        kind=BandKind.CANNOT_JUDGE,
        reason=reason,
        holes=nothing[Carrier.HOLE],
        electrons=nothing[Carrier.ELECTRON],
        settings=_settings(options or ElectronicOptions()),
        is_simulated=is_simulated,
    )


def _settings(options: ElectronicOptions) -> ElectronicSettings:
    names = ElectronicSettings.model_fields
    return ElectronicSettings(**{name: getattr(options, name) for name in names})


def is_spin_equal(bands: Bands) -> bool:
    """Return whether two spins came and have the same bands around the gap.

    Far above it empty bands are often not converged.

    Parameters
    ----------
    bands
        Of one spin or two.
    """
    if bands.n_spins == 1:
        return False
    is_near = bands.energies.min(axis=0) < bands.fermi + _AROUND_GAP
    apart = np.abs(bands.energies[0] - bands.energies[1])[is_near]
    return bool(apart.size and apart.max() < _EQUAL_SPINS)


def _find_valleys(case: _Case, edges: Edges) -> list[Valley]:
    """Find the pockets and their masses."""
    if edges.kind is not BandKind.SEMICONDUCTOR:
        return []
    pockets = find_pockets(
        case.bands,
        edges,
        case.group,
        window=case.options.valley_window,
        degeneracy=case.options.degeneracy,
        mesh=case.mesh.counts if case.mesh else None,
    )
    return [_describe_pocket(case, pocket) for pocket in pockets]


def _describe_pocket(case: _Case, pocket: Pocket) -> Valley:
    """Fit one pocket and write it down."""
    bands, group, window = case.bands, case.group, case.options.fit_window
    k = bands.kpoints[pocket.index]
    n_b, spin_degeneracy = _count_bands(bands, pocket)
    # Of a pair that differs by its spin only, one is fitted.
    fitted = replace(pocket, bands=pocket.bands[:: len(pocket.bands) // n_b])
    lines = []
    if case.mesh is None:
        lines = fit_pocket(bands, fitted, group, window=window)
        whole = fit_ellipsoid(bands, fitted, group, lines)
    else:
        whole = _take_tensor(tensor_on_mesh(case.mesh, fitted, window=window))
    for run in case.dense:
        if (tensor := _fit_dense(run, bands, fitted, group)) is not None:
            whole = _take_tensor(tensor)
    return Valley(
        carrier=pocket.carrier,
        spin=_name_spin(bands, pocket.spin),
        label=bands.name_of(pocket.index),
        kpoint=[float(value) for value in k],
        energy=pocket.energy,
        energy_from_edge=pocket.from_edge,
        bands=list(pocket.bands),
        n_k=len(group.star(k)),
        n_b=n_b,
        spin_degeneracy=spin_degeneracy,
        little_group=group.little_group_symbol(k),
        n_directions=3 if case.mesh else len({line.direction for line in lines}),
        lines=lines,
        path_mass=mean_line_mass(lines),
        principal_masses=list(whole.principal),
        dos_mass=whole.dos_mass,
        conductivity_mass=whole.conductivity_mass,
        mass_error=whole.error,
        quality=whole.quality,
        reason=whole.reason,
    )


def _take_tensor(tensor: MassTensor) -> Ellipsoid:
    return Ellipsoid(
        tensor.quality,
        tensor.reason,
        tensor.principal,
        tensor.dos_mass,
        tensor.conductivity_mass,
        tensor.error,
    )


def _fit_dense(
    run: Bands, bands: Bands, pocket: Pocket, group: PointGroup
) -> MassTensor | None:
    """Return the tensor from a dense mesh, if it lies around this pocket."""
    if len(pocket.bands) > 1:
        return None
    middle = (run.kpoints.min(axis=0) + run.kpoints.max(axis=0)) / 2
    copies = group.star(bands.kpoints[pocket.index])
    apart = copies - middle
    apart -= np.rint(apart)
    width = np.ptp(run.kpoints, axis=0).max()
    nearest = int(np.abs(apart).max(axis=1).argmin())
    if np.abs(apart[nearest]).max() > width / 2 or width > 0.5:  # noqa: PLR2004
        return None
    band = pocket.bands[0]
    if band >= run.energies.shape[1]:
        return None
    return tensor_from_dense(run, pocket, middle, edge_index=band)


def _count_bands(bands: Bands, pocket: Pocket) -> tuple[int, int]:
    """Return the degeneracy of bands and that of spin.

    With spin-orbit coupling a pair of equal bands everywhere around counts as one band
    with two electrons.
    """
    n_bands = len(pocket.bands)
    if not bands.is_noncollinear:
        return n_bands, bands.spin_degeneracy
    if n_bands % 2:
        return n_bands, 1
    levels = np.sort(bands.energies[pocket.spin][list(pocket.bands)], axis=0)
    # Beyond the pocket the bands may cross others, so only near it.
    sign = sign_of(pocket.carrier)
    near = sign * (levels[0 if sign > 0 else -1] - pocket.energy) < 2 * DEGENERACY
    pairs = levels[1::2, near] - levels[::2, near]
    is_paired = bool(pairs.size and pairs.max() < _EQUAL_SPINS)
    return (n_bands // 2, 2) if is_paired else (n_bands, 1)


def _summarise(
    carrier: Carrier, valleys: list[Valley], edges: Edges, options: ElectronicOptions
) -> CarrierSummary:
    """Put the pockets of one carrier together, or say why there are none."""
    reason = edges.reason if edges.kind is not BandKind.SEMICONDUCTOR else ""
    return summarise_carrier(
        carrier,
        [one for one in valleys if one.carrier is carrier],
        degeneracy=options.degeneracy,
        temperature=options.temperature,
        reason=f"no gap: {reason}" if reason else "",
    )


def _is_direct(bands: Bands, edges: Edges, group: PointGroup) -> bool:
    """Return whether both edges are at one wave vector or copies of one."""
    tops, bottoms = set(), set()
    for energies, channel in zip(bands.energies, edges.channels, strict=True):
        n = channel.n_filled
        if n is None or edges.vbm is None or edges.cbm is None:
            continue
        if n > 0:
            tops |= set(np.flatnonzero(energies[n - 1] > edges.vbm - _SAME_ENERGY))
        if n < len(energies):
            bottoms |= set(np.flatnonzero(energies[n] < edges.cbm + _SAME_ENERGY))
    return any(
        bool(group.same_as(bands.kpoints[top], bands.kpoints[list(bottoms)]).any())
        for top in tops
    )


def _describe_channels(bands: Bands, edges: Edges) -> list[ChannelDoc]:
    if edges.kind is BandKind.CANNOT_JUDGE:
        return []
    return [
        ChannelDoc(
            spin=_name_spin(bands, spin),
            band_gap=one.gap,
            direct_gap=one.direct_gap,
            vbm=one.vbm,
            cbm=one.cbm,
        )
        for spin, one in enumerate(edges.channels)
    ]


def _name_spin(bands: Bands, spin: int) -> str:
    if bands.n_spins == 1:
        return "both"
    return ("up", "down")[spin]


def _formula(bands: Bands) -> str | None:
    """Return the reduced formula of the cell, if its atoms are known."""
    if bands.atoms is None:
        return None
    from pymatgen.core.composition import Composition
    from pymatgen.core.periodic_table import Element

    numbers, counts = np.unique(bands.atoms.numbers, return_counts=True)
    divisor = reduce(gcd, map(int, counts))
    return str(
        Composition(
            {
                Element.from_Z(int(number)): int(count) // divisor
                for number, count in zip(numbers, counts, strict=True)
            }
        ).reduced_formula
    )
