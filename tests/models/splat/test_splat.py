"""The splat renderer: laws, and the numba backend against the dense float64 twin in value and gradient."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch

from turnaround.models.splat import dense, rasterize
from turnaround.models.splat.cpu.render import render
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Camera, Gaussians

FIELDS = ("means", "quats", "scales", "opacities", "colors")


def random_gaussians(count: int, seed: int = 0, spread: float = 0.4, size: float = 0.05) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*shape, generator=g)  # noqa: E731
    return Gaussians(
        means=normal(count, 3) * spread,
        quats=normal(count, 4),
        scales=torch.exp(0.5 * normal(count, 3)) * size,
        opacities=torch.sigmoid(2 * normal(count)),
        colors=torch.rand(count, 3, generator=g),
    )


def one(mean, quat=(1.0, 0, 0, 0), scale=(0.1, 0.1, 0.1), opacity=0.9, color=(0.2, 0.4, 0.6)) -> Gaussians:
    return Gaussians(
        *(torch.tensor([value], dtype=torch.float32) for value in (mean, quat, scale, opacity, color))
    )


def cast(record, dtype):
    return record._map(lambda tensor: tensor.detach().to(dtype).requires_grad_())


def value_and_gradient(
    backend, gaussians: Gaussians, cameras: Camera, geometry: bool, dtype
) -> dict[str, torch.Tensor]:
    """Image, alpha and the gradient of a random linear form of both to every input."""
    gaussians, cameras = cast(gaussians, dtype), cast(cameras, dtype)
    image, alpha = backend(gaussians, cameras, geometry)
    g = torch.Generator().manual_seed(1)
    form = (image * torch.randn(image.shape, generator=g).to(image)).sum() + (
        alpha * torch.randn(alpha.shape, generator=g).to(alpha)
    ).sum()
    inputs = [getattr(gaussians, name) for name in FIELDS] + [cameras.T_camera_world]
    grads = torch.autograd.grad(form, inputs)
    named = dict(zip([*FIELDS, "T_camera_world"], grads, strict=True))
    return {"image": image.detach(), "alpha": alpha.detach(), **named}


# opaque: pixels end early (T <= 1e-4) and alpha is held at 0.999; wide: Gaussians hang over the picture's
# edge, where
# the Jacobian is held; odd: a picture that is no multiple of the tile, and not square
SCENES = {
    "plain": (random_gaussians(60), orbit_cameras([0, 30, 180], 40)),
    "opaque": (
        dataclasses.replace(random_gaussians(150, 2, size=0.15), opacities=torch.ones(150)),
        orbit_cameras([0, 90], 33),
    ),
    "wide": (random_gaussians(40, 3, spread=1.2, size=0.2), orbit_cameras([0, 45], 32, elevation=20.0)),
    "odd": (random_gaussians(50, 4), dataclasses.replace(orbit_cameras([10], 48), width=50, height=21)),
}


@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_agrees_with_the_dense_twin(name, geometry):
    gaussians, cameras = SCENES[name]
    got = value_and_gradient(render, gaussians, cameras, geometry, torch.float32)
    want = value_and_gradient(dense.render, gaussians, cameras, geometry, torch.float64)
    for key, expected in want.items():
        # float32 blending of up to 150 layers: 1e-5 of the largest entry; a clamped or cut pixel changes more
        # than that
        error = (got[key].double() - expected).abs().max() / expected.abs().max().clamp(min=1.0)
        assert error < 2e-5, (key, error)


def test_dense_twin_has_the_gradient_of_its_own_values():
    """Central differences in float64 with steps far below the distance of any pair from the 1/255 cut-off."""
    gaussians, cameras = random_gaussians(5, 7), orbit_cameras([20], 12)
    cameras64 = cast(cameras, torch.float64)

    def linear_form(means, quats, scales, opacities, colors, T):
        image, alpha = dense.render(
            Gaussians(means, quats, scales, opacities, colors),
            dataclasses.replace(cameras64, T_camera_world=T),
            True,
        )
        return (image * torch.arange(image.numel()).reshape(image.shape).cos()).sum() + alpha.sum()

    inputs = [getattr(cast(gaussians, torch.float64), name) for name in FIELDS] + [cameras64.T_camera_world]
    assert torch.autograd.gradcheck(linear_form, inputs, eps=1e-8, atol=1e-4, rtol=1e-4)


def test_a_batch_of_cameras_is_its_single_cameras():
    gaussians, cameras = random_gaussians(80), orbit_cameras([0, 120, 240], 40)
    together = rasterize(gaussians, cameras)
    for c in range(3):
        alone = rasterize(gaussians, cameras[c])
        for name in ("rgb", "alpha", "depth", "normal"):
            assert torch.equal(getattr(together, name)[c], getattr(alone, name)[0]), name


def test_gradient_of_a_batch_is_the_sum_of_its_cameras():
    gaussians, cameras = random_gaussians(50), orbit_cameras([0, 90, 200], 32)
    leaf = cast(gaussians, torch.float32)
    (together,) = torch.autograd.grad(rasterize(leaf, cameras).rgb.square().sum(), leaf.means)
    alone = [
        torch.autograd.grad(rasterize(leaf, cameras[c]).rgb.square().sum(), leaf.means)[0] for c in range(3)
    ]
    torch.testing.assert_close(together, sum(alone), rtol=1e-4, atol=1e-4 * together.abs().max().item())


def test_moving_world_and_camera_together_changes_nothing():
    gaussians, cameras = random_gaussians(80, 5), orbit_cameras([0, 70], 40)
    R = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.7]))
    T_new_old = torch.eye(4)
    T_new_old[:3, :3], T_new_old[:3, 3] = R, torch.tensor([0.3, -0.2, 0.5])
    moved = dataclasses.replace(
        gaussians,
        means=gaussians.means @ R.T + T_new_old[:3, 3],
        quats=quat_multiply(matrix_to_quat(R).expand(80, 4), gaussians.quats),
    )
    before = rasterize(gaussians, cameras)
    after = rasterize(
        moved,
        dataclasses.replace(cameras, T_camera_world=cameras.T_camera_world @ torch.linalg.inv(T_new_old)),
    )
    # a pair at the rim of a splat may appear or vanish by rounding: 1/255 of a weight
    for name in ("rgb", "alpha"):
        torch.testing.assert_close(getattr(after, name), getattr(before, name), atol=4e-3, rtol=0)
        assert (getattr(after, name) - getattr(before, name)).abs().mean() < 1e-5
    assert (after.normal - before.normal @ R.T).abs().mean() < 1e-5


def test_background_is_seen_through_what_is_left():
    gaussians, cameras = random_gaussians(40), orbit_cameras([0], 40)
    black, white, red = (rasterize(gaussians, cameras, background=b) for b in (0.0, 1.0, (1.0, 0.0, 0.0)))
    torch.testing.assert_close(white.rgb, black.rgb + (1 - black.alpha)[..., None])
    torch.testing.assert_close(red.rgb[..., 0], white.rgb[..., 0])
    torch.testing.assert_close(red.rgb[..., 1:], black.rgb[..., 1:])


def test_empty_scene_is_background_and_has_a_zero_gradient():
    nothing = cast(random_gaussians(0), torch.float32)
    out = rasterize(nothing, orbit_cameras([0, 90], 24), background=0.25)
    assert out.rgb.shape == (2, 24, 24, 3) and (out.rgb == 0.25).all()
    assert (out.alpha == 0).all() and (out.depth == 0).all() and (out.normal == 0).all()
    out.rgb.sum().backward()
    assert nothing.means.grad is not None and nothing.means.grad.shape == (0, 3)


def test_what_is_behind_the_camera_is_not_drawn_and_gets_no_gradient():
    camera = canonical_camera(32)
    gaussians = cast(
        Gaussians.cat([one((0.0, 0, -2.5)), one((0.0, 0, -1.995)), one((0.0, 0, 0.5))]), torch.float32
    )
    out = rasterize(gaussians, camera)
    alone = rasterize(one((0.0, 0, 0.5)), camera)
    assert torch.equal(out.rgb, alone.rgb)
    out.rgb.square().sum().backward()
    assert (gaussians.means.grad[:2] == 0).all() and gaussians.means.grad[2].abs().max() > 0


def test_the_nearer_one_hides_the_farther():
    near, far = (
        one((0.0, 0, -0.3), opacity=1.0, color=(1, 0, 0)),
        one((0.0, 0, 0.3), opacity=1.0, color=(0, 1, 0)),
    )
    for order in ([near, far], [far, near]):
        centre = rasterize(Gaussians.cat(order), canonical_camera(33)).rgb[0, 16, 16]
        torch.testing.assert_close(centre, torch.tensor([1.0, 0, 0]), atol=2e-3, rtol=0)


@pytest.mark.parametrize("tilt_degrees", [0.0, 40.0, 140.0])
def test_an_opaque_disc_has_its_depth_and_its_normal(tilt_degrees):
    """Tilted about x by 140 degrees it is the same disc as by -40: the normal must look to the camera in
    both."""
    tilt = math.radians(tilt_degrees)
    disc = one((0.0, 0, 0.25), (math.cos(tilt / 2), math.sin(tilt / 2), 0, 0), (0.2, 0.2, 1e-3), 1.0)
    out = rasterize(disc, canonical_camera(65))
    normal = torch.tensor([0.0, math.sin(tilt), -math.cos(tilt)])
    normal = normal if normal[2] < 0 else -normal
    torch.testing.assert_close(out.normal[0, 32, 32] / out.alpha[0, 32, 32], normal, atol=1e-4, rtol=0)
    # alpha is 1 - T, so 3e-8 off by rounding, and at least 1 / 255 where anything is seen
    seen = out.depth[0][out.alpha[0] > 0]
    torch.testing.assert_close(seen, torch.full_like(seen, 2.25), rtol=1e-5, atol=0)
    assert out.alpha[0, 32, 32] == pytest.approx(0.999, abs=1e-5)
    assert (out.depth[0][out.alpha[0] == 0] == 0).all()


def test_a_small_splat_is_as_wide_as_its_blur():
    """A point-like Gaussian at a pixel's centre: alpha falls as exp(-r^2 / (2 * 0.3))."""
    size = 33
    alpha = rasterize(one((0.0, 0, 0), scale=(1e-5, 1e-5, 1e-5), opacity=0.8), canonical_camera(size)).alpha[
        0
    ]
    torch.testing.assert_close(
        alpha[16, 16:19], 0.8 * torch.exp(-torch.tensor([0.0, 1, 4]) / 0.6) * torch.tensor([1.0, 1, 0])
    )


