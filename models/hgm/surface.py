"""Points on the body's surface: where the Gaussians of the body branch are anchored."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES

SKIN = 1.9  # square metres
PARTS = 22  # the body joints; jaw and eyes count to the head, fingers to the wrists


class BodySurface(nn.Module):
    """A fixed sample of points on the skin, spread by area in the rest pose, the head denser.

    `count` 0 takes the vertices (the paper). The same body file and count give the same points, so that
    learned tokens keep their places. `head`: how much denser they lie there than elsewhere.
    """

    faces: Int[Tensor, "n 3"]  # vertex ids
    barycentrics: Float[Tensor, "n 3"]
    parts: Float[Tensor, "n 22"]  # skinning weights folded to body parts
    mirror: Int[Tensor, " n"]  # the point nearest to the mirror image
    rest: Float[Tensor, "n 3"]  # rest position, metres

    def __init__(self, body_model: BodyModel, count: int, seed: int = 5, head: float = 1.8) -> None:
        super().__init__()
        template, weights = body_model.v_template, fold_to_parts(body_model.lbs_weights)
        sampled = _sampled(body_model, weights, count, seed, head) if count else _vertices(len(template))
        for name, value in zip(("faces", "barycentrics"), sampled, strict=True):
            self.register_buffer(name, value, persistent=False)
        parts = torch.einsum("nkj,nk->nj", weights[self.faces], self.barycentrics)
        rest = self.points(template[None])[0]
        mirror = nearest(rest * torch.tensor([-1.0, 1, 1]), rest)
        for name, value in (("rest", rest), ("parts", parts), ("mirror", mirror)):
            self.register_buffer(name, value, persistent=False)

    @property
    def spacing(self) -> float:
        """Metres between neighbouring points, somewhat less than evenly spread ones would have."""
        return (SKIN / len(self.rest)) ** 0.5 * 0.65

    def points(self, vertices: Float[Tensor, "b v 3"]) -> Float[Tensor, "b n 3"]:
        """The points on posed vertices, or any other vertex attribute at the points."""
        return (vertices[:, self.faces] * self.barycentrics[..., None]).sum(2)


def _vertices(count: int) -> tuple[Int[Tensor, "v 3"], Float[Tensor, "v 3"]]:
    """Every vertex as a point of a face of itself."""
    faces = torch.arange(count)[:, None].expand(count, 3).contiguous()
    return faces, torch.tensor([1.0, 0, 0]).repeat(count, 1)


def _sampled(
    body_model: BodyModel, weights: Float[Tensor, "v 22"], count: int, seed: int, head: float
) -> tuple[Int[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Corners and barycentric coordinates of points on the skin, stratified by area along the faces."""
    skin, template = body_model.skin_faces, body_model.v_template
    of_head = weights[skin][..., JOINT_NAMES.index("head")].mean(1) > 0.5
    corners = template[skin]
    a, b, c = corners.unbind(1)
    area = torch.cross(b - a, c - a, dim=-1).norm(dim=-1) * (1 + (head - 1) * of_head)
    generator = torch.Generator().manual_seed(seed)
    jitter = torch.rand(count, generator=generator, dtype=torch.float64)
    level = (torch.arange(count, dtype=torch.float64) + jitter) / count
    total = area.double().cumsum(0)
    chosen = torch.searchsorted(total / total[-1], level).clamp(max=len(skin) - 1)
    uv = torch.rand(count, 2, generator=generator)
    uv = torch.where(uv.sum(1, keepdim=True) > 1, 1 - uv, uv)
    return skin[chosen], torch.cat([1 - uv.sum(1, keepdim=True), uv], 1)


def fold_to_parts(weights: Float[Tensor, "v 55"]) -> Float[Tensor, "v 22"]:
    """Skinning weights of 55 joints added up to the 22 body parts."""
    parts, *others = weights.split((PARTS, 3, 15, 15), 1)  # body, jaw and eyes, left fingers, right fingers
    parts = parts.clone()
    for name, other in zip(("head", "left_wrist", "right_wrist"), others, strict=True):
        parts[:, JOINT_NAMES.index(name)] += other.sum(1)
    return parts / parts.sum(1, keepdim=True)


def nearest(queries: Float[Tensor, "n 3"], points: Float[Tensor, "m 3"]) -> Int[Tensor, " n"]:
    """Index of the point nearest to each query."""
    asked, among = (x.detach().cpu().double().numpy() for x in (queries, points))
    return torch.from_numpy(KDTree(among).query(asked)[1]).to(queries.device)
