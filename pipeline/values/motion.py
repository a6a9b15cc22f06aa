"""Motion: one person's movement as SMPL-X parameters a frame."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.record import TensorRecord
from turnaround.pipeline.values.rotation import axis_angle_to_quat, quat_to_axis_angle
from turnaround.pipeline.values.types import Body

ROTATIONS = (
    "global_orient",
    "body_pose",
    "left_hand_pose",
    "right_hand_pose",
    "jaw_pose",
    "leye_pose",
    "reye_pose",
)
"""The fields of Body that are axis-angle rotations."""
_MEETS = 1e-3  # radians between poses that are the same


@dataclass(frozen=True)
class Motion(TensorRecord):
    """One person's movement in the world frame (OpenCV axes, y down), the soles on the ground plane y = 0.

    Frame k shows the time k / fps. A clip that repeats ends with the pose of its first frame.
    """

    body: Body  # batch (f,): betas and expression too; transl metres (pelvis at J_0(betas) + transl)
    fps: float

    def __len__(self) -> int:
        return self.body.transl.shape[0]

    @property
    def duration(self) -> float:
        """Seconds from the first to the last frame."""
        return (len(self) - 1) / self.fps

    @property
    def loops(self) -> bool:
        """Whether first and last frame are one pose and heading, so that the clip can be repeated; a walk may
        have moved."""
        if len(self) < 2:
            return False
        quats = [axis_angle_to_quat(getattr(self.body, name)[[0, -1]]) for name in ROTATIONS]
        cosines = [(ends[0] * ends[1]).sum(-1).abs().min() for ends in quats]
        # 1 - cos(angle / 2) in float32; the angle's half squared is twice that
        return float(1 - torch.stack(cosines).min()) < _MEETS**2 / 8 + 1e-6

    def resampled(self, fps: float) -> Motion:
        """The same movement at other times: rotations by the shortest arc, all else linearly.

        The last frame is the last full step of 1 / fps within the duration.
        """
        if not fps > 0:
            raise CallError(f"{fps} frames a second: expected more than 0")
        if fps == self.fps or len(self) < 2:
            return dataclasses.replace(self, fps=fps)
        count = int(self.duration * fps + 1e-6) + 1
        place = torch.arange(count, dtype=torch.float64) * (self.fps / fps)
        first = place.floor().long().clamp(max=len(self) - 2)
        return dataclasses.replace(self, body=_between(self.body, first, (place - first).float()), fps=fps)

    def cut(self, start: float = 0.0, end: float | None = None) -> Motion:
        """The frames from `start` to `end`, seconds, both included; CallError where none is left."""
        first = max(0, round(start * self.fps))
        last = len(self) - 1 if end is None else min(len(self) - 1, round(end * self.fps))
        if first > last:
            raise CallError(
                f"nothing is left of a motion of {self.duration:.2f} s from {start} to "
                f"{'its end' if end is None else end} s"
            )
        return self[first : last + 1]


def _between(body: Body, first: Int[Tensor, " n"], share: Float[Tensor, " n"]) -> Body:
    """Bodies at `first + share` frames."""
    values: dict[str, Tensor] = {}
    for field in dataclasses.fields(body):
        value = getattr(body, field.name)
        a, b = value[first], value[first + 1]
        weight = share.to(value.device).reshape(-1, *[1] * (value.ndim - 1))
        if field.name in ROTATIONS:
            turned = slerp(axis_angle_to_quat(a), axis_angle_to_quat(b), weight)
            # where nothing turns between, what is written stays: also angles beyond pi
            values[field.name] = torch.where((a == b).all(-1, keepdim=True), a, quat_to_axis_angle(turned))
        else:
            values[field.name] = torch.lerp(a, b, weight)
    return Body(**values)


def slerp(
    a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"], share: Float[Tensor, "*s"]
) -> Float[Tensor, "*b 4"]:
    """Unit quaternions on the shorter arc from `a` (share 0) to `b` (share 1); `share` broadcasts."""
    cosine = (a * b).sum(-1, keepdim=True)
    b = torch.where(cosine < 0, -b, b)
    angle = torch.acos(cosine.abs().clamp(max=1.0))
    sine = torch.sin(angle)
    straight = sine < 1e-4
    safe = torch.where(straight, torch.ones_like(sine), sine)
    left = torch.where(straight, 1 - share, torch.sin((1 - share) * angle) / safe)
    right = torch.where(straight, share, torch.sin(share * angle) / safe)
    return F.normalize(left * a + right * b, dim=-1)
