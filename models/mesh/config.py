"""Settings of extracting a mesh from Gaussians."""

from __future__ import annotations

from pydantic import Field

from turnaround.pipeline.frozen import Frozen


class ExtractionConfig(Frozen):
    """Depth views, their fusion, what is done to the surface; lengths in metres."""

    depth_size: int = Field(default=384, ge=64, le=1024, description="pixels of the 64 depth views")
    layers: int = Field(
        default=4,
        ge=1,
        description="the Gaussians count as opaque as so many of them: depth of the first surface, not "
        "a mean",
    )
    voxel: float = Field(default=0.01, gt=0, description="edge of a voxel")
    truncation: float = Field(
        default=0.035, gt=0, description="distance to the surface at which the signed distance is cut"
    )
    smoothing: int = Field(
        default=10,
        ge=0,
        description="iterations of Taubin smoothing of what is extracted, and again of what is refined",
    )
    faces: int = Field(default=60000, ge=100, description="number of faces after decimation")
    normals: bool = Field(default=True, description="refine against the normals of front and back")
    iterations: int = Field(default=30, ge=0, description="steps of that refinement")
    laplacian: float = Field(default=10.0, ge=0, description="weight of the Laplacian of the displacement")
    outline: bool = Field(
        default=True, description="move the surface across the photo until its outline is the mask's"
    )
