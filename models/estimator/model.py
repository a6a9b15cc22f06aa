"""The embedded body estimator: convolutional encoder, heatmaps, and a transformer decoder with a token per
joint.

In the manner of HMR 2.0 (Goel et al. 2023): learnable query tokens cross-attend to image tokens and are
decoded to SMPL-X parameters. Joint tokens begin with the image features under their heatmap. GST
(models/gst) sends its own tokens through the same decoder: `features`, `tokens`, `decoder` and `read` are the
parts that it takes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.convnet import conv_norm, residual_stage
from turnaround.models.estimator.crop import SIZE, lift
from turnaround.models.estimator.kinematics import KEYPOINTS, POSED, Skeleton
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import matrix_to_rot6d, rot6d_to_matrix


@dataclass(frozen=True)
class EstimatorConfig:
    """Sizes of the network."""

    size: int = SIZE  # pixels of the input window
    channels: tuple[int, ...] = (24, 48, 96, 192)  # at 1/2, 1/4, 1/8, 1/16
    blocks: tuple[int, ...] = (1, 2, 2)  # residual blocks at 1/4, 1/8, 1/16
    width: int = 192  # of the decoder's tokens
    layers: int = 2
    heads: int = 6


@dataclass(frozen=True)
class Prediction:
    """What the network says about a batch of windows; world frame of the canonical camera."""

    rotations: Float[Tensor, "b 22 3 3"]  # global: joint -> world
    betas: Float[Tensor, "b 10"]
    pelvis: Float[Tensor, "b 3"]  # metres
    joints: Float[Tensor, "b k 3"]  # metres
    keypoints: Float[Tensor, "b k 2"]  # in the window, [-1, 1]
    spread: Float[Tensor, "b k"]  # expected error of the keypoints, the scale of a Laplacian, in half windows
    heatmaps: Float[Tensor, "b k h w"]  # logits


@dataclass(frozen=True)
class Features(TensorRecord):
    """What the convolutions see in a batch of windows."""

    eighth: Float[Tensor, "b c h w"]  # of the window's resolution
    quarter: Float[Tensor, "b d k l"]
    heatmaps: Float[Tensor, "b n k l"]  # logits
    share: Float[Tensor, "b n m"]  # heatmaps as distributions over their cells
    keypoints: Float[Tensor, "b n 2"]  # their means, in the window, [-1, 1]


class BodyEstimator(nn.Module):
    """Window pixels (RGB over white, mask) and the window's place -> Prediction."""

    mean_pose: Float[Tensor, "22 6"]
    hands: Float[Tensor, "2 15 3"]

    def __init__(self, skeleton: Skeleton, config: EstimatorConfig = EstimatorConfig()) -> None:
        super().__init__()
        self.config, self.skeleton = config, skeleton
        c, count = config.channels, len(KEYPOINTS)
        self.stem = nn.Sequential(conv_norm(4, c[0], 3, 2), nn.ReLU(inplace=True))
        self.stages = nn.ModuleList(
            residual_stage(c[k], c[k + 1], blocks, 2) for k, blocks in enumerate(config.blocks)
        )
        self.middle, self.fine = conv_norm(c[3], c[2], 1), conv_norm(c[2], c[1], 1)
        self.mix_middle, self.mix_fine = residual_stage(c[2], c[2], 1, 1), residual_stage(c[1], c[1], 1, 1)
        self.heat = nn.Conv2d(c[1], count, 1)
        self.tokens = Tokens(config, count)
        layer = nn.TransformerDecoderLayer(
            config.width, config.heads, 2 * config.width, 0.0, F.gelu, batch_first=True, norm_first=True
        )
        self.decoder = nn.TransformerDecoder(layer, config.layers, nn.LayerNorm(config.width))
        self.pose_head = nn.Parameter(torch.zeros(POSED, config.width, 6))
        self.spread_head = nn.Linear(config.width, 1)
        self.shape_head, self.camera_head = nn.Linear(config.width, 10), nn.Linear(config.width, 3)
        for head in (self.spread_head, self.shape_head, self.camera_head):
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)
        self.register_buffer(
            "mean_pose",
            matrix_to_rot6d(torch.eye(3)).expand(POSED, 6) * torch.tensor([1.0, -1, -1]).repeat(2),
        )
        self.register_buffer("hands", torch.zeros(2, 15, 3))

    def forward(self, window_pixels: Float[Tensor, "b 4 s s"], window: Float[Tensor, "b 3"]) -> Prediction:
        """`window` is where the pixels were cut (models/estimator/crop.py)."""
        seen = self.features(window_pixels)
        return self.read(self.decoder(*self.tokens(seen, window)), seen, window)

    def encoder(self) -> dict[str, nn.Module]:
        """The convolutional part by the names of its members."""
        names = ("stem", "stages", "middle", "fine", "mix_middle", "mix_fine", "heat")
        return {name: self.get_submodule(name) for name in names}

    def freeze_encoder(self) -> None:
        """No gradients and fixed statistics for the convolutional part; holds through `train()`."""
        for part in self.encoder().values():
            part.requires_grad_(False)
        self.frozen = True

    frozen = False

    @property
    def size(self) -> int:
        """Pixels of the window's side."""
        return self.config.size

    def train(self, mode: bool = True) -> BodyEstimator:
        """As of any module; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.frozen:
            for part in self.encoder().values():
                part.eval()
        return self

    def features(self, window_pixels: Float[Tensor, "b 4 s s"]) -> Features:
        """The convolutional part."""
        eighth, quarter = self._encode(window_pixels)
        heatmaps = self.heat(quarter).float()
        share = heatmaps.flatten(2).softmax(-1)
        keypoints = share @ cell_centres(heatmaps.shape[-2:], share.device)
        return Features(eighth, quarter, heatmaps, share, keypoints)

    def read(
        self, decoded: Float[Tensor, "b q d"], seen: Features, window: Float[Tensor, "b 3"]
    ) -> Prediction:
        """The heads, on the decoded queries of the joints and of the whole body."""
        decoded, keypoints = decoded.float(), seen.keypoints
        count = len(KEYPOINTS)
        joints, whole = decoded[:, :count], decoded[:, count]
        pose = self.mean_pose + torch.einsum("bjd,jdo->bjo", joints[:, :POSED], self.pose_head)
        camera, betas = self.camera_head(whole), self.shape_head(whole)
        rotations = rot6d_to_matrix(pose)
        pelvis = lift(keypoints[:, 0].detach() + camera[:, :2], camera[:, 2], window)
        spread = F.softplus(self.spread_head(joints)[..., 0] - 2.0) + 0.003
        return Prediction(
            rotations,
            betas,
            pelvis,
            self.skeleton(rotations, betas) + pelvis[:, None],
            keypoints,
            spread,
            seen.heatmaps,
        )

    def _encode(self, pixels: Float[Tensor, "b 4 s s"]) -> tuple[Tensor, Tensor]:
        """Feature maps at 1/8 and 1/4 of the window, each of which has seen all of it."""
        x = self.stem(((pixels - 0.5) * 2).contiguous(memory_format=torch.channels_last))
        quarter = self.stages[0](x)
        eighth = self.stages[1](quarter)
        deep = self.stages[2](eighth)
        eighth = self.mix_middle(eighth + _double(self.middle(deep)))
        return eighth, self.mix_fine(quarter + _double(self.fine(eighth)))


class Tokens(nn.Module):
    """Builds the decoder's queries and its memory of image tokens."""

    def __init__(self, config: EstimatorConfig, count: int) -> None:
        super().__init__()
        c, side = config.channels, config.size // 8
        self.queries = nn.Parameter(torch.randn(count + 1, config.width) * 0.02)
        self.under_heatmap = nn.Linear(c[1] + c[2] + 2, config.width)
        self.place = nn.Linear(3, config.width)
        self.memory = nn.Linear(c[2], config.width)
        self.position = nn.Parameter(torch.randn(side * side, config.width) * 0.02)

    def forward(
        self, features: Features, window: Float[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "b q d"], Float[Tensor, "b m d"]]:
        """Queries of the joints and of the whole body, and what they attend to."""
        eighth, quarter, share, keypoints = (
            features.eighth,
            features.quarter,
            features.share,
            features.keypoints,
        )
        side = quarter.shape[-1]
        coarse = F.avg_pool2d(share.reshape(*share.shape[:2], side, side), 2).flatten(2) * 4
        seen = torch.cat([_pool(quarter, share), _pool(eighth, coarse), keypoints], -1)
        memory = self.memory(eighth.flatten(2).transpose(1, 2)) + self.position
        queries = self.queries.expand(len(share), -1, -1) + self.place(window)[:, None]
        count = share.shape[1]
        queries = torch.cat([queries[:, :count] + self.under_heatmap(seen), queries[:, count:]], 1)
        return queries, memory


