"""The body network of GST's paper: HMR 2.0's (Goel et al. 2023), a ViT and a decoder of one body token.

It has the members of `BodyEstimator` that GST takes. HMR 2.0 says SMPL: rotations against the parents, and a
weak-perspective camera (s, tx, ty) of its window, in which the person stands 2f / (256 s) away. It takes its
window for the picture of a camera that looks at the window's middle; the canonical camera looks past it, so
that the body is turned by the angle between.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from turnaround.models.estimator.crop import PLANE, REFERENCE_HEIGHT, lift, project_plane, to_window
from turnaround.models.estimator.kinematics import KEYPOINTS, POSED, Skeleton, to_global
from turnaround.models.estimator.model import BodyEstimator, Prediction
from turnaround.models.gst.config import NetworkSize, ViTSize
from turnaround.models.gst.paper.vit import ViT, attend
from turnaround.pipeline.values.rotation import matrix_to_rot6d, quat_to_matrix, rot6d_to_matrix

SPREAD = 0.05  # half windows; HMR 2.0 does not say how sure it is of a joint
CAMERA = (1.0, 0.0, 0.0)  # mean of s, tx, ty: the window is 2 m wide where the person stands
NEAREST = 0.1  # least s; a person behind the camera would have a negative one


class PaperNetwork(nn.Module):
    """Window pixels (RGB over white, mask) and the window's place -> Prediction, without heatmaps."""

    mean_pose: Float[Tensor, "22 6"]
    mean_camera: Float[Tensor, "3"]
    origin: Float[Tensor, "2"]
    hands: Float[Tensor, "2 15 3"]
    frozen = False

    def __init__(self, skeleton: Skeleton, size: ViTSize) -> None:
        super().__init__()
        self.skeleton, self.size = skeleton, size.size
        self.vit = ViT(size)
        self.tokens = BodyToken(size.width)
        self.decoder = Decoder(size)
        self.pose_head, self.shape_head = nn.Linear(size.width, 6 * POSED), nn.Linear(size.width, 10)
        self.camera_head = nn.Linear(size.width, 3)
        for head in (self.pose_head, self.shape_head, self.camera_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        pose = torch.eye(3).repeat(POSED, 1, 1)
        pose[0] = torch.diag(torch.tensor([1.0, -1, -1]))  # upright, facing the camera
        self.register_buffer("mean_pose", matrix_to_rot6d(pose))
        self.register_buffer("mean_camera", torch.tensor(CAMERA))
        # metres from the point that tx and ty place to the pelvis at rest: not 0 with HMR 2.0's weights
        self.register_buffer("origin", torch.zeros(2))
        self.register_buffer("hands", torch.zeros(2, 15, 3))

    def forward(self, window_pixels: Float[Tensor, "b 4 s s"], window: Float[Tensor, "b 3"]) -> Prediction:
        """`window` is where the pixels were cut (models/estimator/crop.py)."""
        seen = self.features(window_pixels)
        return self.read(self.decoder(*self.tokens(seen, window)), seen, window)

    def encoder(self) -> dict[str, nn.Module]:
        """The vision transformer by the name of its member."""
        return {"vit": self.vit}

    def freeze_encoder(self) -> None:
        """No gradients for the vision transformer, nor memory for them."""
        self.vit.requires_grad_(False)
        self.frozen = True

    def features(self, window_pixels: Float[Tensor, "b 4 s s"]) -> Float[Tensor, "b m c"]:
        """Image tokens; the mask is not looked at."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return self.vit(window_pixels[:, :3])

    def read(
        self, decoded: Float[Tensor, "b q d"], seen: Float[Tensor, "b m c"], window: Float[Tensor, "b 3"]
    ) -> Prediction:
        """The heads, on the decoded query of the whole body, which is the first."""
        whole, batch = decoded[:, 0].float(), len(decoded)
        pose = self.mean_pose + self.pose_head(whole).reshape(batch, POSED, 6)
        rotations = towards(window)[:, None] @ to_global(rot6d_to_matrix(pose))
        scale, moved = (self.mean_camera + self.camera_head(whole)).split((1, 2), -1)
        scale, betas = scale.clamp(min=NEAREST), self.shape_head(whole)
        # a depth of PLANE / (s half) for the window's half side: 2f / (256 s) with the window's own f
        log_depth = -torch.log(scale[:, 0] * REFERENCE_HEIGHT / 2)
        pelvis = lift(scale * (moved + self.origin), log_depth, window)
        joints = self.skeleton(rotations, betas) + pelvis[:, None]
        keypoints = to_window(project_plane(joints), window)
        spread = torch.full_like(keypoints[..., 0], SPREAD)
        heatmaps = keypoints.new_zeros(batch, len(KEYPOINTS), 0, 0)
        return Prediction(rotations, betas, pelvis, joints, keypoints, spread, heatmaps)


class BodyToken(nn.Module):
    """The one query, and image tokens as they are."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(1, width) * 0.02)

    def forward(
        self, seen: Float[Tensor, "b m c"], window: Float[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "b 1 d"], Float[Tensor, "b m c"]]:
        """The query, and what it attends to; the window's place is not told."""
        return self.queries.to(seen.dtype).expand(len(seen), -1, -1), seen


class Decoder(nn.Module):
    """Layers that read the image tokens; called as torch's TransformerDecoder."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.layers = nn.ModuleList(DecoderLayer(size) for _ in range(size.layers))

    def forward(
        self,
        queries: Float[Tensor, "b q d"],
        memory: Float[Tensor, "b m c"],
        tgt_mask: Bool[Tensor, "q q"] | None = None,
    ) -> Float[Tensor, "b q d"]:
        """`tgt_mask` is true where a query does not see another."""
        for layer in self.layers:
            queries = layer(queries, memory, tgt_mask)
        return queries


class DecoderLayer(nn.Module):
    """Attention among the queries, to the image, and a perceptron, over normed queries and added."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        inner = size.heads * size.head_width
        self.heads = size.heads
        self.norms = nn.ModuleList(nn.LayerNorm(size.width) for _ in range(3))
        self.qkv = nn.Linear(size.width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, size.width)
        self.query = nn.Linear(size.width, inner, bias=False)
        self.image = nn.Linear(size.encoder_width, 2 * inner, bias=False)  # keys, then values
        self.image_out = nn.Linear(inner, size.width)
        self.mlp = nn.Sequential(
            nn.Linear(size.width, size.hidden), nn.GELU(), nn.Linear(size.hidden, size.width)
        )

    def forward(
        self, x: Float[Tensor, "b q d"], memory: Float[Tensor, "b m c"], apart: Bool[Tensor, "q q"] | None
    ) -> Float[Tensor, "b q d"]:
        """As the class says."""
        q, k, v = self.qkv(self.norms[0](x)).chunk(3, -1)
        x = x + self.out(attend(q, k, v, self.heads, apart))
        k, v = self.image(memory).chunk(2, -1)
        x = x + self.image_out(attend(self.query(self.norms[1](x)), k, v, self.heads))
        return x + self.mlp(self.norms[2](x))


def towards(window: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """The shortest turn from a camera that looks at the window's middle to the canonical one's frame."""
    ray = F.normalize(torch.cat([window[:, :2], torch.full_like(window[:, 2:], PLANE)], -1), dim=-1)
    quat = torch.stack([1 + ray[:, 2], -ray[:, 1], ray[:, 0], torch.zeros_like(ray[:, 0])], -1)
    return quat_to_matrix(quat)


def body_network(skeleton: Skeleton, size: NetworkSize) -> BodyEstimator | PaperNetwork:
    """The network of these sizes, with fresh weights."""
    if isinstance(size, ViTSize):
        return PaperNetwork(skeleton, size)
    return BodyEstimator(skeleton, size.estimator())
