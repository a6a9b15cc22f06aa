"""Points on the body's surface: where the Gaussians of the body branch are anchored."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES

PARTS = 22  # the body joints; jaw and eyes count to the head, fingers to the wrists


class BodySurface(nn.Module):
    """A fixed sample of `count` surface points, spread by area in the rest pose, the head denser; 0 = the
    vertices (the paper).

    The same body file and count give the same points, so that learned tokens keep their places.
    """

    faces: Int[Tensor, "n 3"]  # vertex ids
    barycentrics: Float[Tensor, "n 3"]
    parts: Float[Tensor, "n 22"]  # skinning weights folded to body parts
    mirror: Int[Tensor, " n"]  # the point nearest to the mirror image
    rest: Float[Tensor, "n 3"]  # rest position, metres

    def __init__(self, body_model: BodyModel, count: int, seed: int = 5) -> None:
        super().__init__()
        template, weights = body_model.v_template, fold_to_parts(body_model.lbs_weights)
        faces, barycentrics = (
            _sampled(body_model, weights, count, seed) if count else _vertices(len(template))
        )
        self.register_buffer("faces", faces, persistent=False)
        self.register_buffer("barycentrics", barycentrics, persistent=False)
        rest = self.points(template[None])[0]
        self.register_buffer("rest", rest, persistent=False)
        self.register_buffer(
            "parts", torch.einsum("nkj,nk->nj", weights[self.faces], self.barycentrics), persistent=False
        )
        flipped = rest * torch.tensor([-1.0, 1, 1])
        self.register_buffer(
            "mirror",
            torch.cat([torch.cdist(chunk, rest).argmin(1) for chunk in flipped.split(1024)]),
            persistent=False,
        )

    def points(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b n 3"]:
        """The points on posed vertices, or any other vertex attribute at the points."""
        return (vertices[:, self.faces] * self.barycentrics[..., None]).sum(2)


def _vertices(count: int) -> tuple[Int[Tensor, "v 3"], Float[Tensor, "v 3"]]:
    """Every vertex as a point of a face of itself."""
    return torch.arange(count)[:, None].expand(count, 3).contiguous(), torch.tensor([1.0, 0, 0]).repeat(
        count, 1
    )


def _sampled(
    body_model: BodyModel, weights: Float[Tensor, "v 22"], count: int, seed: int
) -> tuple[Int[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Corners and barycentric coordinates of points on the skin, stratified by area along the list of
    faces."""
    skin, template = body_model.skin_faces, body_model.v_template
    head = weights[skin][..., JOINT_NAMES.index("head")].mean(1)
    corners = template[skin]
    area = torch.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=-1).norm(dim=-1) * (
        1 + 0.8 * (head > 0.5)
    )
    generator = torch.Generator().manual_seed(seed)
    level = (
        torch.arange(count, dtype=torch.float64) + torch.rand(count, generator=generator, dtype=torch.float64)
    ) / count
    total = area.double().cumsum(0)
    chosen = torch.searchsorted(total / total[-1], level).clamp(max=len(skin) - 1)
    uv = torch.rand(count, 2, generator=generator)
    uv = torch.where(uv.sum(1, keepdim=True) > 1, 1 - uv, uv)
    return skin[chosen], torch.cat([1 - uv.sum(1, keepdim=True), uv], 1)


def fold_to_parts(weights: Float[Tensor, "v 55"]) -> Float[Tensor, "v 22"]:
    """Skinning weights of 55 joints added up to the 22 body parts."""
    parts = weights[:, :PARTS].clone()
    parts[:, JOINT_NAMES.index("head")] += weights[:, 22:25].sum(1)
    parts[:, JOINT_NAMES.index("left_wrist")] += weights[:, 25:40].sum(1)
    parts[:, JOINT_NAMES.index("right_wrist")] += weights[:, 40:55].sum(1)
    return parts / parts.sum(1, keepdim=True)
