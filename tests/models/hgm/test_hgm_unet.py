"""The image branch of the Human Gaussian Model: LGM's names, sizes and weights, attention across views."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from turnaround.models.hgm.config import hgm_config
from turnaround.models.hgm.unet import UNet, UNetConfig
from turnaround.models.hgm.weights import load_lgm


def lgm_names(config: UNetConfig) -> set[str]:
    """Names of LGM's state dict, written down from its architecture (Tang et al. 2024; not from our
    modules)."""
    names = {
        f"{layer}.{kind}"
        for layer in ("unet.conv_in", "unet.norm_out", "unet.conv_out", "conv")
        for kind in ("weight", "bias")
    }

    def block(prefix: str, i: int, channels: int, out: int, attention: bool) -> None:
        layers = ["norm1", "conv1", "norm2", "conv2"] + (["shortcut"] if channels != out else [])
        names.update(
            f"unet.{prefix}.nets.{i}.{layer}.{kind}" for layer in layers for kind in ("weight", "bias")
        )
        if attention:
            tail = ("norm.weight", "norm.bias", "attn.qkv.weight", "attn.proj.weight", "attn.proj.bias")
            names.update(f"unet.{prefix}.attns.{i}.{name}" for name in tail)

    down, up = config.down_channels, config.up_channels
    for level, out in enumerate(down):
        for i in range(2):
            block(
                f"down_blocks.{level}",
                i,
                (down[max(level - 1, 0)] if i == 0 else out),
                out,
                config.down_attention[level],
            )
        if level < len(down) - 1:
            names.update(f"unet.down_blocks.{level}.downsample.{kind}" for kind in ("weight", "bias"))
    block("mid_block", 0, down[-1], down[-1], True)
    block("mid_block", 1, down[-1], down[-1], False)
    for level, out in enumerate(up):
        for i in range(3):
            channels = up[max(level - 1, 0)] if i == 0 else out
            skip = down[max(-2 - level, -len(down))] if i == 2 else out
            block(f"up_blocks.{level}", i, channels + skip, out, config.up_attention[level])
        if level < len(up) - 1:
            names.update(f"unet.up_blocks.{level}.upsample.{kind}" for kind in ("weight", "bias"))
    return names


class ImageBranch(nn.Module):
    """The part of the model that LGM has too."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.unet, self.conv, self.view = UNet(config), nn.Conv2d(14, 14, 1), nn.Parameter(torch.ones(3))


def test_the_paper_size_counts_415_million_parameters_under_lgm_names():
    config = hgm_config("paper").unet
    with torch.device("meta"):
        branch = ImageBranch(config)
    state = {name: value for name, value in branch.state_dict().items() if name != "view"}
    assert round(sum(value.numel() for value in state.values()) / 1e6) == 415
    assert set(state) == lgm_names(config)


SMALL_LGM = UNetConfig(
    down_channels=(8, 16, 16),
    down_attention=(False, False, True),
    up_channels=(16, 16),
    up_attention=(True, False),
    heads=2,
    groups=4,
)


def test_lgm_weights_load_by_name(tmp_path):
    torch.manual_seed(0)
    source, target = ImageBranch(SMALL_LGM), ImageBranch(SMALL_LGM)
    state = {name: value.half() for name, value in source.state_dict().items() if name != "view"}
    save_file(state, tmp_path / "lgm.safetensors")
    report = load_lgm(target, tmp_path / "lgm.safetensors")
    assert set(report.loaded) == lgm_names(SMALL_LGM)
    assert report.fresh == ("view",)
    assert report.parameters == sum(value.numel() for value in state.values())
    for name, value in state.items():
        assert torch.equal(target.state_dict()[name], value.float()), name


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape"])
def test_lgm_weights_that_differ_change_nothing(tmp_path, fault):
    target = ImageBranch(SMALL_LGM)
    before = {name: value.clone() for name, value in target.state_dict().items()}
    state = {name: torch.zeros_like(value) for name, value in before.items() if name != "view"}
    if fault == "missing":
        del state["unet.conv_in.weight"]
    else:
        state["unet.more.weight" if fault == "unknown" else "unet.conv_in.weight"] = torch.zeros(2, 2)
    save_file(state, tmp_path / "lgm.safetensors")
    with pytest.raises(ValueError, match="Nothing was loaded"):
        load_lgm(target, tmp_path / "lgm.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in target.state_dict().items())
    with pytest.raises(FileNotFoundError, match="ashawkey/LGM"):
        load_lgm(target, tmp_path / "nothing.safetensors")


def test_views_see_each_other_at_the_deep_levels():
    torch.manual_seed(0)
    unet = UNet(SMALL_LGM)
    x = torch.randn(2, 9, 16, 16)
    changed = x.clone()
    changed[1] = torch.randn(9, 16, 16)
    together, alone = unet(x, 2)[1][0], unet(x, 1)[1][0]
    assert not torch.allclose(together, unet(changed, 2)[1][0])
    torch.testing.assert_close(alone, unet(changed, 1)[1][0])
