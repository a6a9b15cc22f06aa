"""Small datasets in the published layouts, made of a posed free body: its SMPL-X parameters fit it
exactly."""

from __future__ import annotations

import dataclasses
import json
import pickle
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from turnaround.data.scans.parameters import HandSpace
from turnaround.models.body.model import FREE_BODY, BodyModel
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

SCALE, SHIFT = 0.45, np.array([0.1, -0.2, 0.3])  # of the THuman2 scans' own units
ROOM = np.array(
    [[1, 0, 0], [0, -0.96, 0.28], [0, -0.28, -0.96]]
)  # R_kinect_scan: y down, pitched by 16 degrees


def person(seed: int, orient: tuple[float, float, float] = (0.0, 0.6, 0.0), hands: float = 0.0) -> Body:
    """A body as SMPL-X has it: y up, facing +z when not turned, at SMPL-X's origin; hands 1 is the mean
    hand."""
    generator = torch.Generator().manual_seed(seed)
    pose = 0.12 * torch.randn(21, 3, generator=generator)
    pose[15, 2], pose[16, 2] = -0.9, 0.9  # arms down
    mean = torch.from_numpy(hands * HandSpace.of(FREE_BODY).mean).float().reshape(2, 15, 3)
    return dataclasses.replace(
        Body.neutral(),
        left_hand_pose=mean[0],
        right_hand_pose=mean[1],
        betas=0.4 * torch.randn(10, generator=generator),
        body_pose=pose,
        global_orient=torch.tensor(orient),
    )


def vertices_of(model: BodyModel, body: Body) -> np.ndarray:
    with torch.no_grad():
        return model(body).vertices.numpy().astype(np.float64)


def write_obj(file: Path, model: BodyModel, vertices: np.ndarray, texture: str | None) -> None:
    """The body with its texture coordinates; None: without a material."""
    assert model.uv is not None
    vt, ft = (array.numpy() for array in model.uv)
    lines = [f"mtllib {file.stem}.mtl", "usemtl skin"] if texture else []
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in vt]
    faces = np.stack([model.faces.numpy(), ft], -1).reshape(-1, 6) + 1
    lines += ["f {}/{} {}/{} {}/{}".format(*face) for face in faces]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n")
    if texture:
        file.with_suffix(".mtl").write_text(f"newmtl skin\nmap_Kd {texture}\n")


def texture(seed: int = 0, size: int = 64) -> Image.Image:
    rng = np.random.default_rng(seed)
    patches = rng.integers(30, 220, (8, 8, 3)).astype(np.uint8)
    return Image.fromarray(patches).resize((size, size), Image.Resampling.NEAREST)


def smplx_fields(body: Body, **more: np.ndarray) -> dict[str, np.ndarray]:
    """What THuman2's pickles hold: a batch of one, hands as 12 coefficients."""
    names = ("betas", "expression", "global_orient", "jaw_pose", "leye_pose", "reye_pose")
    fields = {name: getattr(body, name).numpy()[None] for name in names}
    hands = {f"{side}_hand_pose": np.zeros((1, 12), np.float32) for side in ("left", "right")}
    return fields | hands | {"body_pose": body.body_pose.numpy().reshape(1, 63)} | more


def write_pickle(file: Path, value: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(pickle.dumps(value))


def write_thuman2(
    root: Path,
    model: BodyModel,
    name: str,
    body: Body,
    *,
    mesh: bool = False,
    axes: tuple[int, int, int] = (0, 1, 2),
) -> None:
    vertices = vertices_of(model, body) * SCALE + SHIFT
    scan = np.empty_like(vertices)
    scan[:, axes] = vertices
    write_obj(root / name / f"{name}.obj", model, scan, None)
    texture().save(root / name / "material0.jpeg", quality=95)
    fields = smplx_fields(body, scale=np.array([SCALE], np.float32), translation=SHIFT.astype(np.float32))
    write_pickle(root / "smplx" / name / "smplx_param.pkl", fields)
    if mesh:
        write_obj(root / "smplx" / name / "mesh_smplx.obj", model, vertices, None)


def write_custom_humans(root: Path, model: BodyModel, name: str, body: Body, unit: float = 1.0) -> None:
    """Not turned, the pelvis at the origin."""
    body = dataclasses.replace(body, global_orient=torch.zeros(3))
    with torch.no_grad():
        pelvis = model(body).joints[0].numpy()
    stem = "mesh-f00021"
    write_obj(
        root / "mesh" / name / f"{stem}.obj", model, (vertices_of(model, body) - pelvis) * unit, f"{stem}.png"
    )
    texture().save(root / "mesh" / name / f"{stem}.png")
    fields = {key: value[0].tolist() for key, value in smplx_fields(body).items() if key != "global_orient"}
    file = root / "smplx" / name / f"{stem}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(fields))


def write_humman(root: Path, model: BodyModel, sequence: str, frame: str, body: Body) -> None:
    """The person 2.5 m before Kinect 0; three Kinects around them that pitch alike."""
    place = np.array([0.1, 0.4, 2.5])
    vertices = vertices_of(model, body) @ ROOM.T + place
    folder = root / sequence
    write_obj(folder / "textured_meshes" / f"{frame}.obj", model, vertices, f"{frame}_0.png")
    texture().save(folder / "textured_meshes" / f"{frame}_0.png")
    orient = matrix_to_axis_angle(torch.from_numpy(ROOM).float() @ axis_angle_to_matrix(body.global_orient))
    pose = np.concatenate([body.body_pose.numpy().reshape(-1), np.zeros(6)]).astype(np.float32)
    (folder / "smpl_params").mkdir(parents=True, exist_ok=True)
    values = {
        "betas": np.ones(10, np.float32),
        "body_pose": pose,
        "global_orient": orient.numpy(),
        "transl": place.astype(np.float32),
    }
    np.savez(folder / "smpl_params" / f"{frame}.npz", **values)  # type: ignore[arg-type]
    around = [
        axis_angle_to_matrix(torch.tensor([0.0, angle, 0.0])).double().numpy()
        for angle in (0.0, 2 * np.pi / 3, 4 * np.pi / 3)
    ]
    cameras = {
        f"kinect_color_{k:03d}": {
            "K": np.eye(3).tolist(),
            "R": (ROOM @ turn @ ROOM.T).tolist(),
            "T": [0, 0, 0],
        }
        for k, turn in enumerate(around)
    }
    (folder / "cameras.json").write_text(json.dumps(cameras))
