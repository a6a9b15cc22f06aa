"""How alike two sets of pictures are in texture: KID where its Inception weights are present, random features
where not.

Both are the unbiased squared maximum mean discrepancy with the kernel (x.y / d + 1)^3 (Binkowski et al. 2018,
section 4.2): 0 in the mean for two sets of one distribution, larger the more they differ, and sometimes a
little below 0.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.metrics.image import Images, Masks
from turnaround.pipeline.store.digest import file_digest

PATCH = 32  # pixels
COVERED = 0.8  # share of a patch that the mask has to cover
WIDTHS = (24, 48)  # channels of the two random layers
INCEPTION, INCEPTION_SHA256 = (
    "weights-inception-2015-12-05-6726825d.pth",
    "6726825d",
)  # torch-fidelity's file and how its digest begins


def polynomial_mmd(x: Float[Tensor, "n d"], y: Float[Tensor, "m d"]) -> float:
    """Unbiased squared MMD of two sets of features; raises ValueError for fewer than two of either."""
    n, m, d = len(x), len(y), x.shape[1]
    if min(n, m) < 2:
        raise ValueError(f"the discrepancy of two sets needs at least 2 features of each, got {n} and {m}")
    kernel = lambda a, b: (a @ b.T / d + 1) ** 3  # noqa: E731
    a, b = x.double(), y.double()
    within = [(k.sum() - k.diagonal().sum()) / (len(k) * (len(k) - 1)) for k in (kernel(a, a), kernel(b, b))]
    return (within[0] + within[1] - 2 * kernel(a, b).mean()).item()


def patches(image: Float[Tensor, "h w 3"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "n 3 p p"]:
    """Half-overlapping square pieces that lie inside the mask (PATCH pixels)."""
    stacked = torch.cat([image, mask[..., None]], -1).movedim(-1, 0)
    pieces = stacked.unfold(1, PATCH, PATCH // 2).unfold(2, PATCH, PATCH // 2).flatten(1, 2).movedim(1, 0)
    return pieces[pieces[:, 3].mean((1, 2)) >= COVERED, :3]


@lru_cache(maxsize=1)
def _random_layers(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(WIDTHS[0], 3, 5, 5, generator=generator)
    first = first - first.mean((2, 3), keepdim=True)  # blind to plain colour: filters of edges and grain
    second = torch.randn(WIDTHS[1], WIDTHS[0], 3, 3, generator=generator)
    normed = [w / w.flatten(1).norm(dim=1).view(-1, 1, 1, 1) for w in (first, second)]
    return normed[0], normed[1]


def random_features(image: Float[Tensor, "h w 3"], mask: Float[Tensor, "h w"]) -> Float[Tensor, "n d"]:
    """One row a patch: its mean colour, and the mean responses of two layers of fixed random filters.

    Nothing here is learned, so this is no perceptual distance; it sees colour, contrast and grain.
    """
    pieces = patches(image, mask)
    first, second = _random_layers()
    if not len(pieces):
        return torch.zeros(0, 3 + sum(WIDTHS))
    low = F.relu(F.conv2d(pieces, first))
    high = F.relu(F.conv2d(F.avg_pool2d(low, 2), second))
    rows = [pieces.mean((2, 3)), low.mean((2, 3)), high.mean((2, 3))]
    return torch.cat([row / scale for row, scale in zip(rows, (0.25, 0.05, 0.05), strict=True)], 1)


def random_feature_mmd(
    features: list[Float[Tensor, "_ d"]], truth: list[Float[Tensor, "_ d"]]
) -> float | None:
    """`polynomial_mmd` of the patches of two sets of pictures; None where there are hardly any."""
    a, b = torch.cat(features), torch.cat(truth)
    return polynomial_mmd(a, b) if min(len(a), len(b)) >= 2 else None


def kid(images: Images, truth: Float[Tensor, "*truths height width 3"]) -> float | None:
    """Kernel Inception Distance of two sets of pictures in [0, 1]; None where torch-fidelity or its weights
    are not here."""
    network = _inception()
    if network is None or min(len(images), len(truth)) < 2:
        return None
    features = []
    with torch.no_grad():
        for pictures in (images, truth):
            bytes_ = (pictures.movedim(-1, 1).clamp(0, 1) * 255).round().to(torch.uint8)
            features.append(torch.cat([network(part)[0] for part in bytes_.split(8)]))
    return polynomial_mmd(features[0], features[1])


@lru_cache(maxsize=1)
def _inception() -> nn.Module | None:
    weights = Path(torch.hub.get_dir()) / "checkpoints" / INCEPTION
    if not weights.is_file():
        return None
    if not file_digest(weights).startswith(INCEPTION_SHA256):  # it is a pickle: no other file is opened
        raise ValueError(
            f"{weights} is not the file of torch-fidelity's release, whose sha256 begins with "
            f"{INCEPTION_SHA256}; replace it"
        )
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # type: ignore[import-not-found]
    except ImportError:
        return None
    return FeatureExtractorInceptionV3(
        "inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)
    ).eval()


def interior(mask: Masks, pixels: int = 3) -> Masks:
    """Where the mask is set and so is everything within `pixels` of it: texture without the outline."""
    solid = (mask > 0.5).float().reshape(-1, 1, *mask.shape[-2:])
    columns = F.max_pool2d(-solid, (2 * pixels + 1, 1), 1, (pixels, 0))  # a square's rows after its columns
    return (-F.max_pool2d(columns, (1, 2 * pixels + 1), 1, (0, pixels))).reshape(mask.shape)
