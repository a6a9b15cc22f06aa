"""The VGG distance: how unlike two pictures are to a network that has seen photographs. It is not LPIPS.

LPIPS (Zhang et al. 2018) weighs the channels of torchvision's VGG16 by linear layers that were trained on
what people say; here each channel counts alike and the weights are another VGG16's, so it is another figure.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.metrics import vgg_files
from turnaround.models.metrics.image import Images

# of the convolutions, by stage
CHANNELS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
MEANS_BGR = (103.939, 116.779, 123.68)  # of ImageNet, of 255


class Vgg16(nn.Module):
    """The thirteen convolutions of VGG16 (Simonyan and Zisserman 2015), random until `fill` is called."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, *(width for stage in CHANNELS for width in stage)]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.register_buffer("means", torch.tensor(MEANS_BGR).view(1, 3, 1, 1))

    def forward(self, images: Float[Tensor, "b 3 h w"]) -> list[Tensor]:
        """The last activations of each stage, (b, c, h / 2^k, w / 2^k), of RGB pictures in [0, 1]."""
        x = images.flip(1) * 255 - self.get_buffer("means")
        found, convs = [], iter(self.convs)
        for number, stage in enumerate(CHANNELS):
            x = F.max_pool2d(x, 2, ceil_mode=True) if number else x
            for _ in stage:
                x = F.relu_(next(convs)(x))
            found.append(x)
        return found

    def fill(self, file: Path) -> None:
        """Take the convolutions of the pinned file."""
        content = np.memmap(file, np.uint8, mode="r")
        for conv, offsets in zip(self.convs, vgg_files.OFFSETS, strict=True):
            for name, offset in zip(("weight", "bias"), offsets, strict=True):
                parameter = conv.get_parameter(name)
                values = torch.from_numpy(np.frombuffer(content, "<f4", parameter.numel(), offset).copy())
                if name == "weight":  # TensorFlow's order: height, width, in, out
                    values = values.view(3, 3, *parameter.shape[1::-1]).permute(3, 2, 0, 1)
                parameter.data.copy_(values)


@lru_cache(maxsize=1)
def network() -> Vgg16 | None:
    """The network in the user's cache; None where it was not fetched.

    Raises:
        ValueError: another file lies in its place.
    """
    if not vgg_files.path().is_file():
        return None
    if vgg_files.digest() != vgg_files.SHA256:
        remedy = "get the right one with `turnaround fetch --evaluation`"
        raise ValueError(f"{vgg_files.path()} is not the pinned file: {remedy}")
    found = Vgg16().eval().requires_grad_(False)
    found.fill(vgg_files.path())
    return found


def feature_distance(vgg: Vgg16, images: Images, truth: Images) -> Float[Tensor, "*b"]:
    """Squared difference of features of unit length, mean over pixels, summed over the five stages: 0 to 10.

    Args:
        images: in [0, 1].
        truth: of the same size, 16 pixels at least.
    """
    pairs = torch.cat([_channels_first(images), _channels_first(truth)])
    total: Any = 0.0
    for features in vgg(pairs.contiguous(memory_format=torch.channels_last)):
        a, b = F.normalize(features, dim=1, eps=1e-10).chunk(2)
        total = total + (a - b).square().sum(1).mean((1, 2))
    return total.reshape(images.shape[:-3])


def _channels_first(images: Images) -> Float[Tensor, "n 3 h w"]:
    return images.reshape(-1, *images.shape[-3:]).permute(0, 3, 1, 2)
