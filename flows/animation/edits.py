"""Changes to a person that options and arguments ask for: shape, height, expression, colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from turnaround.flows.show.suggestions import meant
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.models.avatar.avatar import Avatar

COUNT = 10  # betas, and expressions
MOST = 10.0  # of a coefficient; bodies come apart long before
TALLEST = 3.0  # metres


@dataclass(frozen=True)
class Edits:
    """What is made different of a person; nothing by default."""

    betas: Mapping[int, float] = field(default_factory=dict)  # number -> value in place of the person's own
    height: float | None = None  # metres of the person, were they to stand upright: scales everything
    expression: Mapping[int, float] = field(default_factory=dict)  # number -> value
    colors: Mapping[str, str] = field(default_factory=dict)  # word for a part -> colour, `#rrggbb` or a name

    def __post_init__(self) -> None:
        """CallError for a value that makes no sense."""
        for what, values in (("betas", self.betas), ("expression", self.expression)):
            for number, value in values.items():
                if number not in range(COUNT):
                    raise CallError(f"{what} {number}: expected a number from 0 to {COUNT - 1}")
                if not abs(value) <= MOST:
                    raise CallError(f"{what} {number}={value}: expected -{MOST:g} to {MOST:g}")
        if self.height is not None and not 0 < self.height <= TALLEST:
            raise CallError(f"height {self.height}: expected metres, more than 0 and at most {TALLEST:g}")
        for color in self.colors.values():
            rgb(color)

    @staticmethod
    def read(
        betas: Sequence[str], height: float | None, expression: Sequence[str], colors: Sequence[str]
    ) -> Edits:
        """Understand options as they are written, `0=1.5` and `torso=#3050a0`."""
        tints = dict(_pair("--color", text) for text in colors)
        return Edits(_numbers("--betas", betas), height, _numbers("--expression", expression), tints)

    def applied(self, avatar: Avatar) -> tuple[Avatar, float]:
        """The changed person, and the scale of all lengths that gives them their height."""
        import torch

        from turnaround.models.avatar.editing.recolor import GROUPS, recolored
        from turnaround.models.avatar.editing.reshape import expressive, reshaped, stature

        for word in self.colors:
            if word not in GROUPS:
                known = ", ".join(GROUPS)
                raise CallError(f"no part is called {word!r}{meant(word, tuple(GROUPS))}; there are {known}")
        if self.colors:
            avatar = recolored(avatar, {word: rgb(color) for word, color in self.colors.items()})
        face = torch.zeros(COUNT)
        betas = avatar.rig.rest.betas.clone()
        for values, vector in ((self.expression, face), (self.betas, betas)):
            for number, value in values.items():
                vector[number] = value
        avatar = reshaped(expressive(avatar, face), betas)
        return avatar, 1.0 if self.height is None else self.height / stature(avatar.model, betas)

    def as_json(self) -> dict[str, Any]:
        """What is changed, for provenance; empty where nothing is."""
        return {name: dict(value) if isinstance(value, Mapping) else value
                for name, value in vars(self).items() if value}  # fmt: skip

    def without_height(self) -> Edits:
        """The same at the person's own height."""
        return replace(self, height=None)


def rgb(color: str) -> tuple[float, float, float]:
    """SRGB in [0, 1] of `#rrggbb`, `rgb(...)` or a name of CSS; CallError for anything else."""
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(color)[:3]
    except ValueError as error:
        raise CallError(f"{color!r} is no colour: expected #rrggbb or a name as white, navy") from error
    return red / 255, green / 255, blue / 255


def _pair(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise CallError(f"{option} {text}: expected NAME=VALUE")
    return name.strip(), value.strip()


def _numbers(option: str, texts: Sequence[str]) -> dict[int, float]:
    found = {}
    for text in texts:
        name, value = _pair(option, text)
        try:
            found[int(name)] = float(value)
        except ValueError as error:
            raise CallError(f"{option} {text}: expected NUMBER=VALUE, as 0=1.5") from error
    return found
