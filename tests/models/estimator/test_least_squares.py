"""Least squares by Cholesky: lstsq's solution where there is one, finite and short where rows do not tell
everything."""

import pytest
import torch

from turnaround.models.estimator.least_squares import least_squares


def system(
    seed: int, condition: float = 1e3, dtype: torch.dtype = torch.float64
) -> tuple[torch.Tensor, torch.Tensor]:
    """Three systems of 150 rows and 79 unknowns, as the fits of bodies have, whose columns' sizes differ by
    `condition`."""
    generator = torch.Generator().manual_seed(seed)
    sizes = torch.logspace(0, float(torch.tensor(condition).log10()), 79)
    rows = torch.randn(3, 150, 79, generator=generator) * sizes
    return rows.to(dtype), torch.randn(3, 150, generator=generator).to(dtype)


@pytest.mark.parametrize("seed", range(5))
def test_the_solution_is_that_of_lstsq(seed):
    rows, right = system(seed)
    expected = torch.linalg.lstsq(rows, right[..., None]).solution[..., 0]
    torch.testing.assert_close(least_squares(rows, right), expected, atol=1e-9, rtol=1e-5)


def test_float32_systems_are_solved_better_than_by_lstsq_in_float32():
    rows, right = system(7, dtype=torch.float32)
    exact = torch.linalg.lstsq(rows.double(), right.double()[..., None]).solution[..., 0]
    plain = torch.linalg.lstsq(rows, right[..., None]).solution[..., 0]
    found = least_squares(rows, right)
    assert found.dtype == torch.float32
    assert (found - exact).norm() < (plain - exact).norm()


def test_what_rows_do_not_tell_stays_as_short_as_lstsq_has_it():
    rows, right = system(3, condition=10)
    rows[..., 40], rows[..., 41] = rows[..., 12], 0  # two columns alike, and one that moves nothing
    found, expected = (
        least_squares(rows, right),
        torch.linalg.lstsq(rows, right[..., None], driver="gelsd").solution[..., 0],
    )
    assert found.isfinite().all() and (found[..., 41] == 0).all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
    assert (least_squares(torch.zeros_like(rows), right) == 0).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_an_error_as_it_was_with_lstsq(value):
    rows, right = system(1)
    rows[1, 2, 3] = value
    with pytest.raises(RuntimeError):
        least_squares(rows, right)
