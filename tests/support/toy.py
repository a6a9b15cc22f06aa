"""Toy stages for the tests of the machinery: photo -> count -> share -> label. No pictures, no torch."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from turnaround.pipeline.graph import Subject
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import Stage, StageConfig, StageError, Trace, Video
from turnaround.pipeline.store.store import Store

calls: list[str] = []  # names of the stages that really ran, in order


class CountConfig(StageConfig):
    offset: int = Field(0, description="added to the count")
    pause: float = Field(0.0, description="seconds that the stage takes")


class Count(Stage[CountConfig]):
    """The photo's number of bytes."""

    name, version = "count", 1
    needs = {"image": "photo.image"}
    Config = CountConfig

    class Outputs(NamedTuple):
        number: Trace
        film: Video

    def run(self, *, device: Any, image: bytes) -> Outputs:
        calls.append(self.name)
        time.sleep(self.config.pause)
        if image == b"bad":
            raise StageError("the photo is bad; use another")
        return self.Outputs({"n": len(image) + self.config.offset, "pair": (1, 2)}, image * 1000)


class ShareConfig(StageConfig):
    divisor: int = Field(10, description="what the count is divided by, rounded down")


class Share(Stage[ShareConfig]):
    """Many counts have one share, so a changed photo may stop here."""

    name, version = "share", 1
    needs = {"number": "count.number"}
    Config = ShareConfig

    class Outputs(NamedTuple):
        quotient: Trace

    def run(self, *, device: Any, number: Trace) -> Outputs:
        calls.append(self.name)
        assert isinstance(number["pair"], list), "inputs come from disk, where a tuple is a list"
        return self.Outputs({"q": number["n"] // self.config.divisor})


class LabelConfig(StageConfig):
    weights: str = Field("letters", description="a weight")


class Label(Stage[LabelConfig]):
    name, version = "label", 1
    needs = {"quotient": "share.quotient", "mask": "photo.mask"}
    device = "gpu"
    Config = LabelConfig

    class Outputs(NamedTuple):
        text: Trace

    def weights(self) -> tuple[str, ...]:
        return (self.config.weights,)

    def run(self, *, device: Any, quotient: Trace, mask: bytes | None) -> Outputs:
        calls.append(self.name)
        return self.Outputs({"text": "x" * quotient["q"], "masked": mask is not None})


def on(device: str) -> Callable[[Stage[Any]], AbstractContextManager[str]]:
    """Lends this device to every stage."""
    return lambda stage: nullcontext(device)


WEIGHTS = {"letters": "a" * 64, "runes": "b" * 64}


def subject(root: Path, content: bytes = b"0123456789", weights: dict[str, str] | None = None) -> Subject:
    """A subject called `toy` whose photo holds `content`, in a store below `root`."""
    photo = root / "toy.png"
    photo.write_bytes(content)
    store = Store(root / "work")
    store.prepare()
    return Subject.open(Photo.at(photo), store, (weights or WEIGHTS).__getitem__)
