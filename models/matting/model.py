"""The embedded matting network and how a whole photo goes through it: the picture, then a closer look at the person."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models import zoo
from models.convnet import UNet
from models.matting.guided import guided_upsample

MaskNetwork = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 1 h w"]]

FULL_SIZE = 256  # pixels of the longer side at the first look
CLOSE_SIZE = 320  # of the second, at the person's box
MARGIN = 0.12  # of the box's longer side, around it
MAX_SIZE = 1536  # longer side at which edges are followed; larger photos get the mask enlarged


class MattingNetwork(nn.Module):
    """RGB in [0, 1] -> probability that a pixel shows a person; any even height and width."""

    def __init__(self) -> None:
        super().__init__()
        self.unet = UNet(3, 1, (32, 48, 96, 160, 192))

    def logits(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Log-odds of the mask."""
        return self.unet((image - 0.5) * 4)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """The mask in [0, 1]."""
        return torch.sigmoid(self.logits(image))


def load_matting(name_or_path: str = "matting") -> MattingNetwork:
    """The trained network, from the embedded weights or from a file of the user's."""
    state, _ = zoo.load_state(name_or_path)
    network = MattingNetwork()
    network.load_state_dict(state)
    return network.eval()


@torch.no_grad()
def person_mask(network: MaskNetwork, image: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """The soft mask of all people in a photo, at its resolution.

    The whole picture is looked at coarsely; the box of what was found is looked at again, larger; a guided filter
    carries the edges to full resolution.
    """
    picture = image.movedim(-1, 0)[None]
    mask = _at_size(network, picture, FULL_SIZE)
    box = _box(mask[0, 0])
    if box is not None:
        top, left, bottom, right = box
        close = _at_size(network, picture[..., top:bottom, left:right], CLOSE_SIZE)
        mask = mask.clone()
        mask[..., top:bottom, left:right] = close
    return mask[0, 0].clamp(0, 1)


def _at_size(network: MaskNetwork, picture: Float[Tensor, "1 3 h w"], size: int) -> Float[Tensor, "1 1 h w"]:
    height, width = picture.shape[-2:]
    scale = size / max(height, width)
    small = [max(32, 32 * round(side * scale / 32)) for side in (height, width)]
    reduced = F.interpolate(picture, small, mode="bilinear", antialias=True, align_corners=False)
    return guided_upsample(network(reduced), picture, MAX_SIZE)


def _box(mask: Float[Tensor, "h w"]) -> tuple[int, int, int, int] | None:
    """Top, left, bottom, right of what is more likely person than not, with the margin; None where nothing is."""
    rows, columns = (mask > 0.5).any(1).nonzero()[:, 0], (mask > 0.5).any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = round(MARGIN * max(bottom - top, right - left)) + 8
    height, width = mask.shape
    return max(0, top - margin), max(0, left - margin), min(height, bottom + margin), min(width, right + margin)
