"""A scan to the arrays of a views set: placed in the project's world and seen by its twelve cameras."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int32, UInt8

from turnaround.data.people import FIELDS
from turnaround.data.render import Picture, render, vertex_normals
from turnaround.data.scans.fitting import FittedBody
from turnaround.data.scans.scan import Scan, TexturedMesh, rest_pelvis
from turnaround.data.sets.folders import AZIMUTHS
from turnaround.models.body.model import BodyModel
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body, Camera

PHOTO_SIZE = 512  # pixels of the picture that is evaluated from
UPRIGHT = 0.2  # of the pelvis' forward direction, what must be level for a person to face anywhere


@dataclass(frozen=True)
class PlacedScan:
    """A scan in the project's world: the pelvis at the origin, y down, facing the camera of azimuth 0."""

    mesh: TexturedMesh
    body: Body


def place(scan: Scan, body: Body, model: BodyModel) -> PlacedScan:
    """Move the scan and its body into the world; both stay where they are to each other."""
    pelvis = (rest_pelvis(model, body) + body.transl).numpy().astype(np.float64)
    R = facing_camera(scan.up, axis_angle_to_matrix(body.global_orient).numpy()[:, 2])
    return PlacedScan(scan.mesh.moved(R, -pelvis), moved_body(body, model, R, -pelvis))


def moved_body(
    body: Body, model: BodyModel, R: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, "3"]
) -> Body:
    """The body after x -> R (x + shift); its pelvis is at J_0 + transl, so transl moves by more than that."""
    turn = torch.from_numpy(np.asarray(R, np.float32))
    rest = rest_pelvis(model, body)
    transl = turn @ (rest + body.transl + torch.from_numpy(np.asarray(shift, np.float32))) - rest
    orient = matrix_to_axis_angle(turn @ axis_angle_to_matrix(body.global_orient))
    return replace(body, global_orient=orient, transl=transl)


def facing_camera(up: Float[np.ndarray, "3"], forward: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """R_world_scan: the scan's up becomes -y, what is level of `forward` becomes -z (towards the camera).

    Somebody who lies on the floor faces nowhere; an arbitrary level direction is taken then.
    """
    y = -np.asarray(up, np.float64) / np.linalg.norm(up)
    level = forward - y * (forward @ y)
    if np.linalg.norm(level) < UPRIGHT:
        helper = np.eye(3)[np.abs(y).argmin()]
        level = helper - y * (helper @ y)
    z = -level / np.linalg.norm(level)
    return np.stack([np.cross(y, z), y, z])


def see(mesh: TexturedMesh, cameras: Camera, samples: int = 3) -> list[Picture]:
    """What cameras see of an unlit mesh: its texture holds the studio's light."""
    normals = vertex_normals(mesh.vertices, mesh.surface.faces)
    light = np.ones_like(mesh.vertices)
    return [
        render(mesh.surface, mesh.vertices, normals, light, K, T, cameras.width, samples=samples)
        for K, T in zip(cameras.K.numpy(), cameras.T_camera_world.numpy(), strict=True)
    ]


def scan_arrays(
    scan: Scan, fitted: FittedBody, model: BodyModel, meta: dict[str, Any], size: int, *, truth: bool
) -> dict[str, np.ndarray]:
    """The arrays of `data.sets.write_views` for a scan.

    Args:
        meta: what else is to be remembered about it.
        truth: add what only the evaluation reads: vertices, faces and the photo.
    """
    placed = place(scan, fitted.body, model)
    pictures = see(placed.mesh, orbit_cameras(AZIMUTHS, size))
    meta = meta | {
        "body_from": fitted.how,
        "body_to_scan_mm": round(fitted.off * 1000, 1),
        "cut_off": cut_off(pictures[0].alpha),
    }
    arrays = {
        "rgb": np.stack([picture.over_white() for picture in pictures]),
        "mask": np.stack([picture.alpha for picture in pictures]),
        "depth": np.stack([picture.depth for picture in pictures]).astype(np.float16),
        "normal": np.stack([np.rint(picture.normal * 127) for picture in pictures]).astype(np.int8),
        **camera_arrays(size),
        **body_arrays(placed.body, model, meta),
    }
    return arrays | (truth_arrays(placed.mesh) if truth else {})


def camera_arrays(size: int) -> dict[str, Float32[np.ndarray, "12 _ _"]]:
    """K and T_camera_world of the orbit, as sets of any cameras have them."""
    cameras = orbit_cameras(AZIMUTHS, size)
    return {"K": cameras.K.numpy().copy(), "T_camera_world": cameras.T_camera_world.numpy()}


def body_arrays(body: Body, model: BodyModel, meta: dict[str, Any]) -> dict[str, np.ndarray]:
    """What does not depend on the pictures."""
    with torch.no_grad():
        joints = model(body).joints.numpy().astype(np.float32)
    return {
        "azimuths": np.array(AZIMUTHS, np.float32),
        "joints": joints,
        "meta": np.array(json.dumps(meta)),
        **{f"body_{name}": getattr(body, name).numpy().astype(np.float32) for name in FIELDS},
    }


def truth_arrays(
    mesh: TexturedMesh,
) -> dict[str, Float32[np.ndarray, "v 3"] | Int32[np.ndarray, "f 3"] | UInt8[np.ndarray, "h w 4"]]:
    """The surface, and the picture that the pipeline is given."""
    camera = canonical_camera(PHOTO_SIZE)
    picture = see(mesh, replace(camera, K=camera.K[None], T_camera_world=camera.T_camera_world[None]))[0]
    photo = np.concatenate([picture.color, picture.alpha[..., None]], -1)
    return {"vertices": mesh.vertices, "faces": mesh.surface.faces, "photo": photo}


def cut_off(alpha: UInt8[np.ndarray, "h w"]) -> bool:
    """Whether the person reaches the border of the input view."""
    return bool(alpha[[0, -1]].any() or alpha[:, [0, -1]].any())
