"""Batches for the estimator: windows cut from the singles set, spoilt as masks and photographs are, with
exact labels.

Only changes whose effect on the labels is known are made: mirroring, turning about the optical axis, another
window (no label changes at all), colours, dirt.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from turnaround.models.estimator.crop import SIZE, cut, mask_window, rotation_2d
from turnaround.models.estimator.kinematics import (
    KEYPOINTS,
    MIRROR_KEYPOINT,
    mirror_keypoints,
    mirror_rotations,
    to_global,
)
from turnaround.models.training.photometric import (
    color_jitter,
    gaussian_blur,
    jpeg,
    light_field,
    random_backgrounds,
    random_bars,
    random_blobs,
)
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import TensorRecord


@dataclass(frozen=True)
class Labels(TensorRecord):
    """What is known about a batch of people; world frame."""

    rotations: Float[Tensor, "b 22 3 3"]  # global
    betas: Float[Tensor, "b 10"]
    joints: Float[Tensor, "b k 3"]  # metres
    # where the joints are in the picture, [-1, 1]; another lens sees them a little aside of their projection
    uv: Float[Tensor, "b k 2"]
    visible: Bool[Tensor, "b k"]


@dataclass(frozen=True)
class Batch:
    """Network input and labels."""

    pixels: Float[Tensor, "b 4 s s"]
    window: Float[Tensor, "b 3"]
    labels: Labels


class Singles:
    """A singles set in memory-mapped pictures and tensors of labels; `part` takes the held-out end of each
    chunk."""

    def __init__(self, folder: Path, part: str, held_out: float = 0.05) -> None:
        chunks = chunks_of(folder)
        self.pictures, self.things, labels, hands = [], [], [], []
        for chunk in chunks:
            pictures = np.load(chunk / "rgba.npy", mmap_mode="r")
            cut_at = int(len(pictures) * (1 - held_out))
            keep = slice(0, cut_at) if part == "train" else slice(cut_at, len(pictures))
            self.pictures.append(pictures[keep])
            self.things.append(Things.open(chunk, keep))
            labels.append(_read_labels(chunk, keep))
            hands.append(
                torch.stack([_read(chunk, f"body_{side}_hand_pose", keep) for side in ("left", "right")], 1)
            )
        self.labels = Labels(
            **{name: torch.cat([getattr(x, name) for x in labels]) for name in vars(labels[0])}
        )
        self.mean_hands = torch.cat(hands).mean(0)
        self.starts = np.cumsum([0, *(len(p) for p in self.pictures)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def rgba(self, indices: np.ndarray, rng: np.random.Generator | None = None) -> Float[Tensor, "b 4 s s"]:
        """Pictures with straight alpha, [0, 1].

        What people hold is left out; with `rng` it is there, or its place is missing, as masks have it or do
        not.
        """
        chunk = np.searchsorted(self.starts, indices, "right") - 1
        rows = [(c, int(i - self.starts[c])) for c, i in zip(chunk, indices, strict=True)]
        pictures = (
            torch.from_numpy(np.stack([self.pictures[c][k] for c, k in rows])).movedim(-1, 1).float() / 255
        )
        if rng is not None:
            for n, (c, k) in enumerate(rows):
                thing = self.things[c].layer(int(k))
                if thing is not None:
                    pictures[n] = _with_thing(
                        pictures[n], torch.from_numpy(thing).movedim(-1, 0).float() / 255, rng.random() < 0.5
                    )
        return pictures

    def plain(self, indices: np.ndarray) -> Batch:
        """Clean windows, as `prepare` and a perfect mask would give them."""
        rgba = self.rgba(indices)
        window = mask_window(rgba[:, 3])
        layer = cut(torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1), window)
        pixels = torch.cat([layer[:, :3] + 1 - layer[:, 3:], layer[:, 3:]], 1)
        return Batch(pixels, window, self.labels[torch.from_numpy(indices)])

    def spoilt(self, size: int, backgrounds: np.ndarray, rng: np.random.Generator) -> Batch:
        """A random training batch."""
        indices = rng.integers(len(self), size=size)
        rgba, labels = self.rgba(indices, rng), self.labels[torch.from_numpy(indices)]
        flip = torch.from_numpy(rng.random(size) < 0.5)
        rgba, labels = torch.where(flip[:, None, None, None], rgba.flip(-1), rgba), flip_labels(labels, flip)
        angle = _uniform((size,), -0.35, 0.35, rng)
        labels = turn_labels(labels, angle)
        layer = _cut_off(torch.cat([rgba[:, :3] * rgba[:, 3:], rgba[:, 3:]], 1), rng)
        window = mask_window(layer[:, 3], angle)
        side = window[:, 2:]
        moved = window[:, :2] + _uniform((size, 2), -0.07, 0.07, rng) * side
        window = torch.cat([moved, side * torch.exp(_uniform((size, 1), -0.1, 0.12, rng))], -1)
        return Batch(dirty(cut(layer, window, SIZE, angle), backgrounds, rng), window, labels)


def chunks_of(folder: Path) -> list[Path]:
    """The folders of a singles set's arrays: its `chunk_*`, or itself."""
    chunks = sorted(path.parent for path in folder.glob("chunk_*/rgba.npy")) or [folder]
    if not (chunks[0] / "rgba.npy").is_file():
        raise MissingFile(
            f"{folder} holds no singles set (rgba.npy, or chunk_*/rgba.npy): make one with `turnaround data "
            f"people`"
        )
    return chunks


