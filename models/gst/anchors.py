"""Points on the skin that are posed without the rest of the body: where GST's Gaussians are anchored.

Linear blend skinning from global rotations, differentiable in all of them: the way by which pictures teach
the pose. A point inside a triangle is skinned by the blended weights of its corners; on a vertex it is the
body model's own vertex. Pose correctives of a licensed body are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX, PARENTS
from turnaround.models.estimator.kinematics import POSED
from turnaround.models.hgm.heads import normal_frames
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.mesh.silhouette import vertex_normals
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import axis_angle_to_matrix

HEAD = [JOINT_INDEX[name] for name in ("head", "jaw", "left_eye", "right_eye")]

CANDIDATES = 32  # points among which one is looked for that faces away


@dataclass(frozen=True)
class Posed(TensorRecord):
    """Points of posed bodies, in the frame of their rotations."""

    points: Float[Tensor, "b n 3"]  # metres
    frames: Float[Tensor, "b n 3 3"]  # rotations whose third axis is the skin's normal, outwards


class Anchors(nn.Module):
    """A fixed sample of the skin in groups of neighbours, equal in size but for the last."""

    rest: Float[Tensor, "n 3"]
    directions: Float[Tensor, "n 3 10"]
    weights: Float[Tensor, "n 55"]
    normals: Float[Tensor, "n 3"]
    mirror: Int[Tensor, " n"]
    across: Int[Tensor, " n"]
    head: Bool[Tensor, " n"]  # the back of a head is unlike the face before it
    joints: Float[Tensor, "55 3"]
    joint_directions: Float[Tensor, "55 3 10"]
    ancestors: Float[Tensor, "55 55"]

    def __init__(self, body: BodyModel, count: int, groups: int, head: float = 1.8) -> None:
        super().__init__()
        surface = BodySurface(body, count, head=head)
        order = grouped_order(surface.rest, groups)
        back = torch.empty_like(order)
        back[order] = torch.arange(len(order))
        faces, share = surface.faces[order], surface.barycentrics[order]
        self.groups, self.size = groups, -(-len(order) // groups)

        def at(values: Tensor) -> Tensor:
            return torch.einsum("nk...,nk->n...", values[faces], share)

        values = {
            "rest": at(body.v_template),
            "directions": at(body.shapedirs[..., :10]),
            "weights": at(body.lbs_weights),
            "normals": F.normalize(at(vertex_normals(body.v_template, body.faces)), dim=-1),
            "mirror": back[surface.mirror[order]],
            "across": torch.arange(len(order)),
            "head": at(body.lbs_weights)[:, HEAD].sum(1) > 0.5,
            "joints": body.joint_template,
            "joint_directions": body.joint_shapedirs[..., :10],
            "ancestors": _ancestors(),
        }
        for name, value in values.items():
            self.register_buffer(name, value.detach().clone(), persistent=False)
        self.across.copy_(opposite(self.rest, self.normals))
        self.register_buffer("rest_frames", normal_frames(self.normals), persistent=False)

    def __len__(self) -> int:
        return len(self.rest)

    def forward(
        self,
        rotations: Float[Tensor, "b 22 3 3"],
        betas: Float[Tensor, "b 10"],
        pelvis: Float[Tensor, "b 3"],
        hands: Float[Tensor, "2 15 3"],
    ) -> Posed:
        """Pose the points; `rotations` are global, `hands` the fingers' axis-angles, the face is at rest."""
        batch = len(rotations)
        everything = all_rotations(rotations, hands)
        rest = self.joints + (betas @ self.joint_directions.reshape(-1, 10).T).reshape(batch, 55, 3)
        parents = [max(parent, 0) for parent in PARENTS]
        bones = (everything[:, parents] @ (rest - rest[:, parents])[..., None])[..., 0]
        places = self.ancestors @ bones
        shift = places - (everything @ rest[..., None])[..., 0]
        transforms = torch.cat([everything, shift[..., None]], -1).reshape(batch, 55, 12)
        blended = (self.weights @ transforms).reshape(batch, -1, 3, 4)
        turn, move = blended.split((3, 1), -1)
        shaped = self.rest + (betas @ self.directions.reshape(-1, 10).T).reshape(batch, -1, 3)
        points = (turn @ shaped[..., None] + move)[..., 0] + pelvis[:, None]
        return Posed(points, _orthonormal(turn @ self.get_buffer("rest_frames")))


