"""Colours of the skin that is seen, taken to the skin that is not: what hidden points may copy.

Every hidden patch takes the colour of the nearest seen one along the skin, so that the borders of clothes
stay borders. What is seen of the head's hair or hat covers the rest of the head, and its face nothing else.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path
from scipy.spatial import KDTree
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.exemplar.parts import CRANIUM, FACE, vertex_labels
from turnaround.models.exemplar.trust import HAIR_DISTANCE
from turnaround.models.gst.anchors import Anchors, grouped_order
from turnaround.models.gst.finer import neighbours

KNOTS = 600  # patches of the skin, of some 5 cm, that have a colour each
LINKS = 6  # a patch is next to so many others
DETOUR = 3.0  # how much longer than the straight one a way is that leads over no links
ELSEWHERE = 1.0  # metres: how much further face, cranium and the rest are from each other than they are
BARE = 0.3  # metres: how much further skin and beard on the cranium are than hair or a hat
BLEND = 0.02  # metres: colours whose ways differ by less are mixed


class Fill(nn.Module):
    """Patches of neighbouring points, the ways between them, and each point's nearest ones."""

    patch: Int[Tensor, " n"]
    ways: Float[Tensor, "k k"]  # metres, from row to column
    face: Bool[Tensor, " k"]
    cranium: Bool[Tensor, " k"]
    cheek: Bool[Tensor, " k"]  # of the cranium what lies below the brows: ears, beard
    covered: Bool[Tensor, " n"]  # points of the cranium
    near: Int[Tensor, "n 3"]
    share: Float[Tensor, "n 3"]

    def __init__(self, anchors: Anchors, body: BodyModel) -> None:
        super().__init__()
        count = min(KNOTS, len(anchors))
        order, size = grouped_order(anchors.rest, count), -(-len(anchors) // count)
        patch = torch.empty_like(order)
        patch[order] = torch.arange(len(order)) // size
        rest, normals = (_mean(x, patch) for x in (anchors.rest, anchors.normals))
        vertices, labels = KDTree(body.v_template.double().numpy()), vertex_labels(body)

        def label(points: Tensor) -> Tensor:
            return torch.from_numpy(labels[vertices.query(points.double().numpy())[1]])

        parts = label(rest)
        face, cranium = parts == FACE, parts == CRANIUM
        kind = face + 2 * cranium
        near, share = neighbours(rest, normals, anchors.rest, anchors.normals)
        values = {
            "patch": patch,
            "ways": _ways(rest) + ELSEWHERE * (kind[:, None] != kind),
            "face": face,
            "cranium": cranium,
            "cheek": cranium & (rest[:, 1] < (rest[face, 1].max() if face.any() else 0.0)),
            "covered": label(anchors.rest) == CRANIUM,
            "near": near,
            "share": share,
        }
        for name, value in values.items():
            self.register_buffer(name, value, persistent=False)

    def forward(
        self,
        colors: Float[Tensor, "b n 3"],
        seen: Float[Tensor, "b n"],
        cover: tuple[Float[Tensor, "b n 3"], Float[Tensor, "b n"]] | None = None,
    ) -> Float[Tensor, "b n 3"]:
        """Of every point; grey where nothing of the person is seen.

        Args:
            colors, seen: of the points, and 1 where they are their own.
            cover: the same a little above the skin, where hair is; on the cranium it goes before the skin.
        """
        colors = colors.float()
        if cover is not None:
            worn = self.covered & (cover[1] > 0)
            colors = torch.where(worn[..., None], cover[0].float(), colors)
            seen = torch.where(worn, cover[1], seen)
        at = self.patch.expand(len(colors), -1)
        counted = torch.cat([colors, torch.ones_like(colors[..., :1])], -1) * seen[..., None]
        total = torch.zeros(len(colors), len(self.ways), 4, device=colors.device)
        total.scatter_add_(1, at[..., None].expand(-1, -1, 4), counted)
        known = total[..., 3] > 0
        patches = total[..., :3] / total[..., 3:].clamp(min=1e-6)
        ways = self.ways + BARE * self._bare(patches, known)[:, None]
        ways = ways.masked_fill(~known[:, None], torch.inf)
        nearest = ways.amin(-1, keepdim=True)
        weight = torch.exp((nearest - ways).nan_to_num(nan=-torch.inf) / BLEND)
        filled = weight @ patches / weight.sum(-1, keepdim=True).clamp(min=1e-6)
        filled = torch.where(known.any(1)[:, None, None], filled, 0.5)
        return (filled[:, self.near] * self.share[..., None]).sum(2)

    def _bare(self, patches: Float[Tensor, "b k 3"], known: Bool[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        """How much patches of the cranium look like the face's skin, 0 to 1; 2 for cheeks, 0 elsewhere."""
        face = (known & self.face)[..., None]
        skin = (patches * face).sum(1, keepdim=True) / face.sum(1, keepdim=True).clamp(min=1)
        apart = (patches - skin).norm(dim=-1) / HAIR_DISTANCE
        alike = torch.exp(-apart.square()) * self.cranium * face.any(1)
        return torch.where(self.cheek, 2.0, alike)


def _ways(rest: Float[Tensor, "k 3"]) -> Float[Tensor, "k k"]:
    """Lengths of the shortest ways from patch to neighbouring patch, metres."""
    points = rest.double().numpy()
    # the nearest of each is itself
    apart, near = (np.asarray(x)[:, 1:].ravel() for x in KDTree(points).query(points, LINKS + 1))
    rows = np.repeat(np.arange(len(points)), LINKS)
    links = csr_array((apart, (rows, near)), shape=(len(points),) * 2)
    along = torch.from_numpy(shortest_path(links, directed=False)).float()
    return torch.minimum(along, DETOUR * torch.cdist(rest, rest))


def _mean(values: Float[Tensor, "n c"], patch: Int[Tensor, " n"]) -> Float[Tensor, "k c"]:
    total = torch.zeros(int(patch.max()) + 1, values.shape[1]).index_add_(0, patch, values)
    return total / torch.bincount(patch)[:, None]
