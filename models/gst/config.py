"""Sizes and choices of GST."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from turnaround.models.estimator.model import EstimatorConfig
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.frozen import Frozen, by_kind

KINDS = ("color", "turn", "opacity", "scale", "offset")  # a learnable token each, for every group of points


class Ranks(Frozen):
    """How many numbers of a token reach the points of its group; 0: all (the paper)."""

    color: int = Field(default=24, ge=0)
    turn: int = Field(default=4, ge=0)
    opacity: int = Field(default=4, ge=0)
    scale: int = Field(default=8, ge=0)
    offset: int = Field(default=16, ge=0)


class ConvolutionalSize(Frozen):
    """The estimator's image encoder and decoder, which the pose and the Gaussians share."""

    kind: Literal["convolutional"] = Field(default="convolutional", description="the estimator's network")
    channels: tuple[int, int, int, int] = Field(default=(24, 48, 96, 192))
    blocks: tuple[int, int, int] = Field(default=(1, 2, 2))
    width: int = Field(default=192, description="of the decoder's tokens")
    layers: int = Field(default=2)
    heads: int = Field(default=6)

    @property
    def memory(self) -> int:
        """Width of the image tokens that the decoder reads."""
        return self.width

    def estimator(self) -> EstimatorConfig:
        """As the estimator takes it."""
        return EstimatorConfig(
            channels=self.channels,
            blocks=self.blocks,
            width=self.width,
            layers=self.layers,
            heads=self.heads,
        )


class ViTSize(Frozen):
    """HMR 2.0's vision transformer and decoder (the paper); the defaults are its ViT-H."""

    kind: Literal["vit"] = Field(default="vit", description="HMR 2.0's network")
    size: int = Field(default=256, ge=64, multiple_of=64, description="pixels of the square window")
    patch: int = Field(default=16, ge=8, description="pixels of a patch's side")
    encoder_width: int = Field(default=1280, ge=1, description="of the image tokens")
    encoder_layers: int = Field(default=32, ge=1, description="blocks of the vision transformer")
    encoder_heads: int = Field(default=16, ge=1, description="of its attention")
    width: int = Field(default=1024, ge=1, description="of the decoder's tokens")
    layers: int = Field(default=6, ge=1, description="of the decoder")
    heads: int = Field(default=8, ge=1, description="of the decoder's attention")
    head_width: int = Field(default=64, ge=1, description="of each of them")
    hidden: int = Field(default=1024, ge=1, description="width inside of the decoder's perceptrons")

    @property
    def memory(self) -> int:
        """Width of the image tokens that the decoder reads."""
        return self.encoder_width


NetworkSize: TypeAlias = Annotated[
    ConvolutionalSize | ViTSize, Field(discriminator="kind"), by_kind("convolutional")
]


class GSTConfig(Frozen):
    """The model; the paper's choices are `GSTConfig.of("paper")`."""

    points: int = Field(
        default=6890, ge=0, description="on the skin, that carry Gaussians; 0: the vertices of the mesh"
    )
    each: int = Field(default=1, ge=1, description="Gaussians a point")
    finer: int = Field(
        default=0,
        ge=0,
        description="points on the skin that carry the Gaussians in the place of `points`, between whose "
        "values theirs are interpolated; they stay discs on the skin, of copied colours; 0: `points` "
        "themselves",
    )
    groups: int = Field(default=26, ge=1, description="of points, each with a token of every kind")
    ranks: Ranks = Field(default=Ranks(), description="of the heads from tokens to points")
    shared: bool = Field(
        default=False, description="one head for all groups (the paper), instead of one for each"
    )
    frame: Literal["surface", "camera"] = Field(
        default="surface",
        description="axes of a Gaussian before it is turned and moved: the skin's at its point, or the "
        "camera's (the paper)",
    )
    colors: Literal["copied", "free"] = Field(
        default="copied",
        description="copied: a mixture of the point's own pixel, of its mirror image's, of the point's on "
        "the other side, and of a free colour; free: from the tokens alone (the paper)",
    )
    fill: bool = Field(
        default=True,
        description="whether a point whose colours are copied may copy from the nearest skin that is seen, "
        "too",
    )
    opacity: Literal["free", "one"] = Field(default="free", description="one: all opaque (an ablation)")
    landmarks: bool = Field(default=True, description="whether tokens attend to landmarks, too")
    network: NetworkSize = Field(default=ConvolutionalSize(), description="the body network, by its kind")

    @model_validator(mode="after")
    def _finer_points_copy(self) -> GSTConfig:
        if self.finer and not (self.each == 1 and self.fill and self.colors == "copied"):
            raise ValueError(
                "finer points copy their colours, one Gaussian each: each=1, fill=true, colors=copied"
            )
        return self

    @staticmethod
    def of(size: str) -> GSTConfig:
        """tiny, default, or paper; CallError for another."""
        if size not in SIZES:
            raise CallError(f"GST has no size {size!r}, expected one of {sorted(SIZES)}")
        return SIZES[size]


SIZES: dict[str, GSTConfig] = {
    "tiny": GSTConfig(
        points=600,
        groups=4,
        # oneDNN 3.x writes beyond its memory in the backward pass of channels-last convolutions of 8 channels
        network=ConvolutionalSize(channels=(16, 16, 32, 32), blocks=(1, 1, 1), width=24, layers=1, heads=2),
    ),
    "default": GSTConfig(),
    "paper": GSTConfig(
        points=0,
        ranks=Ranks(color=0, turn=0, opacity=0, scale=0, offset=0),
        shared=True,
        frame="camera",
        colors="free",
        fill=False,
        landmarks=False,
        network=ViTSize(),
    ),
}
