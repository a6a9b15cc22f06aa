"""A sheet of photos with their bodies: photo, body before, body after, from the side, both hands and the face
close.

    turnaround run PHOTOS --work OLD --set stages.prepare.landmarks=none --until refine
    turnaround run PHOTOS --work NEW --until refine
    python -m benchmarks.photo_bodies --old OLD --new NEW --out docs/landmarks.jpg

Nothing is measured: the sheet is to be looked at.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from turnaround.models.body.model import BodyModel
from turnaround.models.body.skeleton import JOINT_INDEX
from turnaround.models.mesh.silhouette import normal_maps
from turnaround.pipeline.store.store import Record, Store
from turnaround.pipeline.values.camera import orbit_cameras, project, resize
from turnaround.pipeline.values.types import Body, Camera, View

TILE = 240  # pixels


def record(store: Store, subject: Path, stage: str) -> Record:
    """The current run of a stage; SystemExit where there is none."""
    link = next(iter(subject.glob(f"??_{stage}")), None)
    found = store.find(stage, link.resolve().name) if link is not None else None
    if found is None:
        raise SystemExit(f"{subject}: no finished stage {stage}")
    return found


def zoomed(camera: Camera, centre: torch.Tensor, side: float, size: int = TILE) -> Camera:
    """The camera that sees only a square of the picture (`centre`, `side` in pixels), at `size` pixels."""
    K = camera.K.clone()
    K[:2, 2] -= centre - side / 2
    K[:2] *= size / side
    return Camera(K, camera.T_camera_world, size, size)


def cut(view: View, centre: torch.Tensor, side: float) -> np.ndarray:
    """The same square of the view's picture, white beyond it."""
    left, top = (centre - side / 2).tolist()
    picture = Image.fromarray((view.image.numpy() * 255).astype(np.uint8))
    data = (side / TILE, 0, left, 0, side / TILE, top)
    fill = (255, 255, 255)
    tile = picture.transform(
        (TILE, TILE), Image.Transform.AFFINE, data, Image.Resampling.BICUBIC, fillcolor=fill
    )
    return np.asarray(tile, np.float32) / 255


def shaded(model: BodyModel, body: Body, camera: Camera, behind: np.ndarray | None) -> np.ndarray:
    """The body's surface, half transparent over a picture or alone over white."""
    batch = Camera(camera.K[None], camera.T_camera_world[None], camera.width, camera.height)
    normals = normal_maps(model(body).vertices, model.skin_faces.numpy(), batch)[0]
    towards = normals @ camera.T_camera_world[2, :3]
    seen = (normals.square().sum(-1, keepdim=True) > 0.25).numpy()
    shade = (0.35 + 0.65 * (-towards).clamp(0, 1))[..., None].numpy() * np.array([0.55, 0.8, 1.0])
    if behind is None:
        return np.where(seen, shade, 1.0)
    return np.where(seen, 0.35 * behind + 0.65 * shade, behind)


def row(model: BodyModel, old: Body, new: Body, view: View) -> np.ndarray:
    """The tiles of one photo."""
    camera = view.camera
    rows, columns = (view.mask > 0.5).any(1).nonzero()[:, 0], (view.mask > 0.5).any(0).nonzero()[:, 0]
    middle = torch.stack([columns[0] + columns[-1], rows[0] + rows[-1]]).float() / 2
    side = 1.08 * float(max(columns[-1] - columns[0], rows[-1] - rows[0]))
    photo, close = cut(view, middle, side), zoomed(camera, middle, side)
    tiles = [photo, shaded(model, old, close, photo), shaded(model, new, close, photo)]
    pelvis = model(new).joints[0]
    around = replace(new, transl=new.transl - pelvis)
    tiles.append(shaded(model, around, resize(orbit_cameras([90.0], TILE)[0], TILE), None))
    joints, _ = project(model(new).joints, camera)
    for name, share in (("right_middle1", 0.15), ("left_middle1", 0.15), ("head", 0.24)):
        centre = joints[JOINT_INDEX[name]].detach()
        tiles.append(
            shaded(model, new, zoomed(camera, centre, share * side), cut(view, centre, share * side))
        )
    return np.concatenate(tiles, 1)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--old", type=Path, required=True, help="work folder of the bodies before")
    parser.add_argument("--new", type=Path, required=True, help="work folder of the bodies after")
    parser.add_argument("--out", type=Path, required=True, help="picture to write")
    options = parser.parse_args()
    model, rows = BodyModel.shared(), []
    for subject in sorted(path for path in (options.new / "subjects").iterdir() if path.is_dir()):
        view = record(Store(options.new), subject, "prepare").load("view")
        places = ((options.old, options.old / "subjects" / subject.name), (options.new, subject))
        old, new = (record(Store(work), place, "refine").load("body") for work, place in places)
        with torch.no_grad():
            rows.append(row(model, old, new, view))
    sheet = Image.fromarray((np.concatenate(rows).clip(0, 1) * 255).astype(np.uint8))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(options.out, quality=82)


if __name__ == "__main__":
    main()
