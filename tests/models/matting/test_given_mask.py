"""Masks and alpha channels that came with a photo: believed, mended, left aside or refused by people."""

import io

import numpy as np
import pytest
from PIL import Image, ImageDraw

from turnaround.models.landmarks.names import POSE_INDEX
from turnaround.models.landmarks.pose import Pose
from turnaround.models.landmarks.region import Region
from turnaround.models.matting.given.believed import Contradiction, Verdict, comparable, judged
from turnaround.models.matting.given.mends import labels_in, lit, opaque, shadowless, upright, values_of
from turnaround.models.matting.given.plausible import Seen, best_fit, fit_of, is_convex, is_frame, is_whole
from turnaround.models.matting.scene import Somebody, open_scene
from turnaround.pipeline.photos.photo import decode, encode_mask

H, W = 240, 180
AT = {
    "nose": (0.5, 0.06),
    "shoulder": (0.2, 0.22),
    "elbow": (0.1, 0.4),
    "wrist": (0.1, 0.55),
    "hip": (0.3, 0.5),
    "knee": (0.3, 0.74),
    "ankle": (0.3, 0.96),
}


def figure(
    left: float = 60, top: float = 30, right: float = 120, bottom: float = 210, size=(H, W), grow: float = 0
) -> np.ndarray:
    """A person with gaps between arms, legs and trunk; `left` etc. are their box."""
    image = Image.new("L", size[::-1])
    draw = ImageDraw.Draw(image)
    wide, tall = right - left, bottom - top
    parts = (
        (0.35, 0, 0.65, 0.14),
        (0.25, 0.14, 0.75, 0.55),
        (0, 0.16, 0.2, 0.58),
        (0.8, 0.16, 1, 0.58),
        (0, 0.16, 1, 0.25),
        (0.22, 0.55, 0.45, 1),
        (0.55, 0.55, 0.78, 1),
    )
    for x0, y0, x1, y1 in parts:
        box = (
            left + x0 * wide - grow,
            top + y0 * tall - grow,
            left + x1 * wide + grow,
            top + y1 * tall + grow,
        )
        draw.rectangle(box, fill=255)
    return np.asarray(image, np.float32) / 255


def somebody(left=60, top=30, right=120, bottom=210, others=()) -> Somebody:
    """The figure as landmark networks would see it."""
    xy = np.zeros((33, 2))
    for name, index in POSE_INDEX.items():
        side, _, joint = name.partition("_")
        x, y = AT.get(joint, AT["nose"])
        x = 1 - x if side == "left" else x
        xy[index] = left + x * (right - left), top + y * (bottom - top)
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    circle = np.stack([centre, centre - (0, (bottom - top) / 2)])
    ones = np.ones(33)
    pose = Pose(
        xy,
        0 * ones,
        ones,
        ones,
        np.zeros((33, 3)),
        circle,
        1.0,
        np.zeros((256, 256), np.float32),
        Region(*centre, 250.0),
    )
    return Somebody(pose, figure(left, top, right, bottom), others)


def png(values: np.ndarray, mode: str | None = None) -> bytes:
    stream = io.BytesIO()
    (Image.fromarray(values) if mode is None else Image.fromarray(values, mode)).save(stream, "PNG")
    return stream.getvalue()


PHOTO = np.random.default_rng(0).integers(40, 200, (H, W, 3)).astype(np.uint8)
PERSON, ANOTHER = somebody(), somebody(10, 120, 40, 200)


def judge(
    mask: np.ndarray | bytes | None = None, alpha: np.ndarray | None = None, people=(PERSON,), own=None
) -> Verdict:
    """The verdict on a mask file (bytes, or values in [0, 1]) or on an alpha channel."""
    photo = (
        PHOTO
        if alpha is None
        else np.concatenate([PHOTO, np.round(alpha[..., None] * 255).astype(np.uint8)], -1)
    )
    data = mask if mask is None or isinstance(mask, bytes) else encode_mask(mask)
    image = png(photo)
    bright = None if data is None else lit(data)[0]
    return judged(image, bright, open_scene(image, bright), list(people), own, raw=data)


def given(verdict: Verdict) -> np.ndarray:
    """What the verdict goes on with."""
    assert verdict.mask is not None
    return values_of(verdict.mask)


def soft(mask: np.ndarray, sigma: float = 1.5) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(mask, sigma)


