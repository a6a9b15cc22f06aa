"""The paper's settings start, step and resume on small data; ControlNets train for Stable Diffusion's form;
stored back views."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_diffusion import save_tiny_stable_diffusion
from toy_people import write_views

from turnaround.flows.runs.training import find_training
from turnaround.models.back_view import pairs
from turnaround.models.back_view import train as back_view_train
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm import train as hgm_train
from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.create import create_hgm
from turnaround.models.hgm.training import losses
from turnaround.models.hgm.training.dataset import PeopleViews, turned_body
from turnaround.models.hgm.training.examples import BackConfig, BackViews, batches, visible_mask
from turnaround.models.hgm.training.losses import LossConfig, hgm_loss, structural
from turnaround.models.hgm.training.perceptual import SLICES, NoPerceptualLoss, fill_backbone
from turnaround.models.hgm.weights import read_hgm, save_hgm
from turnaround.models.training.people import split_people
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Body, View

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "training"
SMALL = [
    "size=tiny",
    "device=cpu",
    "bf16=false",
    "workers=0",
    "people=2",
    "supervised=2",
    "warmup=2",
    "validate_every=2",
    "validation_count=1",
]


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    return write_views(tmp_path_factory.mktemp("views"))


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return create_hgm(hgm_config("tiny"), BodyModel.load())


@pytest.fixture(scope="module")
def people(views, model):
    return PeopleViews(views, model.body_model, model.surface)


def small(*more):
    return [word for setting in (*SMALL, *more) for word in ("--set", setting)]


@pytest.mark.parametrize("name", ["coarse", "fusion"])
def test_the_paper_s_settings_start_step_and_resume(views, tmp_path, name, caplog):
    file = str(CONFIGS / f"hgm_{name}_paper.yaml")
    command = [
        "--config",
        file,
        "--data",
        str(views),
        "--out",
        str(tmp_path),
        *small("snapshots=[1]", "loss.vgg=nowhere.pth"),
    ]
    hgm_train.main([*command, "--steps", "2"])
    hgm_train.main([*command, "--steps", "3", "--save", str(tmp_path / "model.safetensors")])
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3] and {
        "image_only",
        "body_only",
        "structure",
        "val_psnr_novel",
    } <= set(lines[-1])
    used = json.loads((tmp_path / "settings.json").read_text())
    assert (
        used["network"] == f"hgm-{name}"
        and used["schedule"] == "onecycle"
        and used["loss"]["structure"] == "lpips"
    )
    assert "no LPIPS" in caplog.text and "box_ssim instead" in caplog.text
    assert read_hgm(tmp_path / "model.safetensors").config == hgm_config("tiny")
    assert read_hgm(tmp_path / "snapshot_000001.safetensors").config == hgm_config("tiny")


@pytest.mark.slow
def test_the_paper_s_model_takes_a_step(tmp_path):
    """415 M parameters in the image branch, 512 px; needs 16 GB of memory."""
    write_views(tmp_path / "views", people=2, size=512)
    out = tmp_path / "run"
    settings = [word for s in SMALL if not s.startswith(("size=", "supervised=")) for word in ("--set", s)]
    command = [
        "--config",
        str(CONFIGS / "hgm_coarse_paper.yaml"),
        "--data",
        str(tmp_path / "views"),
        "--out",
        str(out),
        *settings,
    ]
    hgm_train.main([*command, "--steps", "1", "--set", "supervised=2", "--threads", "2"])
    line = json.loads((out / "log.jsonl").read_text().splitlines()[0])
    assert line["step"] == 1 and np.isfinite(line["loss"]) and line["skipped"] == 0


def test_a_controlnet_for_stable_diffusion_trains_with_the_base_frozen(tmp_path, views):
    base, tile = save_tiny_stable_diffusion(tmp_path)
    out = tmp_path / "saved"
    command = [
        "controlnet",
        "--config",
        str(CONFIGS / "back_view_controlnet_paper.yaml"),
        "--data",
        str(views),
        "--out",
        str(tmp_path / "run"),
    ]
    small = [
        "device=cpu",
        "bf16=false",
        "workers=0",
        "batch=2",
        "patch=[64, 64]",
        "warmup=1",
        f"base={base}",
        f"controlnet={tile}",
        "steps=2",
        "lr=0.01",
    ]
    back_view_train.main([*command, *(w for s in small for w in ("--set", s)), "--save", str(out)])
    before, after = (type_of(folder) for folder in (tile, out))
    assert any(not torch.equal(a, b) for a, b in zip(before.values(), after.values(), strict=True))
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert (
        set(state["model"]) == set(after) and state["step"] == 2
    )  # the ControlNet alone: the base is no part of it
    with pytest.raises(FileNotFoundError, match="vae"):
        back_view_train.main([*command, "--base", str(tmp_path / "nothing")])


def type_of(folder):
    from diffusers.models.controlnets.controlnet import ControlNetModel

    return ControlNetModel.from_pretrained(folder).state_dict()


def test_held_out_people_are_the_last_and_test_people_are_refused(tmp_path):
    for number in range(40):
        (tmp_path / f"{number:07d}.npz").touch()
    train, held = split_people(tmp_path)
    assert [int(f.stem) for f in held] == [38, 39] and len(train) == 38
    assert len(split_people(tmp_path, limit=5)[0]) == 5
    (tmp_path / "0900000.npz").touch()
    with pytest.raises(ValueError, match="test person"):
        split_people(tmp_path)


def test_pictures_of_another_size_than_the_model_s_are_refused(views, tmp_path):
    with pytest.raises(ValueError, match=r"64 px, the model takes 256.*--size 256"):
        hgm_train.main(["--data", str(views), "--out", str(tmp_path)])


def test_stored_back_views_are_given_from_the_front_and_the_rest_stays_mixed(people, tmp_path):
    marked = np.full((64, 64, 4), 255, np.uint8)
    marked[20:40, 20:40, :3] = 77
    for file in people.files:
        np.save(tmp_path / f"{file.stem}.npy", marked)
    backs = BackViews(tmp_path)

    def seconds(**shares):
        make = batches(people, 2, 30, 1, 0.0, backs=backs, back=BackConfig(**shares))
        return [example.inputs for example in make(0, np.random.default_rng(0))]

    for given in seconds(stored=1.0, degraded=0.0):
        assert (
            torch.allclose(given.rgb[0, 1, :, 30, 30], torch.full((3,), 77 / 255))
            and given.mask[0, 1].min() == 1
        )
    stored = [float(given.mask[0, 1].min()) == 1 for given in seconds(stored=0.5, degraded=0.5)]
    assert 5 < sum(stored) < 25
    assert not any(float(given.mask[0, 1].min()) == 1 for given in seconds(stored=0.0, degraded=1.0))
    np.save(tmp_path / f"{people.files[0].stem}.npy", marked[:32])
    with pytest.raises(ValueError, match=r"expected \(64, 64, 4\)"):
        backs.find(people.files[0].stem, 64)
    with pytest.raises(FileNotFoundError, match=r"models\.back_view\.pairs"):
        BackViews(tmp_path / "none")


def test_bodies_with_estimates_equal_to_the_truth_have_no_noise(people, model, tmp_path):
    """Whatever share of an estimate's error is left; and a missing estimate is named."""
    for index, file in enumerate(people.files):
        bodies = [turned_body(people.person(index), turn, model.body_model) for turn in (0, 1, 11)]
        fields = {
            f.name: torch.stack([getattr(b, f.name) for b in bodies]).numpy()
            for f in dataclasses.fields(Body)
        }
        np.savez(tmp_path / file.name, turns=np.array([0, 1, 11]), **fields)
    exact = PeopleViews(people.files[0].parent, model.body_model, model.surface, estimates=tmp_path)
    shown = {"inputs": 1, "supervised": [0], "noise": 0.0, "with_body": True}
    for turn in (0, 1, 11):
        one, other = (p.example(0, np.random.default_rng(turn), turn=turn, **shown) for p in (people, exact))
        assert torch.allclose(one.inputs.points, other.inputs.points, atol=1e-5)
    (tmp_path / people.files[1].name).unlink()
    with pytest.raises(FileNotFoundError, match="lacks 1 estimates"):
        find_training("hgm-coarse")(
            [
                "--data",
                str(people.files[0].parent),
                "--estimates",
                str(tmp_path),
                "--size",
                "tiny",
                "--out",
                str(tmp_path),
            ]
        )


