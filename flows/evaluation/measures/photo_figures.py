"""What is measured on a real photo, without a truth: how well body and Gaussians agree with the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.metrics.image import gradient_energy, iou, psnr, psnr_inside
from turnaround.models.metrics.texture import interior
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.camera import orbit_cameras, project, resize
from turnaround.pipeline.values.types import Body, Camera, Gaussians, View

SIZE = 1024  # pixels at which pictures are compared
UNIT = 256  # pixels of the view in which distances are told
VISIBLE = 0.5  # visibility above which a landmark counts
EDGE = 3 / 256  # of the width, within the outline, is no texture
SIDES = {"front": (0,), "side": (90, 270), "back": (180,)}  # azimuths, degrees
# joint -> landmark of BlazePose
LIMBS = {
    "left_shoulder": 11,
    "right_shoulder": 12,
    "left_elbow": 13,
    "right_elbow": 14,
    "left_wrist": 15,
    "right_wrist": 16,
    "left_hip": 23,
    "right_hip": 24,
    "left_knee": 25,
    "right_knee": 26,
    "left_ankle": 27,
    "right_ankle": 28,
}
Picture = Float[Tensor, "h w 3"]
Mask = Float[Tensor, "h w"]
Points = Mapping[str, tuple[float, float]]  # name -> x, y
Keypoints = Mapping[str, Sequence[float]]  # name -> x, y, confidence, in pixels of the view


@dataclass(frozen=True)
class LimbLandmarks:
    """Where the visible ones of the 12 limb joints are in a view, in its pixels, and who says so."""

    source: str  # blazepose, or estimate: the image estimator's keypoints, all of which count
    points: Points

    @staticmethod
    def of(keypoints: Keypoints, landmarks: Mapping[str, Any] | None, *, heard: bool = True) -> LimbLandmarks:
        """The landmarks to hold a body against.

        Args:
            keypoints: of `estimate`, in the body's own definition of joints, so that they go first.
            landmarks: of `prepare`, None where it has none: source ("blazepose" or "none") and pose, 33 x
                (x, y, z, visibility, presence). They say what is visible, and where what the keypoints lack
                is.
            heard: whether `estimate` took the landmarks; otherwise its keypoints are another network's, and
            do
                not count where there are landmarks.
        """
        pose = landmarks["pose"] if landmarks and landmarks["source"] != "none" else None
        own = keypoints if heard or pose is None else {}
        found: dict[str, tuple[float, float]] = {}
        for name, number in LIMBS.items():
            point = own.get(name) or (pose[number] if pose else None)
            if point and (pose is None or pose[number][3] > VISIBLE):
                found[name] = (float(point[0]), float(point[1]))
        return LimbLandmarks("estimate" if pose is None else "blazepose", found)


def landmark_px(joints: Float[Tensor, "55 3"], camera: Camera, points: Points) -> float | None:
    """Mean distance of the body's joints from the landmarks in pixels of a view of UNIT; None without any."""
    if not points:
        return None
    pixels, _ = project(joints[[JOINT_INDEX[name] for name in points]], camera)
    distance = (pixels - torch.tensor(list(points.values()))).norm(dim=-1)
    return distance.mean().item() * UNIT / camera.width


def body_iou(model: BodyModel, body: Body, view: View) -> float:
    """Intersection over union of the body's silhouette and the view's mask."""
    one = Camera(view.camera.K[None], view.camera.T_camera_world[None], view.camera.width, view.camera.height)
    faces = model.skin_faces.cpu().numpy().astype(np.int32)
    return iou(body_masks(model(body).vertices, faces, one)[0], view.mask).item()


def gaussians_iou(gaussians: Gaussians, view: View) -> float:
    """Intersection over union of the Gaussians' opacity and the view's mask."""
    return iou(rasterize_fine(gaussians, view.camera).alpha[0], view.mask).item()


def likeness(gaussians: Gaussians, sharp: View) -> dict[str, Any]:
    """front_psnr, front_psnr_person and sharpness against the photo's own view of SIZE pixels."""
    front = rasterize_fine(gaussians, resize(sharp.camera, SIZE))
    picture, region = front.rgb[0].clamp(0, 1), (sharp.mask > 0.5).float()
    azimuths = [a for name, some in SIDES.items() if name != "front" for a in some]
    turn = rasterize_fine(gaussians, orbit_cameras(azimuths, SIZE))
    shown = {0: (picture, front.alpha[0])}
    shown |= {a: (turn.rgb[k].clamp(0, 1), turn.alpha[k]) for k, a in enumerate(azimuths)}
    ratios = {a: sharpness_ratio(image, mask, sharp.image, sharp.mask) for a, (image, mask) in shown.items()}
    return {
        "front_psnr": psnr(picture, sharp.image).item(),
        "front_psnr_person": psnr_inside(picture, sharp.image, region).item(),
        "sharpness": {name: sum(ratios[a] for a in some) / len(some) for name, some in SIDES.items()},
    }


def sharpness_ratio(picture: Picture, mask: Mask, photo: Picture, photo_mask: Mask) -> float:
    """Gradient energy inside a picture's outline over that inside the photo's; 1 is as much detail."""
    edge = max(1, round(EDGE * len(photo)))
    energies = [gradient_energy(p, interior(m, edge)) for p, m in ((picture, mask), (photo, photo_mask))]
    return (energies[0] / energies[1]).item()
