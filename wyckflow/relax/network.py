"""CHGNet on quotient graphs: the energies of a batch, and their gradients.

The weights are those of the installed package, frozen. Each class of atoms, bonds,
neighbours and angles is computed once and counted as often as it occurs. Geometry is
in float64 and the layers in float32, unless asked otherwise.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from wyckflow.relax.quotient.ragged import smallest

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.potential import Potential
    from wyckflow.relax.quotient.cells import Cells
    from wyckflow.relax.quotient.topology import Topology

# The package's own factor, which keeps acos from infinite slopes.
_COSINE_FACTOR: Final = 1 - 1e-6


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The network's answer for a batch.

    Attributes
    ----------
    energies
        Of the conventional cells in eV.
    parameter_gradients
        Derivatives of the energies in the free coordinates, in eV, one row per orbit.
        Exact for the free coordinates, zero for the others.
    lattice_gradients
        Derivatives in the cell vectors at constant free coordinates, in eV/A, shape
        (structures, 3, 3). They mean something for changes that keep the symmetry.
    contact_ratios
        Shortest distance over the sum of the covalent radii, per structure.
    n_isolated
        Orbits without any neighbour, per structure.
    """

    energies: Tensor
    parameter_gradients: Tensor
    lattice_gradients: Tensor
    contact_ratios: Tensor
    n_isolated: Tensor