def _pool(features: Float[Tensor, "b c h w"], share: Float[Tensor, "b k n"]) -> Float[Tensor, "b k c"]:
    return share.to(features.dtype) @ features.flatten(2).transpose(1, 2)


def _double(x: Float[Tensor, "b c h w"]) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def cell_centres(shape: tuple[int, int] | torch.Size, device: torch.device) -> Float[Tensor, "n 2"]:
    """Centres of a heatmap's cells in [-1, 1], x first, row by row."""
    height, width = shape
    y, x = torch.meshgrid(
        (torch.arange(height, device=device) + 0.5) / height * 2 - 1,
        (torch.arange(width, device=device) + 0.5) / width * 2 - 1,
        indexing="ij",
    )
    return torch.stack([x, y], -1).reshape(-1, 2)


def heatmap_target(
    keypoints: Float[Tensor, "b k 2"], shape: tuple[int, int] | torch.Size, sigma: float = 1.0
) -> Float[Tensor, "b k n"]:
    """Gaussians of `sigma` cells about the keypoints, as distributions over the cells; far outside: uniform
    rest."""
    centres = cell_centres(shape, keypoints.device)
    distance = (keypoints[:, :, None] - centres).square().sum(-1)
    width = sigma * 2 / shape[0]
    return (-distance / (2 * width * width)).clamp(min=-60 * math.log(2)).softmax(-1)
