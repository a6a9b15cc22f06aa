"""Photos: every kind of picture upright and in sRGB, every fault named with the file and a remedy."""

from __future__ import annotations

import io
import re
import struct
import tracemalloc
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageOps

from turnaround.pipeline.photos.photo import MIN_SIDE, decode, decode_mask
from turnaround.pipeline.stage import StageError

WIDTH, HEIGHT = 80, 100
ORIENTATION = 0x0112  # EXIF tag
REMEDY = re.compile(r"\b(copy|export|save|make|use|paint|remove|cut|choose)\b")


def quadrants() -> np.ndarray:
    """(100, 80, 3): red | green over blue | grey, so that all eight orientations differ."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:50, :40], pixels[:50, 40:] = (255, 0, 0), (0, 255, 0)
    pixels[50:, :40], pixels[50:, 40:] = (0, 0, 255), (128, 128, 128)
    return pixels


def file(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fault(data: bytes, decoder: Any = decode, *arguments: Any) -> str:
    """The message of the StageError; it must name the file and what to do."""
    with pytest.raises(StageError) as raised:
        decoder(data, "alice.png", *arguments)
    message = str(raised.value)
    assert message.startswith("alice.png: ") and REMEDY.search(message), message
    return message


UPRIGHT = Image.fromarray(quadrants())
STORED = {  # EXIF 2.3, tag 0x0112 -> how the upright picture lies in the file
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "16-bit"])
def test_photos_are_turned_upright(orientation, kind):
    way = STORED[orientation]
    lying = UPRIGHT if way is None else UPRIGHT.transpose(way)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    expected = quadrants() / np.float32(255)
    if kind == "16-bit":
        lying = Image.fromarray(np.asarray(lying.convert("L")).astype(np.uint16) * 257)
        expected = np.asarray(UPRIGHT.convert("L").convert("RGB")) / np.float32(255)
    found, alpha = decode(file(lying, "TIFF" if kind == "TIFF" else "PNG", exif=exif), "a")
    assert found.dtype == np.float32 and alpha is None
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_the_eight_orientations_are_those_of_pillow():
    """The table above against an independent reading of EXIF."""
    for orientation, way in STORED.items():
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        lying = UPRIGHT if way is None else UPRIGHT.transpose(way)
        with Image.open(io.BytesIO(file(lying, exif=exif))) as image:
            assert np.array_equal(ImageOps.exif_transpose(image), quadrants())


@pytest.mark.parametrize(
    "kind, options, tolerance",
    [
        ("PNG", {}, 0),
        ("JPEG", {"quality": 100, "subsampling": 0}, 0.02),
        ("WEBP", {"lossless": True}, 0),
        ("TIFF", {}, 0),
        ("BMP", {}, 0),
    ],
)
def test_formats(kind, options, tolerance):
    found, alpha = decode(file(UPRIGHT, kind, **options), "a")
    assert alpha is None and found.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(found, quadrants() / 255, atol=tolerance + 1e-6)


def test_colour_modes():
    expected = quadrants() / 255
    grey = np.repeat(np.asarray(UPRIGHT.convert("L"))[..., None], 3, -1) / 255
    for image, wanted, tolerance in [
        (UPRIGHT.convert("L"), grey, 0),
        (UPRIGHT.convert("1"), np.asarray(UPRIGHT.convert("1").convert("RGB")) / 255, 0),
        (UPRIGHT.quantize(8, dither=Image.Dither.NONE), expected, 0.03),
        (Image.merge("LA", (UPRIGHT.convert("L"), Image.new("L", UPRIGHT.size, 255))), grey, 0),
        (UPRIGHT.convert("RGBA"), expected, 0),
    ]:
        found, alpha = decode(file(image), "a")
        assert alpha is None, image.mode
        np.testing.assert_allclose(found, wanted, atol=tolerance + 1e-6, err_msg=image.mode)


def test_cmyk():
    found, _ = decode(file(UPRIGHT.convert("CMYK"), "TIFF"), "a")
    np.testing.assert_allclose(found, quadrants() / 255, atol=0.01)
    found, _ = decode(file(UPRIGHT.convert("CMYK"), "JPEG", quality=100, subsampling=0), "a")
    np.testing.assert_allclose(found[10, 10], [1, 0, 0], atol=0.03)


def test_16_bits_are_scaled_and_not_clipped():
    values = np.linspace(0, 65535, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(np.uint16)
    for kind in ("PNG", "TIFF"):
        found, alpha = decode(file(Image.fromarray(values), kind), "a")
        assert alpha is None
        np.testing.assert_allclose(found, np.repeat(values[..., None] / 65535, 3, -1), atol=0.5 / 255 + 1e-6)


def png(width: int, height: int, depth: int, colour: int, rows: bytes = b"", *extra: bytes) -> bytes:
    """A PNG written by hand, as its specification has it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    more = b"".join(chunk(e[:4], e[4:]) for e in extra)
    return b"\x89PNG\r\n\x1a\n" + header + more + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_16_bit_colour():
    values = np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    found, _ = decode(png(WIDTH, HEIGHT, 16, 2, rows), "a")
    np.testing.assert_allclose(found, values / 65535, atol=1.01 / 255)


