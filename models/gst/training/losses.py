"""Losses of GST (Prospero et al. 2024, section 3.3), and those of the rivals it is measured beside."""

from __future__ import annotations

from functools import cache
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from turnaround.models.estimator.crop import PLANE, to_window
from turnaround.models.estimator.kinematics import to_local
from turnaround.models.gst.model import GSTOutput
from turnaround.models.gst.placing import moved, shift_of
from turnaround.models.gst.training.depth import depth_by_masks
from turnaround.models.gst.training.moments import Batch
from turnaround.models.hgm.training.losses import box_ssim, render
from turnaround.models.metrics import vgg
from turnaround.models.splat import Render
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.frozen import Frozen


class LossConfig(Frozen):
    """What counts how much. The last three see labels, the others pictures alone."""

    rgb: float = Field(default=1.0, ge=0, description="mean squared error of colours over white")
    perceptual: float = Field(default=0.02, ge=0, description="of the perceptual distance")
    distance: Literal["ssim", "vgg"] = Field(
        default="ssim",
        description="1 - SSIM of the luminance in a box window, or a tenth of the VGG distance "
        "(`turnaround fetch --evaluation`)",
    )
    alpha: float = Field(default=0.1, ge=0, description="mean squared error of alpha and masks")
    octaves: int = Field(
        default=3,
        ge=0,
        le=6,
        description="halvings at which colours and alpha are compared, too, so that a limb which lies beside "
        "its picture is drawn to it; 0: as rendered alone (the paper)",
    )
    tightness: float = Field(
        default=2.0,
        ge=0,
        description="mean length of the offsets, metres; the paper's .1 stands beside errors of whole "
        "pictures, a tenth of those of close ones in several octaves",
    )
    depth: float = Field(
        default=0.1,
        ge=0,
        description="distance from the place where the masks of all views say that the person is, metres; 0: "
        "people are drawn where the network says (the paper)",
    )
    betas: float = Field(default=0.0002, ge=0, description="mean square of the betas")
    start: float = Field(
        default=0.05,
        ge=0,
        description="mean square of how otherwise joints are turned than the network said that the training "
        "began with (Frobenius, against the parents): what pictures do not tell, such as twists, stays; not "
        "beside loss.joints; 0: nothing holds it (the paper)",
    )
    keypoints: float = Field(default=0.0, ge=0, description="true 2D joints in the input view alone, windows")
    calibrated: float = Field(
        default=0.0, ge=0, description="true 2D joints in all views, through the calibrated cameras"
    )
    joints: float = Field(
        default=0.0, ge=0, description="true 3D: joints about the pelvis, metres, and a fifth of rotations"
    )

    @property
    def holds(self) -> bool:
        """Whether the poses that the training began with count."""
        return bool(self.start) and not self.joints

    @property
    def pictures(self) -> bool:
        """Whether anything is rendered."""
        return any((self.rgb, self.perceptual, self.alpha))


def drawn(output: GSTOutput, batch: Batch, ways: Float[Tensor, "b 3"] | None = None) -> list[Render]:
    """Every person in their target views, moved by `ways` (metres)."""
    shifts = shift_of(output.body.pelvis, batch.reach)
    shifts = shifts if ways is None else shifts + ways
    return [
        render(moved(person, shift), batch.cameras(k))
        for k, (person, shift) in enumerate(zip(output.people, shifts, strict=True))
    ]


def ways_of(output: GSTOutput, batch: Batch) -> Float[Tensor, "b 3"]:
    """From where the network says that people are to where the masks of all views say it."""
    points = output.posed.points.detach() + shift_of(output.body.pelvis, batch.reach).detach()[:, None]
    return torch.stack([depth_by_masks(p, batch.cameras(k), batch.mask[k]) for k, p in enumerate(points)])