class QuotientNetwork:
    """CHGNet for batches of structures in reduced form.

    Parameters
    ----------
    potential
        The network as loaded.
    dtype
        ``float32`` or ``float64``, of the layers.

    Attributes
    ----------
    device
        Where the tensors of a batch must be.
    edge_cutoff, angle_cutoff
        Distances in A within which atoms and bonds see each other.
    """

    def __init__(self, potential: Potential, dtype: str = "float32") -> None:
        import torch

        self.device = potential.device
        self._dtype = getattr(torch, dtype)
        model = copy.deepcopy(potential.model).to(self._dtype).eval()
        model.requires_grad_(requires_grad=False)
        self._model = model
        self.edge_cutoff = float(model.graph_converter.atom_graph_cutoff)
        self.angle_cutoff = float(model.graph_converter.bond_graph_cutoff)
        self._embedding = model.atom_embedding.embedding.weight
        self._references = model.composition_model.fc.weight[0].double()
        self._atom_gates = [
            _Gate(layer.twoBody_atom, 3) for layer in model.atom_conv_layers
        ]
        self._bond_gates = [
            _Gate(layer.twoBody_bond, 4) for layer in model.bond_conv_layers
        ]
        self._angle_gates = [
            _Gate(layer.twoBody_bond, 4) for layer in model.angle_layers[:-1]
        ]

    def evaluate(
        self, cells: Cells, topology: Topology, parameters: Tensor, lattices: Tensor
    ) -> Evaluation:
        """Return energies and gradients with one backward pass.

        Parameters
        ----------
        cells, topology
            The structures and their classes, complete within the cut-offs.
        parameters
            Free coordinates, one row per orbit.
        lattices
            Rows are the cell vectors in A, shape (structures, 3, 3).
        """
        import torch

        parameters = parameters.detach().requires_grad_()
        lattices = lattices.detach().requires_grad_()
        graph = look(
            cells,
            topology,
            parameters,
            lattices,
            edge_cutoff=self.edge_cutoff,
            angle_cutoff=self.angle_cutoff,
        )
        features, _ = self._pass_messages(cells, graph)
        energies = self._read_out(cells, features)
        if energies.requires_grad:
            gradients = torch.autograd.grad(energies.sum(), (parameters, lattices))
        else:  # nothing is near anything
            gradients = torch.zeros_like(parameters), torch.zeros_like(lattices)
        return Evaluation(
            energies.detach(), *gradients, graph.contact_ratios, graph.n_isolated
        )

    def magnetic_moments(
        self, cells: Cells, topology: Topology, parameters: Tensor, lattices: Tensor
    ) -> Tensor:
        """Return the size of the magnetic moment of each orbit's atoms in mu_B.

        Parameters are those of :meth:`evaluate`.
        """
        import torch

        with torch.no_grad():
            graph = look(
                cells,
                topology,
                parameters,
                lattices,
                edge_cutoff=self.edge_cutoff,
                angle_cutoff=self.angle_cutoff,
            )
            _, before_last = self._pass_messages(cells, graph)
            moments: Tensor = self._model.site_wise(before_last)[:, 0].abs().double()
        return moments

    def _pass_messages(self, cells: Cells, graph: Graph) -> tuple[Tensor, Tensor]:
        """Return the features of the orbits after and before the last layer."""
        model = self._model
        expansion = model.bond_basis_expansion
        lengths = graph.lengths.to(self._dtype)
        basis = expansion.rbf_expansion_ag(lengths)
        bonds = model.bond_embedding(basis)
        weights = model.bond_weights_ag(basis).index_select(0, graph.neighbor_bonds)
        weights = weights * graph.neighbor_weights.to(self._dtype)[:, None]
        atoms = self._embedding.index_select(0, cells.orbits.elements)
        has_angles = len(graph.angle_centers) > 0
        if has_angles:
            angles = model.angle_embedding(self._expand_angles(graph.cosines))
            angle_weights = self._weigh_angles(graph, lengths)
        before_last = atoms
        n_layers = len(self._atom_gates)
        for layer in range(n_layers):
            before_last = atoms
            atoms = atoms + self._update_atoms(layer, atoms, bonds, weights, graph)
            if has_angles and layer < n_layers - 1:
                bonds = self._update_bonds(
                    layer, atoms, bonds, angles, angle_weights, graph
                )
                if layer < n_layers - 2:
                    gate = self._angle_gates[layer]
                    angles = angles + gate(
                        _angle_inputs(gate, atoms, bonds, angles, graph)
                    )
        return atoms, before_last

    def _read_out(self, cells: Cells, atoms: Tensor) -> Tensor:
        """Sum the energies of all atoms of each structure."""
        if self._model.readout_norm is not None:
            atoms = self._model.readout_norm(atoms)
        per_atom = self._model.mlp(atoms)[:, 0].double()
        per_atom = per_atom + self._references[cells.orbits.elements]
        energies: Tensor = per_atom.new_zeros(len(cells))
        return energies.index_add(
            0, cells.orbits.owner, per_atom * cells.orbits.multiplicities
        )

    def _expand_angles(self, cosines: Tensor) -> Tensor:
        """Expand angles in sines and cosines of their multiples."""
        import torch

        frequencies = self._model.angle_basis_expansion.fourier_expansion.frequencies
        angles = torch.acos(cosines.to(self._dtype) * _COSINE_FACTOR)
        multiples = angles[:, None] * frequencies
        constant = torch.full_like(multiples[:, :1], math.sqrt(0.5))
        expanded = torch.cat([constant, multiples.sin(), multiples.cos()], 1)
        return expanded / math.sqrt(math.pi)

    def _weigh_angles(self, graph: Graph, lengths: Tensor) -> Tensor:
        """Let angles vanish smoothly where one of their sides gets too long."""
        short = lengths.index_select(0, graph.short_bonds)
        basis = self._model.bond_basis_expansion.rbf_expansion_bg(short)
        weights = self._model.bond_weights_bg(basis)
        both = weights.index_select(0, graph.first_bonds) * weights.index_select(
            0, graph.second_bonds
        )
        weighed: Tensor = both * graph.angle_weights.to(self._dtype)[:, None]
        return weighed

    def _update_atoms(
        self, layer: int, atoms: Tensor, bonds: Tensor, weights: Tensor, graph: Graph
    ) -> Tensor:
        """Gather what the neighbours say to each orbit."""
        import torch

        gate = self._atom_gates[layer]
        hidden = (
            gate.part(0, atoms, with_bias=True).index_select(0, graph.neighbor_centers)
            + gate.part(1, bonds).index_select(0, graph.neighbor_bonds)
            + gate.part(2, atoms).index_select(0, graph.neighbor_others)
        )
        messages = gate(hidden) * weights
        gathered = torch.zeros_like(atoms).index_add(
            0, graph.neighbor_centers, messages
        )
        update: Tensor = self._model.atom_conv_layers[layer].mlp_out(gathered)
        return update

    def _update_bonds(
        self,
        layer: int,
        atoms: Tensor,
        bonds: Tensor,
        angles: Tensor,
        angle_weights: Tensor,
        graph: Graph,
    ) -> Tensor:
        """Return the features of the bonds with what the angles say to them."""
        gate = self._bond_gates[layer]
        messages = (
            gate(_angle_inputs(gate, atoms, bonds, angles, graph)) * angle_weights
        )
        gathered = bonds.new_zeros(len(graph.short_bonds), bonds.shape[1])
        gathered = gathered.index_add(0, graph.first_bonds, messages)
        output = self._model.bond_conv_layers[layer].mlp_out
        updated: Tensor = bonds.index_add(0, graph.short_bonds, output(gathered))
        bias = output.layers[-1].bias
        if bias is not None:  # early weights move also the bonds without angles
            updated = updated + bias * graph.is_long_beside_angles[:, None]
        return updated


