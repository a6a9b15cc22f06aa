"""A photo as `prepare` looks at it: pixels for the mask, finer ones for the landmarks, and who is in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, UInt8

from turnaround.models.landmarks.company import COMPARABLE, people_seen, scaled, small_people_seen
from turnaround.models.landmarks.everybody import complete, pose_mask, smallest_square
from turnaround.models.landmarks.framing import quarter_turns, upright_region
from turnaround.models.landmarks.pose import Pose, Variant, find_pose
from turnaround.models.landmarks.record import as_record
from turnaround.models.landmarks.region import Picture
from turnaround.models.matting.cutout import Square, factor, limited
from turnaround.pipeline.photos.photo import decode, decode_mask

FINE = 4096  # pixels of the longer side of what the landmark networks see: hands and faces are small
STRIP = 256  # rows of a large photo that are handled at once
INSIDE = 0.3  # of somebody's landmarks, that must lie in a mask that is theirs; of who is half hidden half do


@dataclass(frozen=True)
class Whole:
    """A large photo as it came; a close look at a small person needs its pixels."""

    pixels: UInt8[np.ndarray, "h w 3"]  # the colours as they are, not over white
    given: UInt8[np.ndarray, "h w"] | None  # the mask that came with it
    step: int  # its pixels for one of the scene, whose area it covers exactly

    def turned(self, quarters: int) -> Whole:
        """Turned counter-clockwise by quarters; the same memory."""
        given = None if self.given is None else np.rot90(self.given, quarters)
        return replace(self, pixels=np.rot90(self.pixels, quarters), given=given)


@dataclass(frozen=True)
class Scene:
    """A decoded photo."""

    pixels: Float[np.ndarray, "h w 3"]  # at most 2,048 px
    given: Float[np.ndarray, "h w"] | None  # the mask that came with the photo
    cut_out: bool  # it came as an alpha channel: the colours are the person's own
    fine: UInt8[np.ndarray, "k l 3"]  # the photo over white, at most 4,096 px
    ratio: float  # fine pixels for one pixel; both are the photo's by a whole factor each
    whole: Whole | None = None  # where `pixels` are fewer than the photo's

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def turned(self, quarters: int) -> Scene:
        """The photo turned counter-clockwise by quarters."""
        turn = lambda values: np.ascontiguousarray(np.rot90(values, quarters))  # noqa: E731
        given = None if self.given is None else turn(self.given)
        whole = None if self.whole is None else self.whole.turned(quarters)
        return replace(self, pixels=turn(self.pixels), given=given, fine=turn(self.fine), whole=whole)


@dataclass(frozen=True)
class Somebody:
    """One person of a scene, as the landmark networks see them."""

    pose: Pose  # in the scene's pixels
    mask: Float32[np.ndarray, "h w"]  # the pose network's own
    others: tuple[Float32[np.ndarray, "h w"], ...] = ()  # those of the other people of comparable size
    small: bool = False  # found in the photo's own pixels, where nobody was seen in fewer

    @property
    def centre_x(self) -> float:
        """The middle of the circle round the person, pixels."""
        return float(self.pose.circle[0, 0])


def open_scene(image: bytes, mask: bytes | None) -> Scene:
    """Decode a photo and the mask beside it; StageError for what is no picture."""
    pixels, alpha = decode(image, "the photo")
    fine, cover = limited(pixels, alpha, FINE)
    if cover is not None:
        fine = fine * cover[..., None] + 1 - cover[..., None]
    given = alpha if mask is None else decode_mask(mask, "the mask beside the photo", pixels.shape[:2])
    step = factor(pixels.shape)
    ratio = step / factor(pixels.shape, FINE)
    whole = (
        None
        if step == 1
        else Whole(_whole_blocks(pixels, step), None if given is None else _whole_blocks(given, step), step)
    )
    pixels, given = limited(pixels, given)
    cut_out = mask is None and alpha is not None
    return Scene(pixels, given, cut_out, np.round(fine * 255).astype(np.uint8), ratio, whole)


def _whole_blocks(values: Float[np.ndarray, "h w *c"], step: int) -> UInt8[np.ndarray, "k l *c"]:
    """The bytes that `limited` averages, a strip at a time."""
    height, width = (side // step * step for side in values.shape[:2])
    result = np.empty((height, width, *values.shape[2:]), np.uint8)
    for row in range(0, height, STRIP):
        rows = slice(row, min(row + STRIP, height))
        result[rows] = np.round(values[rows, :width] * 255)
    return result


def everybody(scene: Scene, variant: Variant) -> list[Somebody]:
    """Find the people of comparable size, the largest first; of any size where a mask is given."""
    least = COMPARABLE if scene.given is None else 0.0
    poses = people_seen(scene.fine, variant, least=least)
    small = not poses
    pixels, ratio = sharp(scene, small=small)
    if small:
        height, width = scene.fine.shape[:2]
        looked = smallest_square(width, height) * ratio / scene.ratio
        poses = small_people_seen(pixels, looked, variant)
    poses = [scaled(pose, 1 / ratio) for pose in poses]
    masks = [pose_mask(pose, *scene.shape) for pose in poses]
    return [Somebody(pose, masks[k], (*masks[:k], *masks[k + 1 :]), small) for k, pose in enumerate(poses)]


def sharp(scene: Scene, *, small: bool) -> tuple[UInt8[np.ndarray, "k l 3"], float]:
    """Choose the pixels in which somebody is looked at, and how many of them make one of the scene's.

    Args:
        small: a small person, for whom all the photo's pixels are needed.
    """
    if small and scene.whole is not None and not scene.cut_out and scene.whole.step > scene.ratio:
        return scene.whole.pixels, float(scene.whole.step)
    return scene.fine, scene.ratio


def owner(people: Sequence[Somebody], mask: Float[np.ndarray, "h w"]) -> Somebody | None:
    """Find whose landmarks lie in a mask; None where they are nobody's."""
    shares = [_share_inside(somebody.pose, mask) for somebody in people]
    return people[int(np.argmax(shares))] if shares and max(shares) >= INSIDE else None


