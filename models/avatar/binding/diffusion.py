"""Skin weights made smooth on a surface: what is sure of its weights gives them to what is not."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.sparse.linalg import splu

from turnaround.models.avatar.binding.transfer import Carried
from turnaround.models.avatar.bones import BONE_NAMES, BONE_PARENTS

APART = 3
"""Steps in the skeleton between bones that may move one point together; both shins may, where a skirt
hangs."""

LEAST_TRUST = 0.002
"""Of any point in its own weights: what hangs together with nothing sure keeps what it has."""


def diffuse(
    carried: Carried,
    edges: Int[np.ndarray, "e 2"],
    lengths: Float[np.ndarray, " e"],
    *,
    reach: float,
) -> Float[np.ndarray, "n j"]:
    """The weights W that minimise  sum_i trust_i |W_i - W0_i|^2 + reach^2 sum_ij |W_i - W_j|^2 / length_ij^2
    (screened Poisson equation on the graph of the surface).

    Args:
        carried: weights of the points and the trust in them.
        edges: pairs of neighbours, each once; a pair that is left out is not smoothed across.
        lengths: of the edges, metres.
        reach: metres over which a trusted surface is smoothed.

    Returns:
        Non-negative weights that sum to 1.
    """
    count = len(carried.trust)
    stiff = reach**2 / np.maximum(lengths, 1e-3) ** 2
    graph = sparse.coo_matrix((stiff, edges.T), (count, count)).tocsr()
    graph = graph + graph.T
    trust = np.maximum(carried.trust, LEAST_TRUST)
    laplacian = sparse.diags(np.asarray(graph.sum(1)).ravel()) - graph
    solved = splu((laplacian + sparse.diags(trust)).tocsc())
    used = carried.weights.any(0)
    weights = np.zeros_like(carried.weights)
    weights[:, used] = solved.solve(np.ascontiguousarray(trust[:, None] * carried.weights[:, used])).clip(0)
    return weights / weights.sum(1, keepdims=True)


def one_limb(weights: Float[np.ndarray, "n j"]) -> Float[np.ndarray, "n j"]:
    """The weights without bones that are far in the skeleton from the strongest: no hand moves with the
    chest that it
    touches."""
    kept = weights * _NEAR[weights.argmax(1)]
    return kept / kept.sum(1, keepdims=True)


def _near() -> Bool[np.ndarray, "j j"]:
    count = len(BONE_NAMES)
    child = np.array([(bone, parent) for bone, parent in enumerate(BONE_PARENTS) if parent >= 0])
    graph = sparse.coo_matrix((np.ones(len(child)), child.T), (count, count))
    steps = sparse.csgraph.shortest_path(graph, directed=False, unweighted=True)
    thighs, shins = (
        [BONE_NAMES.index(f"{side}_{joint}") for side in ("left", "right")] for joint in ("hip", "knee")
    )
    for pair in (thighs, shins):
        steps[np.ix_(pair, pair)] = 0
    return steps <= APART


_NEAR = _near()