@dataclass(frozen=True)
class Things:
    """Layers of what people hold in one chunk of a singles set; older sets have none."""

    index: Int[np.ndarray, " n"]  # into `layers`, -1 where the hands are empty
    layers: UInt8[np.ndarray, "k s s 4"] | None  # straight alpha

    @staticmethod
    def open(chunk: Path, keep: slice) -> Things:
        """The layers of pictures `keep`."""
        if not (chunk / "object_rgba.npy").is_file():
            return Things(np.empty(0, np.int64), None)
        layers = np.load(chunk / "object_rgba.npy", mmap_mode="r")
        return Things(
            np.load(chunk / "object_index.npy")[keep].astype(np.int64), layers if len(layers) else None
        )

    def layer(self, picture: int) -> UInt8[np.ndarray, "s s 4"] | None:
        """The thing in the hands of one picture's person."""
        if self.layers is None or self.index[picture] < 0:
            return None
        return np.array(self.layers[self.index[picture]])


def _with_thing(
    rgba: Float[Tensor, "4 s s"], thing: Float[Tensor, "4 s s"], owned: bool
) -> Float[Tensor, "4 s s"]:
    """Straight alpha: the thing before the person, as a part of them (`owned`) or as a hole in them."""
    alpha, cover = rgba[3:], thing[3:]
    if not owned:
        return torch.cat([rgba[:3], alpha * (1 - cover)])
    total = alpha + cover - alpha * cover
    color = (rgba[:3] * alpha * (1 - cover) + thing[:3] * cover) / total.clamp(min=1e-3)
    return torch.cat([color.clamp(0, 1), total])


def _read(chunk: Path, name: str, keep: slice) -> Tensor:
    return torch.from_numpy(np.load(chunk / f"{name}.npy")[keep].astype(np.float32))


def _read_labels(chunk: Path, keep: slice) -> Labels:
    pose = torch.cat(
        [
            _read(chunk, "body_global_orient", keep)[:, None],
            _read(chunk, "body_body_pose", keep).reshape(-1, 21, 3),
        ],
        1,
    )
    chosen = list(KEYPOINTS)
    return Labels(
        to_global(axis_angle_to_matrix(pose)),
        _read(chunk, "body_betas", keep),
        _read(chunk, "joints", keep)[:, chosen],
        _read(chunk, "joints_uv", keep)[:, chosen] * 2 - 1,
        _read(chunk, "joint_visible", keep)[:, chosen] > 0.5,
    )


def flip_labels(labels: Labels, flip: Bool[Tensor, " b"]) -> Labels:
    """The labels of mirrored pictures, where `flip` says so; the shape space is symmetric, betas stay."""
    return Labels(
        torch.where(flip[:, None, None, None], mirror_rotations(labels.rotations), labels.rotations),
        labels.betas,
        torch.where(flip[:, None, None], mirror_keypoints(labels.joints), labels.joints),
        torch.where(flip[:, None, None], mirror_keypoints(labels.uv), labels.uv),
        torch.where(flip[:, None], labels.visible[:, list(MIRROR_KEYPOINT)], labels.visible),
    )


def turn_labels(labels: Labels, angle: Float[Tensor, " b"]) -> Labels:
    """The labels of pictures turned about their centre: the world turns about the optical axis."""
    turn = axis_angle_to_matrix(torch.stack([torch.zeros_like(angle), torch.zeros_like(angle), angle], -1))
    joints = labels.joints @ turn.transpose(-1, -2)
    uv = labels.uv @ rotation_2d(angle).transpose(-1, -2)
    return Labels(turn[:, None] @ labels.rotations, labels.betas, joints, uv, labels.visible)


