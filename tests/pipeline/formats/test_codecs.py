"""Codecs: what is saved is what is loaded, and the same value is the same bytes."""

from __future__ import annotations

import dataclasses
import json
import math
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from turnaround.pipeline.formats.codecs import codec_for, plain, save_image
from turnaround.pipeline.stage import KINDS
from turnaround.pipeline.values.arrays import as_array
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Body, Camera, Gaussians, Mesh, View

HALF_STEP = 0.5 / 255 + 1e-6  # rounding to 8 bits
few = settings(max_examples=20)
seeds = st.integers(0, 2**31)


def image(seed: int, height: int, width: int, channels: int) -> torch.Tensor:
    values = torch.rand(height, width, max(channels, 1), generator=torch.Generator().manual_seed(seed))
    return values if channels else values[..., 0]


def body(seed: int, *batch: int) -> Body:
    generator = torch.Generator().manual_seed(seed)
    return Body(
        **{
            name: torch.randn(value.shape, generator=generator)
            for name, value in vars(Body.neutral(*batch)).items()
        }
    )


def view(seed: int, size: int) -> View:
    """Random colours and a soft mask, composed over white, with a camera of no special numbers."""
    generator = torch.Generator().manual_seed(seed)
    mask = (torch.rand(size, size, generator=generator) * 1.5 - 0.25).clamp(0, 1)
    colors = torch.rand(size, size, 3, generator=generator)
    camera = orbit_cameras([360 * float(torch.rand((), generator=generator))], size, elevation=7.3)[0]
    return View(colors * mask[..., None] + 1 - mask[..., None], mask, camera)


def gaussians(seed: int, n: int) -> Gaussians:
    generator = torch.Generator().manual_seed(seed)
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=-1)
    rest = torch.rand(n, 8, generator=generator)
    scales = (rest[:, :3] * 6 - 8).exp()
    return Gaussians(torch.randn(n, 3, generator=generator), quats, scales, rest[:, 3], rest[:, 4:7])


def mesh(seed: int, n: int) -> Mesh:
    generator = torch.Generator().manual_seed(seed)
    faces = torch.randint(0, n, (2 * n, 3), generator=generator)
    return Mesh(torch.randn(n, 3, generator=generator), faces, torch.rand(n, 3, generator=generator))


def files(path: Path) -> dict[str, bytes]:
    """Everything that a codec wrote beside or below `path`."""
    return {
        file.relative_to(path.parent).as_posix(): file.read_bytes()
        for file in path.parent.rglob("*")
        if file.is_file()
    }


def through(kind: str, value: Any) -> Any:
    """`value` after a save and a load. Saving it twice, and saving what was loaded, must give the same
    bytes."""
    codec = codec_for(kind)
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, name, f"out{codec.suffix}") for name in "abc"]
        for path in paths:
            path.parent.mkdir()
        codec.save(value, paths[0])
        codec.save(value, paths[1])
        loaded = codec.load(paths[0])
        codec.save(loaded, paths[2])
        assert files(paths[0]) == files(paths[1]), "the same value twice gives the same bytes"
        if kind not in ("Gaussians", "Mesh"):  # their logarithms and colour curves round once more
            assert files(paths[0]) == files(paths[2]), "what was loaded is saved as the same bytes"
    return loaded


def assert_same(found: Any, expected: Any, tolerance: float = 0.0) -> None:
    """Records whose tensors agree in shape, type and value."""
    assert type(found) is type(expected)
    for field in dataclasses.fields(expected):
        a, b = getattr(found, field.name), getattr(expected, field.name)
        if isinstance(b, torch.Tensor):
            torch.testing.assert_close(
                a, b, atol=tolerance, rtol=tolerance, msg=lambda text, name=field.name: f"{name}: {text}"
            )
        elif dataclasses.is_dataclass(b):
            assert_same(a, b, tolerance)
        else:
            assert a == b


@few
@given(seeds, st.integers(1, 9), st.integers(1, 9), st.sampled_from([0, 3, 4]))
def test_image(seed, height, width, channels):
    value = image(seed, height, width, channels)
    found = through("Image", value)
    assert found.dtype == torch.float32 and found.shape == value.shape
    assert (found - value).abs().max() <= HALF_STEP


def test_every_8_bit_value_is_kept_exactly():
    value = (torch.arange(256).float() / 255).view(16, 16)
    assert torch.equal(through("Image", value), value)


