"""The back view: identity without noise, outlines that do not grow, seeds, training steps, and SD 1.5's form
with tiny networks."""

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    ControlNetModel,
    UNet2DConditionModel,
)
from toy_diffusion import save_tiny_stable_diffusion

from turnaround.models import zoo
from turnaround.models.back_view.choice import chosen_diffusion
from turnaround.models.back_view.diffusion import networks
from turnaround.models.back_view.diffusion.refiner import (
    Settings,
    embedded_refiner,
    hub_refiner,
    person_box,
    without_slow_change,
)
from turnaround.models.back_view.outline import dilate, within_outline
from turnaround.models.back_view.settings import (
    BackViewSettings,
    EmbeddedDiffusionSettings,
    HubDiffusionSettings,
    NoDiffusion,
)
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
from turnaround.pipeline.values.crop import at_camera
from turnaround.pipeline.values.types import Body, Gaussians, View
from turnaround.stages.back_view import BackView, BackViewConfig

SETTINGS = Settings(strength=0.5, steps=4, guidance=2.0, seed=1, keep_color=False)


def embedded(**weights: str) -> EmbeddedDiffusionSettings:
    return EmbeddedDiffusionSettings(kind="embedded", **weights)


def person(size=64):
    """A checked figure over white and its mask."""
    image, mask = torch.ones(size, size, 3), torch.zeros(size, size)
    rows, columns = slice(size // 8, size - size // 8), slice(size // 3, size - size // 3)
    checks = (torch.arange(size)[:, None] // 4 + torch.arange(size)[None] // 4) % 2
    image[rows, columns] = (torch.tensor([0.7, 0.3, 0.2]) + 0.2 * checks[..., None])[rows, columns]
    mask[rows, columns] = 1
    return image, mask


CPU = torch.device("cpu")


def run(stage, given=None):
    """The stage on a blob, and on a photo of a checked figure."""
    image, mask = person(128)
    photo = View(image, mask, canonical_camera(128))
    return stage.run(device=CPU, photo=photo, gaussians=blob(), body=Body.neutral(), given=given)


def blob(count=200):
    generator = torch.Generator().manual_seed(0)
    means = torch.randn(count, 3, generator=generator) * torch.tensor([0.12, 0.35, 0.08])
    quats = torch.tensor([[1.0, 0, 0, 0]]).repeat(count, 1)
    return Gaussians(
        means,
        quats,
        torch.full((count, 3), 0.04),
        torch.full((count,), 0.9),
        torch.rand(count, 3, generator=generator),
    )


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random networks of the embedded form, the ControlNet's zero convolutions filled so that it has an
    effect."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    unet = networks.build_unet()
    controlnet = networks.build_controlnet(unet)
    for name, parameter in controlnet.named_parameters():
        if "controlnet_" in name and parameter.ndim == 4:
            torch.nn.init.normal_(parameter, std=0.05)
    models = {"vae": networks.build_vae(), "unet": unet, "controlnet": controlnet}
    return {name: str(networks.save(folder / f"{name}.safetensors", model)) for name, model in models.items()}


@pytest.fixture(scope="module")
def refiner(weights):
    return embedded_refiner(weights["vae"], weights["unet"], weights["controlnet"])


def test_networks_come_back_from_their_file_and_fit_the_limit(weights, tmp_path):
    first = networks.load(UNet2DConditionModel, weights["unet"])
    again = networks.load(UNet2DConditionModel, networks.save(tmp_path / "unet.safetensors", first))
    assert all(
        torch.equal(a, b)
        for a, b in zip(first.state_dict().values(), again.state_dict().values(), strict=True)
    )
    for kind, name in (
        (AutoencoderKL, "vae"),
        (UNet2DConditionModel, "unet"),
        (ControlNetModel, "controlnet"),
    ):
        parameters = sum(p.numel() for p in networks.load(kind, weights[name]).parameters())
        assert 2 * parameters < 16 * 2**20, f"{name} does not fit into 16 MiB"


def test_an_untouched_controlnet_changes_nothing():
    torch.manual_seed(1)
    unet = networks.build_unet()
    controlnet, t = networks.build_controlnet(unet), torch.tensor([300])
    latents, prompt = torch.randn(1, networks.LATENTS, 16, 16), networks.empty_prompt(1)
    down, middle = controlnet(latents, t, prompt, controlnet_cond=torch.rand(1, 3, 64, 64), return_dict=False)
    with torch.no_grad():
        controlled = unet(
            latents, t, prompt, down_block_additional_residuals=down, mid_block_additional_residual=middle
        ).sample
        assert torch.equal(controlled, unet(latents, t, prompt).sample)


def test_without_noise_the_picture_comes_back_as_it_was(refiner):
    image, _ = person()
    settings = SETTINGS.but(strength=0.0)
    assert torch.equal(refiner(image, settings), image)
    # and without keep_detail, what comes back is the VAE's idea of it
    assert not torch.allclose(refiner(image, settings.but(keep_detail=False)), image, atol=0.05)


def test_the_seed_decides_and_the_control_matters(refiner):
    image, _ = person()
    first = refiner(image, SETTINGS)
    assert not torch.equal(refiner(image, SETTINGS.but(strength=0.1, steps=2)), image)  # one step at least
    assert first.shape == image.shape and first.min() >= 0 and first.max() <= 1
    assert torch.equal(first, refiner(image, SETTINGS))
    assert not torch.equal(first, refiner(image, SETTINGS.but(seed=2)))
    assert not torch.equal(first, refiner(image, SETTINGS.but(control=0.0)))


def test_less_noise_is_less_random_and_colours_stay(refiner):
    image, mask = person()
    spread = {}
    for noise in (0.0, 0.5, 1.01):
        first, second = (refiner(image, SETTINGS.but(noise=noise, seed=seed)) for seed in (1, 2))
        spread[noise] = (first - second).abs().mean().item()
    assert spread[0.0] == 0 < spread[0.5] < spread[1.01]
    change = torch.full((1, 3, 64, 64), 0.3)
    assert without_slow_change(change, image.permute(2, 0, 1)[None], 3.0).abs().max() < 1e-5
    ripple = change * ((torch.arange(64) % 2) * 2.0 - 1)
    kept = without_slow_change(ripple, image.permute(2, 0, 1)[None], 3.0)[0, 0]
    assert (kept[mask > 0].abs() > 0.2).all() and (kept[mask == 0] == 0).all()


def test_the_outline_grows_by_the_margin_at_most():
    coarse, mask = person()
    refined = torch.zeros_like(coarse)  # a refinement that paints everything black
    for margin in (0, 3):
        image, grown = within_outline(refined, coarse, mask, margin)
        allowed = dilate(mask, margin)
        assert torch.equal(grown, allowed) and torch.equal(image.amin(-1) < 1, allowed > 0)
    image, grown = within_outline(coarse, coarse, mask, 3)
    assert torch.equal(image, coarse) and torch.equal(grown, mask)
    # the person keeps the mask where the clothes became white
    assert torch.equal(within_outline(torch.ones_like(coarse), coarse, mask, 3)[1], mask)


def test_dilation_of_a_point_is_a_square():
    mask = torch.zeros(9, 9)
    mask[4, 4] = 1
    assert dilate(mask, 2).sum() == 25 and torch.equal(dilate(mask, 0), mask)


def test_the_box_holds_the_person_and_fits_the_networks():
    image = torch.ones(3, 64, 64)
    image[:, 20:41, 30:33] = 0
    top, bottom, left, right = person_box(image, 16)
    assert (
        top <= 20
        and bottom >= 41
        and left <= 30
        and right >= 33
        and (bottom - top) % 16 == 0
        and (right - left) % 16 == 0
    )
    assert person_box(torch.ones(3, 32, 48), 16) == (0, 32, 0, 48)


def test_the_diffusion_goes_over_the_close_view_and_its_silhouette_stays(weights):
    stage = BackView(BackViewConfig(refiner=embedded(**weights), size=128, margin=4))
    made = run(stage)
    view, plain = made.view, run(BackView(BackViewConfig(size=128, refiner=NoDiffusion())))
    assert torch.equal(plain.coarse, made.coarse) and not torch.equal(view.image, plain.view.image)
    assert (view.mask <= dilate(plain.view.mask, 1)).all() and (view.mask >= plain.view.mask - 1e-6).all()
    assert torch.allclose(
        view.camera.T_camera_world[:3, :3] @ torch.tensor([0.0, 0, 1]), torch.tensor([0.0, 0, -1]), atol=1e-6
    )
    assert stage.weights() == ("body", *weights.values())


def test_auto_takes_the_embedded_diffusion_where_its_weights_are(weights):
    found = EmbeddedDiffusionSettings(**weights)
    assert found.kind == "auto" and chosen_diffusion(BackViewSettings(refiner=found)) == found
    assert chosen_diffusion(BackViewSettings(refiner=found.but(vae="nowhere.safetensors"))) is None
    assert chosen_diffusion(BackViewSettings(refiner=found, enabled=False)) is None


def test_the_view_is_close_and_in_the_colours_of_the_photo():
    stage = BackView(BackViewConfig(size=192, refiner=NoDiffusion()))
    made = run(stage)
    view, inside = made.view, made.view.mask > 0.9
    rows = torch.nonzero((view.mask > 0.5).any(1))[:, 0]
    assert 0.8 < (rows[-1] - rows[0] + 1) / 192 < 0.95 and made.refined.shape == made.coarse.shape == (
        192,
        192,
        3,
    )
    photo = person(128)[0].reshape(-1, 3).unique(dim=0)
    photo = photo[photo.amin(1) < 0.99]
    far = lambda image: torch.cdist(image[inside], photo).amin(1).mean()  # noqa: E731
    coarse = run(BackView(BackViewConfig(size=192, refiner=NoDiffusion(), exemplar=False))).view
    assert far(view.image) < 0.6 * far(coarse.image)
    assert torch.equal(view.image, run(stage).view.image)


@pytest.mark.parametrize(
    "settings",
    [{"exemplar": False}, {"enabled": False}, {"refiner": HubDiffusionSettings(), "enabled": False}],
)
def test_without_exemplar_and_diffusion_the_coarse_view_goes_on_as_it_is(settings):
    stage = BackView(BackViewConfig(size=96, **{"refiner": NoDiffusion(), **settings}))
    made = run(stage)
    assert chosen_diffusion(stage.config) is None and stage.weights() == ()
    assert torch.equal(made.refined, made.coarse) and made.view.mask.max() > 0.5
    back = at_camera(made.view, orbit_cameras([180.0], 96)[0])
    assert (back.image - made.coarse).abs().mean() < 0.02


def test_the_embedded_diffusion_without_its_files_says_which_and_how_to_train_them(
    tmp_path, monkeypatch, weights
):
    monkeypatch.setattr(zoo, "FOLDER", tmp_path)
    monkeypatch.setattr(zoo, "INDEX", tmp_path / "index.json")
    stage = BackView(BackViewConfig(refiner=embedded(), exemplar=False, size=96))
    names = stage.weights()
    assert names == ("back_view_vae", "back_view_unet", "back_view_controlnet")
    remedy = r"back-view-vae.*back-view-unet.*back-view-controlnet.*docs/training\.md"
    for name, file in zip(names, weights.values(), strict=True):
        with pytest.raises(zoo.MissingWeight, match=rf"{name}\.safetensors.*{remedy}"):
            run(stage)  # the first that lacks
        with pytest.raises(zoo.MissingWeight, match=rf"{name}\.safetensors.*{remedy}"):
            zoo.digest(name)
        zoo.save_state(name, *zoo.load_state(file))  # as training with --save does
        assert zoo.pins()[name] == zoo.digest(name)
    made = run(stage)
    assert not torch.equal(made.refined, made.coarse)
    zoo.path(names[0]).write_bytes(b"something else")
    with pytest.raises(zoo.MissingWeight, match="pinned"):
        run(stage)


def test_a_picture_beside_the_photo_takes_the_place_of_the_model(tmp_path):
    from turnaround.pipeline.formats.codecs import save_image

    image, mask = person(96)
    save_image(torch.cat([image, mask[..., None]], -1), tmp_path / "back.png")
    stage = BackView(BackViewConfig(size=96))
    made = run(stage, (tmp_path / "back.png").read_bytes())
    assert (made.refined - image).abs().max() < 0.01
    back = at_camera(made.view, orbit_cameras([180.0], 96)[0])
    assert (back.image - image).abs().mean() < 0.02 and (back.mask - mask).abs().mean() < 0.02
    save_image(image[:80], tmp_path / "flat.png")
    with pytest.raises(StageError, match="square"):
        run(stage, (tmp_path / "flat.png").read_bytes())


def test_stable_diffusion_of_a_local_folder_runs_end_to_end(tmp_path):
    base, tile = save_tiny_stable_diffusion(tmp_path)
    settings = HubDiffusionSettings(base=base, controlnet=tile)
    stage = BackView(BackViewConfig(refiner=settings, exemplar=False, size=64))
    assert stage.weights() == (base, tile) and settings.strength == 0.2 and settings.steps == 10
    made = run(stage)
    assert not torch.equal(made.refined, made.coarse) and torch.equal(made.refined, run(stage).refined)
    # guidance uses the negative prompt: another strength of it gives another picture
    other = hub_refiner(base, tile, 64)
    assert not torch.equal(other(person()[0], SETTINGS), other(person()[0], SETTINGS.but(guidance=7.0)))


def test_a_missing_folder_names_the_setting_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(FileNotFoundError, match=r"stages\.back_view\.refiner\.controlnet.*refiner=none"):
        hub_refiner("nowhere/base", str(tmp_path / "missing"))


def test_a_mirrored_photo_lies_in_the_outline_from_behind():
    from turnaround.models.back_view.mirrored import mirrored
    from turnaround.pipeline.values.camera import framed, orbit_cameras

    wide = canonical_camera(128)
    image, mask = torch.ones(128, 128, 3), torch.zeros(128, 128)
    mask[20:110, 40:90] = 1
    image[20:110, 40:65] = torch.tensor([1.0, 0.0, 0.0])  # the photo's left half is red
    image[20:110, 65:90] = torch.tensor([0.0, 0.0, 1.0])
    behind = framed(orbit_cameras([180.0], 128)[0], (38.0, 20.0, 88.0, 110.0), 96)
    outline = torch.zeros(96, 96)
    outline[10:86, 30:66] = 1
    view = mirrored(View(image, mask, wide), View(torch.ones(96, 96, 3), outline, behind))
    row = view.image[48, 32:64]
    assert (row[:, 2] > 0.9).float().mean() > 0.4 and (row[:, 0] > 0.9).float().mean() > 0.4
    assert row[2, 2] > 0.9 and row[-3, 0] > 0.9  # left and right exchanged: blue first
    assert view.camera is behind
