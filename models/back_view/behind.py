"""The person from behind: the coarse view in the photo's cloth, or after diffusion (HGM, section 3.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.back_view.choice import chosen_diffusion
from turnaround.models.back_view.diffusion.refiner import DiffusionRefiner, embedded_refiner, hub_refiner
from turnaround.models.back_view.given import given_view
from turnaround.models.back_view.mirrored import mirrored
from turnaround.models.back_view.outline import within_outline
from turnaround.models.back_view.settings import (
    BackViewSettings,
    EmbeddedDiffusionSettings,
    HubDiffusionSettings,
)
from turnaround.models.body.named import named_body
from turnaround.models.exemplar.analogy import synthesize
from turnaround.models.exemplar.views import photo_sheet, rendered_sheet
from turnaround.models.hgm.rendering import back_view, view_from
from turnaround.pipeline.values.camera import framed
from turnaround.pipeline.values.crop import at_camera, box_of
from turnaround.pipeline.values.types import Body, Camera, Gaussians, View

HUB_SIZE = 512  # pixels at which Stable Diffusion 1.5 was trained


class NoCloth(ValueError):
    """The photo's cloth cannot be carried to the view from behind."""


class Behind(NamedTuple):
    """The person from behind, over white."""

    coarse: Float[Tensor, "s s 3"]  # what the Gaussians show, on the canonical grid
    refined: Float[Tensor, "s s 3"]  # what goes on, on that grid
    view: View  # the same close, with mask and camera


def seen_from_behind(
    photo: View,
    gaussians: Gaussians,
    body: Body,
    given: bytes | None,
    config: BackViewSettings,
    device: torch.device,
) -> Behind:
    """Show the person from behind.

    Args:
        photo: whose cloth it is, any lens.
        gaussians: the coarse model's.
        body: posed, which tells the limbs apart.
        given: the user's own picture, which goes on in the place of ours.

    Raises:
        StageError: a given picture is none, or not square.
        NoCloth: photo or coarse view show nobody.
    """
    gaussians = gaussians.to(device)
    coarse = back_view(gaussians, config.size)
    if given is not None:
        own = given_view(given)
        view = at_camera(own, close_camera(own, config.size))
        return Behind(coarse.image, at_camera(own, coarse.camera).image, view)
    seen = view_from(gaussians, close_camera(coarse, config.size))
    view = _refined(_in_cloth(photo, seen, body, config), config, device)
    wide = coarse if view is seen else at_camera(view, coarse.camera)
    return Behind(coarse.image, wide.image, view)


def close_camera(view: View, size: int) -> Camera:
    """Frame the person of a view; the view's own camera where there is nobody."""
    box = box_of(view.mask > 0.5)
    return view.camera if box is None else framed(view.camera, box, size)


def _in_cloth(photo: View, seen: View, body: Body, config: BackViewSettings) -> View:
    """The coarse view with its detail from the photo, where that is wanted."""
    if config.enabled and config.mirror:
        return mirrored(photo, seen)
    if not (config.enabled and config.exemplar):
        return seen
    model = named_body(config.body)
    try:
        target, mask = rendered_sheet(seen, body, model)
        picture = synthesize(photo_sheet(photo, body, model).mirrored(), target, seed=config.seed)
    except ValueError as error:
        raise NoCloth(str(error)) from error
    return replace(seen, image=torch.from_numpy(picture) * mask[..., None] + 1 - mask[..., None], mask=mask)


def _refined(view: View, config: BackViewSettings, device: torch.device) -> View:
    """The view after the diffusion model, where there is one."""
    settings = chosen_diffusion(config)
    if settings is None:
        return view
    refined = _diffusion(settings, config.size, device)(view.image, settings)
    margin = round(config.margin * config.size / 512)
    image, mask = within_outline(refined, view.image, view.mask, margin)
    # a picture over white cannot be darker than its mask allows
    return replace(view, image=torch.maximum(image, 1 - mask[..., None]), mask=mask)


def _diffusion(
    settings: EmbeddedDiffusionSettings | HubDiffusionSettings, size: int, device: torch.device
) -> DiffusionRefiner:
    if isinstance(settings, EmbeddedDiffusionSettings):
        return embedded_refiner(*settings.names, device)
    return hub_refiner(settings.base, settings.controlnet, min(size, HUB_SIZE), device)