def test_the_same_bits_every_time():
    gaussians, cameras = random_gaussians(500, 9), orbit_cameras([0, 90], 64)
    runs = [value_and_gradient(render, gaussians, cameras, True, torch.float32) for _ in range(2)]
    assert all(torch.equal(runs[0][key], runs[1][key]) for key in runs[0])


def test_memory_layout_does_not_matter():
    gaussians, cameras = random_gaussians(60), orbit_cameras([0, 90], 32)
    strided = gaussians._map(lambda x: torch.stack([x, torch.zeros_like(x)], -1)[..., 0])
    assert not strided.means.is_contiguous()
    assert torch.equal(rasterize(strided, cameras).rgb, rasterize(gaussians, cameras).rgb)


def test_without_geometry_the_picture_is_the_same():
    gaussians, cameras = random_gaussians(60), orbit_cameras([0, 90], 32)
    fast = rasterize(gaussians, cameras, outputs=("rgb", "alpha"))
    assert fast.depth is None and fast.normal is None
    torch.testing.assert_close(fast.rgb, rasterize(gaussians, cameras).rgb, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scales": torch.ones(3, 3, dtype=torch.float64)}, "gaussians.scales"),
        ({"opacities": torch.tensor([0.5, float("nan"), 0.5])}, "opacities not finite"),
    ],
)
def test_wrong_input_is_named(change, message):
    with pytest.raises(ValueError, match=message):
        rasterize(dataclasses.replace(random_gaussians(3), **change), canonical_camera(16))


