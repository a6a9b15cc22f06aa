"""Stages whose outcome is known, for the evaluation of bodies."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from turnaround.flows.evaluation.measures import photo_figures
from turnaround.flows.evaluation.measures.mirrored import mirrored_body
from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_NAMES
from turnaround.models.estimator.given.body_file import read_body
from turnaround.models.matting.cutout import cut_square, frame_square
from turnaround.models.mesh.silhouette import body_masks
from turnaround.models.mesh.view import mesh_pictures
from turnaround.pipeline.photos.photo import decode, decode_mask
from turnaround.pipeline.stage import Stage, StageConfig, StageError, Trace
from turnaround.pipeline.values.camera import canonical_camera, project
from turnaround.pipeline.values.types import Body, Camera, Gaussians, Mesh, View

SIZE = 128


def lopsided() -> Body:
    """Somebody whom no mirror image equals: one arm down, the head and the hips turned."""
    pose = torch.zeros(21, 3)
    pose[15, 2], pose[17, 1], pose[14, 1], pose[0, 0] = -1.1, -0.5, 0.4, -0.3
    hand = 0.2 * torch.randn(15, 3, generator=torch.Generator().manual_seed(0))
    orient, transl = torch.tensor([torch.pi, 0.1, 0.0]), torch.tensor([0.12, 0.25, 0.0])
    placed = dataclasses.replace(Body.neutral(), global_orient=orient, transl=transl)
    return dataclasses.replace(placed, body_pose=pose, left_hand_pose=hand)


def batched(camera: Camera) -> Camera:
    return Camera(camera.K[None], camera.T_camera_world[None], camera.width, camera.height)


def silhouette(model: BodyModel, body: Body, camera: Camera) -> torch.Tensor:
    return body_masks(model(body).vertices, model.skin_faces.numpy().astype(np.int32), batched(camera))[0]


def rgba(model: BodyModel, body: Body, size: int) -> np.ndarray:
    """The body's normals as a cut-out, u8: a picture with some texture."""
    camera = canonical_camera(size)
    vertices = model(body).vertices
    mesh = Mesh(vertices, model.skin_faces, torch.zeros_like(vertices))
    colors = mesh_pictures(mesh, batched(camera), "normals")[0]
    alpha = silhouette(model, body, camera)
    return (torch.cat([colors, alpha[..., None]], -1) * 255).round().byte().numpy()


def write_photo(file: Path, model: BodyModel, body: Body, size: int = 128) -> Path:
    Image.fromarray(rgba(model, body, size)).save(file)
    return file


def splats(model: BodyModel, body: Body) -> Gaussians:
    vertices = model(body).vertices.detach()
    n = len(vertices)
    quats, scales = torch.tensor([[1.0, 0, 0, 0]]).expand(n, 4), torch.full((n, 3), 0.006)
    return Gaussians(vertices, quats, scales, torch.full((n,), 0.95), torch.full((n, 3), 0.4))


def body_stages(truth: Body) -> tuple[type[Stage[Any]], ...]:
    """prepare, estimate, refine and fuse.

    The estimate is `truth` or its mirror image, whichever covers the mask, bent; `refine` straightens it.
    """
    model = BodyModel.load()

    class PrepareConfig(StageConfig):
        size: int = Field(SIZE, description="pixels")
        framing: str = Field("auto", description="taken as frame")
        allow_truncated: bool = Field(False, description="taken as true")

    class Prepare(Stage[PrepareConfig]):
        name, version = "prepare", 1
        needs = {"image": "photo.image", "mask": "photo.mask"}
        Config = PrepareConfig

        class Outputs(NamedTuple):
            view: View

        def run(self, *, device: Any, image: bytes, mask: bytes | None) -> Outputs:
            pixels, alpha = decode(image, "photo")
            if mask is not None:
                alpha = decode_mask(mask, "mask", pixels.shape[:2])
            if alpha is None:  # a photo's: everything that is not its corner's colour
                alpha = (np.abs(pixels - pixels[0, 0]).max(-1) > 0.1).astype(np.float32)
            if alpha.mean() < 0.005:
                raise StageError("no person was found")
            square = frame_square(pixels.shape)
            colors, soft = cut_square(pixels, alpha, square, self.config.size, straight=True)
            white = colors * soft[..., None] + 1 - soft[..., None]
            return self.Outputs(View(white, soft, canonical_camera(self.config.size)))

    class Estimate(Stage[StageConfig]):
        name, version = "estimate", 1
        needs = {"view": "prepare.view", "given": "photo.body"}

        class Outputs(NamedTuple):
            body: Body
            keypoints: Trace

        def run(self, *, device: Any, view: View, given: bytes | None) -> Outputs:
            known = [truth, mirrored_body(truth)]
            covered = [(silhouette(model, body, view.camera) - view.mask).abs().mean() for body in known]
            body = known[int(torch.stack(covered).argmin())] if given is None else read_body(given)[0]
            pixels, _ = project(model(body).joints, view.camera)
            limbs = {name: pixels[JOINT_NAMES.index(name)].tolist() for name in photo_figures.LIMBS}
            keypoints = {name: [*point, 0.3] for name, point in limbs.items()}
            return self.Outputs(dataclasses.replace(body, body_pose=body.body_pose + 0.1), keypoints)

    class Refine(Stage[StageConfig]):
        name, version = "refine", 1
        needs = {"view": "prepare.view", "body": "estimate.body"}

        class Outputs(NamedTuple):
            body: Body
            trace: Trace

        def run(self, *, device: Any, view: View, body: Body) -> Outputs:
            straight = dataclasses.replace(body, body_pose=body.body_pose - 0.1)
            return self.Outputs(straight, {"poor_fit": []})

    class Fuse(Stage[StageConfig]):
        name, version = "fuse", 1
        needs = {"body": "refine.body"}

        class Outputs(NamedTuple):
            gaussians: Gaussians

        def run(self, *, device: Any, body: Body) -> Outputs:
            return self.Outputs(splats(model, body))

    return Prepare, Estimate, Refine, Fuse
