"""What was added to a person shows as far as what hid it in the photo has moved away."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numba
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int32
from scipy.spatial import KDTree
from torch import Tensor

from turnaround.models.avatar.bones import BONE_NAMES, Bones
from turnaround.models.avatar.skinning import unskin_points
from turnaround.pipeline.values.rig import INFLUENCES, SkinWeights
from turnaround.pipeline.values.types import Gaussians

NEIGHBOURS: Final = 16  # of the photo's Gaussians that are near one that was added
WHOLE: Final = 0.015  # metres between what two bones make of a place, from which on it shows whole


def bones_about(
    places: Float[Tensor, "m 3"], skin: SkinWeights, own: Float[Tensor, "n 3"], own_skin: SkinWeights
) -> Int[Tensor, "m 4"]:
    """The bones that matter for what was added: its own, and those of what lies about it in the photo.

    Args:
        places, skin: of what was added, in the photo's pose.
        own, own_skin: of what the photo shows.
    """
    near = np.asarray(KDTree(own.double().numpy()).query(places.double().numpy(), NEIGHBOURS)[1])
    rows = np.arange(len(places))[:, None]
    share = np.zeros((len(places), len(BONE_NAMES)))
    np.add.at(share, (rows, skin.bones.numpy()), skin.weights.double().numpy())
    np.add.at(share, (rows, own_skin.bones[:, 0].numpy()[near]), 1 / NEIGHBOURS)
    strongest = skin.bones[:, :1].numpy()
    np.put_along_axis(share, strongest, np.inf, 1)
    ids = np.argsort(-share, 1, kind="stable")[:, :INFLUENCES]
    return torch.from_numpy(np.where(np.take_along_axis(share, ids, 1) > 0, ids, strongest))


class Fading:
    """How much of each added Gaussian a pose shows: nothing in the photo's, all where its bones have moved
    apart."""

    def __init__(self, places: Float[Tensor, "m 3"], about: Int[Tensor, "m 4"], photo: Bones) -> None:
        """Make ready.

        Args:
            places: in the photo's pose.
            about: see `bones_about`.
            photo: the bones of that pose.
        """
        self._ids = np.ascontiguousarray(about.numpy(), np.int32)
        rest = torch.stack([unskin_points(places, alone(about[:, k]), photo) for k in range(INFLUENCES)], 1)
        self._rest = np.ascontiguousarray(rest.numpy(), np.float32)

    def __len__(self) -> int:
        return len(self._ids)

    def faded(self, posed: Gaussians, transforms: Float32[np.ndarray, "j 3 4"]) -> Gaussians:
        """The person in that pose: the added Gaussians, which are the last, as far as they show."""
        if not len(self):
            return posed
        opacities = posed.opacities.clone()
        opacities[-len(self) :] *= torch.from_numpy(self.shown(transforms))
        return replace(posed, opacities=opacities)

    def shown(self, transforms: Float32[np.ndarray, "j 3 4"]) -> Float32[np.ndarray, " m"]:
        """Shares in [0, 1] in the pose of these bones (T_world_rest)."""
        found = np.empty(len(self), np.float32)
        _shown(self._rest, self._ids, transforms, np.float32(WHOLE), found)
        return found


def alone(bones: Int[Tensor, " m"]) -> SkinWeights:
    """One bone a point."""
    ids, weights = torch.zeros(len(bones), INFLUENCES, dtype=torch.int64), torch.zeros(len(bones), INFLUENCES)
    ids[:, 0], weights[:, 0] = bones, 1
    return SkinWeights(ids, weights)


@numba.njit(cache=True, parallel=True, error_model="numpy")
def _shown(
    rest: Float32[np.ndarray, "m 4 3"],
    ids: Int32[np.ndarray, "m 4"],
    transforms: Float32[np.ndarray, "j 3 4"],
    whole: np.float32,
    out: Float32[np.ndarray, " m"],
):  # pragma: no cover - compiled
    """The farthest way of a place between its first bone and another, smooth from 0 to 1 at `whole`."""
    for i in numba.prange(len(rest)):
        farthest = np.float32(0)
        first = np.empty(3, np.float32)
        for k in range(4):
            t = transforms[ids[i, k]]
            away = np.float32(0)
            for r in range(3):
                x = t[r, 0] * rest[i, k, 0] + t[r, 1] * rest[i, k, 1] + t[r, 2] * rest[i, k, 2] + t[r, 3]
                if k == 0:
                    first[r] = x
                away += (x - first[r]) ** 2
            farthest = max(farthest, away)
        share = min(np.sqrt(farthest) / whole, np.float32(1))
        out[i] = share * share * (3 - 2 * share)
