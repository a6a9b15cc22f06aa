"""The refinement where the body is not on the CPU: its kernels against those of the CPU, and the whole fit on
a pretended device."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from pretend_device import PretendMode, install
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

from turnaround.data.sets.perturbed import disturbed, mpjpe, posed_person
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh import zbuffer_torch
from turnaround.models.mesh.silhouette import body_masks, mesh_contour, mesh_edges, normal_maps
from turnaround.models.mesh.silhouette.coverage import covered_samples
from turnaround.models.mesh.silhouette.normal_difference import drawn_difference, normal_difference
from turnaround.models.mesh.zbuffer import rasterize_views
from turnaround.models.mesh.zbuffer_torch import covered, enlarged, visible, windows_of
from turnaround.models.refinement import outline_device
from turnaround.models.refinement.config import PAPER
from turnaround.models.refinement.evidence import Evidence
from turnaround.models.refinement.fit import refine_body
from turnaround.models.refinement.outline import match_outlines, outline_losses, outline_target, residuals
from turnaround.models.refinement.outline_device import (
    DeviceEdges,
    DeviceTargets,
    outline_losses_on_device,
    outline_samples,
    sizes_for,
)
from turnaround.pipeline.values.camera import orbit_cameras, project

SIZE, VIEWS = 64, 3
# torch takes a new kind of device only before its first backward pass: a fresh process
ALONE = "TURNAROUND_TEST_ALONE"


@dataclasses.dataclass(frozen=True)
class Case:
    model: BodyModel
    person: object
    estimate: object
    evidence: Evidence
    masks: torch.Tensor
    faces: np.ndarray


@pytest.fixture(scope="module")
def case():
    model = BodyModel.load()
    faces = model.skin_faces.numpy().astype(np.int32)
    person = posed_person(model, 0)
    cameras = orbit_cameras([360 / VIEWS * k for k in range(VIEWS)], SIZE)
    masks = body_masks(person.surface, faces, cameras, samples=4)
    pixels = project(person.joints[:22], cameras[0])[0]
    evidence = Evidence(cameras, masks[0], torch.arange(22), pixels, torch.ones(22))
    return Case(model, person, disturbed(model, person, 0), evidence, masks, faces)


def uvz_of(vertices, cameras):
    pixels, depth = project(vertices, cameras)
    return torch.cat([pixels, depth[..., None]], -1)


def windows_for(case, cameras):
    scale = float(cameras.K[..., 0, 0].max() / project(case.person.surface, cameras)[1].min())
    return windows_of(case.person.surface, torch.from_numpy(case.faces).long(), scale)


@pytest.mark.parametrize("candidates", [zbuffer_torch.CANDIDATES, 3000])
def test_faces_and_coverage_in_torch_are_those_of_the_z_buffer(case, candidates, monkeypatch):
    monkeypatch.setattr(zbuffer_torch, "CANDIDATES", candidates)
    uvz, faces = uvz_of(case.person.surface, case.evidence.cameras), torch.from_numpy(case.faces).long()
    windows = windows_for(case, case.evidence.cameras)
    assert sorted(torch.cat([index for index, _ in windows]).tolist()) == list(range(len(faces)))
    face, bary = visible(uvz, faces, SIZE, SIZE, windows)
    expected = rasterize_views(uvz.numpy(), case.faces, SIZE, SIZE)
    same = face.numpy() == expected[0]
    assert (
        same.mean() > 0.9999 and (expected[0] >= 0).mean() > 0.05
    )  # two faces at the same depth to rounding
    np.testing.assert_allclose(bary.numpy()[same], expected[1][same], atol=2e-5)
    fine = uvz[..., :2] * 2
    found = covered(fine, faces, 2 * SIZE, 2 * SIZE, enlarged(windows, 2))
    assert (
        found.numpy() != covered_samples(uvz[..., :2].numpy(), case.faces, SIZE, SIZE, 2).astype(bool)
    ).mean() < 1e-4


def device_terms(case, dtype=torch.float32):
    edges = DeviceEdges.of(mesh_edges(case.faces), torch.device("cpu"))
    cameras = case.evidence.cameras._map(lambda t: t.to(dtype))
    targets = DeviceTargets.of([outline_target(mask, 3.0) for mask in case.masks], torch.device("cpu"))
    targets = dataclasses.replace(targets, points=targets.points.to(dtype), normals=targets.normals.to(dtype))
    with torch.no_grad():
        vertices = case.model(case.estimate).vertices.to(dtype)
    sizes = sizes_for(vertices, edges, cameras)
    weights = torch.tensor([10.0, 1, 1], dtype=dtype)

    def value(moved):
        return outline_losses_on_device(
            moved, edges, cameras, targets, weights, sizes, direction_weight=3.0, huber=1.2, inside_weight=0.4
        )

    return vertices, value


def test_outline_losses_of_all_views_in_one_call_are_near_those_of_the_cpu(case):
    vertices, value = device_terms(case)
    leaves = [vertices.clone().requires_grad_() for _ in range(2)]
    found = value(leaves[0])
    contour = mesh_contour(vertices, mesh_edges(case.faces), case.evidence.cameras)
    matches = match_outlines(
        contour, [outline_target(mask, 3.0) for mask in case.masks], [10.0, 1, 1], 3.0, stride=1
    )
    residual = residuals(leaves[1], contour, matches, case.evidence.cameras)
    view = torch.from_numpy(contour.view)[matches.sample]
    expected = outline_losses(residual, matches, view, VIEWS, huber=1.2, inside_weight=0.4)
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0)  # other samples of the same outline
    found.sum().backward()
    expected.sum().backward()
    # samples sit on other places of the edges, so a vertex alone may differ; what moves the body is the sum
    # over a part of it
    sums = [torch.zeros(55, 3).index_add(0, case.model.vertex_parts, leaf.grad) for leaf in leaves]
    assert torch.nn.functional.cosine_similarity(sums[0].flatten(), sums[1].flatten(), dim=0) > 0.97


def test_samples_lie_on_the_visible_outline_and_room_for_more_changes_nothing(case):
    edges = DeviceEdges.of(mesh_edges(case.faces), torch.device("cpu"))
    cameras = case.evidence.cameras
    uv = project(case.person.surface, cameras)[0]
    sizes = sizes_for(case.person.surface, edges, cameras)
    samples = outline_samples(uv, edges, cameras, sizes)
    contour = mesh_contour(case.person.surface, mesh_edges(case.faces), cameras)
    for view in range(VIEWS):
        expected = contour.lengths[contour.of_view(view)].sum()
        assert samples.lengths[view].sum().item() == pytest.approx(expected, rel=0.03)
        outside = samples.points[view] + 1.5 * samples.normals[view]
        column, row = outside[samples.lengths[view] > 0].long().unbind(-1)
        assert case.masks[view][row, column].mean() < 0.2
    more = outline_samples(uv, edges, cameras, dataclasses.replace(sizes, edges=sizes.edges + 50))
    torch.testing.assert_close(more.lengths.sum(1), samples.lengths.sum(1))


def test_matching_a_few_views_at_a_time_changes_nothing(case, monkeypatch):
    edges = DeviceEdges.of(mesh_edges(case.faces), torch.device("cpu"))
    cameras = case.evidence.cameras
    samples = outline_samples(
        project(case.person.surface, cameras)[0],
        edges,
        cameras,
        sizes_for(case.person.surface, edges, cameras),
    )
    targets = DeviceTargets.of([outline_target(mask, 3.0) for mask in case.masks], torch.device("cpu"))
    whole = outline_device.nearest(samples, targets, 3.0)
    monkeypatch.setattr(outline_device, "PAIRS", 1)
    for all_views, each in zip(whole, outline_device.nearest(samples, targets, 3.0), strict=True):
        assert torch.equal(all_views, each)


class _Largest(TorchDispatchMode):
    """The largest tensor that anything makes."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        made = function(*args, **(kwargs or {}))
        for tensor in tree_flatten(made)[0]:
            if isinstance(tensor, torch.Tensor):
                self.bytes = max(self.bytes, tensor.nelement() * tensor.element_size())
        return made


