"""Close views: the person fills them, their cameras are exact, and a large photo's own pixels are in them."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from turnaround.models.landmarks.record import keypoints_at, moved
from turnaround.models.matting.close import close_square, part_under
from turnaround.models.matting.cutout import limited, own_colors
from turnaround.models.matting.scene import open_scene
from turnaround.pipeline.photos.photo import decode_mask, encode_mask
from turnaround.pipeline.values.camera import canonical_camera, cropped
from turnaround.pipeline.values.crop import networks_copy, points_at
from turnaround.stages.prepare import Prepare

CPU = torch.device("cpu")


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(stream, "png")
    return stream.getvalue()


def mask_of(height: int, width: int, box: tuple[int, int, int, int]) -> np.ndarray:
    """A box of left, top, right, bottom."""
    mask = np.zeros((height, width), np.float32)
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


def prepare(photo: np.ndarray, mask: np.ndarray, size: int = 256, **config):
    stage = Prepare(Prepare.Config(size=size, landmarks="none", **config))
    return stage.run(device=CPU, image=png(photo), mask=encode_mask(mask))


def centre(weight: torch.Tensor) -> torch.Tensor:
    """x and y of a picture's centre of mass, pixels."""
    at = torch.arange(len(weight)) + 0.5
    return torch.stack([(weight.sum(0) * at).sum(), (weight.sum(1) * at).sum()]) / weight.sum()


@pytest.mark.parametrize("box", [(120, 60, 180, 340), (40, 200, 260, 300), (0, 100, 90, 399)])
def test_the_person_fills_the_view(box):
    mask = mask_of(400, 300, box)
    made = prepare(np.full((400, 300, 3), 0.4), mask, allow_truncated=True).mask > 0.5
    rows, columns = made.any(1).nonzero()[:, 0], made.any(0).nonzero()[:, 0]
    assert 0.85 < max(rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]) / 256 < 0.9
    assert abs(rows[0] + rows[-1] + 1 - 256) <= 2 and abs(columns[0] + columns[-1] + 1 - 256) <= 2


def test_faint_parts_stay_inside():
    mask = mask_of(400, 400, (180, 100, 220, 300))
    mask[200:204, 220:390] = 0.1  # hair in the wind
    x, _, side = close_square(mask)
    assert x + side >= 390 and x + side / 2 == 200
    mask[200:204, 220:390] = 0.01
    assert close_square(mask)[2] == pytest.approx(200 / 0.875)
    with pytest.raises(ValueError, match="empty"):
        close_square(np.zeros((8, 8), np.float32))


@pytest.mark.parametrize("framing", ["person", "frame"])
def test_a_point_of_the_photo_is_one_point_of_the_world(framing):
    """A mark lies in the close view and in the canonical copy where their cameras say that it is the same
    ray."""
    photo, mask = np.full((512, 512, 3), 0.8, np.float32), mask_of(512, 512, (200, 80, 300, 440))
    photo[150:158, 230:238] = 0
    view = prepare(photo, mask, framing=framing).view
    copy = networks_copy(view, 512)
    close, wide = (centre((0.6 - v.image[..., 0]).clamp(min=0) * (v.mask > 0.5)) for v in (view, copy))
    torch.testing.assert_close(points_at(close, view.camera, copy.camera), wide, atol=0.15, rtol=0)
    if framing == "frame":  # its camera is the canonical one
        torch.testing.assert_close(wide, torch.tensor([234.0, 154.0]), atol=0.15, rtol=0)
        inside = copy.mask[90:430, 210:290]
        assert inside.min() > 0.99 and abs(copy.mask.sum() / mask.sum() - 1) < 0.01


def test_small_people_of_large_photos_have_the_photos_own_pixels():
    """A pattern of single pixels in a photo of 4,200 px, which the scene has at a third, is seen in the
    view."""
    photo, mask = np.full((4200, 600, 3), 0.5, np.float32), mask_of(4200, 600, (270, 1000, 330, 1090))
    photo[::2] = 0.9
    scene = open_scene(png(photo), encode_mask(mask))
    assert scene.whole is not None and scene.whole.step == 3 and scene.given is not None
    square = close_square(scene.given)
    part = part_under(scene, scene.given, square, 128)
    assert square[2] == pytest.approx(30 / 0.875, abs=2.5) and part.square[2] == pytest.approx(3 * square[2])
    assert np.ptp(part.pixels[8:-8, 8:-8].mean((1, 2))) > 0.35
    assert part.mask.max() == 1 and part.mask.sum() == pytest.approx(60 * 90, rel=0.01)
    assert part_under(scene, scene.given, square, 16).pixels is scene.pixels


