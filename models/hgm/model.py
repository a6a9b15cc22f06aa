"""The Human Gaussian Model: image branch, body branch, volume, fusion and heads (sections 3.3 and 3.5)."""

from __future__ import annotations

import copy
import itertools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.body_branch import BodyBranch
from turnaround.models.hgm.config import HGMConfig
from turnaround.models.hgm.fusion import Fusion
from turnaround.models.hgm.heads import ImageHead, body_gaussians
from turnaround.models.hgm.image_branch import ImageBranch
from turnaround.models.hgm.inputs import HGMInput, prepare
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.hgm.tokens import BodyTokens, PixelTokens, pixel_tokens
from turnaround.models.hgm.volume import BodyVolume, NoVolume
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.values.types import Body, Gaussians, View


@dataclass(frozen=True)
class HGMOutput:
    """Gaussians of one person, and what training looks at."""

    merged: Gaussians
    image: Gaussians  # of the pixels alone
    body: Gaussians | None  # of the body's surface alone
    pixels: Tensor  # (n, 3) view, row, column of every image Gaussian
    depth: Tensor  # (n,) metres along its camera's axis


class HGM(nn.Module):
    """One or two pictures of a person, and a body, to 3D Gaussians; `create_hgm` makes one.

      pictures          body's surface
         |                    |
         v                    v
    ImageBranch --maps--> BodyBranch
         |                    |
         | pixels             | points            tokens: one for each Gaussian to be,
         v                    v                   with its raw values
     ImageHead            BodyVolume
         | centres            | features at centres and points
         +------> Fusion <----+
            self-attention among all tokens, raw values change
               |        |
               v        v
        ImageHead     body_gaussians
               |        |
               +-merged-+
    """

    def __init__(
        self, config: HGMConfig, body_model: BodyModel, surface: BodySurface, image_branch: ImageBranch,
        body_branch: BodyBranch | None, volume: BodyVolume | NoVolume, fusion: Fusion | None, head: ImageHead,
    ) -> None:  # fmt: skip
        super().__init__()
        self.config, self.body_model, self.surface, self.head = config, body_model, surface, head
        self.image_branch, self.body_branch = image_branch, body_branch
        self.volume, self.fusion = volume, fusion
        self._copies: tuple[BodyModel, BodySurface] | None = None  # a tuple: not moved with the module
        self.register_state_dict_post_hook(_flatten_names)
        self.register_load_state_dict_pre_hook(_nest_names)

    def forward(self, inputs: HGMInput) -> list[HGMOutput]:
        """A batch of people (see `prepare`); each result has its own number of Gaussians."""
        maps = self.image_branch(inputs)
        bodies = [None] * inputs.people if self.body_branch is None else self.body_branch(maps, inputs)
        people = []
        for person, body in enumerate(bodies):
            pixels = pixel_tokens(maps, inputs, person, self.head.chosen)
            if self.fusion is not None:
                centres = self.head(pixels).means
                places = centres if body is None else torch.cat([centres, body.points])
                pixels, body = self.fusion(pixels, body, places, self.volume(places, body))
            people.append(self._gaussians(pixels, body))
        return people

    def _gaussians(self, pixels: PixelTokens, body: BodyTokens | None) -> HGMOutput:
        image, depth = self.head(pixels), self.head.depth(pixels)
        if body is None:
            return HGMOutput(image, image, None, pixels.pixels, depth)
        points = body_gaussians(body)
        merged = Gaussians.cat([image, points]) if self.config.body_gaussians else image
        return HGMOutput(merged, image, points, pixels.pixels, depth)

    @torch.no_grad()
    def reconstruct(self, views: list[View], body: Body | None) -> HGMOutput:
        """Gaussians of one person from one view, or from two (front, back); CallError for other counts."""
        if len(views) not in (1, 2):
            raise CallError(f"the model takes one view or two (front, back), got {len(views)}")
        body_model, surface = self._on_cpu()
        given = None if body is None else body.to("cpu")
        inputs = prepare([view.to("cpu") for view in views], given, body_model, surface, self.config.size)
        return self.eval()(inputs.to(self._device))[0]

    @property
    def _device(self) -> torch.device:
        return self.image_branch.view.device

    def _on_cpu(self) -> tuple[BodyModel, BodySurface]:
        """Body and surface where the z-buffer runs; copies are made once where the model lives on a GPU."""
        if self._device.type == "cpu":
            return self.body_model, self.surface
        if self._copies is None:
            self._copies = (copy.deepcopy(self.body_model).cpu(), copy.deepcopy(self.surface).cpu())
        return self._copies


FLAT = (  # how a parameter's name begins in the module, and in files and checkpoints, which keep LGM's names
    ("image_branch.", ""),
    ("body_branch.head.", "body_head."),
    ("fusion.transformer.", "fusion."),
    ("fusion.", ""),
)


def flat_name(name: str) -> str:
    """Name of a parameter in files and checkpoints."""
    for nested, flat in FLAT:
        if name.startswith(nested):
            return flat + name.removeprefix(nested)
    return name


def _flatten_names(model: nn.Module, state: dict[str, Any], prefix: str, _metadata: dict[str, Any]) -> None:
    _rename(state, prefix, {name: flat_name(name) for name in _names(model)})


def _nest_names(model: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    _rename(state, prefix, {flat_name(name): name for name in _names(model)})


def _names(model: nn.Module) -> list[str]:
    return [name for name, _ in itertools.chain(model.named_parameters(), model.named_buffers())]


def _rename(state: dict[str, Any], prefix: str, names: dict[str, str]) -> None:
    """Rename the entries below `prefix` in place, in their order."""
    for key in [key for key in state if key.startswith(prefix)]:
        name = key.removeprefix(prefix)
        state[prefix + names.get(name, name)] = state.pop(key)
