"""Laws of the texture statistics: nothing between a set and itself, more the more it is blurred."""

import pytest
import torch
import torch.nn.functional as F

from turnaround.models.metrics import image, texture

generator = torch.Generator().manual_seed(3)
WHOLE = torch.ones(96, 96)


def cloths(count: int) -> list[torch.Tensor]:
    """Noise of two scales, as cloth has."""
    pictures = []
    for _ in range(count):
        coarse = F.interpolate(
            torch.rand(1, 3, 12, 12, generator=generator), size=96, mode="bicubic", align_corners=False
        )[0]
        pictures.append(
            (0.6 * coarse + 0.4 * torch.rand(3, 96, 96, generator=generator)).movedim(0, -1).clamp(0, 1)
        )
    return pictures


def blurred(picture: torch.Tensor, width: int) -> torch.Tensor:
    return F.avg_pool2d(picture.movedim(-1, 0)[None], width, 1, width // 2, count_include_pad=False)[
        0
    ].movedim(0, -1)


def features(pictures: list[torch.Tensor]) -> list[torch.Tensor]:
    return [texture.random_features(picture, WHOLE) for picture in pictures]


def test_mmd_is_zero_in_the_mean_for_one_distribution_and_the_known_value_for_two_points():
    a, b = torch.randn(400, 16, generator=generator), torch.randn(400, 16, generator=generator)
    assert abs(texture.polynomial_mmd(a, b)) < 0.1 < texture.polynomial_mmd(a, b + 1)
    assert texture.polynomial_mmd(a, b) == pytest.approx(texture.polynomial_mmd(b, a))
    zero, one = torch.zeros(2, 4), torch.ones(3, 4)  # kernels 1, 8 and 1 between them
    assert texture.polynomial_mmd(zero, one) == pytest.approx(1 + 8 - 2)
    with pytest.raises(ValueError, match="at least 2"):
        texture.polynomial_mmd(zero[:1], one)


def test_random_features_see_blur():
    pictures, others = cloths(4), cloths(4)
    truth = features(pictures)
    same = texture.random_feature_mmd(features(others), truth)
    little = texture.random_feature_mmd(features([blurred(p, 3) for p in others]), truth)
    much = texture.random_feature_mmd(features([blurred(p, 7) for p in others]), truth)
    assert same is not None and little is not None and much is not None
    assert abs(same) < 0.1 * little < little < much
    itself = texture.random_feature_mmd(truth, truth)
    assert itself is not None and abs(itself) < 0.1 * little


def test_features_are_of_the_inside_of_the_mask():
    picture = cloths(1)[0]
    mask = torch.zeros(96, 96)
    mask[:48, :48] = 1
    changed = picture.clone()
    changed[56:, 56:] = 0  # beyond what a patch may reach
    torch.testing.assert_close(texture.random_features(picture, mask), texture.random_features(changed, mask))
    assert texture.random_features(picture, 0 * mask).shape[0] == 0
    assert (
        texture.random_feature_mmd([texture.random_features(picture, 0 * mask)], features([picture])) is None
    )


def test_gradient_energy_falls_with_blur_and_does_not_see_the_outside():
    picture = cloths(1)[0]
    inside = torch.zeros(96, 96)
    inside[10:60, 10:60] = 1
    assert image.gradient_energy(blurred(picture, 3), inside) < 0.5 * image.gradient_energy(picture, inside)
    ramp = torch.linspace(0, 0.95, 20)[None, :, None].expand(20, 20, 3)
    assert image.gradient_energy(ramp, torch.ones(20, 20)).item() == pytest.approx(0.05**2, rel=1e-4)
    assert texture.interior(inside).sum() == 44**2
    assert texture.interior(torch.stack([inside, 0 * inside])).sum((1, 2)).tolist() == [44**2, 0]


def test_kid_needs_its_network_and_two_pictures(monkeypatch):
    pictures = torch.stack(cloths(6))
    monkeypatch.setattr(texture, "_inception", lambda: None)
    assert texture.kid(pictures, pictures) is None  # never another network under this name

    def colours(batch: torch.Tensor) -> tuple[torch.Tensor]:
        assert batch.dtype == torch.uint8 and batch.shape[1] == 3
        return (batch.float().mean((2, 3)) / 64,)

    monkeypatch.setattr(texture, "_inception", lambda: colours)
    near, far = texture.kid(pictures, pictures), texture.kid(pictures * 0.3, pictures)
    assert near is not None and far is not None
    assert abs(near) < 0.1 * far and texture.kid(pictures[:1], pictures) is None


def test_another_file_under_the_weights_name_is_not_opened(monkeypatch, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    texture._inception.cache_clear()
    assert texture._inception() is None
    texture._inception.cache_clear()
    (tmp_path / "checkpoints" / texture.INCEPTION).write_bytes(b"something else")
    with pytest.raises(ValueError, match="6726825d"):
        texture._inception()
