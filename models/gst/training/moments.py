"""Moments on disk: pictures of one person by several calibrated cameras, with or without labels.

The arrays of a views set: rgb (v,s,s,3) u8 over white, mask (v,s,s) u8, K (v,3,3), T_camera_world (v,4,4);
body_* and joints where they are known. `turnaround data rig` makes them of one's own footage. Every camera is
square and looks at the person: its principal point is the middle of the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.models.estimator.crop import SIZE, cut, cut_white, mask_window
from turnaround.models.estimator.kinematics import KEYPOINTS, POSED, to_global
from turnaround.models.gst.landmark_tokens import CHANNELS, COUNT
from turnaround.models.gst.placing import reach_of
from turnaround.pipeline.errors import CallError, FormatError, MissingFile
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Camera

NEEDED = ("rgb", "mask", "K", "T_camera_world")
CENTRED = 0.02  # of a picture's width: how far its principal point may lie from the middle


@dataclass(frozen=True)
class Truth(TensorRecord):
    """What is known of the bodies, in the frames of their input cameras; NaN where nothing is."""

    rotations: Float[Tensor, "b 22 3 3"]  # global
    joints: Float[Tensor, "b k 3"]  # metres
    betas: Float[Tensor, "b 10"]


@dataclass(frozen=True)
class Batch(TensorRecord):
    """Windows that the network reads, and the pictures that its Gaussians are held against."""

    pixels: Float[Tensor, "b 4 s s"]
    window: Float[Tensor, "b 3"]
    landmarks: Float[Tensor, "b n 7"]  # zeros where there are none
    reach: Float[Tensor, " b"]  # of the input cameras
    K: Float[Tensor, "b v 3 3"]
    T_camera_input: Float[Tensor, "b v 4 4"]  # from the frame of the input camera; the first is the input
    rgb: Float[Tensor, "b v h w 3"]
    mask: Float[Tensor, "b v h w"]
    truth: Truth
    picture: Float[Tensor, "b 4 t t"]  # the windows at twice the pixels, that colours are copied from
    held: bool = False  # whether the body stays as it is and the Gaussians alone learn

    def cameras(self, person: int) -> Camera:
        """Of one person's pictures, in the frame of the input camera."""
        height, width = self.mask.shape[-2:]
        return Camera(self.K[person], self.T_camera_input[person], width, height)


class Moments:
    """Files of a set, read when they are wanted."""

    def __init__(
        self,
        files: list[Path],
        *,
        size: int = 128,
        close: bool = False,
        sightings: Path | None = None,
        window: int = SIZE,
    ) -> None:
        """Open a set.

        Args:
            files: moments.
            size: pixels of the pictures that are compared.
            close: compare the person's window of each picture instead of all of it: a limb has as many pixels
                as in a picture of three times the size, and is as wide as its Gaussians draw it.
            sightings: folder of the views' landmarks, by file name.
            window: pixels of the windows that the network reads.
        """
        self.files, self.size, self.close, self.sightings = files, size, close, sightings
        self.window = window
        if not files:
            raise CallError("no moments: make them with `turnaround data rig` or `turnaround data people`")
        check_moment(files[0])

    def __len__(self) -> int:
        return len(self.files)

    def views(self, index: int) -> int:
        """How many cameras a moment has."""
        return len(_read(self.files[index])["K"])

    def arrays(self, index: int) -> dict[str, np.ndarray]:
        """What a moment's file holds, labels with it."""
        return _read(self.files[index])

    def sighted(self, index: int) -> np.ndarray:
        """Views of a moment whose landmarks are known."""
        if self.sightings is None:
            return np.zeros(0, np.int64)
        certainty = _sightings(self.sightings / self.files[index].name)[..., -1]
        return np.flatnonzero((certainty > 0).any(1))

    def batch(
        self, people: list[int], inputs: list[int], targets: int, jitter: np.ndarray | None = None
    ) -> Batch:
        """A batch: view `inputs[k]` of person `people[k]` is read, it and the next ones round are targets.

        Args:
            people: indices of files.
            inputs: views of them.
            targets: pictures that each is compared with; more than there are: all.
            jitter: (b, 3): how the windows are moved and enlarged, in shares of their half side.
        """
        rows = [self._row(person, view, targets) for person, view in zip(people, inputs, strict=True)]
        color, alpha = (torch.stack([row[name] for row in rows]) for name in ("color", "alpha"))
        window = mask_window(alpha)
        if jitter is not None:
            moves = torch.from_numpy(jitter.astype(np.float32))
            centre, half = window.split((2, 1), 1)
            window = torch.cat([centre + moves[:, :2] * half, half * torch.exp(moves[:, 2:])], 1)
        layers = torch.cat([color, alpha[:, None]], 1)
        pixels = cut_white(layers, window, self.window)
        landmarks = torch.stack([row["landmarks"] for row in rows])
        landmarks = torch.cat(
            [
                (landmarks[..., :2] - window[:, None, :2]) / window[:, None, 2:],
                landmarks[..., 2:3] / window[:, None, 2:],
                landmarks[..., 3:],
            ],
            -1,
        )
        landmarks = landmarks * (landmarks[..., -1:] > 0)
        rest = {name: torch.stack([row[name] for row in rows]) for name in ("K", "T", "rgb", "mask", "reach")}
        truth = Truth(
            *(torch.stack([row[name] for row in rows]) for name in ("rotations", "joints", "betas"))
        )
        return Batch(
            pixels,
            window,
            landmarks,
            rest["reach"],
            rest["K"],
            rest["T"],
            rest["rgb"],
            rest["mask"],
            truth,
            cut_white(layers, window, 2 * self.window),
        )

    def _row(self, person: int, view: int, targets: int) -> dict[str, Tensor]:
        arrays = _read(self.files[person])
        count = len(arrays["K"])
        spread = np.linspace(0, count, min(targets, count), endpoint=False).round().astype(int)
        chosen = ((view + spread) % count).tolist()
        T = torch.from_numpy(arrays["T_camera_world"][chosen].astype(np.float64))
        K = torch.from_numpy(arrays["K"][chosen])
        full = arrays["rgb"].shape[1]
        rgb, mask = (torch.from_numpy(arrays[name][chosen]).float() / 255 for name in ("rgb", "mask"))
        camera = Camera(K[0], T[0].float(), full, full)
        layers, K = _compared(
            torch.cat([rgb - 1, mask[..., None]], -1).movedim(-1, 1), K, self.size, self.close
        )
        darkness, compared = layers.movedim(1, -1).split((3, 1), -1)
        row = {
            "color": rgb[0].movedim(-1, 0),
            "alpha": mask[0],
            "rgb": darkness + 1,
            "mask": compared[..., 0],
            "K": K,
            "T": (T @ torch.linalg.inv(T[0])).float(),
            "reach": reach_of(camera),
            "landmarks": torch.zeros(COUNT, CHANNELS),
        }
        if self.sightings is not None:
            row["landmarks"] = torch.from_numpy(_sightings(self.sightings / self.files[person].name)[view])
        return row | self._truth(arrays, T[0].float())

    @staticmethod
    def _truth(arrays: dict[str, np.ndarray], T_input: Float[Tensor, "4 4"]) -> dict[str, Tensor]:
        if "body_global_orient" not in arrays or "joints" not in arrays:
            nan = torch.full((POSED, 3, 3), torch.nan)
            joints, betas = torch.full((len(KEYPOINTS), 3), torch.nan), torch.full((10,), torch.nan)
            return {"rotations": nan, "joints": joints, "betas": betas}
        pose = np.concatenate([arrays["body_global_orient"][None], arrays["body_body_pose"].reshape(-1, 3)])
        rotations = to_global(axis_angle_to_matrix(torch.from_numpy(pose.astype(np.float32))))
        R, t = T_input[:3, :3], T_input[:3, 3]
        joints = torch.from_numpy(arrays["joints"].astype(np.float32))[list(KEYPOINTS)]
        betas = torch.from_numpy(arrays["body_betas"].astype(np.float32))
        return {"rotations": R @ rotations, "joints": joints @ R.T + t, "betas": betas}


