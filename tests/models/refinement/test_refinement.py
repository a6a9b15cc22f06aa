"""The refinement recovers bodies from masks without any network, and its residuals have exact derivatives."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.data.sets.perturbed import disturbed, mpjpe, posed_person
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.silhouette import body_masks, mesh_contour, mesh_edges, normal_maps
from turnaround.models.refinement.causes import fit_causes
from turnaround.models.refinement.config import PAPER, RefinementConfig
from turnaround.models.refinement.evidence import Evidence, circle, gather_evidence, landmarks
from turnaround.models.refinement.fit import FITTED, refine_body
from turnaround.models.refinement.outline import match_outlines, outline_losses, outline_target, residuals
from turnaround.models.refinement.terms import joint_loss, normal_loss
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras, project
from turnaround.pipeline.values.types import View

SIZE = 256
NO_NORMALS = PAPER.but(normal_weight=0.0)
FRONT_ONLY = PAPER.but(normal_weight=0.0, side_weight=0.0)


@pytest.fixture(scope="module")
def model():
    return BodyModel.load()


@dataclasses.dataclass(frozen=True)
class Case:
    person: object
    estimate: object
    evidence: Evidence
    masks: torch.Tensor


def make_case(model, seed: int, size: int = SIZE) -> Case:
    """A dressed person (masks of the clothed surface), an estimate 75 mm off, keypoints with 2 px of
    noise."""
    person = posed_person(model, seed)
    cameras = orbit_cameras(range(0, 360, 30), size)
    masks = body_masks(person.surface, model.skin_faces.numpy().astype(np.int32), cameras, samples=4)
    noise = torch.randn(22, 2, generator=torch.Generator().manual_seed(seed)) * 2 * size / 256
    pixels = project(person.joints[:22], cameras[0])[0] + noise
    return Case(
        person,
        disturbed(model, person, seed),
        Evidence(cameras, masks[0], torch.arange(22), pixels, torch.ones(22)),
        masks,
    )


@pytest.fixture(scope="module")
def case(model):
    return make_case(model, 0)


def refine(model, case: Case, config: RefinementConfig, **models):
    models.setdefault("masks", lambda _body, _cameras: case.masks)
    return refine_body(case.estimate, case.evidence, model, config, **models)


def error_mm(model, case: Case, body) -> float:
    with torch.no_grad():
        return 1e3 * mpjpe(model(body).joints, case.person.joints)


def test_twelve_views_recover_the_body(model, case):
    assert 74 < error_mm(model, case, case.estimate) < 76
    result = refine(model, case, NO_NORMALS)
    assert error_mm(model, case, result.body) < 30
    before, after = result.trace["before"], result.trace["after"]
    assert after["front_iou"] > before["front_iou"] and after["sides_iou"] > before["sides_iou"] + 0.3
    assert after["keypoints_px"] < before["keypoints_px"]
    assert result.trace["poor_fit"] == []
    assert not torch.equal(result.body.betas, case.estimate.betas)
    for field in dataclasses.fields(result.body):
        if field.name not in FITTED:
            assert torch.equal(getattr(result.body, field.name), getattr(case.estimate, field.name))


@pytest.mark.slow
def test_many_seeds_and_the_front_alone(model):
    """Side views at least halve what is left by the front view alone; no seed gets worse."""
    sides, front = [], []
    for seed in range(8):
        one = make_case(model, seed)
        sides.append(error_mm(model, one, refine(model, one, NO_NORMALS).body))
        front.append(error_mm(model, one, refine(model, one, FRONT_ONLY).body))
    assert np.mean(sides) < 30 and max(sides) < 60
    assert np.mean(sides) < np.mean(front) < 72


def test_the_model_is_run_as_the_paper_says(model, case):
    """Every 15 iterations, without the body the first time and with the current body then."""
    fed, seen = [], []
    config = NO_NORMALS.but(
        iterations=6,
        model_every=2,
        feed_body_from=2,
        feed_normals_from=4,
        normal_weight=0.5,
        inside_from=3,
    )

    def masks(body, cameras):
        fed.append(body)
        assert cameras.K.shape == (12, 3, 3)
        return case.masks

    def normals(body):
        seen.append(body)
        return normal_maps(
            model(case.estimate).vertices,
            model.skin_faces.numpy().astype(np.int32),
            case.evidence.cameras[torch.tensor([0, 6])],
        )

    result = refine(model, case, config, masks=masks, normals=normals)
    assert [body is None for body in fed] == [True, False, False]
    assert not torch.equal(fed[1].transl, fed[2].transl)
    assert seen[0] is None and seen[1] is None and torch.equal(seen[2].transl, fed[2].transl)
    records = result.trace["iterations"]
    assert [r["iteration"] for r in records] == list(range(6))
    for record in records:
        parts = sum(record[name] for name in ("front", "sides", "prior", "joints", "normals"))
        assert record["total"] == pytest.approx(parts, rel=1e-5)
    assert set(result.trace["candidates"]) == {"iteration 0", "iteration 2", "iteration 4", "iteration 6"}
    assert result.trace["kept"] == min(result.trace["candidates"], key=result.trace["candidates"].get)


def test_a_worse_fit_is_never_kept(model, case):
    """With absurd steps the estimate itself has the lowest loss, and comes back."""
    config = FRONT_ONLY.but(iterations=2, model_every=1, pose_rate=2.0, translation_rate=0.5)
    result = refine(model, case, config)
    assert result.trace["kept"] == "iteration 0"
    assert torch.equal(result.body.body_pose, case.estimate.body_pose)
    assert result.trace["poor_fit"] != []
    assert result.masks is None and result.trace["after"]["sides_iou"] is None


def test_the_prior_holds_the_estimate(model, case):
    free = refine(model, case, FRONT_ONLY.but(iterations=10))
    held = refine(model, case, FRONT_ONLY.but(iterations=10, pose_prior=100.0, shape_prior=10.0))
    moved = lambda r: (r.body.body_pose - case.estimate.body_pose).norm()  # noqa: E731
    assert moved(held) < 0.5 * moved(free)


def test_residuals_have_the_jacobian_of_finite_differences(model, case):
    """Through skinning, projection and the contour, in float64, for every fitted field at fixed matches."""
    double = BodyModel.load().double()
    cameras = dataclasses.replace(
        case.evidence.cameras,
        K=case.evidence.cameras.K.double(),
        T_camera_world=case.evidence.cameras.T_camera_world.double(),
    )
    with torch.no_grad():
        vertices = model(case.estimate).vertices
    contour = mesh_contour(vertices, mesh_edges(model.skin_faces.numpy()), case.evidence.cameras)
    matches = match_outlines(
        contour, [outline_target(mask, 8.0) for mask in case.masks], [10.0] + [1.0] * 11, 8.0
    )
    start = case.estimate._map(lambda t: t.double())
    cotangent = torch.randn(
        len(matches.sample), 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )

    def value(body):
        return (residuals(double(body).vertices, contour, matches, cameras) * cotangent).sum()

    for name in FITTED:
        leaf = getattr(start, name).clone().requires_grad_()
        (gradient,) = torch.autograd.grad(value(dataclasses.replace(start, **{name: leaf})), leaf)
        direction = torch.randn(leaf.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        ahead, behind = (
            value(dataclasses.replace(start, **{name: leaf.detach() + s * 1e-6 * direction})) for s in (1, -1)
        )
        torch.testing.assert_close(
            (gradient * direction).sum(), (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-4
        )


def test_outlines_of_the_same_surface_cost_next_to_nothing(model, case):
    vertices = case.person.surface
    edges = mesh_edges(model.skin_faces.numpy())
    contour = mesh_contour(vertices, edges, case.evidence.cameras)
    matches = match_outlines(contour, [outline_target(mask, 8.0) for mask in case.masks], [1.0] * 12, 8.0)
    view = torch.from_numpy(contour.view)[matches.sample]
    losses = outline_losses(
        residuals(vertices, contour, matches, case.evidence.cameras),
        matches,
        view,
        12,
        huber=3.0,
        inside_weight=1.0,
    )
    assert losses.max() < 0.7  # squared pixels; contours cross pixels, masks are sampled
    moved = residuals(
        vertices + torch.tensor([0.05, 0, 0]), contour, matches, case.evidence.cameras
    )  # 50 mm = 5 px seen from the front
    assert outline_losses(moved, matches, view, 12, huber=3.0, inside_weight=1.0)[0] > 5


def test_clothes_pull_less_than_they_push(model, case):
    """`inside_weight` scales pairs where the mask is larger than the body, and only those."""
    with torch.no_grad():
        vertices = model(case.person.body).vertices  # the naked body in clothed masks
    contour = mesh_contour(vertices, mesh_edges(model.skin_faces.numpy()), case.evidence.cameras)
    matches = match_outlines(contour, [outline_target(mask, 8.0) for mask in case.masks], [1.0] * 12, 8.0)
    assert matches.uncovered.mean() > 0.7
    residual = residuals(vertices, contour, matches, case.evidence.cameras)
    view = torch.from_numpy(contour.view)[matches.sample]
    full, half, none = (
        outline_losses(residual, matches, view, 12, huber=3.0, inside_weight=w).sum() for w in (1.0, 0.5, 0.0)
    )
    torch.testing.assert_close(half, (full + none) / 2)
    assert none < 0.5 * full


def test_empty_masks_of_other_views_are_left_out_and_an_empty_photo_is_an_error(model, case):
    masks = case.masks.clone()
    masks[3:] = 0
    short = NO_NORMALS.but(iterations=2)
    result = refine(model, case, short, masks=lambda _body, _cameras: masks)
    assert all(np.isfinite(r["total"]) for r in result.trace["iterations"])
    empty = dataclasses.replace(case.evidence, front_mask=torch.zeros(SIZE, SIZE))
    with pytest.raises(ValueError, match="mask is empty"):
        refine_body(case.estimate, empty, model, FRONT_ONLY)


def test_missing_models_and_bad_settings_are_named(model, case):
    with pytest.raises(ValueError, match="side_weight"):
        refine_body(case.estimate, case.evidence, model, NO_NORMALS)
    with pytest.raises(ValueError, match="normal_weight"):
        refine_body(case.estimate, case.evidence, model, FRONT_ONLY.but(normal_weight=0.5))
    with pytest.raises(ValueError, match="front_weight"):
        RefinementConfig(front_weight=0)


def test_settings_mean_the_same_at_another_size(model):
    """Losses of the first iteration agree between masks of 128 and 256 pixels."""
    totals = []
    for size in (128, 256):
        one = make_case(model, 1, size)
        result = refine(model, one, NO_NORMALS.but(iterations=1, size=size))
        totals.append(result.trace["iterations"][0])
    assert totals[0]["joints"] == pytest.approx(totals[1]["joints"], rel=1e-3)
    assert totals[0]["front"] == pytest.approx(totals[1]["front"], rel=0.1)


def test_evidence_of_a_view(model):
    camera = canonical_camera(512)
    mask = torch.zeros(512, 512)
    mask[100:400, 200:300] = 1
    keypoints = {"left_hip": [200.0, 300.0, 0.5], "nose": [250.0, 100.0, 1.0], "third_hand": [0.0, 0.0, 1.0]}
    evidence = gather_evidence(View(torch.ones(512, 512, 3), mask, camera), keypoints, views=12, size=256)
    assert evidence.landmark_index.tolist() == [1, 55]
    torch.testing.assert_close(evidence.keypoints, torch.tensor([[100.0, 150.0], [125.0, 50.0]]))
    assert evidence.front_mask.shape == (256, 256) and evidence.front_mask.mean() == mask.mean()
    torch.testing.assert_close(
        circle(camera, 12, 256).T_camera_world, orbit_cameras(range(0, 360, 30), 256).T_camera_world
    )
    with torch.no_grad():
        posed = model(make_case(model, 0).person.body)
    torch.testing.assert_close(landmarks(posed, model, torch.tensor([3, 1])), posed.joints[[3, 1]])


def test_small_terms():
    assert joint_loss(torch.tensor([0.0, 1e9]), torch.tensor([1.0, 0.0]), 8.0) == 0
    bounded = joint_loss(torch.tensor([1e9]), torch.tensor([1.0]), 8.0)
    torch.testing.assert_close(bounded, torch.tensor(0.64), rtol=1e-4, atol=0)
    up, none = torch.tensor([0.0, -1, 0]), torch.zeros(3)
    rendered, predicted = (
        torch.stack([up, up, none]).view(1, 1, 3, 3),
        torch.stack([-up, none, up]).view(1, 1, 3, 3),
    )
    assert normal_loss(rendered, predicted) == 2  # only the first pixel has both


def test_clothes_are_no_poor_fit_and_a_wrong_limb_is():
    config = RefinementConfig()
    coat = {"front_iou": 0.6, "inside": 0.95, "covered": 0.62, "keypoints_px": 1.2, "worst_px": 4.0}
    assert fit_causes(coat, config, independent=True) == []
    (cause,) = fit_causes(coat, config, independent=False)
    assert cause.poor and "IoU of 0.60" in cause.sentence and cause.figure == 0.6 and cause.code == "outline"
    assert "turn the photo" in cause.remedy and "--people all" in cause.remedy
    for name, value, code, words in (
        ("inside", 0.6, "outside_mask", "40% of the body"),
        ("covered", 0.3, "large_mask", "covers 30% of the photo's mask"),
        ("keypoints_px", 5.0, "joints", "5.0 px"),
        ("worst_px", 30.0, "limb", "30 px"),
    ):
        (cause,) = fit_causes({**coat, name: value}, config, independent=True)
        assert words in cause.sentence and cause.code == code and cause.figure == value and cause.remedy
    nothing = {"front_iou": 0.9, "inside": 1.0, "covered": 0.9, "keypoints_px": None, "worst_px": None}
    assert (
        fit_causes(nothing, config, independent=True) == fit_causes(nothing, config, independent=False) == []
    )
