"""Why a fit is to be distrusted: the numbers of its quality against their limits, each with a remedy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from turnaround.models.refinement.config import RefinementConfig
from turnaround.pipeline.values.fit import Cause

REMEDY = (
    "turn the photo upright, crop it to one whole person, do each person by `run --people all`, or let "
    "landmark networks look (`turnaround fetch`, --set stages.prepare.landmarks=auto)"
)
MASK = "put a mask of the person alone beside it (NAME.mask.png)"
BODY = "give the body (NAME.smplx.npz beside it)"


def fit_causes(
    quality: Mapping[str, float | None], config: RefinementConfig, *, independent: bool
) -> list[Cause]:
    """List the reasons to distrust a fit; empty when there are none.

    Args:
        quality: of `models.refinement.quality.fit_quality`.
        independent: the keypoints come from other networks than the body, so that a wrong limb shows in
            them and a low IoU may be a skirt or a coat. Otherwise both are wrong together, and the IoU tells.
    """
    return list(_by_landmarks(quality, config) if independent else _by_outline(quality, config))


def _by_outline(quality: Mapping[str, float | None], config: RefinementConfig) -> Iterator[Cause]:
    """Of a body whose keypoints share its errors."""
    iou, keypoints = quality["front_iou"], quality["keypoints_px"]
    if iou is not None and iou < config.poor_iou:
        text = (
            f"the body covers the photo's mask with an IoU of {iou:.2f}, expected "
            f"{config.poor_iou:.2f} or more"
        )
        yield Cause("outline", text, REMEDY, iou)
    if keypoints is not None and keypoints > config.poor_keypoints:
        text = (
            f"joints are {keypoints:.1f} px from the keypoints (of 256), expected "
            f"{config.poor_keypoints:.1f} or less"
        )
        yield Cause("joints", text, REMEDY, keypoints)


def _by_landmarks(quality: Mapping[str, float | None], config: RefinementConfig) -> Iterator[Cause]:
    """Of a body beside landmarks that were found without it."""
    inside, covered, keypoints, worst = (
        quality.get(name) for name in ("inside", "covered", "keypoints_px", "worst_px")
    )
    if inside is not None and inside < config.poor_inside:
        text = (
            f"{1 - inside:.0%} of the body lie outside the photo's mask, expected "
            f"{1 - config.poor_inside:.0%} or less"
        )
        yield Cause(
            "outside_mask", text, f"look at 01_prepare/overlay.png: {MASK}, or use another photo", inside
        )
    if covered is not None and covered < config.poor_covered:
        text = (
            f"the body covers {covered:.0%} of the photo's mask, expected {config.poor_covered:.0%} or more: "
            "it holds somebody or something else"
        )
        yield Cause(
            "large_mask", text, f"crop the photo to one person (`run --people all`), or {MASK}", covered
        )
    if keypoints is not None and keypoints > config.poor_landmarks:
        text = (
            f"joints are {keypoints:.1f} px from the landmarks (of 256), expected "
            f"{config.poor_landmarks:.1f} or less"
        )
        yield Cause("joints", text, f"use another photo, or {BODY}", keypoints)
    if worst is not None and worst > config.poor_limb:
        text = (
            f"a visible joint is {worst:.0f} px from its landmark (of 256), expected {config.poor_limb:.0f} "
            "or less"
        )
        yield Cause("limb", text, f"use a photo without crossed limbs, or {BODY}", worst)
