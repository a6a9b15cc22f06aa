"""Settings of laying the pictures' own pixels on the surface."""

from __future__ import annotations

from pydantic import Field

from turnaround.pipeline.frozen import Frozen


class LayerConfig(Frozen):
    """Whether there is a layer, how its sides are filled, and its Gaussians."""

    layer: bool = Field(
        default=True, description="false: the fused Gaussians go on as they are (an ablation)"
    )
    ring: bool = Field(
        default=True,
        description="fill what neither photo nor back view shows in the photo's cloth; false: with the "
        "surface's own colours",
    )
    steps: int = Field(default=10, ge=0, le=200, description="steps of the last fit to the photo")
    merge: int = Field(
        default=4,
        ge=1,
        le=16,
        description="side in pixels of the largest block of like pixels that becomes one Gaussian; 1: one "
        "a pixel",
    )
    like: float = Field(default=0.025, ge=0, le=1, description="range of colour within such a block")
    size: int = Field(default=1024, ge=64, le=2048, description="pixels of the pictures of the sides")
    seed: int = Field(default=22, description="of the search for like patches")
    body: str = Field(
        default="body", description="body model: the embedded one, or the path of SMPLX_NEUTRAL.npz"
    )
