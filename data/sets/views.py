"""Many views of one posed person with everything that is known about them: colours, masks, depth, normals,
part ids, cameras."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from turnaround.data.clothes.base_mesh import rotation_matrices
from turnaround.data.clothes.closet import Closet
from turnaround.data.clothes.parts import BODY_PARTS, ROLES
from turnaround.data.clothes.wardrobe import Split
from turnaround.data.people import Figure, Variety, default_variety, pose_person, sample_person, upright
from turnaround.data.poses.everyday import sample_pose
from turnaround.data.poses.variety import sample_varied_pose
from turnaround.data.scenes.lights import sample_lights
from turnaround.data.sets.archive import save_npz
from turnaround.data.sets.distribution import EVERYTHING, Distribution
from turnaround.data.sets.meshes import write_glb
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.camera import DISTANCE, FOCAL, orbit_cameras

AZIMUTHS = tuple(range(0, 360, 30))
VIEW_SIZE = 256


@dataclass(frozen=True)
class ViewOptions:
    """How the people of a views set are seen."""

    size: int = VIEW_SIZE  # pixels
    variety: Variety | None = None  # see `figure_for_views`
    azimuths: int = len(AZIMUTHS)  # cameras of a ring, evenly about the person from azimuth 0 on
    elevations: tuple[float, ...] = (
        0.0,
    )  # degrees of each ring, positive from above; models read a level ring of twelve first
    meshes: bool = False  # a textured GLB beside each person
    people: Distribution = EVERYTHING

    def __post_init__(self) -> None:
        if self.azimuths < 1 or not self.elevations or any(abs(angle) >= 90 for angle in self.elevations):
            raise CallError(
                f"{self.azimuths} views at elevations {self.elevations}: expected at least one, within -89 "
                f"to 89 degrees"
            )


def figure_for_views(
    seed: int,
    split: Split,
    closet: Closet | None = None,
    variety: Variety | None = None,
    people: Distribution = EVERYTHING,
) -> Figure:
    """The person of `seed`, posed and lit as in a views set; people for testing stand exactly at the origin.

    Args:
        variety: see `sample_person`; "full" also draws from all the poses of data/poses/variety.py.
        people: poses and clothes that the person is of, where not all are wanted.
    """
    full = (variety or default_variety(split)) == "full"
    person = sample_person(seed, split, closet or people.closet(split), variety)
    rng = np.random.default_rng([seed, 2])
    pose, root, kind = sample_pose(rng), np.zeros(3, np.float32), "everyday"
    yaw = np.clip(rng.normal(0, np.radians(13)), -np.radians(45), np.radians(45))
    lean = rng.normal(0, np.radians(3), 3)
    pelvis = np.zeros(3) if split == "test" else rng.normal(0, (0.015, 0.015, 0.03))
    light = sample_lights(rng)
    if people.poses == "unusual" or (full and people.poses == "all"):
        varied = sample_varied_pose(np.random.default_rng([seed, 12]), everyday=people.everyday)
        pose, root, kind = varied.parameters, varied.root, varied.kind
    return replace(
        pose_person(person, pose, upright(yaw, lean) @ rotation_matrices(root[None])[0], pelvis, light),
        kind=kind,
    )


def write_views(path: Path, seed: int, split: Split, options: ViewOptions) -> None:
    """One person from rings of cameras around them; 12 level ones are measuring.md's protocol."""
    figure = figure_for_views(seed, split, variety=options.variety, people=options.people)
    if options.meshes:
        write_glb(figure, path.with_suffix(".glb"))
    save_npz(
        path,
        seen(
            figure,
            options,
            {"seed": seed, "split": split, "variety": options.variety or default_variety(split)}
            | ({} if options.people == EVERYTHING else {"people": asdict(options.people)}),
        ),
        level=1,
    )


def seen(figure: Figure, options: ViewOptions, about: dict[str, Any]) -> dict[str, np.ndarray]:
    """The arrays of a views file: pictures (n,s,s,...), cameras, joints, body, and `meta`, JSON with `about`
    in it."""
    azimuths = np.arange(options.azimuths) * (360.0 / options.azimuths)
    elevations = np.repeat(np.array(options.elevations, np.float32), options.azimuths)
    azimuths = np.tile(azimuths, len(options.elevations))
    if options.people.pitch:
        around = np.random.default_rng([about.get("seed", 0), 14]).uniform(-1, 1, len(elevations))
        elevations = (elevations + options.people.pitch * around).astype(np.float32)
    cameras = orbit_cameras(azimuths.tolist(), options.size, elevation=elevations.tolist())
    K, T = cameras.K.numpy(), cameras.T_camera_world.numpy()
    pictures = [figure.seen_from(k, t, options.size) for k, t in zip(K, T, strict=True)]
    return {
        "rgb": np.stack([picture.over_white() for picture in pictures]),
        "mask": np.stack([picture.alpha for picture in pictures]),
        "depth": np.stack([picture.depth for picture in pictures]).astype(np.float16),
        "normal": np.stack([np.rint(picture.normal * 127) for picture in pictures]).astype(np.int8),
        "part": np.stack([picture.part for picture in pictures]),
        "azimuths": azimuths.astype(np.float32),
        "elevations": elevations,
        "K": K.astype(np.float32),
        "T_camera_world": T.astype(np.float32),
        "joints": figure.joints,
        "meta": np.array(json.dumps({**about, **_meta(figure, options)})),
        **{f"body_{name}": value for name, value in figure.body.items()},
    }


def _meta(figure: Figure, options: ViewOptions) -> dict[str, Any]:
    person, lamps = figure.person, figure.lamps
    rest = person.base.shape(person.betas, person.expression)[person.base.surface, 1]
    colors = [np.round(color, 3).tolist() for color in (lamps.sky, lamps.ground)]
    light = {"sky": colors[0], "ground": colors[1], "exposure": round(lamps.exposure, 3)}
    light |= {
        "directions": np.round(lamps.directions, 3).tolist(),
        "colors": np.round(lamps.colors, 3).tolist(),
    }
    camera = {
        "focal": FOCAL,
        "distance": DISTANCE,
        "azimuths": options.azimuths,
        "elevations": list(options.elevations),
    }
    return {
        "size": options.size,
        "items": list(person.items),
        "outfit": list(person.outfit),
        "pose": figure.kind,
        "height": round(float(np.ptp(rest)), 3),
        "light": light,
        "camera": camera,
        "parts": {"body": list(BODY_PARTS), "roles": list(ROLES), "id": "16 * role + body"},
    }
