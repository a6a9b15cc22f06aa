"""Settings of trainings: files, --set and flags in their order, errors that name the nearest key, the files
that ship."""

import json
from pathlib import Path
from typing import Literal

import pytest

from turnaround.flows.runs.training import TRAININGS, find_training, overview
from turnaround.models.hgm.training.losses import LossConfig
from turnaround.models.training.loop import TrainingConfig, add_arguments, config_from
from turnaround.models.training.settings import Flags, parse, read_settings
from turnaround.pipeline.frozen import Frozen, build

CONFIGS = Path(__file__).resolve().parents[3] / "configs" / "training"


class Group(Frozen):
    share: float = 0.5
    sort: Literal["a", "b"] = "a"
    count: int = 1


def parsed(tmp_path, *words, text=""):
    """What a program with one flag of its own and one group makes of a file and words."""
    parser = add_arguments(Flags(), batch=7, bf16=True)
    parser.add_argument("--people", type=int, default=0)
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    given = ["--data", "d", "--out", str(tmp_path / "run"), "--config", str(file), *words]
    return parse(parser, given, ("toy",), {"group": Group})


def test_flags_win_over_set_over_the_file_over_defaults(tmp_path):
    text = (
        "network: toy\nsteps: 5\nlr: 0.25\nbf16: false\nbetas: [0.5, 0.6]\nsnapshots: [3, 4]\ngroup: "
        "{share: 0.25}\n"
    )
    options = parsed(
        tmp_path,
        "--lr",
        "0.5",
        "--set",
        "steps=6",
        "--set",
        "group.sort=b",
        "--set",
        "validate-every=9",
        text=text,
    )
    assert (options.batch, options.steps, options.lr, options.bf16, options.validate_every) == (
        7,
        6,
        0.5,
        False,
        9,
    )
    assert (
        options.group == Group(share=0.25, sort="b")
        and options.betas == (0.5, 0.6)
        and options.snapshots == (3, 4)
    )


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("stepz: 4", [], "unknown setting 'stepz': did you mean 'steps'"),
        ("group: {shere: 1}", [], "unknown setting 'group.shere': did you mean 'group.share'"),
        ("", ["--set", "peple=3"], "did you mean 'people'"),
        ("group: {share: much}", [], "group.share: Input should be a valid number.*got 'much'"),
        ("group: {count: 1.5}", [], "group.count: .*integer.*got 1.5"),
        ("group: 5", [], "group: expected settings, got 5"),
        ("", ["--set", "group.sort=c"], "group.sort: Input should be 'a' or 'b', got 'c'"),
        ("bf16: 3", [], "bf16: Input should be a valid boolean"),
        ("betas: [0.5]", [], r"betas\.1 is needed"),
        ("schedule: steep", [], "schedule: Input should be 'cosine' or 'onecycle'"),
        ("network: other", [], "for the network 'other', not for toy"),
        ("steps: {a: 1}", [], "steps: Input should be a valid integer"),
        ("[1, 2]", [], "expected keys and values"),
        ("", ["--set", "steps"], "expected key=value"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, text, words, message):
    with pytest.raises(ValueError, match=message):
        parsed(tmp_path, *words, text=text)


def test_an_unknown_flag_names_the_nearest(tmp_path, capsys):
    with pytest.raises(SystemExit):
        parsed(tmp_path, "--peopel", "3")
    assert "did you mean '--people'" in capsys.readouterr().err


def test_what_was_used_is_written_and_can_be_given_again(tmp_path):
    options = parsed(tmp_path, "--lr", "0.5", "--set", "group.share=0.125", text="betas: [0.1, 0.2]")
    config = config_from(options)
    written = tmp_path / "run" / "settings.json"
    assert json.loads(written.read_text())["group"]["share"] == 0.125
    again = parse(_toy_parser(), ["--config", str(written)], ("toy",), {"group": Group})
    assert again.group == options.group and config_from(again) == config and config.betas == (0.1, 0.2)


def _toy_parser():
    parser = add_arguments(Flags(), batch=7, bf16=True)
    parser.add_argument("--people", type=int, default=0)
    return parser


def test_a_run_that_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"batch\n.*greater than or equal to 1"):
        TrainingConfig(out=tmp_path, batch=0)


def test_the_paper_s_settings():
    """Of section 4.1, and of the released code where the paper is silent."""
    for name in ("coarse", "fusion"):
        values = read_settings(CONFIGS / f"hgm_{name}_paper.yaml")
        loss = build(LossConfig, values["loss"], "loss")
        assert values["steps"] * values["batch"] * 4 == 300 * 500 and values["supervised"] == 12
        assert (values["lr"], values["weight_decay"], values["betas"], values["warmup"]) == (
            4e-4,
            0.05,
            [0.9, 0.95],
            3000,
        )
        assert (loss.rgb, loss.mask, loss.structure_weight, loss.structure) == (1, 1, 1, "lpips")
        assert (loss.merged, loss.image_only, loss.body_only, loss.alone_views, loss.depth) == (1, 1, 1, 0, 0)
    control = read_settings(CONFIGS / "back_view_controlnet_paper.yaml")
    assert control["lr"] == 1e-5 and control["objective"] == "noise" and control["patch"] == [512, 512]


def test_every_network_has_settings_that_ship_and_its_program_takes_them(tmp_path, capsys):
    for name in TRAININGS:
        stem = name.replace("-", "_")
        assert name in overview()
        for kind in ("default", "paper"):
            file = CONFIGS / f"{stem}_{kind}.yaml"
            if not file.is_file():
                assert kind == "paper" and name not in ("hgm-coarse", "hgm-fusion", "back-view-controlnet")
                continue
            assert read_settings(file)["network"] == name
            with pytest.raises(
                ValueError, match=r"unknown setting 'nonsense'"
            ):  # everything before it was understood
                find_training(name)(
                    ["--config", str(file), "--set", "nonsense=1", "--data", "x", "--out", str(tmp_path)]
                )


def test_a_file_for_another_network_is_refused(tmp_path):
    common = ["--data", "x", "--out", str(tmp_path)]
    with pytest.raises(ValueError, match="for the network 'hgm-coarse', and the flags train 'hgm-fusion'"):
        find_training("hgm-fusion")([*common, "--config", str(CONFIGS / "hgm_coarse_default.yaml")])
    with pytest.raises(ValueError, match="for the network 'matting', not for normals"):
        find_training("normals")([*common, "--config", str(CONFIGS / "matting_default.yaml")])
    with pytest.raises(ValueError, match=r"did you mean 'matting_default\.yaml'"):
        find_training("matting")([*common, "--config", str(CONFIGS / "mating_default.yaml")])
