"""What a report shows of a stage's run: its pictures in a fixed order, curves, figures and other files. Reads
manifests, not code."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from turnaround.pipeline.store.store import Record

log = logging.getLogger(__name__)

# of each stage the output that tells most comes first; outputs that are not named here follow by name
_ORDER = {
    "prepare": ("mask", "overlay", "view"),
    "coarse": ("views", "back"),
    "refine": ("masks", "normals_front", "normals_back"),
    "back_view": ("coarse", "refined", "view"),
    "detail": ("views", "side_090", "side_270"),
    "texture": ("previews", "atlas"),
    "turntable": ("turntable", "sheet"),
}
_PAIRS = (("coarse", "refined"), ("before", "after"))  # two pictures of one stage that a slider compares
_PICTURES = ("Image", "Images", "View")
_MAX_JSON = 4 << 20  # bytes; a larger one is not read
_MAX_FACTS = 24
_MAX_STEPS = 400  # of a curve; longer ones are thinned


@dataclass(frozen=True)
class Picture:
    """One picture or film of a run."""

    file: str  # relative to the run's folder
    digest: str  # sha256 of the file

    @property
    def label(self) -> str:
        """Its name for people and for matching with other runs: `views/090`."""
        return str(PurePosixPath(self.file).with_suffix(""))

    @property
    def output(self) -> str:
        """The output it belongs to."""
        return PurePosixPath(self.file).parts[0].partition(".")[0]


def pictures(record: Record) -> list[Picture]:
    """Pictures and films of a run, the most telling first."""
    return [
        Picture(file, facts["sha256"])
        for _, entry in _in_order(record)
        if entry["kind"] in (*_PICTURES, "Video")
        for file, facts in sorted(entry["files"].items())
        if file.endswith((".png", ".mp4"))
    ]


def pair(shown: list[Picture]) -> tuple[int, int] | None:
    """Indices of two pictures that a slider should compare, or None."""
    where = {picture.label: index for index, picture in enumerate(shown)}
    return next(((where[a], where[b]) for a, b in _PAIRS if a in where and b in where), None)


def files(record: Record) -> list[tuple[str, str, int, str]]:
    """(file, kind, bytes, digest) of what is no picture."""
    return [
        (file, entry["kind"], facts["bytes"], facts["sha256"])
        for _, entry in _in_order(record)
        if entry["kind"] not in _PICTURES
        for file, facts in sorted(entry["files"].items())
    ]


def traces(record: Record) -> Iterator[tuple[str, dict[str, Any]]]:
    """(output, value) of the run's json outputs that are objects; one that cannot be read is left out with a
    warning."""
    for name, entry in record.manifest["outputs"].items():
        if entry["kind"] != "Trace" or entry["bytes"] > _MAX_JSON:
            continue
        try:
            value = json.loads(record.file(name).read_text())
        except (OSError, ValueError, RecursionError) as error:
            log.warning("%s is not shown in the report (%s)", record.file(name), error)
            continue
        if isinstance(value, dict):
            yield name, value


def curves(trace: Mapping[str, Any]) -> dict[str, list[float | None]]:
    """Loss -> its values by iteration, four digits; losses that are 0 throughout are left out."""
    steps = trace.get("iterations")
    if not isinstance(steps, list) or not steps or not all(isinstance(step, dict) for step in steps):
        return {}
    stride = -(-len(steps) // _MAX_STEPS)
    names = [name for name in steps[0] if name != "iteration" and number(steps[0][name]) is not None]
    found = {name: [number(step.get(name)) for step in steps[::stride]] for name in names}
    return {name: values for name, values in found.items() if any(values)}


def fit(trace: Mapping[str, Any]) -> dict[str, Any] | None:
    """How well the refined body fits the photo, where a trace tells: IoU and keypoint pixels before and
    after, reasons of a poor fit."""
    after, before = trace.get("after"), trace.get("before")
    if not isinstance(after, dict) or not isinstance(before, dict) or number(after.get("front_iou")) is None:
        return None
    poor = trace.get("poor_fit")
    return {
        "iou": number(after.get("front_iou")),
        "iou_before": number(before.get("front_iou")),
        "px": number(after.get("keypoints_px")),
        "px_before": number(before.get("keypoints_px")),
        "sides": number(after.get("sides_iou")),
        "poor": [str(reason) for reason in poor] if isinstance(poor, list) else [],
    }


def facts(value: Any, prefix: str = "") -> Iterator[tuple[str, str | float | bool]]:
    """Numbers, words and switches of a json value with dotted names; long lists are skipped."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            if name != "iterations":
                yield from facts(item, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(value, list) and 0 < len(value) <= 2 and all(number(item) is not None for item in value):
        yield prefix, " ".join(f"{item:.4g}" for item in value)
    elif isinstance(value, bool | int | str):
        yield prefix, value
    elif number(value) is not None:
        yield prefix, float(number(value) or 0)


def few_facts(name: str, value: Mapping[str, Any]) -> list[tuple[str, str | float | bool]]:
    """The first facts of a json output, for a table."""
    found = [(key, item[:300] if isinstance(item, str) else item) for key, item in facts(value)]
    return [(f"{name}: {key}", item) for key, item in found[:_MAX_FACTS]]


def _in_order(record: Record) -> list[tuple[str, Mapping[str, Any]]]:
    first = _ORDER.get(record.manifest["stage"], ())
    outputs = record.manifest["outputs"]
    return [
        (n, outputs[n])
        for n in (*[n for n in first if n in outputs], *[n for n in sorted(outputs) if n not in first])
    ]


def number(value: Any) -> float | None:
    """A finite number to four digits, else None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not -1e300 < value < 1e300:
        return None
    return float(f"{value:.4g}")
