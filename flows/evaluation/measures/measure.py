"""What is measured on one person: novel views, geometry, body. The view from behind is in backs.py, means in
summary.py."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from turnaround.data.sets.folders import AZIMUTHS
from turnaround.flows.evaluation.suite import TestPerson
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.models.metrics import body as body_metrics
from turnaround.models.metrics import image as image_metrics
from turnaround.models.metrics import mesh as mesh_metrics
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, Gaussians, Mesh

BACK = AZIMUTHS.index(180)
# the azimuths of the report's columns; "all" is everything but the input
SPLITS = {
    "all": tuple(a for a in AZIMUTHS if a != 0),
    "input": (0,),
    "front": (30, 60, 300, 330),
    "side": (90, 270),
    "back": (120, 150, 180, 210, 240),
}
HGM_VIEWS = (0, 90, 180, 270)  # the released script's views, the input among them
Joints = Float[Tensor, "55 3"]  # metres
Pictures = tuple[Float[Tensor, "12 h w 3"], Float[Tensor, "12 h w"]]


def render_turn(gaussians: Gaussians, size: int) -> Pictures:
    """Pictures over white and soft masks from the suite's twelve cameras."""
    out = rasterize_fine(gaussians, orbit_cameras(AZIMUTHS, size))
    return out.rgb.clamp(0, 1), out.alpha


def novel_views(pictures: Pictures, person: TestPerson) -> dict[str, dict[str, float | None]]:
    """psnr, ssim, lpips, iou and psnr_person, for each split."""
    images, masks = pictures
    lpips = image_metrics.lpips(images, person.images)
    per_view = {
        "psnr": image_metrics.psnr(images, person.images),
        "ssim": image_metrics.ssim(images, person.images),
        "lpips": lpips,
        "iou": image_metrics.iou(masks, person.masks),
        "psnr_person": image_metrics.psnr_inside(images, person.images, torch.maximum(masks, person.masks)),
    }
    chosen = {split: [AZIMUTHS.index(a) for a in azimuths] for split, azimuths in SPLITS.items()}
    return {
        split: {
            name: None if values is None else values[views].mean().item() for name, values in per_view.items()
        }
        for split, views in chosen.items()
    }


def hgm_protocol(pictures: Pictures, person: TestPerson) -> dict[str, float | None]:
    """The released HGM script's figures: four views, the input among them, over the full frame.

    `psnr` is the mean over views, `psnr_pooled` of their pooled squared error as in the script; MS-SSIM has
    its range of 2 (pictures of 176 pixels at least) and LPIPS its input in [0, 1]. Both look better than by
    the usual definitions.
    """
    views = [AZIMUTHS.index(a) for a in HGM_VIEWS]
    images, truth = pictures[0][views], person.images[views]
    lpips = image_metrics.lpips(images, truth, normalize=False)
    return {
        "psnr": image_metrics.psnr(images, truth).mean().item(),
        "psnr_pooled": image_metrics.psnr_pooled(images, truth),
        "ms_ssim_range2": image_metrics.ms_ssim(images, truth).mean().item() if person.size >= 176 else None,
        "lpips_range1": None if lpips is None else lpips.mean().item(),
    }


def geometry(mesh: Mesh, truth: mesh_metrics.Surface) -> dict[str, dict[str, float]]:
    """Distances in centimetres as predicted and after rigid and similarity ICP."""
    return mesh_metrics.evaluate_mesh(
        mesh_metrics.sample_surface(mesh.vertices.numpy(), mesh.faces.numpy()), truth
    )


def true_surface(person: TestPerson) -> mesh_metrics.Surface:
    """Samples of the dressed person."""
    return mesh_metrics.sample_surface(person.vertices, np.asarray(person.faces, np.int64), seed=1)


@runtime_checkable
class Posed(Protocol):
    """Whoever has a true body."""

    @property
    def joints(self) -> Tensor:
        """(55, 3) in metres."""
        ...

    @property
    def body(self) -> Body:
        """Its parameters."""
        ...


def body_errors(initial: Joints, refined: Joints, person: Posed) -> dict[str, Any]:
    """Joint errors before and after refinement, millimetres.

    `per_joint_mm` has each of the 22 joints' share of MPJPE, `hands_mm` is of the refined body's finger
    joints relative to their wrists.
    """
    errors: dict[str, Any] = {}
    by_joint: dict[str, Any] = {}
    for name, joints in (("initial", initial), ("refined", refined)):
        errors[f"mpjpe_{name}_mm"] = body_metrics.mpjpe_mm(joints, person.joints)
        errors[f"pa_mpjpe_{name}_mm"] = body_metrics.pa_mpjpe_mm(joints, person.joints)
        errors[f"pelvis_{name}_mm"] = body_metrics.pelvis_mm(joints, person.joints)
        errors[f"hands_{name}_mm"] = body_metrics.hands_mm(joints, person.joints)
        by_joint[name] = dict(
            zip(JOINT_NAMES, body_metrics.joint_errors_mm(joints, person.joints).tolist(), strict=False)
        )
    return {**errors, "hands_mm": errors["hands_refined_mm"], "per_joint_mm": by_joint}


def pose_errors(initial: Body, refined: Body, person: Posed) -> dict[str, float]:
    """Mean angle of the 21 body joints to the true ones, degrees; `angle_deg` is the refined body's."""
    truth = person.body.body_pose
    before, after = (body_metrics.angle_deg(body.body_pose, truth) for body in (initial, refined))
    return {"angle_initial_deg": before, "angle_refined_deg": after, "angle_deg": after}


def posed_errors(model: BodyModel, initial: Body, refined: Body, person: Posed) -> dict[str, Any]:
    """`body_errors` and `pose_errors` of two bodies."""
    joints = [model(body).joints.detach() for body in (initial, refined)]
    return body_errors(joints[0], joints[1], person) | pose_errors(initial, refined, person)


def resized(image: Float[Tensor, "h w c"], size: int) -> Float[Tensor, "s s c"]:
    """The picture at another size, without aliasing."""
    if image.shape[0] == size:
        return image
    channels = image.movedim(-1, 0)[None]
    return (
        F.interpolate(channels, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        .movedim(0, -1)
        .clamp(0, 1)
    )
