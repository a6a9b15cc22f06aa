"""`prepare` and `people` with masks and alpha channels that are no outlines; real landmark networks."""

import io

import numpy as np
import pytest
import torch
from landmark_pictures import needs_networks, pixels, resized
from PIL import Image, ImageDraw

from turnaround.flows.subjects.people import People
from turnaround.models.location.config import LandmarkNetworks
from turnaround.pipeline.stage import StageError
from turnaround.stages.prepare import Prepare

CPU, LITE = torch.device("cpu"), LandmarkNetworks(network="lite")


def png(values: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    return stream.getvalue()


def photo() -> np.ndarray:
    return resized(pixels("person_40006"), 320)


def run(image: bytes, mask: np.ndarray | None = None, **config) -> dict:
    stage = Prepare(Prepare.Config(size=128, **{"landmarks": LITE, **config}))
    return stage.run(device=CPU, image=image, mask=None if mask is None else png(mask))


@pytest.fixture(scope="module")
def own() -> np.ndarray:
    """The photo's own mask, uint8 at its size."""
    found = People(People.Config(landmarks=LITE)).run(device=CPU, image=png(photo()), mask=None)
    return np.round(found.masks["1"].numpy() * 255).astype(np.uint8)


@pytest.fixture(scope="module")
def expected() -> torch.Tensor:
    return run(png(photo())).mask


def alike(a: torch.Tensor, b: torch.Tensor) -> bool:
    return float((a - b).abs().mean()) < 0.01


@needs_networks
def test_a_frame_is_left_aside(expected, caplog):
    height, width = photo().shape[:2]
    corners = Image.new("L", (width, height))
    ImageDraw.Draw(corners).rounded_rectangle((0, 0, width - 1, height - 1), 20, fill=255)
    made = run(png(np.concatenate([photo(), np.asarray(corners)[..., None]], -1)))
    assert "no outline of a person" in caplog.text and "trust=true" in caplog.text
    assert made.landmarks["source"] == "blazepose" and alike(made.mask, expected)


@needs_networks
def test_a_given_mask_is_mended(own, expected, caplog):
    for mask, said in ((255 - own, "inverted"), ((own > 127) * np.uint8(15), "6 % white")):
        caplog.clear()
        assert alike(run(png(photo()), mask).mask, expected)
        assert said in caplog.text


@needs_networks
def test_a_mask_of_something_else_is_refused_unless_trusted(own):
    elsewhere = np.roll(own, own.shape[1] // 3, 1)
    with pytest.raises(
        StageError, match=r"mask beside the photo is not of the person.*\d+ % overlap.*trust=true"
    ):
        run(png(photo()), elsewhere)
    trusted = run(png(photo()), elsewhere, trust=True, allow_truncated=True, landmarks="none")
    assert float(trusted.mask.max()) > 0.9


@needs_networks
def test_people_of_a_white_mask_are_those_of_the_photo(own):
    white = png(np.full_like(own, 255))
    found = People(People.Config(landmarks=LITE)).run(device=CPU, image=png(photo()), mask=white)
    assert np.array_equal(np.round(found.masks["1"].numpy() * 255).astype(np.uint8), own)


@needs_networks
def test_an_inverted_alpha_channel_hides_nobody(own, expected, caplog):
    made = run(png(np.concatenate([photo(), 255 - own[..., None]], -1)))
    assert "inverted" in caplog.text and alike(made.mask, expected)
    noise = np.random.default_rng(0).integers(0, 255, photo().shape).astype(np.uint8)
    with pytest.raises(StageError, match="no person was found"):
        run(png(np.concatenate([noise, 255 - own[..., None]], -1)))
