"""Preparing photos with the landmark networks: who is seen, what is refused, whose mask it is. Skipped where
they were not fetched."""

import io
import logging

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from turnaround.models.landmarks import files
from turnaround.models.landmarks.company import people_seen
from turnaround.models.landmarks.everybody import pose_mask
from turnaround.models.landmarks.record import moved
from turnaround.models.location import locator
from turnaround.models.location.config import LandmarkNetworks
from turnaround.models.matting.claim import box_about, combined, told_mask
from turnaround.models.matting.scene import open_scene
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.stages.prepare import Prepare

CPU = torch.device("cpu")
NETWORKS = LandmarkNetworks().names
needs_networks = pytest.mark.skipif(
    not files.available(NETWORKS), reason="landmark networks are not in the cache: `turnaround fetch`"
)


def png(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def run(pixels: np.ndarray, mask: np.ndarray | None = None, **config):
    given = None if mask is None else png(np.where(mask > 0.5, 255, 0).astype(np.uint8))
    return Prepare(Prepare.Config(size=128, **config)).run(device=CPU, image=png(pixels), mask=given)


# ---------------------------------------------------------------------------------------------- without
# networks


def test_auto_tells_once_what_is_missing_and_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(files, "available", lambda names=(): False)
    locator._tell_what_is_missing.cache_clear()
    stage = Prepare(Prepare.Config(size=64))
    assert stage.weights() == ("matting",)
    mask = np.zeros((120, 90))
    mask[10:110, 30:60] = 1
    for _ in range(2):
        made = run(np.full((120, 90, 3), 99, np.uint8), mask)
    told = [record.message for record in caplog.records if "turnaround fetch" in record.message]
    assert len(told) == 1 and "pose_landmark_heavy" in told[0] and "often wrong" in told[0]
    assert made.landmarks == {"source": "none", "reason": "no landmark networks"}
    locator._tell_what_is_missing.cache_clear()


def test_the_used_networks_are_weights():
    named = Prepare(Prepare.Config(landmarks={"kind": "blazepose", "network": "lite"})).weights()
    assert {"matting", "pose_detection", "pose_landmark_lite", "hand_landmark", "face_landmark"} <= set(named)
    assert Prepare(Prepare.Config(landmarks="none")).weights() == ("matting",)


def blob(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.full((height, width), 0.02, np.float32)
    mask[top:bottom, left:right] = 0.98
    return mask


def test_holes_are_filled_where_the_pose_is_sure_and_far_pieces_are_dropped():
    pose, seen = blob(120, 90, 20, 30, 100, 60), blob(120, 90, 18, 28, 100, 62)
    seen[50:60, 40:50] = 0.02  # a dark pattern on the shirt
    seen[100:120, 28:62] = 0.98  # a shadow that goes on from the feet
    seen[30:40, 75:85] = 0.98  # somebody's bag
    both = combined(seen, pose) > 0.5
    assert both[50:60, 40:50].all() and both[18:20, 30:60].all()
    assert not both[30:40, 75:85].any() and not both[116:, 28:62].any()


def test_contested_pixels_go_to_the_surer_one():
    left, right = blob(120, 120, 20, 20, 100, 62), blob(120, 120, 20, 58, 100, 100)
    seen = np.maximum(left, right)
    a, b = combined(seen, left, [right]), combined(seen, right, [left])
    assert (a > 0.5)[60, 21:57].all() and not (a > 0.5)[60, 66:].any()
    assert (b > 0.5)[60, 64:99].all() and not (b > 0.5)[60, :54].any()


def test_landmarks_and_mask_look_at_one_photo_at_two_sizes():
    """A photo of 6,000 px is reduced by 3 for the mask and by 2 for the landmarks."""
    photo = np.zeros((80, 6000, 3), np.uint8)
    photo[:, 3000:] = 255
    scene = open_scene(png(photo), None)
    assert scene.shape == (26, 2000) and scene.fine.shape == (40, 3000, 3) and scene.ratio == 1.5
    assert scene.turned(1).shape == (2000, 26) and scene.turned(1).turned(-1).ratio == 1.5


def test_no_pose_no_mask():
    nobody = np.zeros((40, 30), np.float32)
    assert box_about(nobody) is None
    assert told_mask(lambda image: image[:, :1], torch.ones(40, 30, 3), nobody).max() == 0


# ---------------------------------------------------------------------------------------------- with networks


@needs_networks
def test_half_figures_are_refused_and_completed_where_allowed(caplog):
    astronaut = skimage.data.astronaut()
    with pytest.raises(StageError, match=r"only .*half .*cut off .*allow_truncated=true"):
        run(astronaut)
    made = run(astronaut, allow_truncated=True)
    assert "will be guessed" in caplog.text
    landmarks, camera = made.landmarks, made.view.camera
    assert landmarks["source"] == "blazepose" and landmarks["flag"] > 0.9
    whole = np.array(moved(landmarks, camera, canonical_camera(128))["pose"])[:, :2]
    assert whole.min() > 0 and whole.max() < 128, "the canonical square has room for the whole body"
    nose = np.array(landmarks["pose"])[0, :2].astype(int)
    assert made.mask[nose[1], nose[0]] > 0.9
    assert made.mask[:, 0].max() == 0


@needs_networks
@pytest.mark.parametrize("name", ["chelsea", "coffee", "rocket"])
def test_who_is_no_person_is_refused(name):
    with pytest.raises(StageError, match="no person was found"):
        run(getattr(skimage.data, name)(), allow_truncated=True)


@needs_networks
def test_a_given_mask_is_believed(caplog):
    cat = skimage.data.chelsea()
    mask = np.zeros(cat.shape[:2])
    mask[40:260, 100:300] = 1
    made = run(cat, mask)
    assert made.landmarks["source"] == "none" and "see nobody in the given mask" in caplog.text
    assert made.mask.max() > 0.99


@needs_networks
def test_photos_upside_down_or_sideways_are_turned_and_masks_come_back(caplog):
    astronaut = skimage.data.astronaut()
    upright = np.array(run(astronaut, allow_truncated=True).landmarks["pose"])[:, :2]
    for quarters in (1, 2):
        caplog.clear()
        turned = np.ascontiguousarray(np.rot90(astronaut, quarters))
        made = run(turned, allow_truncated=True)
        assert "turned upright" in caplog.text and "turn=never" in caplog.text
        assert np.abs(np.array(made.landmarks["pose"])[:25, :2] - upright[:25]).mean() < 6
    stage = Prepare(Prepare.Config(size=128, allow_truncated=True))
    stream = io.BytesIO()
    Image.fromarray(np.round(made.mask.numpy() * 255).astype(np.uint8)).save(stream, "PNG")
    beside = stage.beside("mask", stream.getvalue(), device=CPU, image=png(turned), mask=None)
    back = np.rot90(np.asarray(Image.open(io.BytesIO(beside))) / 255, -quarters)
    assert back[60:180, 170:270].mean() > 0.85 and back[60:180, 400:].mean() < 0.05, (
        "her head, and the space beside it"
    )


@needs_networks
def test_two_people_are_two(caplog):
    astronaut = skimage.data.astronaut()
    pair = np.concatenate([astronaut, astronaut], 1)
    with pytest.raises(StageError, match="2 people of comparable size"):
        run(pair)
    caplog.set_level(logging.WARNING)
    made = run(pair, person="left", allow_truncated=True)
    assert made.landmarks["flag"] > 0.9
    people = people_seen(pair)
    masks = [
        pose_mask(pose, *pair.shape[:2]) > 0.5 for pose in sorted(people, key=lambda pose: pose.xy[0, 0])
    ]
    assert len(masks) == 2 and (masks[0] & masks[1]).mean() < 0.01


@needs_networks
def test_a_mask_chooses_among_people_of_any_size():
    astronaut = skimage.data.astronaut()
    small = np.asarray(Image.fromarray(astronaut).resize((170, 170)))
    photo = np.full((512, 720, 3), 200, np.uint8)
    photo[:, :512], photo[342:, 540:710] = astronaut, small
    mask = np.zeros(photo.shape[:2])
    mask[350:, 560:650] = 1
    made = run(photo, mask, allow_truncated=True, framing="frame")
    landmarks = moved(made.landmarks, made.view.camera, canonical_camera(720))
    assert landmarks["source"] == "blazepose"
    nose = np.array(landmarks["pose"])[0, 0]
    assert 560 < nose < 660, "the small one's, not the large one's"
