"""Toy stages that make pictures, curves and a film, for tests of what shows them: photo -> paint -> print."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
from pydantic import Field
from toy import WEIGHTS

from turnaround.flows.runs.execute import Result
from turnaround.flows.runs.run import Request, run
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.photos.source import find_photos
from turnaround.pipeline.stage import Image, Images, Stage, StageConfig, StageError, Trace, Video

SIZE = 48


class PaintConfig(StageConfig):
    shade: float = Field(0.5, description="brightness")


class Paint(Stage[PaintConfig]):
    """Squares in the colour of the photo's first pixel."""

    name, version = "paint", 1
    needs = {"image": "photo.image"}
    Config = PaintConfig

    class Outputs(NamedTuple):
        before: Image
        after: Image
        views: Images
        trace: Trace
        film: Video

    def run(self, *, device: Any, image: bytes) -> Outputs:
        import io

        with PIL.Image.open(io.BytesIO(image)) as photo:
            pixel = np.asarray(photo.convert("RGB"), np.float32)[0, 0] / 255
        if pixel[0] == 1 and pixel[1:].max() == 0:
            raise StageError("</script><script>window.hacked = 1</script> the photo is red & <b>bad</b>")
        square = lambda k: np.clip(np.full((SIZE, SIZE, 3), pixel * 0.5 + k), 0, 1)  # noqa: E731
        shade = 0.4 * self.config.shade
        fit = float(pixel.mean())
        trace = {
            "iterations": [
                {"iteration": k, "total": 1 / (k + 1), "sides": 0.0, "front": 0.5 / (k + 1)} for k in range(9)
            ],
            "before": {"front_iou": fit / 2, "keypoints_px": 2.0},
            "after": {"front_iou": fit, "keypoints_px": 1.0},
            "poor_fit": ["the body <i>leaves</i> the mask"] if fit < 0.3 else [],
        }
        views = {f"{azimuth:03d}": square(azimuth / 1000) for azimuth in (0, 90, 180)}
        return self.Outputs(square(0.1), square(shade), views, trace, film=b"no film")


class Print(Stage[StageConfig]):
    """The painted square again."""

    name, version = "print", 1
    needs = {"after": "paint.after"}

    class Outputs(NamedTuple):
        sheet: Image

    def run(self, *, device: Any, after: Image) -> Outputs:
        return self.Outputs(after)


def project() -> Project:
    return Project(lambda: (Paint, Print), WEIGHTS.__getitem__)


def photo(file: Path, color: tuple[int, int, int]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    PIL.Image.new("RGB", (30, 40), color).save(file)
    return file


def paint(photos: Path, work: Path, *overrides: str) -> list[Result]:
    """Run every photo of a folder."""
    return run(Request(find_photos([photos]), work, overrides=overrides, direct=True), project())


def painted(folder: Path) -> Path:
    """A work folder in which ann and bob are painted, and cat's red photo has failed; their photos are beside
    it."""
    for name, color in (("ann", (200, 180, 160)), ("bob", (20, 40, 60)), ("cat", (255, 0, 0))):
        photo(folder / "photos" / f"{name}.png", color)
    paint(folder / "photos", folder / "work")
    return folder / "work"


def data_of(file: Path) -> dict[str, Any]:
    """What a report's page shows, as it stands in its script."""
    (text,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', file.read_text("ascii"), re.DOTALL
    )
    return json.loads(text)
