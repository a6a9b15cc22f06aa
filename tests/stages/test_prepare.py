"""Preparing photos: who is taken, what is refused, where the square lies, what camera and colours come
out."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from turnaround.models.location import locator
from turnaround.models.location.choice import chosen
from turnaround.models.matting.cutout import cut_square, limited, own_colors, person_square
from turnaround.models.matting.pieces import cut_sides, find_people, only, rivals
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.crop import networks_copy
from turnaround.stages.prepare import Prepare

CPU = torch.device("cpu")


def figure(height=400, width=300, top=60, bottom=340, left=120, right=180) -> np.ndarray:
    """A mask of a crude person: a box with a narrower head."""
    mask = np.zeros((height, width), np.float32)
    mask[top:bottom, left:right] = 1
    third = (right - left) // 3
    mask[top : top + (bottom - top) // 6, left : left + third] = 0
    mask[top : top + (bottom - top) // 6, right - third : right] = 0
    return mask


def png(rgb: np.ndarray, alpha: np.ndarray | None = None) -> bytes:
    values = rgb if alpha is None else np.concatenate([rgb, alpha[..., None]], -1)
    stream = io.BytesIO()
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def photo(mask: np.ndarray) -> np.ndarray:
    """A red person before blue."""
    return np.where(mask[..., None] > 0.5, [0.8, 0.1, 0.1], [0.1, 0.2, 0.9]).astype(np.float32)


def prepare(**config) -> Prepare:
    """The stage by masks alone: whether the landmark networks were fetched does not matter."""
    return Prepare(Prepare.Config(size=128, landmarks="none", **config))


def run(mask: np.ndarray, **config):
    return prepare(**config).run(device=CPU, image=png(photo(mask), mask), mask=None)


def test_view_has_a_crop_of_the_canonical_camera_white_and_the_persons_colours():
    made = run(figure())
    view = made.view
    assert (
        view.image.shape == (128, 128, 3)
        and view.mask.shape == (128, 128)
        and made.overlay.shape == (128, 128, 3)
    )
    assert torch.equal(view.camera.T_camera_world, canonical_camera(128).T_camera_world)
    assert torch.equal(made.mask, view.mask)
    assert (view.image[view.mask == 0] == 1).all()
    inside = view.image[view.mask > 0.99]
    assert (inside - torch.tensor([0.8, 0.1, 0.1])).abs().max() < 0.01


def test_person_framing_puts_the_person_where_the_camera_expects_them():
    rows = (networks_copy(run(figure()).view, 128).mask > 0.5).any(1).nonzero()[:, 0]
    height = (rows[-1] + 1 - rows[0]) / 128
    assert abs(height - 0.70) < 0.02
    assert abs((rows[0] + 0.47 * height * 128) / 128 - 0.5) < 0.02


def test_stretched_arms_stay_inside_and_do_not_move_the_pelvis():
    mask = figure(width=500, left=200, right=260)
    mask[120:135, 230:480] = 1
    person = find_people(mask)[0]
    x, _, side = person_square(mask, person)
    assert x <= 200 and x + side >= 480
    assert abs(x + side / 2 - 230) < 3


def test_square_cutouts_of_usual_size_keep_their_frame():
    mask = figure(height=400, width=400, top=60, bottom=340, left=100, right=160)
    kept = networks_copy(run(mask).view, 128).mask
    expected = torch.nn.functional.interpolate(torch.from_numpy(mask)[None, None], (128, 128), mode="area")[
        0, 0
    ]
    assert (kept - expected).abs().mean() < 0.01
    moved = networks_copy(run(mask, framing="person").view, 128).mask
    assert (moved - expected).abs().mean() > 0.05


def test_sidecar_mask_wins_over_the_network_and_alpha():
    mask = figure()
    made = prepare().run(device=CPU, image=png(photo(mask)), mask=png(np.repeat(mask[..., None], 3, -1)))
    assert (made.mask - run(mask).mask).abs().max() < 0.02


def test_network_is_asked_for_opaque_photos(monkeypatch):
    mask = figure()
    monkeypatch.setattr(locator, "load_matting", lambda name, device: torch.nn.Identity())
    monkeypatch.setattr(locator, "person_mask", lambda network, image: (image[..., 0] > 0.5).float())
    made = prepare().run(device=CPU, image=png(photo(mask)), mask=None)
    assert (made.mask - run(mask).mask).abs().mean() < 0.01


@pytest.mark.parametrize(
    ("who", "centre"), [("largest", 320), ("left", 90), ("right", 320), ("0", 90), ("1", 320)]
)
def test_choice_between_two_people(who, centre):
    mask = np.maximum(figure(width=450, left=60, right=120, top=120), figure(width=450, left=290, right=350))
    with pytest.raises(StageError, match=r"largest\|left\|right"):
        run(mask)
    people = find_people(mask)
    assert abs(chosen(who, people, len(rivals(people))).centre_x * 450 - centre) < 5


@pytest.mark.parametrize("who", ["2", "middle", "-1"])
def test_wrong_choice_is_named(who):
    with pytest.raises(StageError, match="expected auto"):
        run(figure(), person=who)


def test_nobody():
    mask = np.zeros((300, 300), np.float32)
    mask[10:12, 10:12] = 1
    with pytest.raises(StageError, match=r"no person.*mask\.png"):
        run(mask)


def test_specks_are_dropped_and_cut_people_are_joined():
    mask = figure()
    mask[200:208] = 0  # a bar before the person
    mask[20:26, 20:26] = 1  # a speck
    people = find_people(mask)
    assert len(people) == 1
    cleaned = only(people[0], mask, fill_holes=False)
    assert cleaned[20:26, 20:26].max() == 0 and cleaned[300, 150] == 1 and cleaned[100, 150] == 1


def test_small_holes_of_networks_are_filled_and_large_ones_kept():
    mask = figure()
    mask[250:253, 150:153] = 0
    mask[150:190, 135:165] = 0
    person = find_people(mask)[0]
    filled, kept = only(person, mask, fill_holes=True), only(person, mask, fill_holes=False)
    assert filled[251, 151] == 1 and kept[251, 151] == 0
    assert filled[170, 150] == 0


def test_cut_off_people():
    feet = figure(bottom=400)
    feet[330:, 130:170] = 0
    assert 0 < cut_sides(find_people(feet)[0])["bottom"] < 0.35
    run(feet)  # shoes that leave the picture are accepted
    half = figure(top=150, bottom=400)
    with pytest.raises(StageError, match=r"cut off at the bottom.*allow_truncated"):
        run(half)
    run(half, allow_truncated=True)


def test_trimmed_cutouts_are_whole_people():
    mask = figure(left=100, right=200)[60:340, 100:200]
    assert len(cut_sides(find_people(mask)[0])) >= 3
    run(mask)


def test_soft_edges_take_the_persons_own_colour():
    alpha = torch.zeros(32, 32)
    alpha[8:24, 8:24] = 1
    alpha[7, 8:24] = 0.5
    colors = torch.where(alpha > 0.9, 0.9, 0.1).expand(3, 32, 32)
    assert (own_colors(colors, alpha)[:, 7, 10:20] - 0.9).abs().max() < 1e-3


def test_large_photos_are_reduced_and_small_ones_left():
    small = np.random.default_rng(0).random((50, 40, 3)).astype(np.float32)
    assert limited(small, None)[0] is small
    large = np.full((3000, 64, 3), 0.25, np.float32)
    reduced, alpha = limited(large, np.ones((3000, 64), np.float32))
    assert reduced.shape == (1500, 32, 3) and abs(reduced - 0.25).max() < 1e-6 and alpha.shape == (1500, 32)


def test_squares_beyond_the_photo():
    colors, mask = cut_square(
        np.full((40, 40, 3), 0.5, np.float32),
        np.ones((40, 40), np.float32),
        (-20.0, -20.0, 80.0),
        80,
        straight=True,
    )
    assert mask[:19].max() == 0 and mask[22:58, 22:58].min() == 1
    assert abs(colors[40, 40] - 0.5).max() < 1e-5