def test_no_array_of_the_paper_s_fit_is_large(case):
    """12 views at 512 pixels: with one window for all faces the largest had 16 GB."""
    cameras = orbit_cameras([30 * k for k in range(12)], 512)
    edges = DeviceEdges.of(mesh_edges(case.faces), torch.device("cpu"))
    sizes = sizes_for(case.person.surface, edges, cameras)
    assert (
        sum(len(index) * side**2 for index, side in enlarged(sizes.windows, 2))
        < 0.2 * len(case.faces) * sizes.windows[-1][1] ** 2 * 4
    )
    with _Largest() as largest:
        index, side = next(zbuffer_torch._parts(sizes.windows, 12))
        zbuffer_torch._candidates(
            project(case.person.surface, cameras)[0], edges.faces[index], 512, 512, side
        )
    assert largest.bytes < 1 << 30


def test_the_gradient_is_that_of_finite_differences_at_fixed_matches(case, monkeypatch):
    vertices, value = device_terms(case, torch.float64)
    fixed = dict.fromkeys(("outline_samples", "nearest"))

    def once(name, function):
        def call(*arguments):
            if fixed[name] is None:
                fixed[name] = function(*arguments)
            return fixed[name]

        return call

    for name in fixed:
        monkeypatch.setattr(outline_device, name, once(name, getattr(outline_device, name)))
    leaf = vertices.clone().requires_grad_()
    value(leaf).sum().backward()
    direction = torch.randn(vertices.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    ahead, behind = (value(vertices + s * 1e-7 * direction).sum() for s in (1, -1))
    torch.testing.assert_close((leaf.grad * direction).sum(), (ahead - behind) / 2e-7, rtol=1e-5, atol=1e-8)


def test_the_difference_of_normals_in_torch_is_that_of_the_kernel(case):
    cameras = case.evidence.cameras[torch.tensor([0, VIEWS // 2])]
    uvz, faces = uvz_of(case.person.surface, cameras), torch.from_numpy(case.faces).long()
    target = normal_maps(case.model(case.estimate).vertices.detach(), case.faces, cameras)
    weight = (target != 0).any(-1).float()
    shown = visible(uvz, faces, SIZE, SIZE, windows_for(case, cameras))
    leaves = [case.person.surface.clone().requires_grad_() for _ in range(2)]
    fast = normal_difference(leaves[0], case.faces, [x.numpy() for x in shown], target, weight)
    slow = drawn_difference(leaves[1], faces, shown, target, weight)
    torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-3)
    fast[0].backward()
    slow[0].backward()
    torch.testing.assert_close(
        leaves[0].grad, leaves[1].grad, rtol=1e-3, atol=1e-2 * leaves[1].grad.abs().max().item()
    )


def test_the_fit_on_a_pretended_device_in_a_fresh_process():
    command = [sys.executable, "-m", "pytest", "-x", __file__, "-k", "on_a_pretended_device and not fresh"]
    done = subprocess.run(command, env={**os.environ, ALONE: "1"}, capture_output=True, text=True)
    assert done.returncode == 0 and "1 passed" in done.stdout, done.stdout[-3000:]


@pytest.mark.skipif(ALONE not in os.environ, reason="run by the test of a fresh process")
def test_the_fit_stays_on_a_pretended_device_and_recovers_the_body(case):
    device = install()
    config = PAPER.but(iterations=12, model_every=6, views=VIEWS, size=SIZE, normal_weight=0.5)
    normals = normal_maps(
        case.person.surface, case.faces, case.evidence.cameras[torch.tensor([0, VIEWS // 2])]
    )
    fit = lambda estimate, model: refine_body(  # noqa: E731
        estimate,
        case.evidence,
        model,
        config,
        masks=lambda _body, _cameras: case.masks,
        normals=lambda _body: normals,
    )
    here = fit(case.estimate, case.model)
    with PretendMode():
        model = BodyModel.load().to(device)
        there = fit(case.estimate.to(device), model)
        assert there.body.transl.device == device
        body = there.body.to("cpu")
    errors = [
        1e3 * mpjpe(case.model(b).joints.detach(), case.person.joints)
        for b in (case.estimate, here.body, body)
    ]
    assert max(errors[1:]) < 0.95 * errors[0] and abs(errors[1] - errors[2]) < 6, errors
    first = [result.trace["iterations"][0] for result in (here, there)]
    for name in first[0]:
        assert first[0][name] == pytest.approx(first[1][name], rel=0.1)


@pytest.mark.gpu
def test_the_fit_on_cuda_is_near_that_of_the_cpu(case):
    config = PAPER.but(iterations=20, views=VIEWS, size=SIZE, normal_weight=0.0)
    fits = []
    for device in ("cpu", "cuda"):
        model = BodyModel.load().to(device)
        fit = refine_body(
            case.estimate.to(device), case.evidence, model, config, masks=lambda _body, _cameras: case.masks
        )
        fits.append(1e3 * mpjpe(case.model(fit.body.to("cpu")).joints.detach(), case.person.joints))
    assert abs(fits[0] - fits[1]) < 5