def test_parts_of_turned_photos_are_turned_parts():
    photo, mask = np.random.default_rng(0).random((2500, 300, 3)), mask_of(2500, 300, (100, 1000, 160, 1100))
    scene = open_scene(png(photo), encode_mask(mask))
    turned = scene.turned(1)
    assert scene.given is not None and turned.given is not None
    plain, part = (part_under(s, s.given, close_square(s.given), 512) for s in (scene, turned))
    assert plain.square[2] == part.square[2]
    y, x = np.nonzero(part.mask > 0.5)
    v, u = np.nonzero(plain.mask > 0.5)
    np.testing.assert_allclose(part.pixels[y, x].mean(0), plain.pixels[v, u].mean(0), atol=1e-5)


def test_network_masks_follow_the_edges_of_finer_pixels():
    """A disc of 40 px of the photo, whose mask is known at a quarter: the edge comes from the colours."""
    y, x = np.mgrid[:8000, :80] + 0.5
    disc = (np.hypot(x - 41, y - 4001) < 20).astype(np.float32)
    photo = 0.2 + 0.6 * disc[..., None].repeat(3, -1)
    scene = open_scene(png(photo), None)
    coarse = disc.reshape(2000, 4, 20, 4).mean((1, 3))
    part = part_under(scene, coarse, close_square(coarse), 64)
    assert part.square[2] > 40 and part.mask.shape == part.pixels.shape[:2]
    truth = part.pixels[..., 0] > 0.5
    blocks = (coarse > 0.5).repeat(4, 0).repeat(4, 1)
    wrong = ((part.mask > 0.5) != truth).sum()
    assert wrong < 0.5 * (blocks != (disc > 0.5)).sum()


def test_an_edited_mask_goes_back_where_the_close_view_is():
    photo, mask = np.full((300, 400, 3), 0.5), mask_of(300, 400, (150, 60, 240, 260))
    stage = Prepare(Prepare.Config(size=256, landmarks="none"))
    inputs = {"image": png(photo), "mask": encode_mask(mask)}
    seen = stage.run(device=CPU, **inputs).mask.numpy()
    seen[:, :128] = 0
    whole = decode_mask(stage.beside("mask", encode_mask(seen), device=CPU, **inputs), "it", None)
    assert whole.shape == (300, 400)
    assert abs(whole - mask_of(300, 400, (195, 60, 240, 260))).mean() < 0.003


def test_landmarks_and_keypoints_follow_the_camera():
    source = canonical_camera(512)
    target = cropped(source, (100.0, 50.0), 256.0, 1024)
    row = [150.0, 100.0, -20.0, 0.9, 0.8]
    record = {
        "source": "blazepose",
        "network": "n",
        "flag": 0.9,
        "pose": [row],
        "world": [[1.0, 2.0, 3.0]],
        "mirrored": {"pose": [row], "world": [[1.0, 2.0, 3.0]]},
        "hands": {"left": {"xy": [[150.0, 100.0]], "world": [[1.0, 2.0, 3.0]], "flag": 0.5}, "right": None},
        "face": {"points": [[150.0, 100.0, 5.0]], "flag": 0.7},
    }
    there = moved(record, source, target)
    assert there["pose"] == there["mirrored"]["pose"] == [[200.0, 200.0, -80.0, 0.9, 0.8]]
    assert there["hands"]["left"]["xy"] == [[200.0, 200.0]] and there["hands"]["right"] is None
    assert there["face"]["points"] == [[200.0, 200.0, 20.0]]
    assert there["world"] == record["world"] and there["mirrored"]["world"] == record["world"]
    assert moved(there, target, source) == record
    none = {"source": "none", "reason": "nobody"}
    assert moved(none, source, target) == none
    assert keypoints_at({"head": [150.0, 100.0, 0.5]}, source, target) == {"head": [200.0, 200.0, 0.5]}


def test_edges_have_the_persons_colour_and_wide_doubt_keeps_its_own():
    alpha = torch.zeros(128, 128)
    alpha[:, :40] = 1
    alpha[:, 40:44] = 0.5
    alpha[:, 100:128] = 0.5  # far from what is sure
    colors = torch.where(alpha > 0.9, 0.9, 0.1).expand(3, 128, 128)
    found = own_colors(colors, alpha, 8.0)
    assert (found[:, 8:-8, 40:44] - 0.9).abs().max() < 1e-3
    assert (found[:, :, 100:] - 0.1).abs().max() < 1e-3
    assert torch.equal(found[:, :, :40], colors[:, :, :40])


def test_averages_of_blocks_are_means():
    generator = np.random.default_rng(0)
    values, alpha = generator.random((11, 9, 3)), generator.random((11, 9))
    reduced, soft = limited(values, alpha, 4)
    weight = alpha + 1e-4
    for k, i in np.ndindex(3, 3):
        block = (slice(3 * k, 3 * k + 3), slice(3 * i, 3 * i + 3))
        mean = (values[block] * weight[block][..., None]).sum((0, 1)) / weight[block].sum()
        np.testing.assert_allclose(reduced[k, i], mean, rtol=1e-6)
        assert soft is not None and soft[k, i] == pytest.approx(alpha[block].mean())
