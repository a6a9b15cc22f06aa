"""The body: SMPL-X from a file, either the free body that ships here or the user's licensed
`SMPLX_NEUTRAL.npz`.

Both have the same file format, are read by the `smplx` package and drive the same parameters: 10 betas, 10
expression coefficients and 55 joint rotations. Hand poses are full axis-angle (`use_pca=False`) and relative
to the flat hand (`flat_hand_mean=True`), so that zeros mean straight fingers.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import warnings
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from turnaround.models.body.skeleton import JOINT_INDEX, JOINT_NAMES, MIRROR_JOINT, PARENTS
from turnaround.models.zoo import file_digest
from turnaround.pipeline.errors import FormatError, MissingFile
from turnaround.pipeline.formats.untrusted import read_npz
from turnaround.pipeline.values.rotation import axis_angle_to_matrix
from turnaround.pipeline.values.types import Body, TensorRecord

__all__ = ["JOINT_INDEX", "JOINT_NAMES", "MIRROR_JOINT", "PARENTS", "BodyModel", "BodyOutput", "smplx_layer"]

FREE_BODY = Path(__file__).resolve().parents[1] / "weights" / "body_free.npz"
SMPLX_VERTICES, SMPLX_SKIN_VERTICES = 10475, 9383  # in SMPL-X the two eyeballs are the last vertices
_SHAPES = {
    "v_template": ("V", 3),
    "f": ("F", 3),
    "shapedirs": ("V", 3, "S"),
    "posedirs": ("V", 3, 486),
    "J_regressor": (55, "V"),
    "weights": ("V", 55),
    "kintree_table": (2, 55),
    "hands_componentsl": (45, 45),
    "hands_componentsr": (45, 45),
    "hands_meanl": (45,),
    "hands_meanr": (45,),
    "lmk_faces_idx": (51,),
    "lmk_bary_coords": (51, 3),
}
_OPTIONAL = ("part", "vt", "ft", "mirror_index", "keypoint_vertices")  # what the free body's file adds


@dataclass(frozen=True)
class BodyOutput(TensorRecord):
    """A posed body in the world frame."""

    vertices: Float[Tensor, "*b v 3"]  # metres
    joints: Float[Tensor, "*b 55 3"]  # metres


def _check(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """ValueError that names the first missing key or wrong shape."""
    sizes: dict[str, int] = {}
    for key, expected in _SHAPES.items():
        if key not in arrays:
            raise FormatError(
                f"{path}: key '{key}' is missing; expected an SMPL-X model file (SMPLX_NEUTRAL.npz) with "
                f"{sorted(_SHAPES)}"
            )
        got = arrays[key].shape
        wanted = tuple(
            sizes.setdefault(size, got[k] if k < len(got) else -1) if isinstance(size, str) else size
            for k, size in enumerate(expected)
        )
        if got != wanted:
            raise FormatError(
                f"{path}: '{key}' has shape {got}, expected {wanted}; is it an SMPL-X (not SMPL or "
                f"SMPL-H) file?"
            )
    if sizes["S"] != 20 and sizes["S"] < 400:
        raise FormatError(
            f"{path}: 'shapedirs' has {sizes['S']} directions, expected 20 (10 betas + 10 expressions) or "
            f"400 (300 + 100)"
        )


def smplx_layer(path: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    """The `smplx.SMPLX` module of a file, silent, with its extra vertex joints kept inside the mesh.

    `smplx` appends joints at fixed vertex ids of the licensed mesh (nose, ears, toes, finger tips). In
    another mesh those ids mean nothing; ids beyond the mesh are replaced by vertex 0, and `BodyModel` uses
    none of them.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        import smplx

        layer: Any = smplx.SMPLX(
            str(path),
            ext="npz",
            num_betas=10,
            num_expression_coeffs=10,
            use_pca=False,
            flat_hand_mean=True,
            dtype=dtype,
        )
    ids = layer.vertex_joint_selector.extra_joints_idxs
    layer.vertex_joint_selector.extra_joints_idxs = torch.where(
        ids < len(layer.v_template), ids, torch.zeros_like(ids)
    )
    return layer


def _levels(parents: tuple[int, ...]) -> list[list[int]]:
    """Joints by their depth below the pelvis, so that a level is posed at once."""
    depth = [0] * len(parents)
    for joint, parent in enumerate(parents):
        depth[joint] = depth[parent] + 1 if parent >= 0 else 0
    return [
        [joint for joint in range(len(parents)) if depth[joint] == level]
        for level in range(1, max(depth) + 1)
    ]