def test_16_bit_grey_with_a_transparent_value():
    values = np.full((HEIGHT, WIDTH), 40000, np.uint16)
    values[:50] = 1000
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    found, alpha = decode(png(WIDTH, HEIGHT, 16, 0, rows, b"tRNS" + struct.pack(">H", 40000)), "a")
    np.testing.assert_allclose(found[0, 0], 1000 / 65535, atol=1 / 255)
    assert alpha is not None and np.all(alpha[:50] == 1) and np.all(alpha[50:] == 0)


def test_alpha_is_kept_and_colours_are_straight():
    alpha = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    image = UPRIGHT.copy()
    image.putalpha(Image.fromarray(alpha))
    for data in (file(image), file(image, "TIFF"), file(image, "WEBP", lossless=True, exact=True)):
        found, soft = decode(data, "a")
        assert soft is not None
        np.testing.assert_allclose(soft, alpha / np.float32(255), atol=1e-6)
        np.testing.assert_allclose(found, quadrants() / 255, atol=1e-6)


def test_a_transparent_palette_entry():
    image = UPRIGHT.quantize(4, dither=Image.Dither.NONE)
    found, alpha = decode(file(image, transparency=image.getpixel((10, 10))), "a")
    assert alpha is not None and np.all(alpha[:50, :40] == 0) and np.all(alpha[50:] == 1)
    np.testing.assert_allclose(found[10, 60], [0, 1, 0], atol=0.03)


def test_an_alpha_of_one_everywhere_is_no_cut_out():
    image = UPRIGHT.copy()
    image.putalpha(255)
    assert decode(file(image), "a")[1] is None


def test_colour_profiles_are_followed_and_broken_ones_reported(caplog):
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    found, _ = decode(file(UPRIGHT, icc_profile=lab), "a")
    np.testing.assert_allclose(found, quadrants() / 255, atol=0.02)
    found, _ = decode(file(UPRIGHT, icc_profile=b"no profile at all"), "alice.png")
    np.testing.assert_allclose(found, quadrants() / 255, atol=1e-6)
    assert "alice.png: the colour profile cannot be used" in caplog.text


def test_the_first_frame_of_a_film_is_used(caplog):
    data = file(UPRIGHT, "GIF", save_all=True, append_images=[Image.new("RGB", UPRIGHT.size)])
    found, _ = decode(data, "alice.gif")
    np.testing.assert_allclose(found[10, 10], [1, 0, 0], atol=0.05)
    assert "alice.gif has 2 frames; the first is used" in caplog.text


# ---------------------------------------------------------------------------------------------- faults