class _Gate:
    """A gated layer whose first linear map is split by its inputs.

    So each input is multiplied where it lives, per atom or per bond, and only the sums
    are made for every neighbour and angle.
    """

    def __init__(self, layer: Any, n_parts: int) -> None:
        import torch

        linears = [
            [module for module in part.layers if isinstance(module, torch.nn.Linear)]
            for part in (layer.mlp_core, layer.mlp_gate)
        ]
        first = torch.cat([linear[0].weight for linear in linears])
        self._parts = [part.t().contiguous() for part in first.chunk(n_parts, dim=1)]
        self._bias = torch.cat([linear[0].bias for linear in linears])
        self._seconds = [linear[1] for linear in linears if len(linear) > 1]
        self._norms = layer.bn1, layer.bn2

    def part(self, number: int, inputs: Tensor, *, with_bias: bool = False) -> Tensor:
        """Multiply one input with its part of the first linear map."""
        import torch

        if with_bias:
            return torch.addmm(self._bias, inputs, self._parts[number])
        return inputs @ self._parts[number]

    def __call__(self, hidden: Tensor) -> Tensor:
        """Go on from the sum of the parts."""
        import torch

        if self._seconds:
            hidden = torch.nn.functional.silu(hidden)
        core, gate = hidden.chunk(2, dim=1)
        if self._seconds:
            core, gate = self._seconds[0](core), self._seconds[1](gate)
        if self._norms[0] is not None:
            core, gate = self._norms[0](core), self._norms[1](gate)
        gated: Tensor = torch.nn.functional.silu(core) * torch.sigmoid(gate)
        return gated


def _angle_inputs(
    gate: _Gate, atoms: Tensor, bonds: Tensor, angles: Tensor, graph: Graph
) -> Tensor:
    """Sum the parts of the first linear map of a layer that looks at angles."""
    short = bonds.index_select(0, graph.short_bonds)
    return (
        gate.part(2, angles)
        + gate.part(0, short).index_select(0, graph.first_bonds)
        + gate.part(1, short).index_select(0, graph.second_bonds)
        + gate.part(3, atoms, with_bias=True).index_select(0, graph.angle_centers)
    )


@dataclass(frozen=True, eq=False)
class Graph:
    """What the network sees of a batch at one geometry; indices are rows.

    Attributes
    ----------
    lengths
        Of the bonds within the cut-off, in A.
    neighbor_centers, neighbor_others, neighbor_bonds, neighbor_weights
        Orbits at both ends, bond and number of each class of neighbours.
    short_bonds
        Bonds that can be sides of angles.
    angle_centers, first_bonds, second_bonds, angle_weights, cosines
        Orbit, sides (among the short bonds), number and cosine of each class of angles.
    is_long_beside_angles
        Bonds that are no side of an angle, in structures that have angles; 0 or 1.
    contact_ratios, n_isolated
        As in :class:`Evaluation`.
    """

    lengths: Tensor
    neighbor_centers: Tensor
    neighbor_others: Tensor
    neighbor_bonds: Tensor
    neighbor_weights: Tensor
    short_bonds: Tensor
    angle_centers: Tensor
    first_bonds: Tensor
    second_bonds: Tensor
    angle_weights: Tensor
    cosines: Tensor
    is_long_beside_angles: Tensor
    contact_ratios: Tensor
    n_isolated: Tensor


