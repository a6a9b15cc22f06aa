"""Files beside a photo are found however they are named, and what is left out is told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from turnaround.pipeline.photos.gather import pictures
from turnaround.pipeline.photos.sidecars import SUFFIXES, owner, parse
from turnaround.pipeline.photos.source import Photo


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(b"x")


def found(path: str = ".", **options) -> list[str]:
    return sorted(file.as_posix() for file in pictures([Path(path)], **options))


# ---------------------------------------------------------------------------------- beside a photo

MASKS = ("x.mask.png", "x.mask.PNG", "x.MASK.png", "x.mask.jpeg", "x.mask.jfif", "x.mask.tiff", "x.mask.avif")
NEAR_MASKS = (
    "x_mask.png",
    "x-mask.png",
    "x mask.png",
    "x_Mask.JPEG",
    "x.jpg.mask.png",
    "X.mask.png",
    "x.matte.png",
)
BODIES = ("x.smplx.npz", "x.smplx.NPZ", "x.SMPLX.json", "x_smplx.npz", "x.jpg.smplx.pkl")
BACKS = ("x.back.png", "x.back.JPEG", "x.Back.webp")
NEAR = [
    *(("mask", name) for name in MASKS + NEAR_MASKS),
    *(("body", name) for name in BODIES),
    *(("back", name) for name in BACKS),
]


@pytest.mark.parametrize(("kind", "name"), NEAR)
def test_a_near_miss_is_the_photo_s_and_no_photo_of_its_own(kind, name, caplog):
    put("x.jpg", name, "other.jpg")
    photo = Photo.at(Path("x.jpg"))
    assert photo.file(kind) == Path(name) and owner(Path(name)) == Path("x.jpg")
    assert all(photo.file(other) is None for other in ("mask", "body", "back") if other != kind)
    assert Photo.at(Path("other.jpg")).file(kind) is None
    assert found() == ["other.jpg", "x.jpg"] and found("*") == found()
    usual = name[:2] == "x." and not name.startswith(("x.jpg", "x.matte"))
    assert usual == (f"taken by their names: {name} as the" not in caplog.text)
    assert "left out" not in caplog.text


def test_the_usual_name_goes_before_a_near_miss_which_is_told(caplog):
    put("x.jpg", "x.mask.tif", "x.mask.png", "x_mask.png", "x.mask.PNG")
    assert Photo.at(Path("x.jpg")).mask == Path("x.mask.png")
    assert found() == ["x.jpg"]
    for name in ("x_mask.png", "x.mask.PNG", "x.mask.tif"):
        assert f"{name} (the mask of x.jpg is x.mask.png)" in caplog.text


def test_capitals_tell_two_photos_apart():
    put("x.jpg", "X.jpg", "X.mask.png")
    assert Photo.at(Path("x.jpg")).mask is None and Photo.at(Path("X.jpg")).mask == Path("X.mask.png")


def test_a_word_in_a_name_is_no_sidecar_where_no_photo_is_beside_it(caplog):
    put("red_mask.jpg", "going_back.jpg", "alice.jpg", "alice_back.jpg")
    assert found() == ["alice.jpg", "alice_back.jpg", "going_back.jpg", "red_mask.jpg"]
    assert not caplog.text and Photo.at(Path("alice.jpg")).back is None


def test_a_sidecar_laid_there_later_is_seen_at_once():
    put("x.jpg")
    for name in ("x.mask.png", "x.smplx.npz", "x.back.png"):
        put(name)
        photo = Photo.at(Path("x.jpg"))
        assert Path(name) in (photo.mask, photo.body, photo.back)
    os.utime(".", (1e9, 1e9))  # a settled folder is listed once, until it changes
    assert Photo.at(Path("x.jpg")).mask is not None
    Path("x.mask.png").unlink()
    os.utime(".", (1.1e9, 1.1e9))
    assert Photo.at(Path("x.jpg")).mask is None


@pytest.mark.parametrize("stem", ["x" * 251, "é" * 125, "\udcff\udcfe", "a\nb", "a\\b", "-m", "[x]"])
def test_no_name_is_too_odd_to_have_a_mask(stem):
    put(f"{stem}.jpg")
    assert Photo.at(Path(f"{stem}.jpg")).mask is None
    if len(os.fsencode(stem)) < 240:
        put(f"{stem}_mask.png")
        assert Photo.at(Path(f"{stem}.jpg")).mask == Path(f"{stem}_mask.png")


def test_what_says_nothing_is_not_parsed():
    for name in ("mask.png", ".mask.png", "x.mask", "xmask.png", "x.masking.png", "x.mask.png.bak"):
        assert parse(name) is None


# ---------------------------------------------------------------------------------- what is left out


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_folder_is_searched_for_every_suffix_in_any_capitals(suffix, caplog):
    put(f"a{suffix}", f"b{suffix.upper()}", "notes.txt", "list.json", "data.npz")
    assert found() == [f"a{suffix}", f"b{suffix.upper()}"] and not caplog.text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("b.jxl", r"b.jxl (.jxl cannot be read; save it as JPEG or PNG)"),
        ("b.NEF", r"b.NEF (.nef cannot be read"),
        ("b.mask.png", "b.mask.png (the mask of no photo here: none is called b)"),
        ("b.smplx.npz", "b.smplx.npz (the body of no photo here"),
        (
            "a.smplx.pt",
            "a.smplx.pt (the body of a.jpg, but .pt cannot be read; save it as .npz, .json, .pkl)",
        ),
        ("a.mask.psd", "a.mask.psd (the mask of a.jpg, but .psd cannot be read; save it as JPEG or PNG)"),
        ("a.npz", "a.npz (an SMPL-X body of a.jpg must be called a.smplx.npz)"),
        ("a.smpl.npz", "a.smpl.npz (an SMPL-X body of a.jpg must be called a.smplx.npz)"),
        ("a_pixie.pkl", "a_pixie.pkl (an SMPL-X body of a.jpg must be called a.smplx.npz)"),
    ],
)
def test_what_looks_like_a_picture_or_a_sidecar_is_told(name, words, caplog):
    put("a.jpg", name)
    assert found() == ["a.jpg"]
    assert f"1 file was left out: {words}" in caplog.text


def test_one_line_tells_of_many(caplog):
    put("a.jpg", *(f"{k:02d}.psd" for k in range(20)))
    found()
    assert len(caplog.records) == 1 and "20 files were left out: 00.psd" in caplog.text
    assert caplog.text.rstrip().endswith("and 12 more")


def test_links_to_nowhere_are_told(caplog):
    put("a.jpg")
    Path("b.jpg").symlink_to("gone.jpg")
    assert found() == ["a.jpg"] and "b.jpg (a link that leads nowhere)" in caplog.text


# ---------------------------------------------------------------------------------- linked folders


def test_linked_folders_are_searched_once(caplog):
    put("photos/a.jpg", "photos/deep/b.jpg", "elsewhere/c.jpg", "elsewhere/below/d.jpg")
    Path("photos/link").symlink_to(Path("elsewhere").absolute())
    Path("photos/again").symlink_to("../elsewhere/below")  # before `link`, which leads around it
    Path("photos/zagain").symlink_to("../elsewhere/below")
    Path("photos/deep/up").symlink_to("..")
    Path("photos/twin").symlink_to("deep")
    names = sorted(Path(name).name for name in found("photos", recursive=True))
    assert names == ["a.jpg", "b.jpg", "c.jpg", "d.jpg"], "each picture once"
    assert "left out" in caplog.text
    for link in ("up", "twin"):
        assert f"{link} (a link to " in caplog.text


def test_two_folders_that_link_to_each_other_end(caplog):
    put("p/a/x.jpg", "q/y.jpg")
    Path("p/a/q").symlink_to(Path("q").absolute())
    Path("q/p").symlink_to(Path("p").absolute())
    assert found("p", recursive=True) == ["p/a/q/y.jpg", "p/a/x.jpg"]


def test_a_linked_folder_itself_is_searched():
    put("elsewhere/c.jpg")
    Path("link").symlink_to("elsewhere")
    assert found("link", recursive=True) == found("link") == ["link/c.jpg"]


# ---------------------------------------------------------------------------------- odd paths


def test_paths_that_no_file_can_have_are_named():
    for path in ("x" * 300 + ".jpg", "a/" * 3000 + "x.jpg"):
        with pytest.raises(ValueError, match="does not exist"):
            pictures([Path(path)])


def test_lists_hold_names_of_any_bytes():
    put("\udcffx.jpg", "é.jpg", "a\x85b.jpg")
    Path("list.txt").write_bytes(b"\xffx.jpg\n\xc3\xa9.jpg\r\na\xc2\x85b.jpg\n")
    assert [file.name for file in pictures([Path("@list.txt")])] == ["\udcffx.jpg", "é.jpg", "a\x85b.jpg"]
