"""CHGNet on quotient graphs: the energies of a batch, and their gradients.

The weights are those of the installed package, frozen. Each class of atoms, bonds,
neighbours and angles is computed once and counted as often as it occurs. Geometry is
in float64 and the layers in float32, unless asked otherwise.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from wyckflow.relax.quotient.graph import look

if TYPE_CHECKING:
    from torch import Tensor

    from wyckflow.relax.potential import Potential
    from wyckflow.relax.quotient.cells import Cells
    from wyckflow.relax.quotient.graph import Graph
    from wyckflow.relax.quotient.topology import Topology

# A table, and the row of it that each message reads; None if they are the same.
_Source: TypeAlias = "tuple[Tensor, Tensor | None]"

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
    dtype
        As given.
    edge_cutoff, angle_cutoff
        Distances in A within which atoms and bonds see each other.
    """

    def __init__(self, potential: Potential, dtype: str = "float32") -> None:
        import torch

        self.device = potential.device
        self.dtype = dtype
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
            energies=energies.detach(),
            parameter_gradients=gradients[0],
            lattice_gradients=gradients[1],
            contact_ratios=graph.contact_ratios,
            n_isolated=graph.n_isolated,
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
        model, expansion = self._model, self._model.bond_basis_expansion
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
            messages = self._atom_gates[layer].pass_on(
                (atoms, graph.neighbor_centers),
                (bonds, graph.neighbor_bonds),
                (atoms, graph.neighbor_others),
            )
            gathered = atoms.new_zeros(atoms.shape).index_add(
                0, graph.neighbor_centers, messages * weights
            )
            atoms = atoms + model.atom_conv_layers[layer].mlp_out(gathered)
            if has_angles and layer < n_layers - 1:
                sources = _look_at_angles(atoms, bonds, angles, graph)
                messages = self._bond_gates[layer].pass_on(*sources)
                bonds = self._update_bonds(
                    layer, bonds, messages * angle_weights, graph
                )
                if layer < n_layers - 2:
                    sources = _look_at_angles(atoms, bonds, angles, graph)
                    angles = angles + self._angle_gates[layer].pass_on(*sources)
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

    def _update_bonds(
        self, layer: int, bonds: Tensor, messages: Tensor, graph: Graph
    ) -> Tensor:
        """Return the features of the bonds with what the angles say to them."""
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

    So each input is multiplied where it lives, per atom or per bond, and only sums are
    made for every neighbour and angle.
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
        self._norms = [norm for norm in (layer.bn1, layer.bn2) if norm is not None]

    def pass_on(self, *sources: _Source) -> Tensor:
        """Compute the messages that come of the inputs; the last one gets the bias."""
        import torch

        *others, (table, rows) = sources
        biased = torch.addmm(self._bias, table, self._parts[-1])
        hidden = biased if rows is None else biased.index_select(0, rows)
        for part, (table, rows) in zip(self._parts, others, strict=False):
            product = table @ part
            hidden += product if rows is None else product.index_select(0, rows)
        if self._seconds:
            hidden = torch.nn.functional.silu(hidden)
        halves = hidden.chunk(2, dim=1)
        for layers in (self._seconds, self._norms):
            if layers:
                halves = [f(half) for f, half in zip(layers, halves, strict=True)]
        core, gate = halves
        messages: Tensor = torch.nn.functional.silu(core) * torch.sigmoid(gate)
        return messages


def _look_at_angles(
    atoms: Tensor, bonds: Tensor, angles: Tensor, graph: Graph
) -> tuple[_Source, ...]:
    """Return what the layers that look at angles take in."""
    short = bonds.index_select(0, graph.short_bonds)
    return (
        (short, graph.first_bonds),
        (short, graph.second_bonds),
        (angles, None),
        (atoms, graph.angle_centers),
    )