@few
@given(
    st.dictionaries(
        st.text("ab.09_- é", min_size=1, max_size=8).filter(lambda name: name[0] != "."),
        seeds,
        min_size=1,
        max_size=5,
    )
)
def test_images(seeds_of):
    value = {name: image(seed, 3, 4, 3) for name, seed in seeds_of.items()}
    found = through("Images", value)
    assert set(found) == set(value)
    assert all((found[name] - value[name]).abs().max() <= HALF_STEP for name in value)


@few
@given(seeds, st.sampled_from([(), (1,), (3,), (2, 2)]))
def test_body(seed, batch):
    value = body(seed, *batch)
    assert_same(through("Body", value), value)


@few
@given(seeds, st.integers(2, 12))
def test_view(seed, size):
    value = view(seed, size)
    found = through("View", value)
    assert_same(found.camera, value.camera)  # the camera exactly
    assert (found.mask - value.mask).abs().max() <= HALF_STEP
    assert (found.image - value.image).abs().max() <= 2 * HALF_STEP  # of the mask, and of the colour
    assert found.image.min() >= 0 and found.image.max() <= 1
    assert torch.all(found.image[found.mask == 0] == 1)


@few
@given(seeds, st.integers(0, 20))
def test_gaussians(seed, n):
    value = gaussians(seed, n)
    assert_same(through("Gaussians", value), value, 1e-5)


@few
@given(seeds, st.integers(1, 20))
def test_mesh(seed, n):
    value = mesh(seed, n)
    assert_same(through("Mesh", value), value, 1e-6)


numbers = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
json_values = (
    numbers
    | st.lists(numbers, max_size=3)
    | st.dictionaries(st.text(max_size=4), st.lists(numbers, max_size=2), max_size=2)
)


@few
@given(st.dictionaries(st.text(max_size=4), json_values, max_size=4))
def test_trace(value):
    assert through("Trace", value) == value


def test_a_trace_takes_tensors_and_arrays():
    value = {
        "loss": torch.tensor(0.5, requires_grad=True),
        3: np.arange(3),
        "deep": [{"x": np.float32(0.1)}, (1, np.bool_(True))],
    }
    assert through("Trace", value) == {
        "loss": 0.5,
        "3": [0, 1, 2],
        "deep": [{"x": float(np.float32(0.1))}, [1, True]],
    }


@few
@given(st.binary(min_size=1, max_size=50))
def test_video(value):
    assert through("Video", value) == value


# ---------------------------------------------------------------------------------------------- same bytes


def test_the_bytes_do_not_depend_on_strides_graph_or_type(tmp_path):
    neat = body(0, 4)
    strided = Body(
        **{n: t.movedim(0, -1).contiguous().movedim(-1, 0).requires_grad_() for n, t in vars(neat).items()}
    )
    assert not strided.body_pose.is_contiguous() and torch.equal(strided.body_pose, neat.body_pose)
    picture = image(1, 6, 5, 3)
    turned = picture.transpose(0, 1).contiguous().transpose(0, 1).requires_grad_()
    for kind, a, b in (
        ("Body", neat, strided),
        ("Image", picture, turned),
        ("Image", picture, picture.numpy()),
    ):
        codec = codec_for(kind)
        one, two = tmp_path / f"one{codec.suffix}", tmp_path / f"two{codec.suffix}"
        codec.save(a, one)
        codec.save(b, two)
        assert one.read_bytes() == two.read_bytes(), kind


def test_the_bytes_do_not_depend_on_the_clock(tmp_path, monkeypatch):
    import time

    codec = codec_for("Body")
    codec.save(body(0), tmp_path / "now.npz")
    monkeypatch.setattr(time, "time", lambda: 2e9)
    monkeypatch.setattr(time, "localtime", lambda *_: time.gmtime(2e9))
    codec.save(body(0), tmp_path / "then.npz")
    assert (tmp_path / "now.npz").read_bytes() == (tmp_path / "then.npz").read_bytes()


# ---------------------------------------------------------------------------------------------- refused


def test_every_kind_has_a_codec():
    assert [codec_for(kind).suffix for kind in KINDS] == [
        ".png",
        "",
        ".png",
        ".npz",
        ".ply",
        ".glb",
        ".glb",
        ".npz",
        ".json",
        ".mp4",
    ]
    with pytest.raises(ValueError, match="no codec for 'Sound'; there are Body, Gaussians"):
        codec_for("Sound")


def holed(value: Any, field: str) -> Any:
    """A record with one value that is not finite."""
    tensor = getattr(value, field).clone()
    tensor.view(-1)[0] = math.nan
    return dataclasses.replace(value, **{field: tensor})


