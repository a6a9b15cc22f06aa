"""Colours of photos: profiles are followed in every mode, and multiplied colours are divided."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.pipeline.photos.test_photo import HEIGHT, UPRIGHT, WIDTH, file, quadrants
from turnaround.pipeline.photos.photo import decode


def curve(gamma: float, space: bytes = b"GRAY") -> bytes:
    """An ICC profile (version 2.4) of one gamma, written by hand: grey, or RGB with the primaries of sRGB."""

    def xyz(*values: float) -> bytes:
        return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in values))

    trc = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {b"wtpt": xyz(0.9642, 1.0, 0.8249)}
    if space == b"GRAY":
        tags[b"kTRC"] = trc
    else:
        tags |= {
            b"rXYZ": xyz(0.4361, 0.2225, 0.0139),
            b"gXYZ": xyz(0.3851, 0.7169, 0.0971),
            b"bXYZ": xyz(0.1431, 0.0606, 0.7141),
        }
        tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), trc)
    offset, table, body = 128 + 4 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, value in tags.items():
        table += name + struct.pack(">II", offset + len(body), len(value))
        body += value
    size = struct.pack(">I", offset + len(body))
    head = size + bytes(4) + b"\x02\x40\0\0" + b"mntr" + space + b"XYZ " + bytes(12) + b"acsp" + bytes(28)
    return (head + struct.pack(">3i", 63190, 65536, 54061)).ljust(128, b"\0") + table + body


def srgb_of(values: np.ndarray, gamma: float) -> np.ndarray:
    """IEC 61966-2-1 of values that were stored with a gamma."""
    linear = values**gamma
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


GREY = np.tile(np.linspace(20, 235, WIDTH).astype(np.uint8), (HEIGHT, 1))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "I;16", "1"])
@pytest.mark.parametrize("space", [b"GRAY", b"RGB "])
@pytest.mark.parametrize("gamma", [1.0, 1.8])
def test_the_profile_is_followed_in_every_mode(mode, space, gamma, caplog):
    """As ICC.1 has it: the stored value, decoded by the profile's curve, encoded by sRGB's."""
    soft = np.full(GREY.shape, 255, np.uint8)
    soft[:20] = 0
    pixels, alpha = Image.fromarray(GREY), Image.fromarray(soft)
    image = {
        "L": pixels,
        "LA": Image.merge("LA", (pixels, alpha)),
        "RGB": Image.merge("RGB", (pixels,) * 3),
        "RGBA": Image.merge("RGBA", (*(pixels,) * 3, alpha)),
        "I;16": Image.fromarray(GREY.astype(np.uint16) * 257),
        "P": pixels.convert("RGB").quantize(256, dither=Image.Dither.NONE),
        "1": pixels.convert("1", dither=Image.Dither.NONE),
    }[mode]
    stored = np.asarray(image.convert("RGB") if mode in ("P", "1") else pixels).astype(np.float64) / 255
    found, opacity = decode(file(image, icc_profile=curve(gamma, space)), "a")
    np.testing.assert_allclose(
        found, np.broadcast_to(srgb_of(stored, gamma).reshape(HEIGHT, WIDTH, -1), found.shape), atol=1.6 / 255
    )
    assert (opacity is not None) == ("A" in mode) and "profile" not in caplog.text


def test_a_grey_profile_does_not_turn_a_coloured_palette_grey(caplog):
    found, _ = decode(
        file(UPRIGHT.quantize(8, dither=Image.Dither.NONE), icc_profile=curve(1.8)), "alice.png"
    )
    np.testing.assert_allclose(found, quadrants() / 255, atol=0.03)
    assert "alice.png: the colour profile cannot be used" in caplog.text


def cut_out(color: tuple[int, int, int], edge: float = 4.0) -> np.ndarray:
    """(h, w, 4) straight: one colour in a disc with a soft edge, noise in it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    alpha = np.clip((30 - np.hypot(x - WIDTH / 2, y - HEIGHT / 2)) / edge + 0.5, 0, 1)
    noise = np.random.default_rng(0).integers(-12, 13, (HEIGHT, WIDTH, 3))
    return np.concatenate(
        [np.clip(np.array(color) + noise, 0, 255), np.round(alpha[..., None] * 255)], -1
    ).astype(np.uint8)


def multiplied(pixels: np.ndarray) -> np.ndarray:
    colors = np.round(pixels[..., :3] * (pixels[..., 3:] / 255))
    return np.concatenate([colors, pixels[..., 3:]], -1).astype(np.uint8)


@settings(max_examples=40)
@given(st.tuples(*[st.integers(60, 255)] * 3), st.floats(3, 12), st.booleans())
def test_multiplied_colours_are_divided_again(color, edge, grey):
    """Over white both give the same picture; before, a dark rim remained."""
    color = (color[0],) * 3 if grey else color
    true = cut_out(color, edge)
    true[..., 1:3] = true[..., :1] if grey else true[..., 1:3]
    image = Image.fromarray(multiplied(true)).convert("LA" if grey else "RGBA")
    found, alpha = decode(file(image), "alice.png")
    assert alpha is not None
    over = found * alpha[..., None] + 1 - alpha[..., None]
    wanted = true[..., :3] / 255 * alpha[..., None] + 1 - alpha[..., None]
    np.testing.assert_allclose(over, wanted, atol=1.6 / 255)


@settings(max_examples=40)
@given(
    st.tuples(*[st.integers(0, 255)] * 3), st.floats(0, 12), st.sampled_from(["straight", "hidden", "shadow"])
)
def test_straight_colours_stay_as_they_are(color, edge, kind):
    pixels = cut_out(color, max(edge, 1e-3))
    if kind == "hidden":  # where nothing is visible many programs write black
        pixels[pixels[..., 3] == 0] = 0
    if kind == "shadow":  # a window with a black shadow: below its alpha everywhere, and rightly black
        pixels[..., :3][pixels[..., 3] < 255] = 0
    found, _ = decode(file(Image.fromarray(pixels)), "alice.png")
    np.testing.assert_array_equal(found, pixels[..., :3] / np.float32(255))


def test_bright_skin_tells_where_clothes_are_black():
    """Most of the edge is too dark to tell of anything; a face and two hands are enough."""
    true = cut_out((20, 20, 22))
    true[:30, :, :3] = 200
    found, alpha = decode(file(Image.fromarray(multiplied(true))), "a")
    assert alpha is not None
    soft = (alpha > 0.2) & (alpha < 0.9)
    np.testing.assert_allclose(found[soft], true[..., :3][soft] / 255, atol=0.04)


def test_division_is_told(caplog):
    decode(file(Image.fromarray(multiplied(cut_out((200, 150, 100))))), "alice.png")
    assert "alice.png: its colours were multiplied by its alpha" in caplog.text