def _cut_off(layer: Float[Tensor, "b 4 h w"], rng: np.random.Generator) -> Tensor:
    """Sometimes lose everything beyond a horizontal or vertical line near an end of the person: cropped
    photos."""
    size = layer.shape[-1]
    keep = torch.ones(len(layer), 1, size, size)
    for k in np.flatnonzero(rng.random(len(layer)) < 0.12):
        mask = layer[k, 3] > 0.5
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        if len(rows) == 0:
            continue
        share, end = float(rng.uniform(0.03, 0.3)), rng.integers(4)
        low, high = (int(rows[0]), int(rows[-1])) if end < 3 else (int(columns[0]), int(columns[-1]))
        line = round(high - share * (high - low))
        if end < 3:  # the feet, mostly
            keep[k, :, line:] = 0
        else:
            keep[k, :, :, line:] = 0
    return layer * keep


def dirty(
    layer: Float[Tensor, "b 4 s s"], backgrounds: np.ndarray, rng: np.random.Generator
) -> Float[Tensor, "b 4 s s"]:
    """Premultiplied windows -> what a matting network would hand over: colours, wrong masks, things before
    the person."""
    batch, size = len(layer), layer.shape[-1]
    alpha = layer[:, 3:]
    scene = random_backgrounds(backgrounds, 8, size, rng).repeat(-(-batch // 8), 1, 1, 1)[
        :batch
    ]  # little of it is seen
    color = color_jitter((layer[:, :3] / alpha.clamp(min=1e-3)).clamp(0, 1), rng, 0.9)
    color = color * light_field(batch, size, rng) if rng.random() < 0.5 else color
    picture = scene * (1 - alpha) + color * alpha
    things = torch.zeros_like(alpha)
    covered = np.flatnonzero(rng.random(batch) < 0.3)
    if len(covered):
        shapes = (
            random_bars(len(covered), size, rng)
            if rng.random() < 0.5
            else random_blobs(len(covered), size, rng, (0.06, 0.25))
        )
        things[covered] = shapes
    picture = picture * (1 - things) + scene.flip(0) * things
    owned = _chance(batch, 0.5, rng)  # the mask holds what is carried, or has its hole
    mask = torch.where(owned > 0, torch.maximum(alpha, things * _grown(alpha, 9)), alpha * (1 - things))
    mask = wrong_mask(mask, rng)
    if rng.random() < 0.3:
        picture = gaussian_blur(picture, float(rng.uniform(0.3, 1.2)))
    if rng.random() < 0.5:
        picture = picture + torch.from_numpy(rng.standard_normal(picture.shape, dtype=np.float32)) * float(
            rng.uniform(0, 0.05)
        )
    picture = jpeg(picture, float(rng.uniform(0.01, 0.08))) if rng.random() < 0.2 else picture.clamp(0, 1)
    return torch.cat([picture * mask + 1 - mask, mask], 1)


def _grown(mask: Float[Tensor, "b 1 s s"], width: int) -> Float[Tensor, "b 1 s s"]:
    """Dilation by a square, one axis after the other."""
    return F.max_pool2d(F.max_pool2d(mask, (width, 1), 1, (width // 2, 0)), (1, width), 1, (0, width // 2))


def wrong_mask(mask: Float[Tensor, "b 1 s s"], rng: np.random.Generator) -> Float[Tensor, "b 1 s s"]:
    """Masks grown or shrunk by a few pixels, with holes and patches too many, softened."""
    batch, size = len(mask), mask.shape[-1]
    width = 2 * int(rng.integers(1, 3)) + 1
    grown, shrunk = _grown(mask, width), -_grown(-mask, 3)
    kind = torch.from_numpy(rng.random((batch, 1, 1, 1)))
    mask = torch.where(kind < 0.2, grown, torch.where(kind > 0.85, shrunk, mask))
    wrong = np.flatnonzero(rng.random(batch) < 0.25)
    if len(wrong):
        blobs = random_blobs(len(wrong), size, rng, (0.03, 0.15))
        mask = mask.clone()
        mask[wrong] = mask[wrong] * (1 - blobs) if rng.random() < 0.5 else torch.maximum(mask[wrong], blobs)
    return gaussian_blur(mask, float(rng.uniform(0.3, 1.2))) if rng.random() < 0.3 else mask


def _uniform(shape: tuple[int, ...], low: float, high: float, rng: np.random.Generator) -> Tensor:
    return torch.from_numpy(rng.uniform(low, high, shape).astype(np.float32))


def _chance(batch: int, share: float, rng: np.random.Generator) -> Float[Tensor, "b 1 1 1"]:
    return torch.from_numpy((rng.random(batch) < share).astype(np.float32)).view(-1, 1, 1, 1)
