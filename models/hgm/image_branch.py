"""The image branch: pictures to features, raw Gaussians and patches (section 3.3)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import precision
from turnaround.models.hgm.inputs import BODY_MAPS, HGMInput
from turnaround.models.hgm.unet import UNet
from turnaround.pipeline.values.camera import plucker, resize

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours

# what the U-Net reads, the views of a person one after the other
Stem = Callable[[HGMInput], Float[Tensor, "bv c h w"]]


@dataclass(frozen=True)
class ImageMaps:
    """What the image branch makes of b people's v pictures."""

    features: Float[Tensor, "b v c h w"]
    raw: Float[Tensor, "b v 14 g g"]  # raw values of a Gaussian for each of g x g places
    patches: Float[Tensor, "b v p q r"]  # what the body's tokens attend to


class PixelStem:
    """LGM's nine channels a pixel, as in the paper: colours over white in ImageNet's units, Pluecker ray."""

    def __call__(self, inputs: HGMInput) -> Float[Tensor, "bv 9 s s"]:
        """Encode all pictures at their own resolution."""
        rgb, mask = inputs.rgb.flatten(0, 1), inputs.mask.flatten(0, 1)
        mean, std = (torch.tensor(c, device=rgb.device)[:, None, None] for c in (MEAN, STD))
        white = rgb * mask + 1 - mask
        return torch.cat([(white - mean) / std, plucker_rays(inputs, inputs.size)], 1)


class PatchStem:
    """Patches of `side` x `side` pixels, each as one place: colours, mask, one ray, and the body's maps."""

    def __init__(self, side: int, *, body_maps: bool) -> None:
        self.side, self.body_maps = side, body_maps

    def __call__(self, inputs: HGMInput) -> Float[Tensor, "bv c h w"]:
        """Encode all pictures at 1 / side of their resolution."""
        rgb, mask = inputs.rgb.flatten(0, 1), inputs.mask.flatten(0, 1)
        parts = [
            F.pixel_unshuffle(torch.cat([rgb * 2 - 1, mask * 2 - 1], 1), self.side),
            plucker_rays(inputs, inputs.size // self.side),
        ]
        if self.body_maps:
            parts.append(F.pixel_unshuffle(_centred_maps(inputs), self.side // 2))  # of half size
        return torch.cat(parts, 1)


class ImageBranch(nn.Module):
    """Stem, U-Net over all views of a person, and a last layer; parameters carry LGM's names."""

    def __init__(self, stem: Stem, unet: UNet, shuffle: nn.Module, conv: nn.Module, patch_level: int) -> None:
        """Put the parts together.

        Args:
            stem: from inputs to what the U-Net reads.
            unet: the network.
            shuffle: spreads the raw values of a place over the Gaussians of its patch.
            conv: LGM's last 1x1 convolution, or the identity.
            patch_level: which of the U-Net's maps is attended to, 0 = the deepest.
        """
        super().__init__()
        self.view = nn.Parameter(torch.zeros(2, unet.config.in_channels))  # tells the front from the back
        self.stem, self.unet, self.shuffle, self.conv = stem, unet, shuffle, conv
        self.patch_level = patch_level

    def forward(self, inputs: HGMInput) -> ImageMaps:
        """Maps of all views of all people, float32."""
        b, v = inputs.people, inputs.views
        x = self.stem(inputs) + self.view[:v].repeat(b, 1)[:, :, None, None]
        x = x.to(memory_format=torch.channels_last)
        features, raw, ascent = precision.run(f"hgm_unet_{v}", self.unet, x, v)
        raw = self.conv(self.shuffle(raw))
        return ImageMaps(
            *(maps.float().unflatten(0, (b, v)) for maps in (features, raw, ascent[self.patch_level]))
        )


def plucker_rays(inputs: HGMInput, size: int) -> Float[Tensor, "bv 6 h w"]:
    """Pluecker coordinates of every camera's rays at `size` pixels."""
    cameras = [inputs.camera(b, v) for b in range(inputs.people) for v in range(inputs.views)]
    return torch.stack([plucker(resize(camera, size)) for camera in cameras])


def _centred_maps(inputs: HGMInput) -> Float[Tensor, "bv 5 h h"]:
    """The body's maps, depth about 0 and in thirds of a metre; zero for people without a body."""
    known = inputs.has_body.repeat_interleave(inputs.views)[:, None, None, None]
    depth, coverage, normal = (inputs.maps.flatten(0, 1) * known).split(BODY_MAPS, 1)
    return torch.cat([(depth - 2 * known.float()) * 3, coverage, normal], 1)
