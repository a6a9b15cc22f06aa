"""A rig on disk: round trip, damage, what is refused."""

import dataclasses

import numpy as np
import pytest
import torch

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.rigged import rig_npz
from turnaround.pipeline.values.rig import Rig, SkinWeights
from turnaround.pipeline.values.types import Body


def rig() -> Rig:
    generator = torch.Generator().manual_seed(0)
    skins = []
    for count in (7, 11):
        shares = torch.rand(count, 4, generator=generator)
        bones = torch.randint(0, 61, (count, 4), generator=generator)
        skins.append(SkinWeights(bones, shares / shares.sum(-1, keepdim=True)))
    photo = dataclasses.replace(Body.neutral(), betas=torch.rand(10, generator=generator))
    return Rig(Body.neutral(), photo, torch.rand(61, 3, generator=generator), *skins, skins[0].bones[:5])


def test_a_rig_comes_back(tmp_path):
    made = rig()
    rig_npz.save(made, tmp_path / "rig.npz")
    back = rig_npz.load(tmp_path / "rig.npz")
    assert torch.equal(back.joints, made.joints) and torch.equal(back.photo.betas, made.photo.betas)
    assert torch.equal(back.about, made.about)
    for name in ("mesh", "gaussians"):
        own, other = getattr(made, name), getattr(back, name)
        assert torch.equal(own.bones, other.bones) and torch.equal(own.weights, other.weights)
    rig_npz.save(back, tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "rig.npz").read_bytes()


def damaged(**changes):
    def change(arrays):
        arrays.update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.pop("joints"), "joints"),
        (damaged(**{"rest.betas": np.zeros(3, np.float32)}), "rest.betas"),
        (damaged(**{"mesh.bones": np.full((7, 4), 99, np.uint8)}), "bone 99 of 61"),
        (damaged(**{"gaussians.weights": np.zeros((2, 4), np.float32)}), "gaussians"),
        (damaged(about=np.zeros((12, 4), np.uint8)), "about"),
        (damaged(about=np.full((5, 4), 61, np.uint8)), "about: bone 61 of 61"),
    ],
)
def test_another_file_is_refused_by_name(tmp_path, change, words):
    rig_npz.save(rig(), tmp_path / "rig.npz")
    arrays = dict(np.load(tmp_path / "rig.npz"))
    change(arrays)
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(FormatError, match=rf"bad\.npz.*{words}"):
        rig_npz.load(tmp_path / "bad.npz")


def test_a_rig_that_is_not_finite_is_not_written(tmp_path):
    broken = dataclasses.replace(rig(), joints=torch.full((61, 3), torch.nan))
    with pytest.raises(FormatError, match="joints of the rig are not finite"):
        rig_npz.save(broken, tmp_path / "rig.npz")


def test_a_rig_from_before_shows_always_what_was_added(tmp_path):
    rig_npz.save(rig(), tmp_path / "rig.npz")
    arrays = dict(np.load(tmp_path / "rig.npz"))
    del arrays["about"]
    np.savez(tmp_path / "old.npz", **arrays)
    assert len(rig_npz.load(tmp_path / "old.npz").about) == 0
