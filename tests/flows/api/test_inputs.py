"""What a call may be given: the same pixels are the same person, whichever way they come."""

from __future__ import annotations

import functools
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import pytest
import torch
import toy
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageCms

import turnaround as ta
import turnaround.flows.subjects.project
import turnaround.reconstruction
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects.project import Project
from turnaround.inputs import body_bytes, picture_bytes
from turnaround.models.estimator.given.body_file import read_body
from turnaround.pipeline.photos.photo import decode, decode_mask
from turnaround.pipeline.stage import Image, Stage, StageConfig, Trace
from turnaround.pipeline.values.types import Body

SIZE = 72


class Decode(Stage[StageConfig]):
    """The pixels of the photo as `prepare` reads them, and what lies beside it."""

    name, version = "decode", 1
    needs = {"image": "photo.image", "mask": "photo.mask", "body": "photo.body", "back": "photo.back"}

    class Outputs(NamedTuple):
        pixels: Image
        beside: Trace

    def run(self, *, device: Any, image: bytes, **beside: bytes | None) -> Outputs:
        pixels, alpha = decode(image, "photo")
        pixels = pixels if alpha is None else np.concatenate([pixels, alpha[..., None]], -1)
        mask, body = beside["mask"], beside["body"]
        told = {name: data is not None for name, data in beside.items()}
        told["covered"] = float(decode_mask(mask, "mask", pixels.shape[:2]).mean()) if mask else None
        told["betas"] = read_body(body)[0].betas.tolist() if body else None
        return self.Outputs(torch.from_numpy(pixels), told)


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (Decode,), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.setattr(turnaround.reconstruction, "Project", toys)
    monkeypatch.chdir(tmp_path)


def pixels(channels: int = 3, seed: int = 0) -> np.ndarray:
    values = np.random.default_rng(seed).integers(0, 256, (SIZE, SIZE, channels), dtype=np.uint8)
    if channels == 4:
        values[..., 3] = np.where(np.indices((SIZE, SIZE))[0] < SIZE // 2, 255, 0)
    return values


def reconstruct(source: Any, **arguments: Any) -> ta.Person:
    return ta.reconstruct(source, progress=False, **arguments)


def digest(person: ta.Person) -> str:
    """Of the decoded pixels: what the keys of all later stages hang on."""
    return person._record("decode").digest("pixels")


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    PIL.Image.fromarray(values).save(stream, "png", compress_level=1)
    return stream.getvalue()


WAYS = {
    "bytes": png,
    "PIL": PIL.Image.fromarray,
    "array": lambda values: values,
    "view": lambda values: values[:, ::-1][:, ::-1],
    "floats": lambda values: values / 255,
    "float32": lambda values: (values / 255).astype(np.float32),
    "tensor": lambda values: torch.from_numpy(values.copy()),
}


@pytest.mark.parametrize("channels", [3, 4])
def test_equal_pixels_give_equal_results_whichever_way_they_come(channels):
    values = pixels(channels)
    Path("photo.png").write_bytes(png(values))
    expected = digest(reconstruct("photo.png"))
    for way, make in WAYS.items():
        assert digest(reconstruct(make(values))) == expected, way
    assert digest(reconstruct(pixels(channels, seed=1))) != expected


def test_bytes_of_a_file_have_its_keys():
    Path("photo.png").write_bytes(png(pixels()))
    by_path, by_bytes = reconstruct("photo.png"), reconstruct(Path("photo.png").read_bytes())
    assert by_path.keys == by_bytes.keys and by_path.name != by_bytes.name


def test_pixels_without_a_name_have_one_of_their_own_and_are_found_again(capsys):
    first, other, again = reconstruct(pixels()), reconstruct(pixels(seed=1)), reconstruct(pixels())
    assert first.name == again.name != other.name and first.name.startswith("photo-")
    assert again.report["stages"]["decode"]["state"] == "fresh"
    assert first.photo == Path("work/photos", f"{first.name}.png").absolute() and first.photo.is_file()
    code = guarded(lambda: app(["status", first.name], standalone_mode=False))
    assert code == 0 and "FRESH" in capsys.readouterr().out


def test_a_name_is_the_subject_s_and_new_pixels_replace_its_photo():
    first = reconstruct(pixels(), name="alice")
    second = reconstruct(WAYS["bytes"](pixels(seed=1)), name="alice")
    jpeg = io.BytesIO()
    PIL.Image.fromarray(pixels(seed=2)).save(jpeg, "jpeg")
    third = reconstruct(jpeg.getvalue(), name="alice")
    assert first.name == second.name == third.name == "alice" and third.photo.name == "alice.jpg"
    assert [file.name for file in Path("work/photos").iterdir()] == ["alice.jpg"]
    assert ta.load("work", "alice").keys == third.keys != second.keys


def test_a_path_may_have_a_name_that_no_other_photo_has():
    for name in ("a.png", "b.png"):
        Path(name).write_bytes(png(pixels()))
    assert reconstruct("a.png", name="alice").name == "alice"
    assert reconstruct("a.png").name == "alice", "it keeps the name"
    with pytest.raises(ta.TurnaroundError, match=r"calls another photo 'Alice' already, .*a\.png"):
        reconstruct("b.png", name="Alice")
    Path("a.png").unlink()
    assert reconstruct("b.png", name="alice").photo == Path("b.png").absolute()


def test_profile_and_orientation_of_a_PIL_image_are_kept():
    values = pixels()
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # turn to the right
    PIL.Image.fromarray(values).save("photo.jpg", quality=100, icc_profile=profile, exif=exif)
    expected = digest(reconstruct("photo.jpg"))
    with PIL.Image.open("photo.jpg") as image:
        assert digest(reconstruct(image)) == expected
        assert digest(reconstruct(np.rot90(np.asarray(image), -1))) == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "HSV", "RGBa", "YCbCr"])
