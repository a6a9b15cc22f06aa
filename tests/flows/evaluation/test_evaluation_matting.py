"""The matting's evaluation: composites that repeat, a known mask that scores as it must, refusals that
count."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from PIL import Image

from turnaround.flows.evaluation import suite
from turnaround.flows.evaluation.composites import FRAMES, KINDS, composites
from turnaround.flows.evaluation.measures import matting
from turnaround.models.matting.cutout import frame_square
from turnaround.pipeline.photos.photo import decode
from turnaround.pipeline.stage import Stage, StageError
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import View

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def person(tmp_path_factory) -> suite.TestPerson:
    return suite.synthetic_person(
        suite.SYNTHETIC["people-test"], 900000, tmp_path_factory.mktemp("people"), 64
    )


def known(answer) -> Any:
    """Stands for `prepare`: gives what it is told in place of a mask."""

    def run(**inputs) -> SimpleNamespace:
        mask = answer(inputs["image"])
        return SimpleNamespace(view=View(torch.ones(*mask.shape, 3), mask, canonical_camera(len(mask))))

    return Mock(spec=Stage, run=run)


def test_composites_repeat_and_show_the_person_where_the_mask_is(person):
    made, again = composites(person), composites(person)
    assert [c.kind for c in made] == list(KINDS) and [c.jpeg for c in made] == [c.jpeg for c in again]
    assert len({c.jpeg for c in made}) == len(KINDS)
    rgba = np.asarray(Image.open(person.photo), np.float32) / 255
    for composite in made:
        pixels, alpha = decode(composite.jpeg, "composite")
        assert alpha is None and pixels.shape[:2] == composite.mask.shape and composite.mask.shape in FRAMES
        assert composite.mask.sum() == pytest.approx(
            rgba[..., 3].sum(), rel=1e-4
        )  # all of the person is in the frame
        inside = pixels[composite.mask > 0.99].mean(0)
        cut = rgba[..., :3][rgba[..., 3] > 0.99].mean(0)
        np.testing.assert_allclose(inside / inside.sum(), cut / cut.sum(), atol=0.03)  # exposure aside


def test_the_true_mask_scores_one_and_half_of_it_a_half(person):
    truths = {c.jpeg: matting.true_mask(c, 512) for c in composites(person)}
    rows = matting.matting(known(lambda jpeg: truths[jpeg]), person, CPU)
    assert [row["iou"] for row in rows] == [1.0] * len(KINDS) and all(row["mae"] == 0 for row in rows)
    both = torch.zeros(8, 8)
    both[:, :4] = 1
    left = torch.zeros(8, 8)
    left[:, :2] = 1
    assert matting.matting_errors(left, both) == {"iou": 0.5, "mae": 0.25}


def test_the_true_mask_lies_on_the_stages_grid(person):
    composite = max(composites(person), key=lambda c: c.mask.shape[0])
    side = frame_square(composite.mask.shape)[2]
    mask = matting.true_mask(composite, 256)
    assert mask.shape == (256, 256)
    assert mask.sum().item() / 256**2 == pytest.approx(composite.mask.sum() / side**2, rel=0.01)


def test_a_refused_photo_counts_as_an_empty_mask(person):
    def refuse(_: bytes) -> torch.Tensor:
        raise StageError("no person was found")

    rows = matting.matting(known(refuse), person, CPU)
    total = matting.summary(rows)
    assert total is not None
    assert total["refused"] == total["count"] == len(KINDS) and total["iou"] == total["iou_low"] == 0
    assert 0 < total["mae"] < 0.3 and set(total["iou_by_background"]) == set(KINDS)
    assert matting.summary([]) is None


def test_composites_are_photos_of_a_usual_size(person):
    for composite in composites(person):
        with Image.open(io.BytesIO(composite.jpeg)) as photo:
            assert photo.format == "JPEG" and 512 <= max(photo.size) <= 768
