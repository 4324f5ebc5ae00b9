"""A quasi-Newton search with a trust radius, for many functions side by side.

Every row is a problem of its own; rows come and go, and no row knows of the others.
The inverse Hessian is kept, with damped BFGS updates (Powell 1978), which also learn
from steps that were refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

CURVATURE: Final = 8.0
"""First guess of the second derivatives, in eV/A^2."""

FIRST_RADIUS: Final = 0.3
LARGEST_RADIUS: Final = 0.8
SMALLEST_RADIUS: Final = 1e-4
"""Trust radii in A; see `wyckflow.relax.variables.Variables.path_lengths`."""

MAX_REFUSALS: Final = 8
"""Refused steps in a row after which a search is stuck."""

_GROWTH: Final = 1.6
_SHRINKING: Final = 3.0
_LONG_STEP: Final = 0.8
_DAMPING: Final = 0.2
_SMALLEST_CHANGE: Final = 1e-14


@dataclass(eq=False)
class Search:
    """The state of all searches, one row each.

    Attributes
    ----------
    points
        The best points so far, zeros to fill up the columns.
    gradients
        There, in eV per unit.
    inverse_hessians
        Positive definite, in units squared per eV.
    energies
        There, in eV; infinite before the first evaluation.
    radii
        How far the next step may go.
    trials
        Points to evaluate next.
    fractions
        Which part of the quasi-Newton step a trial is.
    path_lengths
        How far the trial is from the best point.
    n_evaluations, n_refusals
        Evaluations so far, and steps refused since the last accepted one.
    """

    points: Tensor
    gradients: Tensor
    inverse_hessians: Tensor
    energies: Tensor
    radii: Tensor
    trials: Tensor
    fractions: Tensor
    path_lengths: Tensor
    n_evaluations: Tensor
    n_refusals: Tensor

    @classmethod
    def start(cls, n_rows: int, width: int, device: str) -> Search:
        """Start searches at zero, where the first evaluation is.

        Parameters
        ----------
        n_rows
            How many.
        width
            Number of variables of the largest.
        device
            Where the tensors live.
        """
        import torch

        zeros = torch.zeros(n_rows, width, dtype=torch.float64, device=device)
        numbers = zeros.new_zeros(n_rows)
        identity = torch.eye(width, dtype=torch.float64, device=device)
        return cls(
            points=zeros,
            gradients=zeros.clone(),
            inverse_hessians=(identity / CURVATURE).repeat(n_rows, 1, 1),
            energies=numbers + math.inf,
            radii=numbers + FIRST_RADIUS,
            trials=zeros.clone(),
            fractions=numbers.clone(),
            path_lengths=numbers.clone(),
            n_evaluations=numbers.long(),
            n_refusals=numbers.long(),
        )

    def __len__(self) -> int:
        """Return the number of searches."""
        return len(self.points)

    @property
    def width(self) -> int:
        """Columns of the points."""
        return int(self.points.shape[1])

    @property
    def is_stuck(self) -> Tensor:
        """Whether a search has nowhere to go."""
        is_small = self.radii <= 2 * SMALLEST_RADIUS
        return is_small & (self.n_refusals > MAX_REFUSALS)

    def select(self, keep: Sequence[int], width: int) -> Search:
        """Return some of the searches.

        Parameters
        ----------
        keep
            Their rows.
        width
            Columns that they still need.
        """
        rows = self.n_refusals.new_tensor(list(keep))
        parts = {
            field.name: getattr(self, field.name).index_select(0, rows)
            for field in fields(self)
        }
        for name in ("points", "gradients", "trials"):
            parts[name] = parts[name][:, :width]
        parts["inverse_hessians"] = parts["inverse_hessians"][:, :width, :width]
        return Search(**parts)

    def join(self, other: Search) -> Search:
        """Return these searches and then the others, with columns for the largest."""
        import torch

        width = max(self.width, other.width)
        parts = self._widened(width), other._widened(width)
        return Search(
            **{
                field.name: torch.cat([getattr(part, field.name) for part in parts])
                for field in fields(Search)
            }
        )

    def _widened(self, width: int) -> Search:
        """Fill up columns; the added variables never move."""
        import torch

        extra = width - self.width
        if not extra:
            return self
        pad = torch.nn.functional.pad
        return replace(
            self,
            points=pad(self.points, (0, extra)),
            gradients=pad(self.gradients, (0, extra)),
            trials=pad(self.trials, (0, extra)),
            inverse_hessians=pad(self.inverse_hessians, (0, extra, 0, extra)),
        )

    def expect(self, rows: Tensor, hessians: Tensor) -> None:
        """Begin some searches with a guess of the second derivatives.

        Parameters
        ----------
        rows
            Which.
        hessians
            Positive definite, for the first columns, in eV per unit squared.
        """
        import torch

        width = hessians.shape[1]
        inverses = torch.cholesky_inverse(torch.linalg.cholesky(hessians))
        known = self.inverse_hessians.clone()
        known[rows, :width, :width] = inverses
        self.inverse_hessians = known

    def observe(
        self, energies: Tensor, gradients: Tensor, tolerances: Tensor
    ) -> Tensor:
        """Take in what was found at the trials.

        Parameters
        ----------
        energies
            In eV; infinite or not a number where the trial must be refused.
        gradients
            In eV per unit.
        tolerances
            Rise of the energy that is noise, in eV.

        Returns
        -------
        Tensor
            Whether the trial is the new best point.
        """
        is_good = energies.isfinite() & gradients.isfinite().all(1)
        is_first = self.energies.isinf()
        self._learn(gradients, is_good & ~is_first)
        accepted = is_good & (is_first | (energies <= self.energies + tolerances))
        is_long = self.path_lengths > _LONG_STEP * self.radii
        grows = accepted & ~is_first & is_long & (energies < self.energies)
        larger = (self.radii * _GROWTH).clamp(max=LARGEST_RADIUS)
        smaller = (self.path_lengths / _SHRINKING).clamp(min=SMALLEST_RADIUS)
        self.radii = self.radii.where(~grows, larger).where(accepted, smaller)
        self.points = self.trials.where(accepted[:, None], self.points)
        self.gradients = gradients.where(accepted[:, None], self.gradients)
        self.energies = energies.where(accepted, self.energies)
        self.n_evaluations = self.n_evaluations + 1
        self.n_refusals = (self.n_refusals + 1).masked_fill(accepted, 0)
        return accepted

    def propose(self, measure: Callable[[Tensor], Tensor]) -> None:
        """Choose the next trials: the quasi-Newton step within the trust radius.

        Parameters
        ----------
        measure
            Returns the length of steps, in the unit of the radii.
        """
        steps = -(self.inverse_hessians @ self.gradients[:, :, None])[:, :, 0]
        is_spoilt = ~((steps * self.gradients).sum(1) <= 0)  # also if it is no number
        if is_spoilt.any():  # by rounding: begin anew
            self._forget(is_spoilt)
            steps = (-self.gradients / CURVATURE).where(is_spoilt[:, None], steps)
        lengths = measure(steps)
        self.fractions = (self.radii / lengths.clamp(min=1e-12)).clamp(max=1.0)
        self.path_lengths = lengths * self.fractions
        self.trials = self.points + steps * self.fractions[:, None]

    def shorten(self, rows: Tensor) -> None:
        """Halve the steps of some searches.

        Parameters
        ----------
        rows
            True where.
        """
        factors = (0.5 * rows + 1.0 * ~rows).to(self.fractions.dtype)
        self.fractions = self.fractions * factors
        self.path_lengths = self.path_lengths * factors
        steps = (self.trials - self.points) * factors[:, None]
        self.trials = self.points + steps

    def _learn(self, gradients: Tensor, rows: Tensor) -> None:
        """Update the inverse Hessians of some searches."""
        steps = self.trials - self.points
        changes = gradients - self.gradients
        # A step is a fraction of -H g, so the model expects this change.
        expected = -self.fractions[:, None] * self.gradients
        curvature = (steps * expected).sum(1)
        measured = (steps * changes).sum(1)
        rows = rows & (curvature > _SMALLEST_CHANGE)
        gap = curvature - measured
        mixing = (1 - _DAMPING) * curvature / gap.where(gap > 0, 1.0)
        mixing = mixing.where(measured < _DAMPING * curvature, 1.0)[:, None]
        changes = mixing * changes + (1 - mixing) * expected
        measured = (steps * changes).sum(1).where(rows, 1.0)
        steps = (steps / measured[:, None].sqrt()) * rows[:, None]
        changes = (changes / measured[:, None].sqrt()).where(rows[:, None], 0.0)
        moved = (self.inverse_hessians @ changes[:, :, None])[:, :, 0]
        factors = 1 + (changes * moved).sum(1)
        half = 0.5 * factors[:, None] * steps - moved
        update = steps[:, :, None] * half[:, None, :]
        self.inverse_hessians = self.inverse_hessians + update + update.mT

    def _forget(self, rows: Tensor) -> None:
        """Begin the Hessians of some searches anew."""
        import torch

        identity = torch.eye(self.width, dtype=torch.float64, device=rows.device)
        self.inverse_hessians = (identity / CURVATURE).where(
            rows[:, None, None], self.inverse_hessians
        )