def test_every_mode_of_PIL_is_taken(mode):
    image = PIL.Image.fromarray(pixels(4)) if mode in ("RGBA", "RGBa") else PIL.Image.fromarray(pixels())
    if mode == "I;16":
        image = PIL.Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
    image = image.convert(mode) if mode != "I;16" else image
    found, _ = decode(*picture_bytes(image, "photo"))
    shown = np.asarray(
        image.convert("RGBA" if mode == "RGBa" else "RGB") if mode != "I;16" else image, np.float32
    )
    expected = shown[..., None] / 65535 if mode == "I;16" else shown[..., :3] / 255
    seen = np.asarray(image.convert("RGBA"))[..., 3] > 0 if mode in ("RGBA", "RGBa") else ...
    assert np.abs(found - expected)[seen].max() <= (1.5 / 255 if mode != "YCbCr" else 3 / 255)


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]), st.integers(0, 2**32 - 1))
def test_pixels_become_files_without_loss(height, width, channels, seed):
    values = np.random.default_rng(seed).integers(0, 256, (height, width, channels), dtype=np.uint8)
    data, suffix = picture_bytes(values, "photo")
    with PIL.Image.open(io.BytesIO(data)) as image:
        assert suffix == ".png" and np.array_equal(np.asarray(image), values)
    assert picture_bytes(values, "photo")[0] == data == picture_bytes(values / 255, "photo")[0]


WRONG = [
    (
        np.zeros((3, 80, 80), np.uint8),
        r"\(h, w, 3\) or \(h, w, 4\), got \(3, 80, 80\) of uint8; move its",
    ),
    (np.zeros((80, 80), np.uint8), r"\(h, w, 3\) or \(h, w, 4\), got \(80, 80\)"),
    (np.full((80, 80, 3), 200.0), "floats from 0 to 1, got 0 to 200"),
    (np.full((80, 80, 3), -1.0), "floats from 0 to 1, got -1 to 0"),
    (np.full((80, 80, 3), np.nan), "floats from 0 to 1, got nan"),
    (np.zeros((80, 80, 3), np.int64), "expected uint8, or floats from 0 to 1, got int64"),
    (object(), "expected an array of shape"),
    (b"no picture at all", "this is not a picture that can be read"),
    (b"", "the file is empty"),
]


@pytest.mark.parametrize(("value", "message"), WRONG)
def test_what_is_no_picture_is_an_error_that_says_why(value, message):
    with pytest.raises(ta.TurnaroundError, match=message):
        reconstruct(value)


# ------------------------------------------------------------------------------------------- beside the photo


def covered(person: ta.Person) -> float | None:
    return person.load("decode.beside")["covered"]


def test_a_mask_in_any_form_is_the_one_beside_the_photo():
    Path("photo.png").write_bytes(png(pixels()))
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[:, : SIZE // 4] = 255
    PIL.Image.fromarray(mask).save("given.png")
    forms = ["given.png", Path("given.png"), Path("given.png").read_bytes(), mask, mask > 0, mask / 255]
    for form in (*forms, PIL.Image.fromarray(mask), torch.from_numpy(mask)):
        assert covered(reconstruct("photo.png", mask=form)) == 0.25, type(form)
    keys = reconstruct("photo.png", mask="given.png").keys
    Path("photo.mask.png").write_bytes(Path("given.png").read_bytes())
    assert reconstruct("photo.png").keys == keys, "the same bytes beside the photo"


def test_a_call_without_a_mask_takes_back_its_own_and_keeps_that_of_override():
    Path("photo.png").write_bytes(png(pixels()))
    ours, theirs = np.zeros((SIZE, SIZE), bool), np.zeros((SIZE, SIZE), np.uint8)
    ours[: SIZE // 2], theirs[: SIZE // 4] = True, 255
    PIL.Image.fromarray(theirs).save("theirs.png")
    assert covered(reconstruct("photo.png", mask=ours)) == 0.5
    assert covered(reconstruct("photo.png")) is None
    assert guarded(lambda: app(["override", "photo/photo/mask", "theirs.png"], standalone_mode=False)) == 0
    assert covered(reconstruct("photo.png")) == 0.25
    assert covered(reconstruct("photo.png", mask=ours)) == 0.5, "what the call says goes before it"


def test_status_finds_what_a_call_was_given_fresh(capsys):
    Path("photo.png").write_bytes(png(pixels()))
    reconstruct("photo.png", mask=np.ones((SIZE, SIZE)), body=Body.neutral(), back=pixels(4))
    assert guarded(lambda: app(["status", "photo", "--long"], standalone_mode=False)) == 0
    assert "FRESH" in capsys.readouterr().out


def test_a_body_in_any_form_is_read_as_it_was():
    body = Body.neutral()
    body = type(body)(**{name: value + 0.01 for name, value in vars(body).items()})
    arrays = {name: value.numpy() for name, value in vars(body).items()}
    np.savez("given.npz", allow_pickle=False, **arrays)
    for form in (body, arrays, "given.npz", Path("given.npz").read_bytes()):
        found, placed = read_body(body_bytes(form)[0])
        assert placed
        for name, value in vars(body).items():
            torch.testing.assert_close(getattr(found, name), value, atol=1e-6, rtol=0)
    Path("photo.png").write_bytes(png(pixels()))
    told = reconstruct("photo.png", body=body).load("decode.beside")
    assert told["body"] and not told["mask"] and told["betas"] == pytest.approx([0.01] * 10)
