"""MediaPipe Face Mesh: 468 points of a face that looks at the camera.

Kartynnik et al. 2019 (arXiv 1907.06724). The detector also fires on hair and on backs of heads; the mesh
network's own flag tells, and so do shoulders that are seen from behind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from turnaround.models.landmarks.detector import FACE, Detection
from turnaround.models.landmarks.interpreter import load_network
from turnaround.models.landmarks.names import POSE_INDEX
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Picture, Region, sigmoid, upward_angle

COUNT = 468
SIZE = 192  # pixels of the network's input
LEAST = 0.5  # flag of a face that is believed
SIDES = ("left", "right")
OUTER_EYES = (33, 263)  # of the right and the left eye
SMALLEST = 10.0  # pixels of the photo


@dataclass(frozen=True)
class Face:
    """Landmarks of one face in the photo."""

    points: Float[np.ndarray, "468 3"]  # pixels of the photo; z grows away from the camera, 0 mid-face
    flag: float  # probability of a face
    region: Region

    @property
    def xy(self) -> Float[np.ndarray, "468 2"]:
        """Pixels of the photo."""
        return self.points[:, :2]


def find_face(picture: Picture, pose: Pose) -> Face | None:
    """Find the face of a person; None where it is turned away, hidden or too small."""
    if seen_from_behind(pose):
        return None
    place = head_region(pose)
    if place.side < SMALLEST:
        return None
    found = FACE.find(picture, place, least=0.3)
    region = face_region(found[0]) if found else _eyes_region(pose)
    face = look(picture, region)
    face = look(picture, mesh_region(face)) if face.flag >= LEAST else face
    return face if face.flag >= LEAST and _on_head(face, pose, place) else None


def look(picture: Picture, region: Region) -> Face:
    """Run the network on a region once."""
    outputs = load_network("face_landmark")(picture.cut(region, SIZE))
    values = next(value for value in outputs.values() if value.size == 3 * COUNT)
    flag = next(value for value in outputs.values() if value.size == 1)
    points = values.reshape(COUNT, 3).astype(np.float64) / SIZE
    points = np.concatenate([region.to_picture(points[:, :2]), points[:, 2:] * region.side], 1)
    return Face(points, float(sigmoid(flag.reshape(1))[0]), region)


def seen_from_behind(pose: Pose) -> bool:
    """Tell whether shoulders and hips lie as those of a person seen from behind: the left ones on the left.

    Left and right are the region's, in which the person stands upright however they lie in the photo.
    """
    points = pose.region.from_picture(pose.xy)
    lefts, rights = (points[[POSE_INDEX[f"{side}_shoulder"], POSE_INDEX[f"{side}_hip"]], 0] for side in SIDES)
    shoulders, hips = (lefts - rights).tolist()
    return shoulders < -0.02 and shoulders + hips < -0.03


def head_region(pose: Pose) -> Region:
    """Place a square about the head by the body's points of the face and the shoulders' width."""
    points = pose.xy[:11]
    centre, extent = points.mean(0), float(np.ptp(points, axis=0).max())
    left, right = (pose.xy[POSE_INDEX[f"{side}_shoulder"]] for side in SIDES)
    shoulders = float(np.hypot(*(left - right)))
    return Region(float(centre[0]), float(centre[1]), max(3 * extent, 1.2 * shoulders), pose.region.angle)


def face_region(detection: Detection) -> Region:
    """Place a region on a detected face, whose first two points are the right and the left eye."""
    middle = detection.corners.mean(0)
    angle = upward_angle(detection.points[0], detection.points[1]) - np.pi / 2
    return Region(float(middle[0]), float(middle[1]), 1.5 * detection.side, float(angle))


def mesh_region(face: Face) -> Region:
    """Place the region of a second pass: the mesh's box along the eyes, half as large again."""
    right, left = face.xy[list(OUTER_EYES)]
    turned = Region(0.0, 0.0, 1.0, float(upward_angle(right, left) - np.pi / 2))
    box = face.xy @ turned.axes
    low, high = box.min(0), box.max(0)
    x, y = turned.axes @ ((low + high) / 2)
    return Region(float(x), float(y), 1.5 * max(float((high - low).max()), 1.0), turned.angle)


def _eyes_region(pose: Pose) -> Region:
    """Where the detector finds nothing: about the body's own points of the face."""
    points = pose.xy[:11]
    centre, extent = points.mean(0), float(np.ptp(points, axis=0).max())
    return Region(float(centre[0]), float(centre[1]), 2.2 * max(extent, 1.0), pose.region.angle)


def _on_head(face: Face, pose: Pose, place: Region) -> bool:
    """Whether the mesh lies where the body has its head: no other person's face."""
    distance = np.hypot(*(face.xy.mean(0) - pose.xy[:11].mean(0)))
    return bool(distance <= 0.35 * place.side)
