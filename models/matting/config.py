"""Which network finds the mask of a photo's people."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from turnaround.models.hub_source import weight_name
from turnaround.pipeline.frozen import Frozen, by_kind


class EmbeddedMatting(Frozen):
    """Our network."""

    kind: Literal["embedded"] = Field(default="embedded", description="our network")
    weights: str = Field(default="matting", description="embedded weight, or the path of a safetensors file")


class HubModel(Frozen):
    """A semantic segmentation model of `transformers`."""

    kind: Literal["hub"] = Field(default="hub", description="a semantic segmentation model of transformers")
    model: str = Field(
        min_length=1,
        description="folder or hub id of the model: --set stages.prepare.matting.model=FOLDER_OR_HUB_ID",
    )
    labels: tuple[str, ...] = Field(
        default=(), description="its labels that are the person; empty = 'person'"
    )
    local_files_only: bool = Field(default=False, description="never ask the hub")


MattingConfig: TypeAlias = Annotated[
    EmbeddedMatting | HubModel, Field(discriminator="kind"), by_kind("embedded")
]


def weight_of(matting: MattingConfig) -> str:
    """Name the network's weight: an embedded one's name, a folder, or a marked hub id."""
    if isinstance(matting, EmbeddedMatting):
        return matting.weights
    return weight_name(matting.model, local_only=matting.local_files_only)