def test_a_mask_is_seen_in_a_picture_over_white_even_in_white_clothes():
    picture = torch.ones(32, 32, 3)
    picture[8:24, 8:24] = 0.2
    picture[12:20, 12:20] = 1.0
    assert visible_mask(picture).sum() == 16 * 16


def test_pairs_are_made_on_the_given_bodies_and_shrunk(views, model, tmp_path):
    weights = save_hgm(model, tmp_path / "model.safetensors")
    command = ["--data", str(views), "--weights", str(weights), "--people", "1"]
    for name, more in {"true": [], "noisy": ["--noise", "1"], "small": ["--shrink", "4"]}.items():
        pairs.main([*command, "--out", str(tmp_path / name), *more])
    true, noisy, small = (
        np.load(tmp_path / name / "0000000.npy").astype(int) for name in ("true", "noisy", "small")
    )
    assert true.shape == (64, 64, 4) and (true[0, 0] == [255, 255, 255, 0]).all() and true[..., 3].max() > 100
    assert np.abs(true - noisy).max() > 10
    detail = lambda x: np.abs(np.diff(x[..., :3], axis=1)).max()  # noqa: E731
    assert detail(small) < detail(true) and (small[..., 3] == true[..., 3]).all()


def test_a_refined_view_keeps_its_outline():
    size = 64
    image, mask = torch.ones(size, size, 3), torch.zeros(size, size)
    image[20:40, 20:40], mask[20:40, 20:40] = 0.5, 1.0
    view = View(image, mask, canonical_camera(size))
    made = pairs.refined(view, lambda picture, _: picture * 0, None)  # type: ignore[arg-type]
    assert (
        (made.mask[18:42, 18:42] >= mask[18:42, 18:42]).all()
        and made.image[30, 30].sum() == 0
        and made.mask[5, 5] == 0
    )


