"""The search on functions with known minima."""

from __future__ import annotations

import numpy as np
import pytest

from wyckflow.relax.optimiser import LARGEST_RADIUS, MAX_REFUSALS, Search

torch = pytest.importorskip("torch", reason="install wyckflow[ml]")


def euclidean(steps):
    return steps.norm(dim=1)


def minimise(functions, width, *, n_evaluations, start=None):
    """Search all functions together; return the search after so many evaluations."""
    search = Search.start(len(functions), width, "cpu")
    if start is not None:
        search.trials = torch.tensor(start, dtype=torch.float64)
    history = []
    for _ in range(n_evaluations):
        found = [f(point) for f, point in zip(functions, search.trials, strict=True)]
        energies = torch.tensor([energy for energy, _ in found], dtype=torch.float64)
        gradients = torch.stack([gradient for _, gradient in found])
        search.observe(energies, gradients, torch.zeros(len(functions)))
        search.propose(euclidean)
        history.append(search.energies.clone())
    return search, torch.stack(history)


def bowl(curvatures, center):
    curvatures, center = (
        torch.tensor(values, dtype=torch.float64) for values in (curvatures, center)
    )

    def function(point):
        away = point - center
        return float((curvatures * away**2).sum() / 2), curvatures * away

    return function


def rosenbrock(point):
    x, y = point.tolist()
    energy = (1 - x) ** 2 + 5 * (y - x**2) ** 2
    slope = [-2 * (1 - x) - 20 * x * (y - x**2), 10 * (y - x**2)]
    return energy, torch.tensor(slope, dtype=torch.float64)


BOWLS = [
    bowl([12.0, 3.0, 40.0], [0.3, -0.2, 0.1]),
    bowl([1.0, 60.0, 12.0], [-1.0, 0.4, 2.0]),
]
CENTERS = [[0.3, -0.2, 0.1], [-1.0, 0.4, 2.0]]


def test_finds_the_bottom_of_bowls_of_any_curvature():
    search, _ = minimise(BOWLS, 3, n_evaluations=25)
    assert np.allclose(search.points, CENTERS, atol=1e-5)


def test_finds_the_end_of_a_curved_valley():
    search, _ = minimise([rosenbrock], 2, n_evaluations=60)
    assert np.allclose(search.points, [[1.0, 1.0]], atol=1e-4)


def test_accepted_energies_never_rise_and_steps_keep_to_the_radius():
    search, history = minimise(
        [rosenbrock, *[bowl([2, 90], [3, 1])]], 2, n_evaluations=40
    )
    assert (history.diff(dim=0)[1:] <= 0).all()
    lengths = (search.trials - search.points).norm(dim=1)
    assert (lengths <= search.radii + 1e-12).all()
    assert (search.radii <= LARGEST_RADIUS).all()


def test_the_hessian_of_a_bowl_is_learned():
    search, _ = minimise(BOWLS[:1], 3, n_evaluations=25)
    hessian = torch.linalg.inv(search.inverse_hessians[0])
    assert np.allclose(hessian, np.diag([12.0, 3.0, 40.0]), rtol=0.05, atol=0.5)


def test_a_search_can_be_told_what_to_expect():
    search, _ = minimise(BOWLS, 3, n_evaluations=1)
    hessian = torch.diag(torch.tensor([1.0, 60.0, 12.0], dtype=torch.float64))
    search.expect(torch.tensor([1]), hessian[None])
    search.radii += 9
    search.propose(euclidean)
    assert np.allclose(search.trials[1], CENTERS[1])  # Newton's step
    assert not np.allclose(search.trials[0], CENTERS[0], atol=0.05)


def test_a_row_does_not_know_of_the_others():
    alone, _ = minimise(BOWLS[1:], 3, n_evaluations=7)
    together, _ = minimise(BOWLS, 3, n_evaluations=7)
    assert torch.equal(alone.points[0], together.points[1])
    assert torch.equal(alone.trials[0], together.trials[1])


def test_rows_that_enter_and_leave_do_not_change_the_others():
    plain, _ = minimise(BOWLS, 3, n_evaluations=8)
    search, _ = minimise(BOWLS, 3, n_evaluations=4)
    search = search.join(Search.start(3, 5, "cpu"))
    assert search.points.shape == (5, 5)
    search = search.select([0, 1], 3)
    for _ in range(4):
        found = [f(point) for f, point in zip(BOWLS, search.trials, strict=True)]
        search.observe(
            torch.tensor([energy for energy, _ in found], dtype=torch.float64),
            torch.stack([gradient for _, gradient in found]),
            torch.zeros(2),
        )
        search.propose(euclidean)
    assert np.allclose(search.points, plain.points, atol=1e-12)


def test_columns_that_fill_up_never_move():
    functions = [bowl([12.0, 3.0, 0.0], [0.3, -0.2, 0.0])]
    search, _ = minimise(functions, 3, n_evaluations=10)
    assert (search.points[:, 2] == 0).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf], ids=str)
def test_an_answer_that_is_no_number_is_refused_and_forgotten(bad):
    def broken_beyond(point):
        energy, gradient = rosenbrock(point)
        if float(point.norm()) > 0.5:
            return bad, gradient * bad
        return energy, gradient

    search, _ = minimise([broken_beyond], 2, n_evaluations=40)
    assert search.points.isfinite().all()
    assert search.inverse_hessians.isfinite().all()
    assert float(search.points.norm()) <= 0.5
    assert search.is_stuck.all()


def test_a_search_that_cannot_go_down_gets_stuck():
    calls = []

    def liar(point):  # its gradient points the wrong way
        calls.append(1)
        energy, gradient = BOWLS[0](point)
        return energy, -gradient

    search, _ = minimise([liar], 3, n_evaluations=MAX_REFUSALS + 15)
    assert search.is_stuck.all()
    assert search.n_evaluations.tolist() == [len(calls)]


def test_steps_can_be_halved():
    search, _ = minimise(BOWLS, 3, n_evaluations=1)
    before = search.trials - search.points
    search.shorten(torch.tensor([True, False]))
    after = search.trials - search.points
    assert torch.allclose(after[0], before[0] / 2)
    assert torch.equal(after[1], before[1])


@pytest.mark.parametrize("wrong", [np.nan, -1.0], ids=["no number", "upside down"])
def test_a_spoilt_hessian_is_begun_anew(wrong):
    search, _ = minimise(BOWLS, 3, n_evaluations=2)
    search.inverse_hessians[0] *= wrong
    other = search.inverse_hessians[1].clone()
    search.propose(euclidean)
    assert search.trials.isfinite().all()
    assert (torch.linalg.eigvalsh(search.inverse_hessians) > 0).all()
    assert torch.equal(search.inverse_hessians[1], other)