def check_moment(file: Path) -> None:
    """FormatError that says what a file lacks to be learned from."""
    arrays = _read(file)
    lacking = [name for name in NEEDED if name not in arrays]
    if lacking:
        raise FormatError(f"{file} lacks {', '.join(lacking)}: make it with `turnaround data rig`")
    count, height, width = arrays["mask"].shape
    if count < 2:
        raise FormatError(f"{file} has {count} camera: pictures teach a pose from two on, better four")
    off = np.abs(arrays["K"][:, :2, 2] - (width / 2, height / 2)).max()
    if height != width or off > CENTRED * width:
        raise FormatError(
            f"{file}: pictures of {width}x{height} pixels whose principal point is {off:.0f} pixels off "
            f"their middle; expected square ones that look at the person, as `turnaround data rig` has them"
        )


@lru_cache(maxsize=5000)
def _sightings(file: Path) -> np.ndarray:
    if not file.is_file():
        raise MissingFile(
            f"{file} is missing: `python -m turnaround.models.gst.training.sightings --data SET --out "
            f"{file.parent}` makes it"
        )
    with np.load(file, allow_pickle=False) as stored:
        return stored["landmarks"]


@lru_cache(maxsize=700)
def _read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as opened:
        wanted = [name for name in opened.files if name in (*NEEDED, "joints") or name.startswith("body_")]
        return {name: opened[name] for name in wanted}


def _compared(
    layers: Float[Tensor, "v 4 h w"], K: Float[Tensor, "v 3 3"], size: int, close: bool
) -> tuple[Float[Tensor, "v 4 s s"], Float[Tensor, "v 3 3"]]:
    """Pictures (0 where nothing is, mask last) of `size` pixels, whole or of the person's window, and their
    K."""
    full = layers.shape[-1]
    if close:
        windows = mask_window(layers[:, 3])
        layers = cut(layers, windows, size)
    else:
        windows = torch.tensor([[0.0, 0.0, 1.0]]).expand(len(K), 3)
        if full != size:
            layers = F.interpolate(layers, (size, size), mode="area")
    centre, half = windows.split((2, 1), 1)
    # pixels -> [-1, 1] of the picture -> of the window -> pixels of it
    scale = size / full / half
    shift = (size - size / half * (1 + centre)) / 2
    moved = K.clone()
    moved[:, :2] = K[:, :2] * scale[..., None]
    moved[:, :2, 2] += shift
    return layers, moved