BAD = {
    "NaN in a picture": ("Image", torch.full((2, 2), math.nan), "4 values of the picture are not finite"),
    "batch of pictures": ("Image", torch.zeros(2, 4, 4, 3), r"got \(2, 4, 4, 3\)"),
    "channels first": ("Image", torch.zeros(3, 5, 5), r"got \(3, 5, 5\)"),
    "bytes as a picture": (
        "Image",
        torch.full((4, 4, 3), 200, dtype=torch.uint8),
        "got torch.uint8; divide by 255",
    ),
    "array of bytes": ("Image", np.full((4, 4, 3), 200, np.uint8), "got uint8; divide by 255"),
    "no pictures": ("Images", {}, "no pictures"),
    "path as a name": ("Images", {"../up": torch.zeros(2, 2)}, "cannot be a file name"),
    "hidden name": ("Images", {".x": torch.zeros(2, 2)}, "cannot be a file name"),
    "NaN in a body": ("Body", holed(body(0), "betas"), "betas of the body are not finite"),
    "NaN in Gaussians": ("Gaussians", holed(gaussians(0, 3), "means"), "Gaussian 0 of 3: x is nan"),
    "NaN in a mesh": ("Mesh", holed(mesh(0, 3), "vertices"), "not finite"),
    "face out of range": (
        "Mesh",
        dataclasses.replace(mesh(0, 3), faces=torch.tensor([[0, 1, 3]])),
        "outside of its 3 vertices",
    ),
    "NaN in a trace": ("Trace", {"loss": math.nan}, "nan cannot be kept"),
    "infinite tensor in a trace": ("Trace", {"loss": torch.tensor([1.0, math.inf])}, "inf cannot be kept"),
    "empty video": ("Video", b"", "no bytes"),
    "view over black": (
        "View",
        dataclasses.replace(view(0, 4), image=torch.zeros(4, 4, 3)),
        "not composed over white",
    ),
    "view without a mask": (
        "View",
        SimpleNamespace(**{**vars(view(0, 4)), "image": torch.ones(5, 5, 3)}),
        r"\(5, 5, 3\)",
    ),
    "NaN in a view": ("View", holed(view(0, 4), "mask"), "not finite"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_kept_is_refused(tmp_path, case):
    kind, value, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        codec_for(kind).save(value, tmp_path / f"out{codec_for(kind).suffix}")


def test_a_picture_that_is_no_view_is_refused(tmp_path):
    save_image(torch.zeros(4, 4, 4), tmp_path / "plain.png")
    with pytest.raises(ValueError, match=r"plain\.png: the picture has no camera"):
        codec_for("View").load(tmp_path / "plain.png")


def test_pickles_are_never_loaded(tmp_path):
    np.savez(tmp_path / "evil.npz", betas=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="Python objects"):
        codec_for("Body").load(tmp_path / "evil.npz")


# ---------------------------------------------------------------------------------------------- for people


def test_pictures_open_in_other_programs(tmp_path):
    """Values outside [0, 1] are clipped; a view is an ordinary picture with alpha."""
    save_image(torch.tensor([[-0.5, 0.5, 1.5]]), tmp_path / "clip.png")
    with Image.open(tmp_path / "clip.png") as picture:
        assert picture.mode == "L" and [picture.getpixel((x, 0)) for x in range(3)] == [0, 128, 255]
    codec_for("View").save(view(0, 5), tmp_path / "view.png")
    with Image.open(tmp_path / "view.png") as picture:
        assert picture.mode == "RGBA" and picture.size == (5, 5)
        assert set(json.loads(picture.text["turnaround:camera"])) == {
            "K",
            "T_camera_world",
            "width",
            "height",
        }


def test_bodies_are_ordinary_npz(tmp_path):
    codec_for("Body").save(body(3), tmp_path / "body.npz")
    with np.load(tmp_path / "body.npz") as data:
        assert set(data.files) == set(vars(Body.neutral())) and all(
            data[name].dtype == np.float32 for name in data.files
        )


def test_as_array_and_plain_take_what_stages_hold():
    assert as_array(torch.ones(2, dtype=torch.float64, requires_grad=True)).dtype == np.float32
    assert as_array([[1, 2]]).shape == (1, 2)
    assert plain({"a": (torch.tensor([1, 2]), None)}) == {"a": [[1, 2], None]}
    assert isinstance(view(0, 3).camera, Camera)
