"""Pictures of phones, browsers and scanners: AVIF, HEIC, JPEG 2000 and PPM are read as PNG is."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest
from PIL import Image

from tests.pipeline.photos.test_photo import (
    HEIGHT,
    ORIENTATION,
    STORED,
    UPRIGHT,
    WIDTH,
    fault,
    file,
    quadrants,
)
from turnaround.flows.report.thumbs import open_picture
from turnaround.pipeline.photos import heic
from turnaround.pipeline.photos.photo import decode


def heif(image: Image.Image, **options) -> bytes:
    assert heic.readable()
    return file(image, heic.FORMAT, **options)


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("AVIF", {"quality": 100, "subsampling": "4:4:4"}, 0.02),
        ("HEIF", {"quality": -1, "chroma": 444, "matrix_coefficients": 0}, 0.0),
        ("HEIF", {"quality": 90}, 0.03),
        ("JPEG2000", {"irreversible": False}, 0.0),
        ("PPM", {}, 0.0),
    ],
)
def test_formats(kind, options, tolerance):
    heic.readable()
    found, alpha = decode(file(UPRIGHT, kind, **options), "a")
    assert alpha is None
    inner = np.ones((HEIGHT, WIDTH), bool)
    inner[46:54], inner[:, 36:44] = False, False  # where two colours meet, halved chroma mixes them
    np.testing.assert_allclose(found[inner], (quadrants() / 255)[inner], atol=tolerance + 1e-6)


@pytest.mark.parametrize("kind", ["AVIF", "HEIF", "JPEG2000"])
def test_alpha_is_kept(kind):
    heic.readable()
    soft = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    image = UPRIGHT.copy()
    image.putalpha(Image.fromarray(soft))
    _, alpha = decode(file(image, kind, **({} if kind == "JPEG2000" else {"quality": 100})), "a")
    assert alpha is not None
    np.testing.assert_allclose(alpha, soft / 255, atol=0.02)


@pytest.mark.parametrize("grey", [8, 16])
def test_grey_ppm(grey):
    values = np.linspace(0, 2**grey - 1, HEIGHT * WIDTH).reshape(HEIGHT, WIDTH).astype(f">u{grey // 8}")
    data = b"P5\n%d %d\n%d\n" % (WIDTH, HEIGHT, 2**grey - 1) + values.tobytes()
    np.testing.assert_allclose(decode(data, "a.pgm")[0][..., 0], values / (2**grey - 1), atol=0.51 / 255)


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["HEIF", "AVIF"])
def test_phones_photos_are_turned_upright_once(orientation, kind):
    """Both formats tell the turn twice: in EXIF and in a property of the picture."""
    way = STORED[orientation]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    lying = UPRIGHT if way is None else UPRIGHT.transpose(way)
    heic.readable()
    found, _ = decode(file(lying, kind, quality=95, exif=exif.tobytes()), "a")
    assert found.shape == (HEIGHT, WIDTH, 3)
    for y in (10, 90):
        for x in (10, 70):
            np.testing.assert_allclose(found[y, x], quadrants()[y, x] / 255, atol=0.05)


def test_heic_without_pillow_heif_names_the_remedy(monkeypatch):
    data = heif(UPRIGHT)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    heic.readable.cache_clear()
    try:
        assert "pip install 'turnaround[heic]'" in fault(data)
        assert decode(file(UPRIGHT), "a")[0].shape == (HEIGHT, WIDTH, 3), "others need it not"
    finally:
        monkeypatch.undo()
        heic.readable.cache_clear()


def test_a_brand_is_told_by_its_first_bytes():
    assert heic.is_heic(heif(UPRIGHT))
    stream = io.BytesIO()
    UPRIGHT.save(stream, "AVIF")
    assert not any(map(heic.is_heic, (stream.getvalue(), file(UPRIGHT), b"", b"\0\0\0\x18ftyp", b"ftypheic")))
    assert heic.is_heic(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf")


@pytest.mark.parametrize("length", [0.3, 0.7, 0.95])
@pytest.mark.parametrize("kind", ["HEIF", "AVIF", "JPEG2000", "PPM"])
def test_files_that_are_cut_short_are_refused_by_name(kind, length):
    heic.readable()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (100, 100, 3), dtype=np.uint8))
    data = file(noise, kind)
    fault(data[: int(len(data) * length)])


def test_the_report_shows_a_heic_photo(tmp_path):
    (tmp_path / "x.heic").write_bytes(heif(UPRIGHT, quality=90))
    assert open_picture(tmp_path / "x.heic", 64).size == (WIDTH, HEIGHT)
