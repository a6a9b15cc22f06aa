"""What landmarks say of a photo: cut off, turned, from behind, hidden arms; with made-up poses."""

from dataclasses import replace

import numpy as np
import pytest

from turnaround.models.landmarks.company import scaled
from turnaround.models.landmarks.framing import extent, findings, quarter_turns, upright_region
from turnaround.models.landmarks.names import POSE_INDEX, POSE_NAMES
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Region

# x to the right of the middle for the left side, y from the head: shares of the height of someone who faces
# the camera
HALF = {
    "eye_inner": (0.01, 0.05),
    "eye": (0.02, 0.05),
    "eye_outer": (0.03, 0.05),
    "ear": (0.04, 0.06),
    "shoulder": (0.12, 0.18),
    "elbow": (0.18, 0.33),
    "wrist": (0.2, 0.46),
    "pinky": (0.21, 0.5),
    "index": (0.2, 0.51),
    "thumb": (0.19, 0.49),
    "hip": (0.07, 0.5),
    "knee": (0.07, 0.74),
    "ankle": (0.07, 0.95),
    "heel": (0.06, 0.97),
    "foot_index": (0.09, 0.99),
}
HEIGHT, WIDTH = 400, 300


def standing(top: float = 40.0, tall: float = 320.0, middle: float = 150.0) -> Pose:
    """Somebody who faces the camera, `tall` pixels high, in a photo of HEIGHT x WIDTH."""
    xy = np.zeros((33, 2))
    for name, k in POSE_INDEX.items():
        part = name.replace("left_", "").replace("right_", "")
        x, y = {"nose": (0, 0.07), "mouth_left": (0.01, 0.09), "mouth_right": (-0.01, 0.09)}.get(
            name
        ) or HALF[part]
        xy[k] = middle + (-x if name.startswith("right") else x) * tall, top + y * tall
    circle = np.array([[middle, top + 0.5 * tall], [middle, top - 0.1 * tall]])
    sure = np.ones(33)
    region = Region(middle, top + 0.5 * tall, 1.5 * tall)
    return Pose(
        xy, np.zeros(33), sure, sure, np.zeros((33, 3)), circle, 1.0, np.zeros((256, 256), np.float32), region
    )


def said(pose: Pose) -> str:
    return " | ".join(finding.text for finding in findings(pose, HEIGHT, WIDTH))


def test_names_of_the_made_up_person_are_complete():
    assert len(POSE_NAMES) == 33 and said(standing()) == ""


@pytest.mark.parametrize(
    ("tall", "text", "truncated"),
    [
        (360, "", False),
        (392, "left foot and right foot", False),
        (420, "cut off at the knees", True),
        (600, "cut off above the knees", True),
        (900, "cut off at the waist", True),
        (1400, "only head and shoulders", True),
    ],
)
def test_what_is_cut_off_at_the_bottom(tall, text, truncated):
    pose = standing(top=20, tall=tall)
    pose = replace(
        pose, xy=np.stack([(pose.xy[:, 0] - 150) * 320 / tall + 150, pose.xy[:, 1]], 1)
    )  # as narrow as the others
    found = findings(pose, HEIGHT, WIDTH)
    assert (not found and not text) or (
        text in found[0].text and found[0].truncated == truncated and found[0].outside
    )
    assert len(found) <= 1


def test_presence_counts_as_well_as_place():
    pose = standing()
    presence = pose.presence.copy()
    presence[[POSE_INDEX[f"{side}_{part}"] for side in ("left", "right") for part in ("knee", "ankle")]] = 0.1
    assert "above the knees" in said(replace(pose, presence=presence))


def test_heads_and_hands_outside():
    assert "head is outside" in said(standing(top=-60))
    pose = standing(middle=262)
    assert said(pose).startswith("the photo does not show the person's left hand:")
    assert not findings(pose, HEIGHT, WIDTH)[0].truncated


def test_from_behind_and_not_when_the_photo_is_turned():
    pose = standing()
    behind = replace(pose, xy=pose.xy * (-1, 1) + (300, 0))
    assert "from behind" in said(behind)
    turned = replace(pose, xy=(WIDTH, HEIGHT) - pose.xy, region=replace(pose.region, angle=np.pi))
    assert "from behind" not in said(turned)
    side = replace(pose, xy=(pose.xy - (150, 0)) * (-0.1, 1) + (150, 0))
    assert said(side) == "", "of a side view nothing is known"


def test_a_hidden_arm_is_named():
    pose = standing()
    visibility = pose.visibility.copy()
    visibility[[POSE_INDEX["left_elbow"], POSE_INDEX["left_wrist"]]] = 0.1
    assert "the person's left arm is hidden" in said(replace(pose, visibility=visibility))


def leaning(degrees: float, legs: float | None = None) -> Pose:
    """The person turned clockwise; `legs`: these by another angle, about the hips."""
    pose = standing()
    hips = pose.xy[[POSE_INDEX["left_hip"], POSE_INDEX["right_hip"]]].mean(0)
    below = np.array(["knee" in n or "ankle" in n or "heel" in n or "foot" in n for n in POSE_INDEX])
    angles = np.radians(np.where(below & (legs is not None), legs or 0.0, degrees))
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = (pose.xy - hips).T
    xy = np.stack([cos * x - sin * y, sin * x + cos * y], 1) + hips
    return replace(pose, xy=xy, region=replace(pose.region, angle=np.radians(degrees)))


def test_who_bends_over_does_so_in_an_upright_photo():
    assert quarter_turns(leaning(95.0, legs=0.0)) == 0
    assert quarter_turns(leaning(95.0, legs=60.0)) == 1, "bent knees of somebody who lies"


@pytest.mark.parametrize(
    ("degrees", "quarters"), [(0, 0), (-25, 0), (80, 1), (-95, 3), (178, 2), (-170, 2), (45, 0), (135, 0)]
)
def test_quarter_turns_bring_people_upright(degrees, quarters):
    pose = leaning(degrees)
    assert quarter_turns(pose) == quarters
    after = np.degrees(upright_region(pose, quarters, HEIGHT, WIDTH).angle)
    assert abs((after + 180) % 360 - 180) <= (25 if quarters or degrees in (0, -25) else 180)


@pytest.mark.parametrize("quarters", range(4))
def test_regions_follow_the_turned_photo(quarters):
    photo = np.zeros((HEIGHT, WIDTH))
    photo[30, 200] = 1
    pose = replace(standing(), region=Region(200.5, 30.5, 90.0))
    turned = upright_region(pose, quarters, HEIGHT, WIDTH)
    assert np.rot90(photo, quarters)[int(turned.y), int(turned.x)] == 1


def test_the_whole_body_has_an_extent_beyond_the_photo_and_scales():
    top, left, bottom, right = extent(standing(top=20, tall=600))
    assert (
        0 < top < 20
        and bottom == pytest.approx(20 + 0.99 * 600)
        and left == pytest.approx(150 - 126)
        and right == pytest.approx(276)
    )
    half = extent(scaled(standing(top=20, tall=600), 0.5))
    assert half == pytest.approx([value / 2 for value in (top, left, bottom, right)])
