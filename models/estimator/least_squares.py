"""Least squares by Cholesky in double precision: the same bytes in every process of a machine.

`torch.linalg.lstsq` rounds differently from process to process (by 1e-7, as memory happens to lie), and every
key of what follows differs then. Here such noise is that of float64, which is gone when the solution of the
normal equations is rounded to float32.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

# of the mean squared column: what the rows do not tell stays near 0, where lstsq's solution is too
DAMPING = 1e-12


def least_squares(rows: Float[Tensor, "b r n"], right: Float[Tensor, "b r"]) -> Float[Tensor, "b n"]:
    """Solve for the x of each batch that makes |rows x - right| least, the shortest where there are several.

    Args:
        rows: float32 or float64, whose condition is below 1e6.
        right: of the same type, as the solution is.

    Raises:
        torch.linalg.LinAlgError: a row holds NaN or infinity.
    """
    a, b = rows.double(), right.double()
    normal = a.mT @ a
    diagonal = normal.diagonal(dim1=-2, dim2=-1)
    damping = (DAMPING * diagonal.mean(-1, keepdim=True)).clamp(min=torch.finfo(torch.float64).tiny)
    factor = torch.linalg.cholesky(normal + torch.diag_embed(damping.expand_as(diagonal)))
    return torch.cholesky_solve(a.mT @ b[..., None], factor)[..., 0].to(rows)