JPEG = file(Image.fromarray(np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)), "JPEG")
BAD = {
    "empty file": (b"", "the file is empty"),
    "text named .png": (b"this is only text\n" * 10, "not a picture that can be read"),
    "html named .jpg": (b"<!doctype html><html><body>404</body></html>", "not a picture that can be read"),
    "zip": (b"PK\x03\x04" + bytes(100), "not a picture that can be read"),
    "HEIC": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "a damaged HEIC picture"),
    "truncated JPEG": (JPEG[: len(JPEG) // 2], "damaged or cut short"),
    "JPEG without its pixels": (JPEG[:300], "a picture|damaged or cut short"),
    "truncated PNG": (file(UPRIGHT)[:-60], "damaged or cut short"),
    "PNG with a broken row": (png(WIDTH, HEIGHT, 8, 2, b"\0" + bytes(10)), "damaged or cut short"),
    "only a signature": (b"\x89PNG\r\n\x1a\n", "not a picture that can be read"),
    "TIFF without a width": (
        file(UPRIGHT, "TIFF").replace(b"\x00\x01\x04\x00", b"\xfe\x00\x04\x00", 1),
        "not a picture|damaged",
    ),
    "alpha of 0": (file(Image.new("RGBA", (WIDTH, HEIGHT), (255, 0, 0, 0))), "alpha channel is 0 everywhere"),
    "too small": (file(UPRIGHT.resize((MIN_SIDE - 1, 200))), f"{MIN_SIDE - 1} x 200 px is too small"),
    "32-bit floats": (file(Image.fromarray(np.ones((HEIGHT, WIDTH), np.float32)), "TIFF"), "32-bit floats"),
}


@pytest.mark.parametrize("case", BAD)
def test_faults_name_the_file_and_the_remedy(case):
    data, message = BAD[case]
    assert re.search(message, fault(data))


def huge(kind: str) -> bytes:
    """A file whose header promises 20,000 x 20,000 pixels that are not there."""
    if kind == "PNG":
        return png(20_000, 20_000, 8, 2)
    if kind == "GIF":
        return b"GIF89a" + struct.pack("<HH", 20_000, 20_000) + file(UPRIGHT, "GIF")[10:]
    if kind == "BMP":
        return file(UPRIGHT, "BMP")[:18] + struct.pack("<ii", 20_000, 20_000) + file(UPRIGHT, "BMP")[26:]
    at = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:at] + struct.pack(">HH", 20_000, 20_000) + JPEG[at + 4 :]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP"])
def test_huge_pictures_are_refused_by_the_header_alone(kind):
    data = huge(kind)
    tracemalloc.start()
    message = fault(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "too large" in message and "80 megapixels" in message and "damaged" not in message
    assert peak < 5_000_000, "nothing was decoded"


def test_a_little_over_the_limit_is_refused_without_a_warning(recwarn):
    assert "9000 x 9000 px is too large" in fault(png(9000, 9000, 8, 2))
    assert not recwarn.list


SEEDS = {
    "PNG": file(UPRIGHT),
    "JPEG": JPEG,
    "GIF": file(UPRIGHT, "GIF"),
    "TIFF": file(UPRIGHT, "TIFF", compression="tiff_lzw"),
    "WEBP": file(UPRIGHT, "WEBP"),
    "palette": file(UPRIGHT.quantize(4), transparency=1),
    "BMP": file(UPRIGHT, "BMP"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow on broken TIFF directories
@settings(max_examples=120, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(sorted(SEEDS)),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=6),
    st.floats(0.02, 1.2),
)
def test_any_bytes_give_a_picture_or_a_stage_error(kind, changes, length):
    data = bytearray(SEEDS[kind][: int(len(SEEDS[kind]) * length) or 1])
    for where, byte in changes:
        data[int(where**3 * (len(data) - 1))] = byte  # mostly near the header
    try:
        found, alpha = decode(bytes(data), "alice.png")
    except StageError as error:
        assert str(error).startswith("alice.png: ")
        return
    assert found.ndim == 3 and np.isfinite(found).all() and found.min() >= 0 and found.max() <= 1
    assert alpha is None or alpha.shape == found.shape[:2]


# ---------------------------------------------------------------------------------------------- masks


def disc(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return (((x / width - 0.5) ** 2 + (y / height - 0.5) ** 2) < 0.1).astype(np.uint8) * 255


def test_masks_by_brightness_or_by_alpha():
    grey = Image.fromarray(disc(HEIGHT, WIDTH))
    cut = UPRIGHT.copy()
    cut.putalpha(grey)
    for image in (grey, grey.convert("RGB"), cut):
        np.testing.assert_array_equal(
            decode_mask(file(image), "a", (HEIGHT, WIDTH)), disc(HEIGHT, WIDTH) / 255
        )


def test_a_mask_of_another_scale_is_resized_and_one_of_another_shape_refused():
    found = decode_mask(file(Image.fromarray(disc(2 * HEIGHT, 2 * WIDTH))), "a", (HEIGHT, WIDTH))
    assert found.shape == (HEIGHT, WIDTH) and np.abs(found - disc(HEIGHT, WIDTH) / 255).mean() < 0.02
    message = fault(file(Image.fromarray(disc(100, 100))), decode_mask, (HEIGHT, WIDTH))
    assert "mask is 100 x 100 px, the photo 80 x 100" in message


def test_a_black_mask_is_refused():
    assert "black everywhere" in fault(file(Image.new("L", (WIDTH, HEIGHT))), decode_mask, (HEIGHT, WIDTH))