def gst_loss(
    output: GSTOutput,
    batch: Batch,
    config: LossConfig,
    start: Float[Tensor, "b 22 3 3"] | None = None,
) -> tuple[Tensor, dict[str, Tensor]]:
    """The weighted sum, and its terms; `start` are the rotations that the network began with, where they
    count."""
    terms: dict[str, Tensor] = {}
    if config.pictures:
        ways = ways_of(output, batch) - _own_depth(output, batch) if config.depth else None
        renders = drawn(output, batch, ways)
        if ways is not None:
            terms["depth"] = _length(ways).mean()
        rgb = torch.stack([each.rgb for each in renders])
        alpha = torch.stack([each.alpha for each in renders])
        terms["rgb"] = pyramid_error(rgb, batch.rgb, config.octaves)
        terms["alpha"] = pyramid_error(alpha[..., None], batch.mask[..., None], config.octaves)
        if config.perceptual:
            pair = (x.flatten(0, 1).movedim(-1, 1) for x in (rgb, batch.rgb))
            terms["perceptual"] = _distance(config.distance)(*pair)
        terms["tightness"] = (output.offsets.square().sum(-1) + 1e-12).sqrt().mean()
    if config.holds and start is not None:
        apart = to_local(output.body.rotations) - to_local(start)
        terms["start"] = apart.square().sum((-1, -2)).mean()
    if config.betas:
        terms["betas"] = output.body.betas.square().mean()
    if config.keypoints or config.calibrated or config.joints:
        terms |= _labelled(output, batch, config)
    counted = [getattr(config, name) * value for name, value in terms.items()]
    total = torch.stack(counted).sum() if counted else 0.0 * output.posed.points.sum()
    return total, {name: value.detach() for name, value in terms.items()}


def _own_depth(output: GSTOutput, batch: Batch) -> Float[Tensor, "b 3"]:
    """Zero, with the gradient of how far away the network says that people are."""
    place = shift_of(output.body.pelvis, batch.reach) + output.body.pelvis
    ray = F.normalize(place.detach(), dim=-1)
    return ((place - place.detach()) * ray).sum(-1, keepdim=True) * ray


def pyramid_error(
    found: Float[Tensor, "b v h w c"], true: Float[Tensor, "b v h w c"], octaves: int
) -> Tensor:
    """Mean squared error, and those of the pictures halved 1 to `octaves` times, each twice the one before:
    an error of half the resolution has a fourth of the energy where it is noise, and all where it is not."""
    difference = (found - true).flatten(0, 1).movedim(-1, 1)
    total = difference.square().mean()
    for octave in range(octaves):
        difference = F.avg_pool2d(difference, 2)
        total = total + 2.0 ** (octave + 1) * difference.square().mean()
    return total / (1 + octaves)


def _labelled(output: GSTOutput, batch: Batch, config: LossConfig) -> dict[str, Tensor]:
    """Terms of true joints; CallError where the moments have none."""
    truth, body = batch.truth, output.body
    if bool(truth.joints.isnan().any()):
        raise CallError("loss.keypoints, loss.calibrated and loss.joints need moments with body_* and joints")
    found, terms = body.joints + shift_of(body.pelvis, batch.reach)[:, None], {}
    if config.keypoints:
        # in windows, of the canonical camera, whose picture both frames share
        a, b = (
            to_window(
                PLANE * x[..., :2] / x[..., 2:].clamp(min=0.1) * batch.reach[:, None, None], batch.window
            )
            for x in (found, truth.joints)
        )
        terms["keypoints"] = _length(a - b).clamp(max=1).mean()
    if config.calibrated:
        R, t = batch.T_camera_input[..., :3, :3], batch.T_camera_input[..., :3, 3]
        pixels = []
        for points in (found, truth.joints):
            p = points[:, None] @ R.transpose(-1, -2) + t[:, :, None]
            p = p @ batch.K.transpose(-1, -2)
            pixels.append(p[..., :2] / p[..., 2:].clamp(min=0.1) / batch.mask.shape[-1] * 2)
        terms["calibrated"] = _length(pixels[0] - pixels[1]).clamp(max=1).mean()
    if config.joints:
        relative, true = body.joints - body.pelvis[:, None], truth.joints - truth.joints[:, :1]
        turned = (body.rotations - truth.rotations).square().sum((-1, -2)).add(1e-4).sqrt().mean()
        terms["joints"] = _length(relative - true).mean() + 0.2 * turned
    return terms


def _length(vectors: Float[Tensor, "*b d"]) -> Float[Tensor, "*b"]:
    return (vectors.square().sum(-1) + 1e-8).sqrt()


@cache
def _distance(kind: str):
    """Mean distance of batches of pictures (b, 3, h, w)."""
    if kind == "ssim":  # of the luminance: a third of the time, and colours are the squared error's part
        return lambda x, y: 1 - box_ssim(x.mean(1, keepdim=True), y.mean(1, keepdim=True))
    network = vgg.network()
    if network is None:
        raise CallError(
            "loss.distance is vgg, and its network is not there: get it with `turnaround fetch "
            "--evaluation`, or choose ssim"
        )

    def distance(x: Tensor, y: Tensor) -> Tensor:
        return 0.1 * vgg.feature_distance(network.to(x.device), x.movedim(1, -1), y.movedim(1, -1)).mean()

    return distance
