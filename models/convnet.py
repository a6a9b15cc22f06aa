"""Small convolutional parts that matting, normals and the estimator share: residual blocks and a U-Net."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def conv_norm(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution without bias and batch normalisation; 3x3 convolutions reach the CPU's peak, depthwise ones
    do not."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


@torch.no_grad()
def recalibrate(network: nn.Module, forward: Iterable[object]) -> None:
    """Set the running statistics of batch normalisation to those of the network's present weights.

    Averaged weights (EMA) never saw a batch: statistics of the weights they were averaged from do not fit
    them. Consuming `forward` must run training batches through the network, which is left in evaluation mode.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    network.train()
    momenta = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # a plain mean over the batches
    for _ in forward:
        pass
    for layer, momentum in zip(layers, momenta, strict=True):
        layer.momentum = momentum
    network.eval()


def for_inference(network: nn.Module) -> nn.Module:
    """The network with every batch normalisation folded into the convolution before it, and channels last; in
    place.

    The same function up to rounding (1e-6), a sixth faster; it can be trained no more, and its state dict is
    another.
    """
    for pair in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for k in range(len(pair) - 1):
            convolution, norm = pair[k], pair[k + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                pair[k], pair[k + 1] = fuse_conv_bn_eval(convolution, norm), nn.Identity()
    return network.requires_grad_(False).to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut (He et al. 2016), the last scale zero, so that it begins as the
    identity."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        last = conv_norm(outputs, outputs)
        self.body = nn.Sequential(conv_norm(inputs, outputs, 3, stride), nn.ReLU(inplace=True), last)
        self.shortcut = (
            nn.Identity() if (inputs, stride) == (outputs, 1) else conv_norm(inputs, outputs, 1, stride)
        )
        nn.init.zeros_(last[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b d k l"]:
        """Stride 2 halves the resolution (rounded up)."""
        return F.relu(self.shortcut(x) + self.body(x))


def residual_stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    """`blocks` residual blocks, the first of which changes width and resolution."""
    return nn.Sequential(
        *(
            ResidualBlock(inputs if k == 0 else outputs, outputs, stride if k == 0 else 1)
            for k in range(blocks)
        )
    )


class GlobalContext(nn.Module):
    """Adds what is seen at several pooled scales to every pixel (pyramid pooling, Zhao et al. 2017)."""

    def __init__(self, channels: int, bins: Sequence[int] = (1, 2, 4)) -> None:
        super().__init__()
        self.bins = tuple(bins)
        self.branches = nn.ModuleList(nn.Conv2d(channels, channels // 4, 1) for _ in self.bins)
        self.merge = conv_norm(channels + len(self.bins) * (channels // 4), channels)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Same shape."""
        size = x.shape[-2:]
        pooled = [
            branch(F.adaptive_avg_pool2d(x, bins))
            for bins, branch in zip(self.bins, self.branches, strict=True)
        ]
        wide = [F.interpolate(p, size, mode="bilinear", align_corners=False) for p in pooled]
        return F.relu(self.merge(torch.cat([x, *wide], 1)))


class UNet(nn.Module):
    """Encoder and decoder with skips (Ronneberger et al. 2015); the finest features have half the input's
    resolution.

    The head predicts 2x2 sub-pixels (pixel shuffle), so the output has the input's resolution. It starts at
    zero.
    """

    def __init__(
        self, inputs: int, outputs: int, channels: Sequence[int] = (24, 48, 96, 160, 192), blocks: int = 1
    ) -> None:
        super().__init__()
        self.multiple = 2 ** len(channels)
        self.stem = nn.Sequential(conv_norm(inputs, channels[0], 3, 2), nn.ReLU(inplace=True))
        self.down = nn.ModuleList(
            residual_stage(channels[max(k - 1, 0)], width, blocks, 1 if k == 0 else 2)
            for k, width in enumerate(channels)
        )
        self.context = GlobalContext(channels[-1])
        pairs = list(pairwise(channels))[::-1]
        self.lateral = nn.ModuleList(conv_norm(deep, fine, 1) for fine, deep in pairs)
        self.up = nn.ModuleList(residual_stage(fine, fine, blocks, 1) for fine, _ in pairs)
        self.head = nn.Conv2d(channels[0], 4 * outputs, 3, padding=1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b o h w"]:
        """Height and width must be even; others than multiples of 2^levels are handled by the resizing
        skips."""
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        skips = []
        for stage in self.down:
            x = stage(x)
            skips.append(x)
        x = self.context(skips.pop())
        for lateral, stage in zip(self.lateral, self.up, strict=True):
            skip = skips.pop()
            x = stage(skip + F.interpolate(lateral(x), skip.shape[-2:], mode="bilinear", align_corners=False))
        return F.pixel_shuffle(self.head(x), 2).float()
