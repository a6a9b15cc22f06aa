"""People for the Human Gaussian Model: views from disk, turned to the chosen input view, and noisy bodies."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.inputs import HGMInput, assemble, unpremultiply
from turnaround.models.hgm.surface import BodySurface
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body, Camera

VIEWS = 12  # thirty degrees apart
BACK = VIEWS // 2
LIMBS = (0, 1, 3, 4, 15, 16, 17, 18)  # hips, knees, shoulders, elbows in `body_pose`
PLAIN_NOISE = 0.25  # share of bodies with random noise where estimates are at hand
BLEND = (0.1, 1.1)  # share of an estimate's error that is left: refinement takes some of it away


@dataclass(frozen=True)
class Example:
    """One person: what the model reads and the pictures that it is held against."""

    inputs: HGMInput
    cameras: Camera  # of the supervised views, in the input's world
    rgb: Float[Tensor, "v s s 3"]
    mask: Float[Tensor, "v s s"]
    depth: Float[Tensor, "w s s"]  # of the input views, metres, 0 where nothing is


class PeopleViews:
    """A folder of the "views" set: one .npz a person (see data/README of the generator)."""

    def __init__(
        self,
        folder: Path,
        body_model: BodyModel,
        surface: BodySurface,
        *,
        limit: int | None = None,
        estimates: Path | None = None,
    ) -> None:
        self.files = sorted(Path(folder).glob("*.npz"))[:limit]
        if not self.files:
            raise MissingFile(
                f"no people in {folder}: make them with `turnaround data people --kind views --out {folder}`"
            )
        self.body_model, self.surface, self.estimates = body_model, surface, estimates
        names = [file.name for file in self.files]
        missing = [name for name in names if estimates is not None and not (estimates / name).is_file()]
        if missing:
            raise MissingFile(
                f"{estimates} lacks {len(missing)} estimates, the first {missing[0]}: make them with "
                f"`python -m turnaround.models.hgm.training.estimates --data {folder} --out {estimates}`"
            )

    def __len__(self) -> int:
        return len(self.files)

    def person(self, index: int) -> dict[str, np.ndarray]:
        """Arrays of one person."""
        return _read(self.files[index])

    def example(
        self,
        index: int,
        rng: np.random.Generator,
        *,
        turn: int,
        inputs: int,
        supervised: list[int],
        noise: float,
        with_body: bool,
        back: Float[Tensor, "s s 4"] | None = None,
    ) -> Example:
        """One person seen from stored view `turn` as the input.

        Args:
            turn: index of the stored view that becomes azimuth 0.
            inputs: 1 (front) or 2 (front and back).
            supervised: azimuths, in steps of 30 degrees from the input.
            noise: of the body, see `noisy_body`; with `estimates`, most bodies are a blend of the true and
                the estimated one.
            with_body: whether the model is given a body at all.
            back: replaces the true back view: RGB over white, and mask.
        """
        arrays = self.person(index)
        size = arrays["rgb"].shape[1]
        chosen = [0, BACK][:inputs]
        rgb, mask = self._pictures(arrays, [(turn + k) % VIEWS for k in chosen])
        if back is not None and inputs == 2:
            color, alpha = back.split((3, 1), -1)
            rgb[1], mask[1] = color, alpha[..., 0]
        vertices = None
        if with_body:
            vertices = self._vertices(index, turn, turned_body(arrays, turn, self.body_model), rng, noise)
        cameras = [canonical_camera(size), orbit_cameras([180.0], size)[0]][:inputs]
        colors = torch.stack(
            [unpremultiply(i.permute(2, 0, 1), m[None]) for i, m in zip(rgb, mask, strict=True)]
        )
        given = assemble(colors, mask[:, None], cameras, vertices, self.body_model, self.surface)
        truth, truth_mask = self._pictures(arrays, [(turn + k) % VIEWS for k in supervised])
        depth = torch.from_numpy(arrays["depth"][[(turn + k) % VIEWS for k in chosen]].astype(np.float32))
        return Example(given, orbit_cameras([30.0 * k for k in supervised], size), truth, truth_mask, depth)

    @torch.no_grad()
    def _vertices(
        self, index: int, turn: int, true: Body, rng: np.random.Generator, noise: float
    ) -> Float[Tensor, "n 3"]:
        """Posed vertices with the error of an estimate, or with plain noise."""
        if self.estimates is None or rng.random() < PLAIN_NOISE:
            return self.body_model(noisy_body(true, rng, noise)).vertices
        with np.load(self.estimates / self.files[index].name, allow_pickle=False) as stored:
            row = stored["turns"].tolist().index(turn % VIEWS)
            found = Body(**{f.name: torch.from_numpy(stored[f.name][row]) for f in dataclasses.fields(Body)})
        exact, estimated = self.body_model(true).vertices, self.body_model(found).vertices
        return exact + float(rng.uniform(*BLEND)) * (estimated - exact)

    @staticmethod
    def _pictures(arrays: dict[str, np.ndarray], views: list[int]) -> tuple[Tensor, Tensor]:
        return torch.from_numpy(arrays["rgb"][views]).float() / 255, torch.from_numpy(
            arrays["mask"][views]
        ).float() / 255


@lru_cache(maxsize=700)
def _read(file: Path) -> dict[str, np.ndarray]:
    with np.load(file, allow_pickle=False) as opened:
        return {
            name: opened[name]
            for name in opened.files
            if name in ("rgb", "mask", "depth") or name.startswith("body_")
        }


def turned_body(arrays: dict[str, np.ndarray], turn: int, body_model: BodyModel) -> Body:
    """The person's true SMPL-X parameters in the world of stored view `turn`.

    The pelvis is at J_0(betas) + transl, so turning the world moves transl by more than a rotation.
    """
    body = Body(
        **{
            f.name: torch.from_numpy(arrays[f"body_{f.name}"].astype(np.float32))
            for f in dataclasses.fields(Body)
        }
    )
    if turn % VIEWS == 0:
        return body
    # both cameras are rigid: x_camera = T_turn x_old = T_0 x_new, and T_0 has no rotation
    T_turn = orbit_cameras([30.0 * turn], 2).T_camera_world[0]
    T_0 = canonical_camera(2).T_camera_world
    T_new_old = torch.linalg.inv(T_0) @ T_turn
    R, t = T_new_old[:3, :3], T_new_old[:3, 3]
    with torch.no_grad():
        rest = body_model.joint_template[0] + body_model.joint_shapedirs[0] @ torch.cat(
            [body.betas, body.expression]
        )
    return dataclasses.replace(
        body,
        global_orient=matrix_to_axis_angle(R @ axis_angle_to_matrix(body.global_orient)),
        transl=R @ (rest + body.transl) + t - rest,
    )


def noisy_body(body: Body, rng: np.random.Generator, amount: float) -> Body:
    """Change a body as an estimate errs; `amount` 1 is about 57 mm of joint error, 0.4 about 23 mm.

    Rotations 0.05 rad (limbs 0.07), betas 0.5, place 8 mm across and 25 mm along the camera's axis (standard
    deviations).
    """

    def normal(*shape: int, scale: float = 1.0) -> Tensor:
        return torch.tensor(rng.normal(size=shape) * scale * amount, dtype=torch.float32)

    pose_noise = normal(21, 3, scale=0.05)
    pose_noise[list(LIMBS)] += normal(len(LIMBS), 3, scale=0.05)
    place = normal(3) * torch.tensor([0.008, 0.008, 0.025])
    turned = axis_angle_to_matrix(normal(3, scale=0.05)) @ axis_angle_to_matrix(body.global_orient)
    return dataclasses.replace(
        body,
        betas=body.betas + normal(10, scale=0.5),
        global_orient=matrix_to_axis_angle(turned),
        body_pose=body.body_pose + pose_noise,
        transl=body.transl + place,
    )
