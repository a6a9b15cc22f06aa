"""LPIPS-VGG as a training loss (Zhang et al. 2018), from weights that are the user's to bring."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

log = logging.getLogger(__name__)

# pictures in [0, 1] -> mean distance
Structure = Callable[[Float[Tensor, "b 3 h w"], Float[Tensor, "b 3 h w"]], Tensor]

BACKBONE = "vgg16-397923af.pth"
SLICES = ((0, 4), (4, 9), (9, 16), (16, 23), (23, 30))  # of VGG16's `features`, LPIPS reads the end of each


class NoPerceptualLoss(RuntimeError):
    """LPIPS cannot be computed here: a package or a weight is missing."""


def backbone(path: str = "") -> Path:
    """Find VGG16's weights: `path`, or the file in torch's hub cache; NoPerceptualLoss without it."""
    file = Path(path).expanduser() if path else Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE
    if not file.is_file():
        raise NoPerceptualLoss(
            f"VGG16's weights are not at {file}: download https://download.pytorch.org/models/{BACKBONE} "
            "(528 MB, torchvision's licence) to there, or give their place as loss.vgg"
        )
    return file


def lpips_vgg(device: torch.device | str, path: str = "") -> Structure:
    """Mean LPIPS of pictures in [0, 1], differentiable in the first; frozen weights on `device`.

    Raises NoPerceptualLoss where the package `lpips` or the backbone's weights are missing.
    """
    file = backbone(path)
    try:
        from lpips import LPIPS  # type: ignore[import-not-found]
    except ImportError as error:
        raise NoPerceptualLoss(
            "the package lpips is not installed: pip install 'turnaround[train]'"
        ) from error
    network = LPIPS(net="vgg", pnet_rand=True, verbose=False)  # its own linear layers, our backbone
    fill_backbone(network.net, torch.load(file, map_location="cpu", weights_only=True))
    network = network.to(device).eval().requires_grad_(False)
    log.info("structural loss: LPIPS-VGG, backbone %s", file)
    return lambda x, y: network(x * 2 - 1, y * 2 - 1).mean()


def fill_backbone(net: nn.Module, state: dict[str, Tensor]) -> None:
    """Give LPIPS's five slices torchvision's `features.K.*`, whose numbers they keep."""
    for number, (start, end) in enumerate(SLICES, 1):
        part = {
            f"{k}.{kind}": state[f"features.{k}.{kind}"]
            for k in range(start, end)
            for kind in ("weight", "bias")
            if f"features.{k}.{kind}" in state
        }
        getattr(net, f"slice{number}").load_state_dict(part)