def bicycle() -> np.ndarray:
    """The person and something as large as them that they hold."""
    mask = figure()
    mask[120:205, 5:175] = np.maximum(mask[120:205, 5:175], np.indices((85, 170)).sum(0) // 12 % 2)
    return mask


@pytest.mark.parametrize(
    "mask",
    [
        figure(),
        soft(figure()),
        figure(grow=3),
        figure(grow=-2),
        bicycle(),
        np.maximum(figure(), figure(10, 120, 40, 200)),
    ],
)
def test_masks_of_the_person_are_believed_as_they_are(mask):
    people = (PERSON, ANOTHER) if mask[150, 12] else (PERSON,)
    for verdict in (judge(mask, people=people), judge(alpha=mask, people=people)):
        assert verdict.said == ""
    assert np.array_equal(given(judge(mask, people=people)), values_of(encode_mask(mask)))


def test_without_people_masks_are_believed():
    for mask in (figure(), 1 - figure(), figure(100, 5, 170, 90)):
        assert judge(mask, people=()).said == ""


def corners(radius: int) -> np.ndarray:
    image = Image.new("L", (W, H))
    ImageDraw.Draw(image).rounded_rectangle((0, 0, W - 1, H - 1), radius, fill=255)
    return np.asarray(image, np.float32) / 255


def one_pixel() -> np.ndarray:
    alpha = np.ones((H, W), np.float32)
    alpha[0, 0] = 0
    return alpha


def window() -> np.ndarray:
    alpha = np.zeros((H, W), np.float32)
    alpha[16:-24, 20:-20] = 1
    return np.maximum(alpha, 0.4 * soft(alpha, 6))


def disc() -> np.ndarray:
    y, x = np.indices((H, W)) - np.array([H / 2, W / 2])[:, None, None]
    return ((x / W * 2) ** 2 + (y / H * 2) ** 2 < 1).astype(np.float32)


FRAMES = {
    "pixel": one_pixel(),
    "corners": corners(12),
    "round": corners(50),
    "window": window(),
    "disc": disc(),
    "vignette": soft(disc(), 9),
}


def gradient() -> np.ndarray:
    y, x = np.indices((H, W)) - np.array([H / 2, W / 2])[:, None, None]
    return (1.5 - np.hypot(x / W, y / H) * 2).clip(0, 1).astype(np.float32)


def bubble() -> np.ndarray:
    """A window that is not convex: a speech bubble with a tail."""
    alpha = np.zeros((H, W), np.float32)
    alpha[5:220, 10:110] = 1
    alpha[5:140, 10:175] = 1
    return alpha


FRAMES |= {"gradient": gradient(), "bubble": bubble()}


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_no_outlines(name):
    verdict = judge(alpha=FRAMES[name])
    assert "opaque in" in verdict.said and "no outline" in verdict.said and verdict.mask is None
    _, alpha = decode(verdict.image, "the photo")
    assert alpha is None
    assert judge(FRAMES[name]).said.startswith("the mask beside the photo is white in")


def test_a_photo_without_its_alpha_keeps_its_colours():
    alpha = (window() * 255).astype(np.uint8)
    pixels, found = decode(opaque(png(np.concatenate([PHOTO, alpha[..., None]], -1))), "the photo")
    assert found is None
    assert np.array_equal(np.round(pixels * 255)[alpha > 20], PHOTO[alpha > 20])
    assert (pixels[alpha == 0] == 1).all()


def test_a_box_about_one_of_two_is_their_own_mask():
    box = np.zeros((H, W), np.float32)
    box[20:220, 45:135] = 1
    assert judge(box, people=(PERSON, ANOTHER)).person == 0
    assert judge(box, people=(PERSON,)).person is None
    assert judge(np.ones((H, W), np.float32), people=(PERSON, ANOTHER)).person is None


def test_tight_boxes_are_outlines_of_who_fills_them():
    person = Seen(np.ones((40, 20), np.float32), np.zeros((0, 2)), np.zeros((40, 20), np.float32))
    assert is_convex(person.mask) and is_whole(person.mask)
    tall = np.zeros((60, 60), np.float32)
    tall[10:50, 20:40] = 1
    assert (
        is_convex(tall)
        and not is_frame(tall, [Seen(tall, np.zeros((0, 2)), 0 * tall)])
        and not is_frame(tall, [])
    )
    assert not is_convex(figure())


@pytest.mark.parametrize("mask", [1 - figure(), 1 - soft(figure()), 0.05 + 0.9 * (1 - soft(figure()))])
def test_inverted_masks_are_turned_round(mask):
    verdict = judge(mask)
    assert "inverted" in verdict.said and "%" in verdict.said
    assert np.abs(given(verdict) - (1 - mask)).max() < 0.01
    assert np.abs(given(judge(alpha=mask)) - (1 - mask)).max() < 0.01


def voc(person: int = 15, rim: int = 255, other: int = 18) -> np.ndarray:
    labels = np.zeros((H, W), np.uint8)
    labels[150:230, 125:175] = other
    labels[figure(grow=2) > 0] = rim
    labels[figure() > 0] = person
    return labels


def palette(labels: np.ndarray) -> bytes:
    colors = np.zeros((256, 3), np.uint8)
    for k in range(256):
        for bit in range(8):
            for channel in range(3):
                colors[k, channel] |= ((k >> (3 * bit + channel)) & 1) << (7 - bit)
    picture = Image.fromarray(labels)
    picture = picture.convert("P")
    picture.putpalette(colors.tobytes())
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


ONE = (figure() > 0).astype(np.uint8)
LABELS = {
    "voc": palette(voc()),
    "voc grey": png(voc()),
    "no rim": png(voc(rim=0)),
    "one": png(ONE),
    "grey 15": png(ONE * 15),
    "palette 15": palette(ONE * 15),
    "cityscapes": png(voc(24, 0, 26)),
}


@pytest.mark.parametrize("name", LABELS)
def test_label_masks_become_the_person(name):
    found, true = given(judge(LABELS[name])), figure()
    inside, far = figure(grow=-1) > 0, figure(grow=4) == 0
    assert (found[inside] > 0.98).all() and (found[far] < 0.02).all()
    assert abs(found.mean() - true.mean()) < 0.4 * true.mean()


def test_parts_of_a_person_are_one_person():
    labels = (figure() > 0) * (1 + np.indices((H, W))[0] // 40).astype(np.uint8)
    labels[:20] = 9
    assert np.array_equal(given(judge(png(labels))) > 0.5, figure() > 0)


def test_soft_masks_have_no_labels_and_two_values_no_question():
    assert labels_in(encode_mask(soft(figure()))) is None
    assert labels_in(encode_mask(figure())) is None
    assert lit(encode_mask(soft(figure())))[1] == 1.0


def test_trimaps_stay_what_they_are():
    values = np.where(figure(grow=-2) > 0, 255, np.where(figure(grow=3) > 0, 128, 0)).astype(np.uint8)
    verdict = judge(png(values))
    assert verdict.said == "" and np.array_equal(given(verdict) * 255, values)


@pytest.mark.parametrize(
    "mask",
    [figure(5, 5, 60, 100), figure(100, 100, 175, 235), np.roll(figure(), 45, 1), figure(60, 30, 120, 90)],
)
def test_masks_of_something_else_are_refused(mask):
    for attempt in (lambda: judge(mask), lambda: judge(alpha=mask)):
        with pytest.raises(Contradiction, match=r"\d+ % overlap.*trust=true"):
            attempt()


def test_where_no_landmark_networks_are_the_matting_network_is_asked_only_in_doubt():
    asked = []

    def own() -> np.ndarray:
        asked.append(1)
        return figure()

    assert judge(figure(), people=(), own=own).said == "" and not asked
    assert "inverted" in judge(1 - figure(), people=(), own=own).said
    assert "outline" in judge(alpha=window(), people=(), own=own).said
    assert len(asked) == 2


def test_fits_are_shares():
    empty = np.zeros((H, W), np.float32)
    person = Seen(figure(), np.array([[90.0, 100.0], [90.0, 120.0]]), empty)
    assert fit_of(figure(), person) == best_fit(figure(), [person])
    whole = fit_of(figure(), person)
    assert (whole.overlap, whole.covered, whole.precise, whole.joints) == (1, 1, 1, 1) and whole.agrees
    assert not best_fit(figure(), []).agrees and not fit_of(empty, person).agrees
    half = figure()
    half[: H // 2] = 0
    found = fit_of(half, person)
    assert (
        found.precise == 1
        and found.overlap == pytest.approx(found.covered)
        and 0 < found.covered < 1
        and found.joints == 0.5
    )


def test_what_belongs_to_others_is_no_fault():
    both = np.maximum(figure(), figure(10, 120, 40, 200))
    alone, beside = (
        Seen(figure(), np.zeros((0, 2)), 0 * both),
        Seen(figure(), np.zeros((0, 2)), figure(10, 120, 40, 200)),
    )
    assert fit_of(both, beside).overlap > fit_of(both, alone).overlap + 0.1


def test_shadows_of_editors_are_left_out():
    shadow = 0.5 * soft(np.roll(figure(), (12, 14), (0, 1)), 6)
    alpha = np.maximum(soft(figure(), 0.7), shadow)
    pixels = np.where(alpha[..., None] > 0.85, PHOTO, 0).astype(np.uint8)
    image = png(np.concatenate([pixels, np.round(alpha * 255).astype(np.uint8)[..., None]], -1))
    verdict = judged(image, None, open_scene(image, None), [PERSON], None)
    assert "shadow" in verdict.said
    left, far = given(verdict), figure(grow=5) == 0
    assert left[far].max() == 0 and np.abs(left - figure())[figure(grow=-2) > 0].max() < 0.05


def test_soft_things_of_many_colours_are_no_shadow():
    veil = np.maximum(figure(), 0.5 * figure(grow=14))
    assert shadowless(PHOTO / 255, veil) is None
    assert shadowless(PHOTO / 255, soft(figure())) is None
    assert shadowless(0 * PHOTO.astype(float), soft(figure())) is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_drawn_on_stored_pixels_are_turned_with_the_photo(orientation):
    stored = np.random.default_rng(1).random((90, 130)).round()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stream = io.BytesIO()
    Image.fromarray((stored * 255).astype(np.uint8)).convert("RGB").save(stream, "PNG", exif=exif)
    seen, _ = decode(stream.getvalue(), "the photo")
    turned = upright(encode_mask(stored), stream.getvalue())
    if orientation < 5:
        assert turned is None
    else:
        assert np.array_equal(values_of(turned), seen[..., 0])
        assert upright(turned, stream.getvalue()) is None, "a mask of the upright photo stays"


def test_small_people_are_left_out_with_a_frame():
    assert comparable([PERSON, ANOTHER, somebody(0, 0, 10, 30)]) == [PERSON, ANOTHER]
    assert comparable([]) == []