def stood_upright(scene: Scene, somebody: Somebody, variant: Variant) -> tuple[Scene, Somebody, int]:
    """Turn a photo by quarters so that a person who is upside down or sideways stands; tell how many."""
    quarters = quarter_turns(somebody.pose)
    if quarters == 0:
        return scene, somebody, 0
    region = upright_region(somebody.pose, quarters, *scene.shape)
    scene = scene.turned(quarters)
    pixels, ratio = sharp(scene, small=somebody.small)
    fine = replace(region, x=region.x * ratio, y=region.y * ratio, side=region.side * ratio)
    pose = scaled(find_pose(Picture(pixels), fine, variant), 1 / ratio)
    others = tuple(np.ascontiguousarray(np.rot90(mask, quarters)) for mask in somebody.others)
    return scene, Somebody(pose, pose_mask(pose, *scene.shape), others, somebody.small), quarters


def landmarks_in(
    scene: Scene, somebody: Somebody, square: Square, size: int, variant: Variant,
) -> dict[str, Any]:  # fmt: skip
    """Tell a person's landmarks, hands and face included, in pixels of a square that is drawn with `size`."""
    pixels, ratio = sharp(scene, small=somebody.small)
    person = complete(Picture(pixels), scaled(somebody.pose, ratio), variant)
    corner = (square[0] * ratio, square[1] * ratio)
    return as_record(person, corner, size / (square[2] * ratio), variant)


def _share_inside(pose: Pose, mask: Float[np.ndarray, "h w"]) -> float:
    """How many of the landmarks inside of the photo lie in a mask."""
    height, width = mask.shape
    x, y = np.floor(pose.xy).astype(int).T
    there = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    return float((mask[y[there], x[there]] > 0.5).mean()) if there.any() else 0.0
