"""What of a photo speaks against a good result: cut off, turned, several people, few pixels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.flows.subjects.test_several_people import silhouettes, together
from tests.models.landmarks.test_framing import HEIGHT, WIDTH, leaning, standing
from turnaround.models.landmarks.framing import findings
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Region
from turnaround.models.location import doubts
from turnaround.models.matting.pieces import person_of
from turnaround.models.matting.scene import Scene, Whole

SHAPE = (HEIGHT, WIDTH)


def codes(causes) -> dict[str, bool]:
    """Code -> whether it makes the fit poor; every cause must say what to do."""
    assert all(cause.sentence and cause.remedy for cause in causes)
    return {cause.code: cause.poor for cause in causes}


@pytest.mark.parametrize(
    ("tall", "code", "poor"),
    [
        (392, "parts_outside", False),
        (420, "knees", True),
        (600, "above_knees", True),
        (900, "waist", True),
        (1400, "head_only", True),
    ],
)
def test_who_is_cut_off_is_a_poor_fit_from_the_knees_on(tall, code, poor):
    pose = standing(top=20, tall=tall)
    pose = replace(pose, xy=np.stack([(pose.xy[:, 0] - 150) * 320 / tall + 150, pose.xy[:, 1]], 1))
    assert codes(doubts.of_findings(findings(pose, *SHAPE))) == {code: poor}


def test_legs_alone_are_a_poor_fit_and_a_whole_person_is_none():
    assert codes(doubts.of_findings(findings(standing(top=-170), *SHAPE))) == {"head_outside": True}
    assert doubts.of_findings(findings(standing(), *SHAPE)) == []
    assert doubts.of_posture(standing(), 0) == []


@pytest.mark.parametrize(("degrees", "quarters"), [(90, 1), (180, 2), (-90, 3)])
def test_who_is_not_upright_is_to_be_turned_as_far_as_they_lean(degrees, quarters):
    (cause,) = doubts.of_posture(leaning(degrees), 0)
    assert cause.poor and cause.remedy == doubts.TURN[quarters]
    assert ("counter" in cause.remedy) == (degrees == 90)
    assert codes(doubts.of_posture(leaning(0), quarters)) == {"turned": False}


def test_who_leans_is_told_and_who_bends_over_is_not():
    assert codes(doubts.of_posture(leaning(55), 0)) == {"slanted": False}
    assert doubts.of_posture(leaning(25), 0) == []


def beside(x: float, tall: float = 320.0) -> tuple[Pose, np.ndarray]:
    """Somebody at a column, with the mask that the networks draw of them, and that mask in the photo."""
    pose = standing(middle=x, tall=tall)
    region = Region(x, pose.circle[0, 1], 1.3 * tall)
    mask = np.zeros((256, 256), np.float32)
    mask[32:224, 98:158] = 1
    drawn = np.zeros(SHAPE, np.float32)
    left, top = x - 0.15 * tall, pose.circle[0, 1] - 0.49 * tall
    drawn[max(0, int(top)) : int(top + 0.98 * tall), max(0, int(left)) : int(left + 0.3 * tall)] = 1
    return replace(pose, mask=mask, region=region), drawn


def test_a_mask_of_two_people_is_told_and_that_of_one_is_not():
    (one, mask), (two, theirs) = beside(80), beside(220)
    assert doubts.of_company(mask, one, [two]) == []
    (cause,) = doubts.of_company(np.maximum(mask, theirs), one, [two])
    assert cause.code == "several_people" and cause.poor and cause.figure == 2
    assert "--people all" in cause.remedy
    assert codes(doubts.of_company(mask, one, [beside(130)[0]])) == {"touching": False}


def test_who_is_small_or_hidden_is_not_in_the_mask():
    (one, mask), (two, theirs) = beside(80), beside(220)
    both = np.maximum(mask, theirs)
    hidden = replace(two, visibility=np.full(33, 0.1))
    assert doubts.of_company(both, one, [hidden]) == []
    assert doubts.of_company(both, one, [beside(220, tall=100)[0]]) == []
    assert doubts.seen_inside(hidden, both) == 0 and doubts.seen_inside(two, both) > doubts.INSIDE


def scene(height: int, step: int) -> Scene:
    pixels = np.zeros((height, 40, 3))
    whole = None if step == 1 else Whole(np.zeros((height * step, 40 * step, 3), np.uint8), None, step)
    return Scene(pixels, None, False, np.zeros((height, 40, 3), np.uint8), 1.0, whole)


@pytest.mark.parametrize(
    ("tall", "step", "expected"),
    [(30, 1, {"small": True}), (100, 1, {"small": False}), (100, 2, {}), (180, 1, {})],
)
def test_few_pixels_of_the_photo_as_it_came_are_told(tall, step, expected):
    mask = np.zeros((200, 40), np.float32)
    mask[5 : 5 + tall, 10:30] = 1
    found = doubts.of_size(mask, scene(200, step))
    assert codes(found) == expected and all(cause.figure == tall * step for cause in found)


def outline(mask: np.ndarray, *sides: str, much: bool = False):
    solid = mask > 0.5
    return doubts.of_outline(person_of(solid, mask), sides, sides if much else ())


def test_a_mask_alone_tells_who_lies_who_is_cut_off_and_who_are_two():
    assert all(outline(mask) == [] for mask in silhouettes(8, seed=3))
    masks = silhouettes(2, seed=3, kind="relaxed")
    for mask in masks:
        assert codes(outline(np.rot90(mask))) == {"sideways": True}
    two = np.maximum(*together(masks[0], masks[1], gap=-2))
    assert codes(outline(two)) == {"several_people": True}
    assert codes(outline(masks[0], "bottom")) == {"at_border": False}
    assert codes(outline(masks[0], "bottom", much=True)) == {"cut_off": True}
