"""Settings of finding the person of a photo, and the networks that they need."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from turnaround.models.matting.config import EmbeddedMatting, MattingConfig
from turnaround.pipeline.frozen import Frozen, by_kind


class LandmarkNetworks(Frozen):
    """BlazePose and its hands and faces, which `turnaround fetch` gets."""

    kind: Literal["auto", "blazepose"] = Field(
        default="auto", description="auto: where they are fetched; blazepose: an error without"
    )
    network: Literal["heavy", "full", "lite"] = Field(
        default="heavy",
        description="size of the body's landmark network: the heavier, the better and the slower",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The networks' files."""
        parts = ("palm_detection", "hand_landmark", "face_detection", "face_landmark")
        return ("pose_detection", f"pose_landmark_{self.network}", *parts)


class NoLandmarks(Frozen):
    """The mask alone says who stands where."""

    kind: Literal["none"] = Field(default="none", description="the mask alone says who stands where")


LandmarksConfig: TypeAlias = Annotated[
    LandmarkNetworks | NoLandmarks, Field(discriminator="kind"), by_kind("auto")
]


class LocationConfig(Frozen):
    """Who of a photo is meant, and how they are found."""

    matting: MattingConfig = Field(
        default=EmbeddedMatting(),
        description="network for photos without alpha channel or mask beside them: embedded, or hub",
    )
    person: str = Field(
        default="auto",
        description="auto (one clear person), largest, left, right, or a number from the left, 0 first",
    )
    framing: Literal["auto", "person", "frame"] = Field(
        default="auto",
        description="person: the canonical camera stands where it usually does before the person; "
        "frame: it is the one that took the frame; "
        "auto: frame for square cut-outs with the person at a usual height, else person",
    )
    allow_truncated: bool = Field(
        default=False,
        description="go on with people whose larger part is outside of the picture",
    )
    landmarks: LandmarksConfig = Field(
        default=LandmarkNetworks(),
        description="networks that have seen photographs say who stands where and how: auto, where fetched; "
        "blazepose; none",
    )
    turn: Literal["auto", "never"] = Field(
        default="auto",
        description="auto: a photo is turned by quarters where the person is upside down or on their side",
    )
    trust: bool = Field(
        default=False,
        description="believe an alpha channel or given mask as it is, without comparing it with the picture",
    )


def landmark_networks(config: LocationConfig) -> tuple[str, ...]:
    """Name the fetched networks that the settings use; () without, or where auto does not find them all."""
    from turnaround.models.landmarks.files import available

    wanted = config.landmarks
    if isinstance(wanted, NoLandmarks) or (wanted.kind == "auto" and not available(wanted.names)):
        return ()
    return wanted.names