class BodyModel(nn.Module):
    """Parameters -> vertices and joints in the world frame, batched and differentiable; see `load`."""

    v_template: Float[Tensor, "v 3"]
    shapedirs: Float[Tensor, "v 3 20"]
    posedirs: Float[Tensor, "486 v3"]
    joint_template: Float[Tensor, "55 3"]
    joint_shapedirs: Float[Tensor, "55 3 20"]
    J_regressor: Float[Tensor, "55 v"]
    lbs_weights: Float[Tensor, "v 55"]
    faces: Int[Tensor, "f 3"]
    skin_faces: Int[Tensor, "s 3"]

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.is_file():
            raise MissingFile(
                f"body model {path} does not exist: give SMPLX_NEUTRAL.npz (free registration at "
                f"https://smpl-x.is.tue.mpg.de), "
                "or none for the free body"
            )
        arrays = _read(path)
        _check(path, arrays)
        self.digest = hashlib.sha256(path.read_bytes()).hexdigest()
        self.parents = PARENTS
        layer = smplx_layer(path)
        self._register(layer, arrays)
        kept = ("vt", "ft", "mirror_index", "keypoint_vertices", "lmk_faces_idx", "lmk_bary_coords")
        kept += ("hands_meanl", "hands_meanr")
        self._extras = {key: arrays[key] for key in kept if key in arrays}
        self._pose_levels = _levels(PARENTS)

    @classmethod
    def load(cls, path: Path | None = None) -> BodyModel:
        """The body of a file in SMPL-X's format; None is the free body that ships with the project.

        Raises FileNotFoundError, or ValueError naming the key or shape that is wrong.
        """
        return cls(FREE_BODY if path is None else Path(path))

    @classmethod
    def shared(cls, path: Path | None = None, device: torch.device | str = "cpu") -> BodyModel:
        """As `load`, on a device; read once a process, content of the file and device. It is everybody's: do
        not change or move it."""
        file = FREE_BODY if path is None else Path(path)
        if not file.is_file():
            return cls(file)  # says what is missing
        return _shared(file, file_digest(file), torch.device(device))

    def _register(self, layer: Any, arrays: dict[str, np.ndarray]) -> None:
        shapedirs = torch.cat([layer.shapedirs[..., :10], layer.expr_dirs], -1).contiguous()
        values = {
            "v_template": layer.v_template,
            "shapedirs": shapedirs,
            "J_regressor": layer.J_regressor,
            "lbs_weights": layer.lbs_weights,
            "joint_template": layer.J_regressor @ layer.v_template,
            "joint_shapedirs": torch.einsum("jv,vck->jck", layer.J_regressor, shapedirs),
            # pose correctives are zero in the free body: then nothing is stored or multiplied
            "posedirs": layer.posedirs if bool(layer.posedirs.any()) else layer.posedirs[:, :0],
            "faces": layer.faces_tensor.long(),
        }
        for name, value in values.items():
            self.register_buffer(name, value.detach().clone(), persistent=False)
        self.register_buffer("skin_faces", self.faces[torch.from_numpy(_is_skin(arrays))], persistent=False)

    @property
    def num_vertices(self) -> int:
        """Vertices of the mesh: 13,886 of the free body, 10,475 of SMPL-X."""
        return self.v_template.shape[0]

    def forward(self, body: Body) -> BodyOutput:
        """Pose bodies of any batch shape `*b`."""
        batch = body.transl.shape[:-1]
        coefficients = torch.cat([body.betas, body.expression], -1).reshape(-1, 20)
        rotations = axis_angle_to_matrix(_full_pose(body).reshape(-1, 55, 3))
        count = len(rotations)
        # from the same coefficients as the surface: another sum of gradients would round otherwise
        joints_rest = self.joint_template + (coefficients @ self.joint_shapedirs.reshape(-1, 20).T).reshape(
            count, 55, 3
        )
        vertices = self.v_template + (coefficients @ self.shapedirs.reshape(-1, 20).T).reshape(count, -1, 3)
        if self.posedirs.shape[1]:
            feature = (
                rotations[:, 1:] - torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            ).reshape(count, 486)
            vertices = vertices + (feature @ self.posedirs).reshape(count, -1, 3)
        world, joints = self._pose_joints(rotations, joints_rest)
        shift = joints - (world @ joints_rest[..., None])[..., 0]
        transforms = torch.cat([world, shift[..., None]], -1).reshape(count, 55, 12)
        blended = (self.lbs_weights @ transforms).reshape(count, -1, 3, 4)
        vertices = (blended[..., :3] * vertices[:, :, None, :]).sum(-1) + blended[..., 3]
        origin = body.transl.reshape(-1, 1, 3)
        return BodyOutput(
            (vertices + origin).reshape(*batch, -1, 3), (joints + origin).reshape(*batch, 55, 3)
        )

    def frames(self, body: Body) -> tuple[Float[Tensor, "*b 55 3 3"], Float[Tensor, "*b 55 3"]]:
        """Rotations of the joints of bodies of any batch shape `*b` against their rest pose, and where they
        lie: world frame."""
        batch = body.transl.shape[:-1]
        rotations = axis_angle_to_matrix(_full_pose(body).reshape(-1, 55, 3))
        world, joints = self._pose_joints(rotations, self.rest_joints(body).reshape(-1, 55, 3))
        joints = joints + body.transl.reshape(-1, 1, 3)
        return world.reshape(*batch, 55, 3, 3), joints.reshape(*batch, 55, 3)

    def rest_joints(self, body: Body) -> Float[Tensor, "*b 55 3"]:
        """The joints of the bodies' shapes, unposed, in the model's own frame (y up)."""
        batch = body.transl.shape[:-1]
        coefficients = torch.cat([body.betas, body.expression], -1).reshape(-1, 20)
        shaped = coefficients @ self.joint_shapedirs.reshape(-1, 20).T
        return (self.joint_template + shaped.reshape(-1, 55, 3)).reshape(*batch, 55, 3)

    def joints(self, body: Body) -> Float[Tensor, "*b 55 3"]:
        """Where the joints of bodies of any batch shape `*b` lie: as `forward` says, without a surface."""
        return self.frames(body)[1]

    def _pose_joints(
        self, rotations: Float[Tensor, "n 55 3 3"], rest: Float[Tensor, "n 55 3"]
    ) -> tuple[Tensor, Tensor]:
        """World rotations (n,55,3,3) and positions (n,55,3) of the joints, one level of the tree after the
        other."""
        order, world, position = [0], rotations[:, :1], rest[:, :1]
        for level in self._pose_levels:
            parents = [self.parents[joint] for joint in level]
            place = [order.index(parent) for parent in parents]
            turned = world[:, place]
            bone = (rest[:, level] - rest[:, parents])[..., None]
            position = torch.cat([position, position[:, place] + (turned @ bone)[..., 0]], 1)
            world = torch.cat([world, turned @ rotations[:, level]], 1)
            order += level
        back = [order.index(joint) for joint in range(55)]
        return world[:, back], position[:, back]

    @cached_property
    def vertex_parts(self) -> Int[Tensor, " v"]:
        """The joint that moves each vertex most."""
        return self.lbs_weights.argmax(1)

    @cached_property
    def mirror_index(self) -> Int[Tensor, " v"]:
        """The left-right counterpart of each vertex: stored with the free body, the nearest mirrored vertex
        otherwise."""
        if "mirror_index" in self._extras:
            return torch.from_numpy(self._extras["mirror_index"].astype(np.int64))
        from scipy.spatial import KDTree

        template = self.v_template.cpu().numpy()
        centre = np.array([self.joint_template[0, 0].item(), 0, 0])
        return torch.from_numpy(KDTree(template).query((template - centre) * [-1, 1, 1] + centre)[1])

    @property
    def uv(self) -> tuple[Float[Tensor, "t 2"], Int[Tensor, "f 3"]] | None:
        """Texture coordinates and their triangles (parallel to `faces`), or None if the file has none."""
        if "vt" not in self._extras or "ft" not in self._extras:
            return None
        return torch.from_numpy(self._extras["vt"].astype(np.float32)), torch.from_numpy(
            self._extras["ft"].astype(np.int64)
        )

    @property
    def face_landmarks(self) -> tuple[Int[Tensor, "51 3"], Float[Tensor, "51 3"]]:
        """Vertices and barycentric coordinates of the 51 inner landmarks of the face (300-W's without the
        contour)."""
        index = self.faces.cpu()[torch.from_numpy(self._extras["lmk_faces_idx"].astype(np.int64))]
        return index, torch.from_numpy(self._extras["lmk_bary_coords"].astype(np.float32))

    @property
    def mean_hands(self) -> tuple[Float[Tensor, "15 3"], Float[Tensor, "15 3"]]:
        """The left and the right mean hand, axis-angle: what is added to hands of `flat_hand_mean=False`."""
        left, right = (self._extras[f"hands_mean{side}"].astype(np.float32).reshape(15, 3) for side in "lr")
        return torch.from_numpy(left), torch.from_numpy(right)

    @property
    def keypoint_vertices(self) -> np.ndarray | None:
        """Vertex ids of `models.keypoints.SURFACE_NAMES` as stored in the file, or None."""
        return self._extras.get("keypoint_vertices")


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with path.open("rb") as stream:
            return read_npz(
                stream, only={*_SHAPES, *_OPTIONAL}
            )  # the licensed file holds Python objects beside them
    except (OSError, ValueError) as error:
        raise FormatError(
            f"{path}: not a readable .npz file ({error}); expected an SMPL-X model file"
        ) from error


def _is_skin(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """(F,) bool: faces of the outer skin, without eyeballs, teeth, tongue and mouth cavity where the file
    tells them."""
    if "part" in arrays:
        return np.equal(arrays["part"], 0)
    faces = arrays["f"].astype(np.int64)
    if len(arrays["v_template"]) == SMPLX_VERTICES:
        return faces.max(1) < SMPLX_SKIN_VERTICES
    return np.ones(len(faces), bool)


def _full_pose(body: Body) -> Float[Tensor, "*b 55 3"]:
    """All rotations in the order of the joints."""
    face = torch.stack([body.jaw_pose, body.leye_pose, body.reye_pose], -2)
    return torch.cat(
        [body.global_orient[..., None, :], body.body_pose, face, body.left_hand_pose, body.right_hand_pose],
        -2,
    )


@lru_cache(maxsize=4)
def _shared(file: Path, _digest: str, device: torch.device) -> BodyModel:
    return BodyModel(file).to(device)
