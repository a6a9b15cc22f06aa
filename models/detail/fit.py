"""The last fit: colour, opacity and size of a picture's Gaussians until they render as the picture."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import cropped, project
from turnaround.pipeline.values.crop import at_camera, tight
from turnaround.pipeline.values.types import Gaussians, View

RATES = {
    "colors": 0.03,
    "opacities": 0.5,
    "scales": 0.1,
}  # of Adam, a step; opacities as logits, scales as logarithms
ALPHA = 0.9  # weight of the squared error of the outline beside that of the colours
WHOLE = 0.95  # of the mask
WITHIN, HIDDEN = (
    2,
    12,
)  # pixels within the mask: where colours may change, and where the photo's Gaussians hide all others
FARTHER = 1.25  # times as far is the second of the two distances at which the Gaussians are drawn
CLOSED = 1e-3  # opacities are kept this far from 0 and 1, where a logit moves no more


def fit(gaussians: Gaussians, view: View, which: slice, *, steps: int = 10, shape: bool = True) -> Gaussians:
    """Make the Gaussians render as a view does; their places and directions stay.

    Every second step draws them smaller: splats are never narrower than a pixel's filter, so what is right at
    one distance alone has a swollen outline at others.

    Args:
        gaussians: in front of the view's camera, nearly right.
        view: a picture over white.
        which: those that stand for its pixels; the others stay as they are, or white would leak into what is
        seen from
            elsewhere. Colours change only where the mask is whole, for the same reason.
        steps: of Adam on the squared error of colours and outline.
        shape: also opacity and size; without, another picture that has been fitted keeps its outline.
    """
    own, before, after = (
        _part(gaussians, some) for some in (which, slice(which.start), slice(which.stop, None))
    )
    if steps == 0 or len(own) == 0:
        return gaussians
    others = Gaussians.cat([before, after])
    seen = _part(others, ~_whole(others.means, view, HIDDEN))  # the rest is behind what stands for the photo
    values = {
        "colors": own.colors.clone(),
        "opacities": torch.logit(own.opacities.clamp(CLOSED, 1 - CLOSED)),
        "scales": own.scales.log(),
    }
    moving = RATES if shape else {"colors": RATES["colors"]}
    groups = [{"params": [values[name].requires_grad_(True)], "lr": rate} for name, rate in moving.items()]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.95))
    held = ~_whole(own.means, view, WITHIN)
    slower = torch.optim.lr_scheduler.LinearLR(
        optimizer, 1.0, 1 / steps, max(1, steps - 1)
    )  # Adam's steps do not shrink by themselves
    views = tight(view), tight(_from_afar(view)) if view.camera.width == view.camera.height else tight(view)
    for step in range(steps):
        shown = views[step % 2]
        drawn = rasterize(Gaussians.cat([_with(own, values), seen]), shown.camera, outputs=("rgb", "alpha"))
        outline = (drawn.alpha[0] - shown.mask).square().sum()
        loss = (
            drawn.rgb[0] - shown.image
        ).square().sum() + ALPHA * outline  # sums: Adam is blind to gradients of 1e-8
        optimizer.zero_grad()
        loss.backward()
        values["colors"].grad[held] = 0  # type: ignore[index]
        optimizer.step()
        slower.step()
    return Gaussians.cat(
        [before, _with(own, {name: value.detach() for name, value in values.items()}), after]
    )


def _part(gaussians: Gaussians, which: slice | Tensor) -> Gaussians:
    return Gaussians(*(field[which] for field in vars(gaussians).values()))


def _with(gaussians: Gaussians, values: dict[str, Tensor]) -> Gaussians:
    scales, opacities = values["scales"].exp(), values["opacities"].sigmoid()
    return Gaussians(gaussians.means, gaussians.quats, scales, opacities, values["colors"].clamp(0, 1))


def _from_afar(view: View) -> View:
    """The view in a picture of the same size that shows more around the person."""
    size = view.camera.width
    corner = (1 - FARTHER) / 2 * size
    return at_camera(view, cropped(view.camera, (corner, corner), FARTHER * size, size))


def _whole(points: Float[Tensor, "n 3"], view: View, around: int) -> Bool[Tensor, " n"]:
    """Whether the mask is whole for so many pixels around each point."""
    whole = torch.from_numpy(
        ndimage.minimum_filter(view.mask.numpy(), 2 * around + 1, mode="constant") > WHOLE
    )
    x, y = project(points, view.camera)[0].long().T
    return whole[y.clamp(0, view.camera.height - 1), x.clamp(0, view.camera.width - 1)]
