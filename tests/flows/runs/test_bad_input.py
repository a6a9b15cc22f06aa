"""Bad photos: each is refused, or understood, with a message that names file, fault and remedy."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from turnaround.pipeline.photos.photo import MAX_PIXELS, decode, decode_mask
from turnaround.pipeline.stage import StageError

SIZE = (100, 80)  # width, height


def noise(seed: int = 0) -> Image.Image:
    return Image.fromarray(
        np.random.default_rng(seed).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    )


def encoded(image: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of that size with nothing in it: what it claims must be refused before it is decoded."""
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunks
        + struct.pack(">I", 0)
        + b"IDAT"
        + struct.pack(">I", zlib.crc32(b"IDAT"))
    )


@pytest.mark.parametrize(
    ("data", "fault", "remedy"),
    [
        (b"", "empty", "copy the photo again"),
        (b"I am a letter, not a picture.", "not a picture", "JPEG or PNG"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC", "JPEG or PNG"),
        (png_header(20_000, 20_000), "too large", "px wide"),
        (png_header(10_000, 9_000), "too large", "px wide"),
        (encoded(noise())[:3000], "damaged or cut short", "export it again"),
        (encoded(noise(), "JPEG")[:1500], "damaged or cut short", "export it again"),
        (encoded(Image.new("RGBA", SIZE)), "alpha channel is 0", "remove it"),
        (encoded(Image.new("RGB", (40, 90))), "too small", "larger photo"),
        (encoded(Image.new("F", SIZE), "TIFF"), "32-bit floats", "8 or 16 bits"),
    ],
)
def test_unusable_photos_name_file_fault_and_remedy(data, fault, remedy):
    with pytest.raises(StageError) as caught:
        decode(data, "alice.png")
    message = str(caught.value)
    assert message.startswith("alice.png: ") and fault in message and remedy in message


@pytest.mark.parametrize(
    ("mode", "kind", "tolerance"),
    [
        ("RGB", "PNG", 0),
        ("RGBA", "PNG", 0),
        ("CMYK", "TIFF", 1 / 255),
        ("L", "PNG", 1),
        ("LA", "PNG", 1),
        ("P", "PNG", 0.5),
        ("1", "PNG", 1),
    ],
)
def test_every_mode_becomes_rgb(mode, kind, tolerance):
    image = noise()
    rgb, alpha = decode(encoded(image.convert(mode), kind), "alice")
    assert rgb.shape == (SIZE[1], SIZE[0], 3) and rgb.dtype == np.float32 and alpha is None
    assert rgb.min() >= 0 and rgb.max() <= 1
    assert np.abs(rgb - np.asarray(image) / 255).max() <= tolerance + 1e-6


def test_sixteen_bits_keep_their_brightness():
    values = np.random.default_rng(0).integers(0, 65536, (80, 100)).astype(np.uint16)
    rgb, _ = decode(encoded(Image.fromarray(values)), "alice")
    assert np.abs(rgb - values[..., None] / 65535).max() < 1 / 255


def test_alpha_is_straight_and_colours_are_kept():
    image = noise()
    ramp = np.tile(np.linspace(0, 255, SIZE[0]).astype(np.uint8), (SIZE[1], 1))
    image.putalpha(Image.fromarray(ramp))
    rgb, alpha = decode(encoded(image), "alice")
    assert alpha is not None and np.abs(alpha - ramp / 255).max() < 1e-6
    assert np.abs(rgb - np.asarray(image)[..., :3] / 255).max() < 1e-6


def test_transparent_palettes_have_alpha():
    image = Image.new("P", SIZE, 1)
    image.putpalette([0, 0, 0, 250, 10, 20])
    image.paste(0, (0, 0, 50, 80))
    rgb, alpha = decode(encoded(image, transparency=0), "alice")
    assert alpha is not None and alpha[:, :50].max() == 0 and alpha[:, 50:].min() == 1
    assert np.allclose(rgb[0, 99] * 255, [250, 10, 20], atol=0.5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_turns_the_photo_upright(orientation):
    """A photo and its turned copy with the matching tag decode to the same pixels."""
    image = noise()
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = image.transpose(turns[orientation]) if orientation > 1 else image
    exif = Image.Exif()
    exif[0x0112] = orientation
    upright, _ = decode(encoded(stored, exif=exif), "alice")
    assert np.array_equal(upright, decode(encoded(image), "alice")[0])


def test_a_profile_changes_colours_to_srgb():
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    image = noise()
    tagged, _ = decode(encoded(image, icc_profile=profile.tobytes()), "alice")
    assert np.abs(tagged - np.asarray(image) / 255).max() <= 2 / 255


def test_a_broken_profile_is_reported_and_ignored(caplog):
    rgb, _ = decode(encoded(noise(), icc_profile=b"nonsense"), "alice.png")
    assert rgb.shape == (80, 100, 3)
    assert "alice.png: the colour profile cannot be used" in caplog.text


def test_masks_are_resized_to_the_photo_and_checked():
    mask = Image.new("L", SIZE)
    mask.paste(255, (20, 20, 60, 70))
    assert decode_mask(encoded(mask), "alice.mask.png", (80, 100)).mean() == pytest.approx(0.25)
    assert decode_mask(encoded(mask), "alice.mask.png", (160, 200)).shape == (160, 200)
    with pytest.raises(StageError, match=r"alice\.mask\.png: the mask is 100 x 80 px, the photo 80 x 100"):
        decode_mask(encoded(mask), "alice.mask.png", (100, 80))
    with pytest.raises(StageError, match="black everywhere; paint the person white"):
        decode_mask(encoded(Image.new("L", SIZE)), "alice.mask.png", (80, 100))


def test_the_limit_admits_large_phone_photos():
    assert MAX_PIXELS > 8000 * 6000
