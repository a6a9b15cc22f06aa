"""Settings of estimating a body: the fit to landmarks, the merge with the picture's network, a given body."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import Field

from turnaround.pipeline.frozen import Frozen

Hands: TypeAlias = Literal["auto", "flat", "mean"]


class FitConfig(Frozen):
    """Strengths of the fit's terms to landmarks; standard deviations where a unit is given."""

    steps: int = Field(default=8, ge=0, description="steps of the fit; 0: none")
    trust: float = Field(
        default=0.7,
        ge=0,
        description="of the landmarks: their errors are divided by it; those of neighbours go together",
    )
    whole: float = Field(
        default=1.2, gt=0, description="of the lifter's global rotations, in its own spreads"
    )
    local: float = Field(
        default=0.35, gt=0, description="radians: turn of a joint against its parent, from the lifted one"
    )
    shape: float = Field(default=1.0, gt=0, description="of the betas")
    shift: tuple[float, float, float] = Field(default=(0.3, 0.3, 0.01), description="metres: of the pelvis")
    usual: tuple[float, float] = Field(
        default=(0.6, 0.25),
        description="metres: a pelvis about this near to the world's origin in depth is meant to be there, "
        "of who stands and of others",
    )
    stands: float = Field(
        default=0.9, gt=0, le=1, description="of the height from ankles to head, that a standing body has"
    )
    huber: float = Field(default=3.0, gt=0, description="deviations beyond which a landmark pulls no harder")
    hinge: float = Field(
        default=0.1, gt=0, description="radians: how far a knee or an elbow bends the wrong way"
    )


class MergeConfig(Frozen):
    """How far the picture's network, which knows only renders, is believed beside the lifter."""

    spread: float = Field(
        default=0.22, gt=0, description="radians: error of its rotations where it agrees with the landmarks"
    )
    apart: float = Field(
        default=0.035,
        gt=0,
        description="of the person's height: distance from the landmarks at which it is believed less by a "
        "factor e",
    )
    strength: float = Field(
        default=1.0,
        ge=0,
        le=4,
        description="its say beside the landmarks, where its joints fall on them; 0: none",
    )


class GivenConfig(Frozen):
    """How the body file beside a photo is meant."""

    person: int = Field(default=0, ge=0, description="which body of the file")
    axes: Literal["auto", "opencv", "opengl"] = Field(
        default="auto", description="axes of the body; auto: those in which it is upright"
    )
    placement: Literal["auto", "file", "fit"] = Field(
        default="auto",
        description="position of the body: the file's, or fitted to the mask; auto: the file's where it "
        "covers the mask",
    )
    hands: Hands = Field(
        default="auto",
        description="what the hands are relative to (flat_hand_mean True or False); auto: mean for the files "
        "of SMPLer-X, OSX and Hand4Whole, else flat",
    )
    trust: bool = Field(
        default=False, description="believe the body as it is, without comparing it with the picture"
    )


class EstimationConfig(Frozen):
    """Where the body of a view comes from."""

    provider: Literal["auto", "landmarks", "embedded", "gst", "given"] = Field(
        default="auto",
        description="auto: the SMPL-X file beside the photo where there is one, else landmarks where prepare "
        "found them and their body does not plainly miss the mask, else the picture's network alone "
        "(embedded); gst: one pass of GST alone, whose weight `weights` then names",
    )
    weights: str = Field(
        default="estimator",
        description="weight of the picture's network, an estimator's or a GST's, or the path of a "
        "safetensors file",
    )
    lifter: str = Field(
        default="lifter", description="weight of the lifter from landmarks, or the path of a safetensors file"
    )
    fit: FitConfig = Field(default=FitConfig(), description="the fit of the lifted body to the landmarks")
    merge: MergeConfig = Field(
        default=MergeConfig(), description="how far the picture's network is believed beside the landmarks"
    )
    body: str = Field(
        default="body", description="body model: 'body' is the free one, else the path of SMPLX_NEUTRAL.npz"
    )
    fit_keypoints: bool = Field(
        default=True, description="move the body onto the landmarks, or onto the network's own 2D joints"
    )
    given: GivenConfig = Field(
        default=GivenConfig(), description="how the SMPL-X file beside the photo is meant"
    )
