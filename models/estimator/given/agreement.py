"""How far a given body is from the person in the view: from the landmarks where they are, else from the mask.

Thresholds are measured on 43 rendered people (docs/landmarks.md): true bodies lie .07 from their landmarks in
the median and .31 at most, the bodies of other people .47 in the median; read by rows instead of columns .51,
turned by 90 degrees .93, in degrees 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.landmarks.names import LIMBS, POSE_INDEX
from turnaround.pipeline.values.camera import DISTANCE
from turnaround.pipeline.values.types import Body, View

VISIBLE = 0.5
FEWEST = 5  # joints that must be seen: fewer say nothing
NEAREST = 0.3  # metres before the camera
GRID = 160  # cells on which outlines are compared
_CHAINS = (("shoulder", "elbow"), ("elbow", "wrist"), ("hip", "knee"), ("knee", "ankle"), ("shoulder", "hip"))
BONES = (
    *((f"{side}_{a}", f"{side}_{b}") for side in ("left", "right") for a, b in _CHAINS),
    ("left_shoulder", "right_shoulder"),
    ("left_hip", "right_hip"),
)
HIPS = [LIMBS.index("left_hip"), LIMBS.index("right_hip")]

Points = Float[np.ndarray, "12 2"]


# of a body that contradicts: by joints and bones alone, or with the outline, where nearly all joints are seen
FAR, TURNED = 0.3, 25.0
RATHER_TURNED, OUTLINE, MOST = 15.0, 0.6, 10
MASK_FAR = 0.75  # the same by the mask alone
JOINTS_GOOD, JOINTS_POOR = 0.17, 0.2
MASK_GOOD, MASK_POOR = 0.4, 0.5


@dataclass(frozen=True)
class Distance:
    """How far a body is from what the view shows: 0 fits, about 1 is as far as a body can be."""

    apart: float  # of the joints, as a share of how far they spread; or of the outlines, 1 - overlap
    turned: float | None = None  # mean angle between bones, degrees; None by the mask
    outline: float = 1.0  # overlap of the outlines, where the joints are far apart

    @property
    def fits(self) -> bool:
        """Whether the body is surely the person's."""
        return self.apart <= (MASK_GOOD if self.turned is None else JOINTS_GOOD)

    @property
    def poor(self) -> bool:
        """Whether something else may be meant."""
        return self.apart > (MASK_POOR if self.turned is None else JOINTS_POOR)

    @property
    def contradicts(self) -> bool:
        """Whether the body is surely another one's, or written in an unknown way."""
        if self.turned is None:
            return self.apart > MASK_FAR
        alone = self.apart > FAR and self.turned > TURNED
        return alone or (self.poor and self.turned > RATHER_TURNED and self.outline < OUTLINE)

    def __str__(self) -> str:
        if self.turned is None:
            return f"its outline overlaps the mask by {100 * (1 - self.apart):.0f} %"
        joints = f"its joints lie {100 * self.apart:.0f} % of their spread from the landmarks"
        return f"{joints}, its bones are turned by {self.turned:.0f} degrees"


@dataclass(frozen=True)
class Shown:
    """What the view shows of the person."""

    view: View
    points: Points | None  # landmarks of LIMBS, pixels; None: only the mask is known
    world: Float[np.ndarray, "12 3"]  # metres
    seen: Float[np.ndarray, "12"]  # 0 or 1

    def distance(self, model: BodyModel, body: Body, *, outline: bool = False) -> Distance:
        """Measure a body, wherever it stands and however large it is drawn.

        Args:
            outline: also that of one whose joints lie far from the landmarks.
        """
        if self.points is None:
            return Distance(1 - outline_overlap(model, body, self.view))
        joints = model.joints(body)[[JOINT_INDEX[name] for name in LIMBS]].double().numpy()
        centred = joints - joints[HIPS].mean(0)  # its own place before the camera may be anything
        flat = centred[:, :2] / np.maximum(centred[:, 2:] + DISTANCE, NEAREST)
        found = Distance(_apart(flat, self.points, self.seen), _turned(joints, self.world, self.seen))
        if not (outline and found.poor) or self.seen.sum() < MOST:
            return found
        return replace(found, outline=outline_overlap(model, body, self.view))


def shown(view: View, landmarks: Mapping[str, Any]) -> Shown:
    """Gather what is known of the person in the view.

    Args:
        landmarks: as `prepare` writes them, in pixels of the view.
    """
    rows = [POSE_INDEX[name] for name in LIMBS]
    nothing = Shown(view, None, np.zeros((12, 3)), np.zeros(12))
    if landmarks.get("source") == "none":
        return nothing
    pose, world = np.array(landmarks["pose"], float)[rows], np.array(landmarks["world"], float)[rows]
    seen = (pose[:, 3] > VISIBLE).astype(float)
    return nothing if seen.sum() < FEWEST else Shown(view, pose[:, :2], world, seen)


def _apart(flat: Points, points: Points, seen: Float[np.ndarray, "12"]) -> float:
    """Root mean square distance once place and size agree, of the landmarks' spread; at most 1."""
    share = seen[:, None] / seen.sum()
    a, b = flat - (share * flat).sum(0), points - (share * points).sum(0)
    scale = max(float((share * a * b).sum() / max((share * a * a).sum(), 1e-12)), 0.0)
    return float(np.sqrt((share * (scale * a - b) ** 2).sum() / max((share * b * b).sum(), 1e-12)))


def _turned(joints: np.ndarray, world: np.ndarray, seen: np.ndarray) -> float:
    """Mean angle in degrees between the body's bones and the landmarks' in space, of those that are seen."""
    angles = []
    for a, b in ((LIMBS.index(a), LIMBS.index(b)) for a, b in BONES):
        if seen[a] and seen[b]:
            u, v = joints[b] - joints[a], world[b] - world[a]
            cosine = u @ v / max(float(np.linalg.norm(u) * np.linalg.norm(v)), 1e-9)
            angles.append(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
    return float(np.mean(angles)) if angles else 0.0


def outline_overlap(model: BodyModel, body: Body, view: View) -> float:
    """Intersection over union of mask and body, once their boxes have one centre and one diagonal."""
    vertices = model(body).vertices.numpy()
    centred = vertices - vertices.mean(0)
    flat = centred[:, :2] / np.maximum(centred[:, 2:] + DISTANCE, NEAREST)
    rows, columns = (view.mask > 0.5).nonzero().numpy().T
    drawn = ndimage.binary_closing(_raster(flat), iterations=2)
    mask = _raster(np.stack([columns, rows], 1) + 0.5)
    return float((drawn & mask).sum() / max((drawn | mask).sum(), 1))


def _raster(points: Float[np.ndarray, "n 2"]) -> Bool[np.ndarray, "k k"]:
    """Points on a small grid, in whose middle their box lies with a diagonal of half its side."""
    low, high = points.min(0), points.max(0)
    scale = GRID / 2 / max(float(np.linalg.norm(high - low)), 1e-9)
    x, y = ((points - (low + high) / 2) * scale + GRID / 2).astype(int).clip(0, GRID - 1).T
    grid = np.zeros((GRID, GRID), bool)
    grid[y, x] = True
    return grid
