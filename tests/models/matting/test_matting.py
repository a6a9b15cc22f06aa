"""Matting: the network's shapes, guided upsampling, composites, hub models, learning."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from turnaround.models.convnet import UNet, recalibrate
from turnaround.models.estimator.dataset import Things
from turnaround.models.matting.compose import Composer, open_singles, place
from turnaround.models.matting.guided import box_mean, guided_upsample
from turnaround.models.matting.hub import HubMatting, person_labels
from turnaround.models.matting.model import MattingNetwork, person_mask, small_person_mask
from turnaround.models.matting.train import matting_loss, validate_on
from turnaround.models.training.photometric import gaussian_blur, jpeg, random_bars, random_blobs
from turnaround.models.zoo import MissingWeight


def rng(seed=0):
    return np.random.default_rng(seed)


def people(count=4, size=64) -> list[np.ndarray]:
    rgba = np.zeros((count, size, size, 4), np.uint8)
    rgba[:, 10:54, 22:42] = (200, 40, 40, 255)
    return [rgba]


@pytest.mark.parametrize("shape", [(64, 64), (96, 32), (34, 50)])
def test_unet_keeps_resolution_and_starts_at_zero(shape):
    network = UNet(3, 2, (8, 8, 16)).eval()
    out = network(torch.rand(2, 3, *shape))
    assert out.shape == (2, 2, *shape) and (out == 0).all()


def test_recalibrated_statistics_are_those_of_the_batches():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    batches = [torch.rand(8, 3, 16, 16) * 3 + 1 for _ in range(4)]
    recalibrate(network, (network(batch) for batch in batches))
    out = network(torch.cat(batches))
    assert not network.training and network[1].momentum == 0.1
    torch.testing.assert_close(out.mean((0, 2, 3)), torch.zeros(4), atol=1e-3, rtol=0)
    torch.testing.assert_close(out.std((0, 2, 3)), torch.ones(4), atol=1e-2, rtol=0)


def test_box_mean_is_average_pooling():
    x = torch.rand(1, 2, 17, 20)
    expected = F.avg_pool2d(x, 5, 1, 2, count_include_pad=False)
    torch.testing.assert_close(box_mean(x, 2), expected)


def test_guided_upsampling_follows_the_pictures_edge():
    picture = torch.full((1, 3, 128, 128), 0.2)
    picture[..., 37:] = 0.8
    true = (picture[:, :1] > 0.5).float()
    small = F.interpolate(true, (32, 32), mode="bilinear", antialias=True)
    small = gaussian_blur(small, 1.0)
    guided, plain = guided_upsample(small, picture, 512), F.interpolate(small, (128, 128), mode="bilinear")
    assert (guided - true).abs().mean() < 0.35 * (plain - true).abs().mean()
    even = torch.full((1, 3, 128, 128), 0.5)
    assert (guided_upsample(small, even, 512) - plain).abs().max() < 0.25


def test_person_mask_looks_twice_and_has_the_photos_size():
    sizes = []

    def network(image):
        sizes.append(tuple(image.shape[-2:]))
        return (image[:, :1] > 0.5).float()

    photo = torch.zeros(200, 300, 3)
    photo[50:150, 100:140] = 1
    mask = person_mask(network, photo)
    assert mask.shape == (200, 300) and len(set(sizes)) >= 4
    overlap = ((mask > 0.5) & (photo[..., 0] > 0.5)).sum() / ((mask > 0.5) | (photo[..., 0] > 0.5)).sum()
    assert overlap > 0.97
    assert person_mask(lambda image: torch.zeros_like(image[:, :1]), photo).max() == 0


def test_placing_moves_as_told():
    spot = torch.zeros(1, 4, 64, 64)
    spot[..., 32, 32] = 1
    moved = place(spot, spot.shape[-1], torch.ones(1), torch.zeros(1), torch.tensor([[0.5, -0.25]]))
    where = int(moved[0, 3].argmax())
    assert abs(where % 64 - 48) <= 1 and abs(where // 64 - 24) <= 1


def test_composites_are_reproducible_and_consistent():
    backgrounds = rng(1).integers(0, 255, (3, 80, 80, 3), np.uint8)
    composer = Composer(people(), backgrounds)
    a, b = composer(6, rng(5)), composer(6, rng(5))
    assert torch.equal(a.image, b.image) and torch.equal(a.mask, b.mask)
    assert not torch.equal(a.image, composer(6, rng(6)).image)
    assert a.image.shape == (6, 3, 64, 64) and a.mask.shape == (6, 1, 64, 64)
    assert a.image.min() >= 0 and a.image.max() <= 1 and a.mask.min() >= 0 and a.mask.max() <= 1.0001


def test_shapes_before_people_are_masks():
    for shapes in (random_bars(5, 48, rng()), random_blobs(5, 48, rng())):
        assert shapes.shape == (5, 1, 48, 48) and shapes.min() >= 0 and shapes.max() <= 1
        assert shapes.amax((1, 2, 3)).min() > 0.5


def test_blur_keeps_the_mean_and_jpeg_with_tiny_steps_the_picture():
    x = torch.rand(2, 3, 48, 48)
    for sigma in (0.5, 1.5, 4.0):
        blurred = gaussian_blur(x, sigma)
        assert abs(blurred.mean() - x.mean()) < 0.01 and blurred.std() < x.std()
    assert (jpeg(x, 1e-5) - x).abs().max() < 1e-3 < (jpeg(x, 0.2) - x).abs().mean()


def test_learning(tmp_path):
    backgrounds = np.full((2, 64, 64, 3), 90, np.uint8)
    composer = Composer(people(), backgrounds)
    torch.manual_seed(0)
    network, losses = MattingNetwork(), []
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    for step in range(16):
        loss, _ = matting_loss(network, composer(4, rng(step)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert np.mean(losses[-4:]) < 0.75 * np.mean(losses[:4])
    assert set(validate_on(composer, 1, 4)(network, 0)) == {"iou", "iou_low", "mae"}


def test_singles_in_chunks(tmp_path):
    with pytest.raises(FileNotFoundError, match="turnaround data people"):
        open_singles(tmp_path)
    for k in range(2):
        (tmp_path / f"chunk_{k:03d}").mkdir()
        np.save(tmp_path / f"chunk_{k:03d}" / "rgba.npy", people()[0])
    assert [len(p) for p in open_singles(tmp_path)] == [4, 4]


@pytest.fixture(scope="module")
def segformer(tmp_path_factory):
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    config = SegformerConfig(
        num_labels=3,
        id2label={0: "wall", 1: "person", 2: "tree"},
        depths=[1, 1, 1, 1],
        hidden_sizes=[8, 8, 16, 16],
        num_attention_heads=[1, 1, 2, 2],
        decoder_hidden_size=16,
    )
    folder = tmp_path_factory.mktemp("segformer")
    torch.manual_seed(0)
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    return folder


def test_hub_model_from_a_folder(segformer):
    network = HubMatting.load(str(segformer), local_only=True)
    mask = network(torch.rand(1, 3, 64, 96))
    assert network.labels == [1] and mask.shape == (1, 1, 64, 96)
    both = HubMatting.load(str(segformer), ("person", "tree", "wall"), local_only=True)(
        torch.rand(1, 3, 64, 64)
    )
    torch.testing.assert_close(both, torch.ones_like(both), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="labels"):
        HubMatting.load(str(segformer), ("cat",), local_only=True)


def test_missing_hub_model_names_the_remedy(tmp_path):
    with pytest.raises(MissingWeight, match="matting=embedded"):
        HubMatting.load(str(tmp_path / "nothing"), local_only=True)


def test_labels_of_clothes_models_are_all_but_the_background():
    assert person_labels({0: "Background", 1: "Hair", 2: "Pants"}) == [1, 2]
    assert person_labels({0: "wall", 12: "person;individual;someone"}) == [12]


def test_what_is_held_is_in_the_picture_and_not_in_the_mask():
    backgrounds = np.full((1, 80, 80, 3), 128, np.uint8)
    person = people()
    size = person[0].shape[1]
    thing = np.zeros((1, size, size, 4), np.uint8)
    thing[:, : size // 2] = (255, 0, 0, 255)  # all of the upper half is covered
    held = [Things(np.zeros(len(p), np.int64), thing) for p in person]
    empty, full = (
        Composer(person, backgrounds, None, things)._person(8, rng(3), (1.0, 1.0001), 0.0)
        for things in (None, held)
    )
    assert (full[:, 3] >= empty[:, 3] - 1e-5).all() and (full[:, 4] <= empty[:, 4] + 1e-5).all()
    assert full[:, 4].sum() < 0.8 * empty[:, 4].sum()
    assert torch.equal(empty[:, 3], empty[:, 4])


def test_small_people_are_looked_for_in_ever_smaller_squares():
    """A network that sees bright things of a tenth of what it is shown, or more."""

    def network(image):
        tall = image.shape[-2] * (image[:, :1] > 0.5).any(-1, keepdim=True).float().mean(-2, keepdim=True)
        return ((image[:, :1] > 0.5) & (tall >= 0.1 * max(image.shape[-2:]))).float()

    photo = torch.zeros(400, 2400, 3)
    photo[150:260, 1000:1040] = 1  # a quarter of the height, 2 % of the whole
    assert person_mask(network, photo).max() == 0
    mask = small_person_mask(network, photo)
    assert mask.shape == (400, 2400) and ((mask > 0.5) == (photo[..., 0] > 0.5)).float().mean() > 0.999
    assert small_person_mask(network, torch.zeros(400, 2400, 3)).max() == 0
    wide = torch.zeros(400, 2400, 3)
    wide[200:310, 300:2100] = 1
    assert small_person_mask(network, wide).max() == 0, "a hedge is no person"
    assert small_person_mask(network, photo[:, 700:1300]).max() == 0, "only wide photos hide whole people"