def all_rotations(
    rotations: Float[Tensor, "b 22 3 3"], hands: Float[Tensor, "2 15 3"]
) -> Float[Tensor, "b 55 3 3"]:
    """Global rotations of the 55 joints: jaw and eyes turn with the head, fingers with the wrists."""
    batch = len(rotations)
    head = rotations[:, JOINT_INDEX["head"], None].expand(batch, 3, 3, 3)
    parts = [rotations, head]
    local = axis_angle_to_matrix(hands)
    for side, wrist in enumerate(("left_wrist", "right_wrist")):
        first = POSED + 3 + 15 * side
        chain: list[Tensor] = []  # against the wrist
        for k in range(15):
            parent = PARENTS[first + k] - first
            chain.append(local[side, k] if parent < 0 else chain[parent] @ local[side, k])
        parts.append(rotations[:, JOINT_INDEX[wrist], None] @ torch.stack(chain))
    return torch.cat(parts, 1)


def grouped_order(rest: Float[Tensor, "n 3"], groups: int) -> Int[Tensor, " n"]:
    """Points so that equal parts of the order are neighbours at rest, which share a group's token: halves of
    halves across the longest axis."""
    size = -(-len(rest) // groups)

    def halved(chosen: Tensor, count: int) -> list[Tensor]:
        if count == 1 or len(chosen) <= size:
            return [chosen]
        points = rest[chosen]
        axis = int((points.amax(0) - points.amin(0)).argmax())
        chosen = chosen[points[:, axis].argsort(stable=True)]
        first = count // 2
        return halved(chosen[: first * size], first) + halved(chosen[first * size :], count - first)

    return torch.cat(halved(torch.arange(len(rest)), groups))


def opposite(rest: Float[Tensor, "n 3"], normals: Float[Tensor, "n 3"]) -> Int[Tensor, " n"]:
    """The point behind each point in front, and the other way round: at the same place seen from the front,
    facing away; its colour is the best guess where one of the two is hidden. A point without one is its
    own."""
    flat, towards = rest[:, :2].double().numpy(), normals[:, 2].double().numpy()
    found = np.arange(len(rest))
    for front in (True, False):
        asking, answering = (
            np.flatnonzero(side) for side in ((towards > 0) == front, (towards > 0) != front)
        )
        if not len(asking) or not len(answering):
            continue
        near = KDTree(flat[answering]).query(flat[asking], min(CANDIDATES, len(answering)))[1]
        near = answering[near.reshape(len(asking), -1)]
        away = towards[asking, None] * towards[near] <= -0.05  # the rim faces neither way
        some = away.any(1)
        found[asking[some]] = near[some, away[some].argmax(1)]
    return torch.from_numpy(found)


def _ancestors() -> Float[Tensor, "55 55"]:
    """1 where the column's bone lies between the row's joint and the pelvis."""
    above = torch.zeros(55, 55)
    for joint in range(1, 55):
        above[joint] = above[PARENTS[joint]]
        above[joint, joint] = 1
    return above


def _orthonormal(frames: Float[Tensor, "*b 3 3"]) -> Float[Tensor, "*b 3 3"]:
    """Rotations with the third axis kept: blended matrices shrink and shear."""
    x, _, z = frames.unbind(-1)
    z = F.normalize(z, dim=-1)
    x = F.normalize(x - (x * z).sum(-1, keepdim=True) * z, dim=-1)
    return torch.stack([x, torch.cross(z, x, dim=-1), z], -1)
