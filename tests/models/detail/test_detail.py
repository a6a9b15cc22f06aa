"""Pictures laid on a surface, and the Gaussians that are made of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from turnaround.models.detail.assembly import assemble, owned, pulled_in, trimmed
from turnaround.models.detail.carrying import carried, seen
from turnaround.models.detail.fit import fit
from turnaround.models.detail.outline import _solved, snap_outline
from turnaround.models.detail.panel import decide, lay, own_colors
from turnaround.models.detail.sides import as_view, close_camera, side, vertex_colors
from turnaround.models.detail.sight import look
from turnaround.models.detail.surfels import blocks, flat
from turnaround.models.mesh.surface import Surface
from turnaround.models.metrics.image import psnr_inside
from turnaround.models.splat import rasterize
from turnaround.pipeline.values.camera import canonical_camera, framed
from turnaround.pipeline.values.rotation import quat_to_matrix
from turnaround.pipeline.values.types import View

SIZE = 160


def sphere(radius=0.4, centre=(0.0, 0.0, 0.0), rings=40):
    """A closed ball, counter-clockwise seen from outside."""
    theta = np.linspace(0, np.pi, rings)
    phi = np.linspace(0, 2 * np.pi, 2 * rings, endpoint=False)
    t, p = np.meshgrid(theta[1:-1], phi, indexing="ij")
    middle = np.stack([np.sin(t) * np.cos(p), np.cos(t), np.sin(t) * np.sin(p)], -1).reshape(-1, 3)
    vertices = np.concatenate([middle, [[0, 1, 0], [0, -1, 0]]]) * radius + np.asarray(centre)
    count, rows = 2 * rings, rings - 2
    faces = []
    for r in range(rows - 1):
        for c in range(count):
            a, b, d, e = (
                r * count + c,
                r * count + (c + 1) % count,
                (r + 1) * count + c,
                (r + 1) * count + (c + 1) % count,
            )
            faces += [(a, b, d), (b, e, d)]
    for c in range(count):
        faces.append((len(middle), (c + 1) % count, c))
        faces.append((len(middle) + 1, (rows - 1) * count + c, (rows - 1) * count + (c + 1) % count))
    return Surface(vertices, np.array(faces, np.int64))


def painted(points):
    """A smooth colour for every point of space."""
    x, y, z = points[..., 0], points[..., 1], points[..., 2]
    return np.stack([0.5 + x, 0.5 + 0.8 * y, 0.5 - 0.9 * z], -1).clip(0, 1)


def picture(surface, camera):
    """A view of the surface in the colours of `painted`."""
    sight = look(surface, camera)
    mask = torch.from_numpy(sight.hit).float()
    image = torch.from_numpy(painted(sight.points())).float()
    return View(image * mask[..., None] + 1 - mask[..., None], mask, camera)


@pytest.fixture(scope="module")
def ball():
    return sphere()


@pytest.fixture(scope="module")
def front(ball):
    return lay(picture(ball, close_camera(ball, 0.0, SIZE)), ball)


@pytest.fixture(scope="module")
def behind(ball):
    return lay(picture(ball, close_camera(ball, 180.0, SIZE)), ball)


def test_a_sight_has_the_depth_and_normals_of_a_ball(ball):
    sight = look(ball, canonical_camera(SIZE))
    points, hit = sight.points(), sight.hit
    assert np.abs(np.linalg.norm(points[hit], axis=-1) - 0.4).max() < 2e-3
    assert ((points[hit] / 0.4) * sight.normal[hit]).sum(-1).min() > 0.99
    assert sight.facing[SIZE // 2, SIZE // 2] == pytest.approx(1, abs=1e-3)


def test_colors_are_carried_to_where_both_look(ball, front, behind):
    sight = look(ball, close_camera(ball, 90.0, SIZE))
    points, normals = sight.points()[sight.hit], sight.normal[sight.hit]
    colors, weight = carried([front, behind], points, normals)
    known = weight > 1e-4
    assert known[np.abs(points[:, 2]) > 0.25].mean() > 0.95
    assert np.abs(colors[known] - painted(points[known])).mean() < 0.01
    assert not known[np.abs(points[:, 2]) < 0.1].any()  # the ring that neither sees


def test_a_point_behind_the_surface_is_not_seen(front):
    centre = np.array([[0.0, 0.0, 0.4], [0.0, 0.0, -0.4]])
    cosine, _ = seen(front, centre, np.array([[0.0, 0.0, -1.0], [0.0, 0.0, -1.0]]))
    assert cosine[0] == 0 and cosine[1] > 0.9


def test_every_piece_of_the_surface_has_one_owner(ball, front, behind):
    made = [
        side([front, behind], ball, painted(ball.vertices), close_camera(ball, a, SIZE))
        for a in (90.0, 270.0)
    ]
    panels = [
        lay(v, ball, beyond=False)
        for v in (front.view, behind.view, *(as_view(one, one.image) for one in made))
    ]
    for panel, own in zip(panels, owned(panels, (1.0, 1.0, 1.0, 1.0)), strict=True):
        assert own[panel.facing > 0.95].all()
        height = np.abs(panel.points[..., 1])
        assert (
            own[(panel.facing < 0.5) & (panel.facing > 0) & (height < 0.2)].mean() < 0.2
        )  # another looks straighter


def test_others_are_pulled_within_the_outline_along_the_picture(front):
    at = np.array([[0.405, 0.0, 0.0], [0.0, 0.0, -0.4], [0.9, 0.0, 0.0]])
    three = flat(
        at,
        np.tile([1.0, 0.0, 0.0], (3, 1)),
        np.array([0.0, 0.0, -2.0]),
        np.full(3, 0.01),
        np.zeros((3, 3)),
        np.full(3, 0.9),
    )
    moved = pulled_in(three, front).means.numpy()
    assert np.allclose(moved[1:], at[1:], atol=1e-6)  # well inside, and too far
    assert 0.003 < at[0, 0] - moved[0, 0] < 0.08
    assert moved[0, 2] == pytest.approx(0)


def test_assembled_gaussians_render_as_the_pictures(ball, front, behind):
    colors = vertex_colors([front, behind], ball, painted(ball.vertices))
    made, slices = assemble([front, behind], (1.0, 1.0), ball, colors, merge=4, like=0.03)
    assert [s.start for s in slices] == [0, slices[0].stop] and slices[1].stop <= len(made)
    for panel in (front, behind):
        drawn = rasterize(made, panel.view.camera, outputs=("rgb", "alpha"))
        assert psnr_inside(drawn.rgb, panel.view.image[None], panel.view.mask[None]).item() > 25
        assert (drawn.alpha[0] - panel.view.mask).abs().mean() < 0.05
    aside = close_camera(ball, 60.0, SIZE)
    drawn = rasterize(made, aside, outputs=("rgb", "alpha"))
    truth = picture(ball, aside)
    assert psnr_inside(drawn.rgb, truth.image[None], truth.mask[None]).item() > 22


def test_the_fit_brings_wrong_gaussians_nearer_to_the_picture(ball, front, behind):
    made, (own, _) = assemble([front, behind], (1.0, 1.0), ball, painted(ball.vertices), merge=1, like=0.0)
    off = torch.randn(made.colors.shape, generator=torch.Generator().manual_seed(1))
    wrong = replace(made, colors=(made.colors + 0.1 * off).clamp(0, 1), opacities=0.6 * made.opacities)
    fitted = fit(wrong, front.view, own, steps=8)
    shown = lambda g: rasterize(g, front.view.camera, outputs=("rgb", "alpha")).rgb  # noqa: E731
    quality = lambda g: psnr_inside(shown(g), front.view.image[None], front.view.mask[None]).item()  # noqa: E731
    assert quality(fitted) > quality(wrong) + 3
    assert quality(fit(made, front.view, own, steps=8)) > 33
    assert torch.equal(fitted.colors[own.stop :], wrong.colors[own.stop :])
    assert torch.equal(fitted.means, wrong.means)
    colored = fit(wrong, front.view, own, steps=2, shape=False)
    assert (colored.scales - wrong.scales).abs().max() < 1e-6
    assert (colored.opacities - wrong.opacities).abs().max() < 1e-5
    assert quality(colored) > quality(wrong)


def test_the_fit_takes_no_step_without_steps(ball, front, behind):
    made, (own, _) = assemble([front, behind], (1.0, 1.0), ball, painted(ball.vertices), merge=4, like=0.03)
    assert fit(made, front.view, own, steps=0) is made


def test_what_sticks_out_or_stands_before_goes(front):
    at = np.array([[0.0, 0.0, -0.41], [0.0, 0.0, -0.7], [0.6, 0.0, 0.0], [0.0, 0.0, 0.4]])
    normals = np.tile([0.0, 0.0, -1.0], (4, 1))
    four = flat(at, normals, np.array([0.0, 0.0, -2.0]), np.full(4, 0.01), np.zeros((4, 3)), np.full(4, 0.9))
    kept = trimmed(four, front)
    assert kept.means[:, 2].tolist() == pytest.approx([0.4])  # behind the surface nobody sees it from here


def test_discs_lie_on_the_surface_and_reach_their_neighbours():
    normals = np.array([[0.0, 0.0, -1.0], [0.6, 0.0, -0.8]])
    discs = flat(
        np.zeros((2, 3)), normals, np.array([0.0, 0.0, -2.0]), np.full(2, 0.01), np.zeros((2, 3)), np.ones(2)
    )
    axes = quat_to_matrix(discs.quats)
    torch.testing.assert_close(
        axes[..., 2].abs(), torch.from_numpy(np.abs(normals)).float(), atol=1e-5, rtol=0
    )
    assert discs.scales[1, 0] / discs.scales[1, 1] == pytest.approx(1 / 0.8, rel=1e-4)
    assert (discs.scales[:, 2] < 0.3 * discs.scales[:, 1]).all()


def test_blocks_cover_every_chosen_pixel_once(front):
    chosen = front.view.mask.numpy() > 0.5
    size = blocks(front, chosen, 4, 0.3)
    covered = np.zeros(chosen.shape, int)
    for y, x in np.argwhere(size > 0):
        covered[y : y + size[y, x], x : x + size[y, x]] += 1
    assert (covered == chosen).all()
    assert (blocks(front, chosen, 1, 0.1) == chosen).all()
    assert set(np.unique(size).tolist()) == {0, 1, 2, 4}


def test_an_outline_is_moved_onto_the_mask(ball):
    camera = framed(canonical_camera(256), (40.0, 40.0, 216.0, 216.0), 256)
    wanted = picture(sphere(0.44, (0.02, 0.0, 0.0)), camera)
    wrong = lambda surface: (look(surface, camera).hit != (wanted.mask.numpy() > 0.5)).sum()  # noqa: E731
    moved = snap_outline(ball, wanted)
    assert wrong(moved) < 0.15 * wrong(ball)
    assert np.allclose(moved.vertices[:, 2], ball.vertices[:, 2])  # across the picture, not along it
    assert np.array_equal(moved.faces, ball.faces)


def test_an_outline_that_fits_stays(ball):
    camera = close_camera(ball, 0.0, 256)
    moved = snap_outline(ball, picture(ball, camera))
    assert np.abs(moved.vertices - ball.vertices).max() < 0.5 * 2 / float(camera.K[0, 0])


def test_the_moves_solve_their_equations():
    rng = np.random.default_rng(0)
    links = sparse.random_array((60, 60), density=0.1, rng=rng)
    links = links + links.T
    system = (sparse.diags_array(links.sum(1) + rng.uniform(0.05, 1, 60)) - links).tocsr()
    right = np.stack([rng.normal(size=60), np.zeros(60)], 1)
    assert np.allclose(
        _solved(system, right, close=1e-9), np.linalg.solve(system.toarray(), right), atol=1e-7
    )


def test_soft_pixels_have_their_own_colours():
    mask = torch.linspace(0, 1, 32).expand(32, 32).contiguous()
    color = torch.tensor([0.2, 0.4, 0.9])
    view = View(color * mask[..., None] + 1 - mask[..., None], mask, canonical_camera(32))
    assert np.abs(own_colors(view) - color.numpy()).max() < 1e-3


def _decided(colors, depth, certain, unsure, reach):
    """`decide`, pixel by pixel in numpy."""
    source = np.indices(depth.shape)
    rows, columns = np.indices(depth.shape)
    for y, x in np.argwhere(unsure):
        window = certain & (abs(rows - y) <= 2 * reach) & (abs(columns - x) <= 2 * reach)
        if not window.any():
            continue
        place = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * (1.2 * reach) ** 2))
        vote = place * (np.exp(-((colors - colors[y, x]) ** 2).sum(-1) / (2 * 0.08**2)) + 1e-6)
        near = depth <= 0.5 * (depth[window].min() + depth[window].max())
        groups = [window & near, window & ~near]
        side = groups[0] if vote[groups[0]].sum() >= vote[groups[1]].sum() else groups[1]
        source[:, y, x] = np.unravel_index(np.argmax(np.where(side, place, -1)), depth.shape)
    return source


def test_the_kernel_decides_as_its_twin():
    rng = np.random.default_rng(3)
    depth = np.where(np.arange(24)[None] + np.arange(20)[:, None] // 4 < 12, 1.8, 2.1).astype(np.float32)
    colors = (np.where(depth[..., None] < 2, 0.2, 0.8) + rng.normal(0, 0.02, (20, 24, 3))).astype(np.float32)
    unsure = rng.random(depth.shape) < 0.4
    certain = ~unsure & (rng.random(depth.shape) < 0.8)
    source = np.indices(depth.shape, np.int32)
    decide(colors, depth, certain, unsure, 2, source)
    twin = _decided(colors, depth, certain, unsure, 2)
    assert (depth[source[0], source[1]] == depth[twin[0], twin[1]]).all()


def test_an_arm_does_not_paint_the_belly():
    belly, arm = sphere(0.4, (0, 0, 0.3)), sphere(0.12, (0.05, 0, -0.4))
    both = Surface(
        np.concatenate([belly.vertices, arm.vertices]),
        np.concatenate([belly.faces, arm.faces + len(belly.vertices)]),
    )
    camera = close_camera(both, 0.0, SIZE)
    sight = look(both, camera)
    near = (sight.depth < 1.8) & sight.hit
    red = np.roll(near, 2, axis=1)  # the picture's arm is two pixels further to the right than the surface's
    mask = torch.from_numpy(sight.hit).float()
    image = torch.from_numpy(np.where(red[..., None], [0.9, 0.2, 0.2], [0.2, 0.2, 0.9])).float()
    panel = lay(View(image * mask[..., None] + 1 - mask[..., None], mask, camera), both)
    painted_red = panel.sight.hit & (panel.colors[..., 0] > 0.5)
    on_belly = lambda depth: (painted_red & (depth > 1.8)).sum()  # noqa: E731
    assert on_belly(panel.sight.depth) > 50
    assert on_belly(panel.depth) < 0.25 * on_belly(panel.sight.depth)


def test_a_picture_of_nobody_here_is_refused(ball, front):
    nobody = View(torch.ones(SIZE, SIZE, 3), torch.zeros(SIZE, SIZE), canonical_camera(SIZE))
    with pytest.raises(ValueError, match="overlap"):
        lay(nobody, ball)


def test_vertex_colors_flow_into_what_nobody_sees(ball, front):
    colors = vertex_colors([front], ball, np.zeros((len(ball.vertices), 3), np.float32))
    facing_away = ball.vertices[:, 2] > 0.3
    assert colors[facing_away].mean() > 0.2  # neighbours' colours, hardly the black ones
    seen_straight = ball.vertices[:, 2] < -0.3
    assert np.abs(colors[seen_straight] - painted(ball.vertices[seen_straight])).mean() < 0.02