def look(
    cells: Cells,
    topology: Topology,
    parameters: Tensor,
    lattices: Tensor,
    *,
    edge_cutoff: float,
    angle_cutoff: float,
) -> Graph:
    """Measure a geometry and leave out what is beyond the cut-offs.

    Parameters
    ----------
    cells, topology, parameters, lattices
        As in :meth:`QuotientNetwork.evaluate`.
    edge_cutoff, angle_cutoff
        Distances in A.
    """
    n_structures = len(cells)
    orbit_starts = cells.orbits.starts(n_structures)
    vectors = _measure(cells, topology, parameters, lattices)
    bonds, neighbors, angles = topology.bonds, topology.neighbors, topology.angles
    edge_starts = topology.edges.starts(n_structures)
    bond_starts = bonds.starts(n_structures)
    lengths = vectors.index_select(0, edge_starts[bonds.owner] + bonds.edges).norm(dim=1)

    is_seen = lengths.detach() < edge_cutoff
    is_short = lengths.detach() < angle_cutoff
    seen = is_seen.nonzero()[:, 0]
    places = is_seen.cumsum(0) - 1

    neighbor_bonds = bond_starts[neighbors.owner] + neighbors.bonds
    near = is_seen[neighbor_bonds].nonzero()[:, 0]
    neighbor_orbits = orbit_starts[neighbors.owner[near]]
    neighbor_centers = neighbor_orbits + neighbors.centers[near]

    firsts = bond_starts[angles.owner] + angles.first_bonds
    seconds = bond_starts[angles.owner] + angles.second_bonds
    kept = (is_short[firsts] & is_short[seconds]).nonzero()[:, 0]
    firsts, seconds, owners = firsts[kept], seconds[kept], angles.owner[kept]
    first_vectors = vectors.index_select(
        0, edge_starts[owners] + angles.first_edges[kept]
    )
    second_vectors = vectors.index_select(
        0, edge_starts[owners] + angles.second_edges[kept]
    )
    norms = lengths.index_select(0, firsts) * lengths.index_select(0, seconds)
    has_angles = is_seen.new_zeros(n_structures).index_fill(0, owners, value=True)
    short_places = is_short.cumsum(0) - 1

    return Graph(
        lengths=lengths.index_select(0, seen),
        neighbor_centers=neighbor_centers,
        neighbor_others=neighbor_orbits + neighbors.others[near],
        neighbor_bonds=places[neighbor_bonds[near]],
        neighbor_weights=neighbors.weights[near],
        short_bonds=places[is_short],
        angle_centers=orbit_starts[owners] + angles.centers[kept],
        first_bonds=short_places[firsts],
        second_bonds=short_places[seconds],
        angle_weights=angles.weights[kept],
        cosines=(first_vectors * second_vectors).sum(1) / norms,
        is_long_beside_angles=(has_angles[bonds.owner] & ~is_short)[seen],
        contact_ratios=_contact_ratios(cells, topology, lengths.detach()),
        n_isolated=_count_isolated(cells, neighbor_centers),
    )


def _measure(
    cells: Cells, topology: Topology, parameters: Tensor, lattices: Tensor
) -> Tensor:
    """Return the Cartesian vectors of all edges in A."""
    import torch

    edges = topology.edges
    points = cells.place_atoms(parameters)
    atoms = cells.atoms.starts(len(cells))[edges.owner] + edges.atoms
    orbits = cells.orbits.starts(len(cells))[edges.owner] + edges.centers
    fractional = (
        points.index_select(0, atoms)
        - points.index_select(0, cells.first_atoms[orbits])
        + edges.images
    )
    of_edges = lattices.index_select(0, edges.owner)
    return torch.bmm(fractional[:, None, :], of_edges)[:, 0, :]


def _contact_ratios(cells: Cells, topology: Topology, lengths: Tensor) -> Tensor:
    """Return the shortest distance of each structure over the sum of the radii."""
    n_structures = len(cells)
    bonds, edges = topology.bonds, topology.edges
    rows = edges.starts(n_structures)[bonds.owner] + bonds.edges
    centers = cells.orbits.starts(n_structures)[bonds.owner] + edges.centers[rows]
    atoms = cells.atoms.starts(n_structures)[bonds.owner] + edges.atoms[rows]
    radii = cells.orbits.radii
    sums = radii[centers] + radii[cells.orbits_of_atoms[atoms]]
    return smallest(lengths / sums, bonds.owner, n_structures, default=math.inf)


def _count_isolated(cells: Cells, neighbor_centers: Tensor) -> Tensor:
    """Return how many orbits of each structure have no neighbour."""
    import torch

    is_alone = torch.ones_like(cells.orbits.owner).index_fill(0, neighbor_centers, 0)
    n_isolated: Tensor = torch.zeros_like(is_alone[: len(cells)]).index_add(
        0, cells.orbits.owner, is_alone
    )
    return n_isolated