def test_three_renders_and_geometry_add_up(model, people):
    make = batches(people, 1, 1, 3, 0.0, geometry=True)
    example = next(
        e for k in range(9) if bool((e := make(0, np.random.default_rng(k))[0]).inputs.has_body[0])
    )
    output = model(example.inputs)[0]
    only = {"merged": 0.0, "image_only": 0.0, "body_only": 0.0, "depth": 0.0}
    parts = [
        hgm_loss(output, example, LossConfig(**only | {name: 1.0}, alone_views=0, alone_structure=True))[0]
        for name in only
    ]
    whole, terms = hgm_loss(
        output, example, LossConfig(**dict.fromkeys(only, 1.0), alone_views=0, alone_structure=True)
    )
    assert float(whole.detach()) == pytest.approx(sum(float(p.detach()) for p in parts), rel=1e-5)
    assert {"rgb", "mask", "structure", "image_only", "body_only", "depth"} == set(terms)
    more, terms = hgm_loss(
        output,
        example,
        LossConfig(
            **dict.fromkeys(only, 1.0), alone_views=0, alone_structure=True, normal=2.0, view_depth=3.0
        ),
    )
    assert float((more - whole).detach()) == pytest.approx(
        2 * float(terms["normal"]) + 3 * float(terms["view_depth"]), rel=1e-4
    )
    same = dataclasses.replace(example, rgb=example.rgb, mask=example.mask)
    assert torch.equal(hgm_loss(output, same)[0], hgm_loss(output, example, LossConfig())[0])


def test_true_normals_of_turned_worlds_face_the_viewer(people):
    """The toy people's normals point at the stored camera, so in the example's world at the supervised
    one."""
    example = batches(people, 1, 6, 4, 0.0, geometry=True)(0, np.random.default_rng(3))
    for one in example:
        towards = -one.cameras.T_camera_world[:, 2, :3]
        for k in range(4):
            normals = one.normal[k][one.view_depth[k] > 0]  # type: ignore[attr-defined]
            assert torch.allclose(normals, towards[k].expand_as(normals), atol=0.02)


def test_lpips_missing_is_named_and_may_be_an_error(tmp_path, caplog):
    used, structure = structural(LossConfig(structure="lpips", vgg=str(tmp_path / "vgg.pth")), "cpu")
    assert used.structure == "box_ssim" and structure is losses.dissimilarity and "vgg.pth" in caplog.text
    with pytest.raises(NoPerceptualLoss, match=r"download\.pytorch\.org"):
        structural(
            LossConfig(structure="lpips", structure_instead="none", vgg=str(tmp_path / "vgg.pth")), "cpu"
        )


def test_the_backbone_fills_lpips_s_slices_with_torchvision_s_numbers():
    """A network of LPIPS's form: five sequences whose modules carry the numbers of VGG16's `features`."""
    widths = {k: (4 if k else 3, 4) for k in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)}
    convolutions = {k: torch.nn.Conv2d(*w, 3) for k, w in widths.items()}
    state = {
        f"features.{k}.{n}": torch.randn_like(v)
        for k, c in convolutions.items()
        for n, v in c.state_dict().items()
    }
    state["classifier.0.weight"] = torch.zeros(1)
    net = torch.nn.Module()
    for number, (start, end) in enumerate(SLICES, 1):
        part = torch.nn.Sequential()
        for k in range(start, end):
            part.add_module(str(k), convolutions.get(k, torch.nn.ReLU()))
        net.add_module(f"slice{number}", part)
    fill_backbone(net, state)
    for k, convolution in convolutions.items():
        assert torch.equal(convolution.weight, state[f"features.{k}.weight"]) and torch.equal(
            convolution.bias, state[f"features.{k}.bias"]
        )
