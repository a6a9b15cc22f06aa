"""The embedded matting network and how a whole photo goes through it: the picture, then a closer look at the
person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import precision, zoo
from turnaround.models.convnet import UNet, for_inference
from turnaround.models.matting.guided import guided_upsample

MaskNetwork = Callable[[Float[Tensor, "b 3 h w"]], Float[Tensor, "b 1 h w"]]

FULL_SIZES = (192, 256, 352)  # pixels of the longer side at the first look
CLOSE_SIZES = (192, 256, 320)  # of the second, at the person's box; the last one carries the detail
DOUBT, LEAN = (
    0.5,
    -0.1,
)  # width of the probabilities that stay soft; how far their middle (0.55) leans away from the person
MARGIN = 0.2  # of the box's longer side, around it
SURE = 0.7  # probability that the box of the closer look is drawn around
PANORAMA = 2.0  # longer over shorter side
SMALLEST_PART = 128  # pixels of a square that is looked at for small people
LEAST_PART, SURE_PART = 0.2, 0.85  # of its height and of certainty, that somebody in it must have
UPRIGHT = 1.2  # height over width of who stands
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


def load_matting(name_or_path: str = "matting", device: torch.device | str = "cpu") -> MattingNetwork:
    """The trained network for inference, embedded or a file of the user's; loaded once a process and
    digest."""
    return _load(name_or_path, zoo.digest(name_or_path), str(device))


@lru_cache(maxsize=2)
def _load(name_or_path: str, _digest: str, device: str) -> MattingNetwork:
    state, _ = zoo.load_state(name_or_path)
    network = MattingNetwork()
    network.load_state_dict(state)
    for_inference(network.eval())
    return network.to(device)


@torch.no_grad()
def person_mask(network: MaskNetwork, image: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """The soft mask of all people in a photo, at its resolution.

    The whole picture is looked at coarsely; the box of what was found is looked at again, larger, and once
    more where that showed the box to be another. A guided filter carries the edges to full resolution.
    """
    picture = image.movedim(-1, 0)[None]
    mask = _look(network, picture, FULL_SIZES)
    box = _box(mask[0, 0])
    for _ in range(2):
        if box is None:
            break
        top, left, bottom, right = box
        mask = mask.clone()
        mask[..., top:bottom, left:right] = _look(network, picture[..., top:bottom, left:right], CLOSE_SIZES)
        before, box = box, _box(mask[0, 0])
        if box is None or max(abs(a - b) for a, b in zip(before, box, strict=True)) < 0.05 * max(
            bottom - top, right - left
        ):
            break
    return decided(mask[0, 0])


def decided(mask: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Probabilities -> shares of a pixel: what is doubtful over whole regions must not become half
    transparent."""
    return ((mask - 0.5) / DOUBT + 0.5 + LEAN).clamp(0, 1)


def _look(
    network: MaskNetwork, picture: Float[Tensor, "1 3 h w"], sizes: tuple[int, ...]
) -> Float[Tensor, "1 1 h w"]:
    """The mean mask over the sizes, at the picture's size."""
    return guided_upsample(look(network, picture, sizes), picture, MAX_SIZE)


def look(
    network: MaskNetwork, picture: Float[Tensor, "1 3 h w"], sizes: tuple[int, ...]
) -> Float[Tensor, "1 1 k l"]:
    """The mean mask over the sizes (of the longer side) and over the picture and its mirror image, at the
    last size."""
    height, width = picture.shape[-2:]
    masks = []
    for size in sizes:
        scale = size / max(height, width)
        small = [max(32, 32 * round(side * scale / 32)) for side in (height, width)]
        reduced = F.interpolate(picture, small, mode="bilinear", antialias=True, align_corners=False)
        plain, mirrored = precision.run("matting", network, torch.cat([reduced, reduced.flip(-1)])).split(1)
        masks.append((plain + mirrored.flip(-1)) / 2)
    fine = masks[-1].shape[-2:]
    return torch.stack(
        [F.interpolate(mask, fine, mode="bilinear", align_corners=False) for mask in masks]
    ).mean(0)


