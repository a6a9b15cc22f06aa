"""Makes a Human Gaussian Model from a configuration: each switch chooses a part."""

from __future__ import annotations

from torch import nn

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.body_branch import BodyBranch
from turnaround.models.hgm.config import HGMConfig
from turnaround.models.hgm.fusion import PIXEL, POINT, Fusion, FusionTransformer
from turnaround.models.hgm.heads import BODY_CHANNELS, IMAGE_CHANNELS, AbsoluteHead, ImageHead, RayHead
from turnaround.models.hgm.image_branch import ImageBranch, PatchStem, PixelStem, Stem
from turnaround.models.hgm.model import HGM
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.hgm.unet import UNet
from turnaround.models.hgm.volume import BodyVolume, NoVolume
from turnaround.pipeline.errors import CallError


def create_hgm(config: HGMConfig, body_model: BodyModel | None = None) -> HGM:
    """Make a model with random weights whose first Gaussians are the prior's.

    Args:
        config: sizes and switches.
        body_model: whose surface holds the tokens; the embedded one by default.

    Raises:
        CallError: the configuration's sizes contradict each other.
    """
    body_model = body_model or BodyModel.load()
    surface = BodySurface(body_model, config.points)
    image_branch = create_image_branch(config)
    body_branch = create_body_branch(config, surface)
    volume = create_volume(config)
    head = create_head(config)
    fusion = create_fusion(config, head, volume.channels)
    if config.head == "ray":
        _quiet(image_branch.unet.conv_out)
    return HGM(config, body_model, surface, image_branch, body_branch, volume, fusion, head)


def create_head(config: HGMConfig) -> ImageHead:
    """The head of the pixels."""
    return AbsoluteHead() if config.head == "absolute" else RayHead()


def create_image_branch(config: HGMConfig) -> ImageBranch:
    """Stem, U-Net and last layer; CallError where conv_out does not fit the Gaussians of a place."""
    side = max(1, config.stem // config.shrink)  # Gaussians a side for each place that the U-Net sees
    if config.unet.out_channels != IMAGE_CHANNELS * side**2:
        raise CallError(
            f"conv_out has {config.unet.out_channels} channels, expected {IMAGE_CHANNELS} for each of "
            f"{side**2} Gaussians: set unet.out_channels to {IMAGE_CHANNELS * side**2}, or change stem"
        )
    return ImageBranch(
        stem=create_stem(config),
        unet=UNet(config.unet),
        shuffle=nn.PixelShuffle(side) if side > 1 else nn.Identity(),
        conv=nn.Conv2d(IMAGE_CHANNELS, IMAGE_CHANNELS, 1) if config.head == "absolute" else nn.Identity(),
        patch_level=config.patch_level,
    )


def create_stem(config: HGMConfig) -> Stem:
    """The encoding of pictures; CallError for a stem of single pixels with body maps, which are coarser."""
    if config.stem > 1:
        return PatchStem(config.stem, body_maps=config.body_maps)
    if config.body_maps:
        raise CallError("stem=1 reads pixels, body_maps are of half size: set body_maps=False, or stem=2")
    return PixelStem()


def create_body_branch(config: HGMConfig, surface: BodySurface) -> BodyBranch | None:
    """The body branch, or None for an image branch alone."""
    if not config.body_branch:
        return None
    unet = config.unet
    ascent = (unet.down_channels[-1], *unet.up_channels)  # channels of the maps on the way up
    branch = BodyBranch(config, surface, unet.up_channels[-1], ascent[config.patch_level])
    _quiet(branch.head)
    return branch


def create_volume(config: HGMConfig) -> BodyVolume | NoVolume:
    """The body's volume, which only a body branch can fill."""
    if not (config.body_branch and config.volume):
        return NoVolume()
    return BodyVolume(config.width, config.volume_width, config.volume_levels, config.voxel)


def create_fusion(config: HGMConfig, head: ImageHead, volume_channels: int) -> Fusion | None:
    """The fusion transformer between its layers, or None."""
    if not config.fusion:
        return None
    width, feature = config.width, config.unet.up_channels[-1]
    fusion = Fusion(
        head=head,
        image_in=nn.Linear(feature + volume_channels + IMAGE_CHANNELS + PIXEL, width),
        body_in=nn.Linear(width + volume_channels + POINT, width),
        transformer=FusionTransformer(width, config.heads, config.fusion_layers, config.window),
        image_out=nn.Linear(width, IMAGE_CHANNELS),
        body_out=nn.Linear(width, BODY_CHANNELS),
    )
    for layer in (fusion.image_out, fusion.body_out):
        _quiet(layer)
    return fusion


def _quiet(layer: nn.Linear | nn.Conv2d) -> None:
    """Start near zero, so that the first Gaussians are the prior's."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