def test_a_change_in_place_before_the_backward_pass_is_refused():
    gaussians = cast(random_gaussians(5), torch.float32)
    loss = rasterize(gaussians, canonical_camera(16)).rgb.sum()
    with torch.no_grad():
        gaussians.means.add_(1.0)
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()


@pytest.mark.gpu
@pytest.mark.parametrize("geometry", [False, True])
@pytest.mark.parametrize("name", SCENES)
def test_gsplat_agrees_with_numba(name, geometry):
    from turnaround.models.splat import cuda

    gaussians, cameras = SCENES[name]

    def on_gpu(g, c, geo):
        image, alpha = cuda.render(g.to("cuda"), c.to("cuda"), geo)
        return image.cpu(), alpha.cpu()

    want = value_and_gradient(render, gaussians, cameras, geometry, torch.float32)
    got = value_and_gradient(on_gpu, gaussians, cameras, geometry, torch.float32)
    for key, expected in want.items():
        # two float32 programs with other orders of summation and fast exponentials
        error = (got[key] - expected).abs().max() / expected.abs().max().clamp(min=1.0)
        assert error < 2e-3, (key, error)


def test_cuda_without_gsplat_says_what_to_install(monkeypatch):
    from turnaround.models.splat import cuda

    monkeypatch.setitem(__import__("sys").modules, "gsplat", None)
    with pytest.raises(ImportError, match=r"turnaround\[cuda\]"):
        cuda.render(random_gaussians(3), orbit_cameras([0], 16), False)