def _box(mask: Float[Tensor, "h w"]) -> tuple[int, int, int, int] | None:
    """Top, left, bottom, right of what is probably a person, with the margin; None where nothing is."""
    rows, columns = (mask > SURE).any(1).nonzero()[:, 0], (mask > SURE).any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    margin = round(MARGIN * max(bottom - top, right - left)) + 8
    height, width = mask.shape
    return (
        max(0, top - margin),
        max(0, left - margin),
        min(height, bottom + margin),
        min(width, right + margin),
    )


@torch.no_grad()
def small_person_mask(network: MaskNetwork, image: Float[Tensor, "h w 3"]) -> Float[Tensor, "h w"]:
    """The soft mask of people who are small in a photo, at its resolution; 0 where nobody is found.

    For panoramas in which `person_mask` finds nobody: squares of the shorter side are looked at, then ones of
    half of it, until in some of them a person stands whole. In other photos this network, which has no idea
    of things, would take a cup or a tower for one.
    """
    height, width = image.shape[:2]
    picture = image.movedim(-1, 0)[None]
    side = shorter = min(height, width)
    while max(height, width) >= PANORAMA * shorter and side >= max(SMALLEST_PART, shorter // 2):
        boxes = []
        for top, left in product(_starts(height, side), _starts(width, side)):
            part = picture[..., top : top + side, left : left + side]
            box = _whole_figure(decided(look(network, part, FULL_SIZES[:1])[0, 0]))
            if box is not None:
                corner = (top, left, top, left)
                boxes.append([start + round(k * side) for start, k in zip(corner, box, strict=True)])
        if boxes:
            return _looked_at(network, picture, boxes)
        side //= 2
    return torch.zeros_like(image[..., 0])


def _looked_at(
    network: MaskNetwork, picture: Float[Tensor, "1 3 h w"], boxes: Sequence[Sequence[int]]
) -> Float[Tensor, "h w"]:
    """The mask in boxes (top, left, bottom, right) and a margin about each; 0 elsewhere."""
    height, width = picture.shape[-2:]
    mask = torch.zeros_like(picture[0, 0])
    for top, left, bottom, right in boxes:
        margin = round(MARGIN * max(bottom - top, right - left)) + 8
        rows = slice(max(0, top - margin), min(height, bottom + margin))
        columns = slice(max(0, left - margin), min(width, right + margin))
        close = decided(_look(network, picture[..., rows, columns], CLOSE_SIZES)[0, 0])
        mask[rows, columns] = torch.maximum(mask[rows, columns], close)
    return mask


def _whole_figure(mask: Float[Tensor, "k l"]) -> tuple[float, float, float, float] | None:
    """The box of the one thing in a small square's mask, as shares of it; None where it is cut by the border,
    flat, tiny, or not sure."""
    rows, columns = (mask > 0.5).any(1).nonzero()[:, 0], (mask > 0.5).any(0).nonzero()[:, 0]
    if len(rows) == 0:
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    tall, broad = bottom - top, right - left
    cut = top == 0 or left == 0 or bottom == mask.shape[0] or right == mask.shape[1]
    sure = float(mask[mask > 0.5].mean()) > SURE_PART
    if cut or not sure or tall < LEAST_PART * mask.shape[0] or tall < UPRIGHT * broad:
        return None
    shape = (mask.shape[0], mask.shape[1])
    return top / shape[0], left / shape[1], bottom / shape[0], right / shape[1]


def _starts(full: int, side: int) -> list[int]:
    """Where squares of a side begin that cover a length and overlap by half."""
    count = max(1, -(-2 * (full - side) // side) + 1)
    return [round(k * (full - side) / max(count - 1, 1)) for k in range(count)]
