"""Whether one report is better than another: differences of the same people, with bootstrap intervals."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from turnaround.flows.evaluation.summary import means
from turnaround.flows.evaluation.tables import at
from turnaround.pipeline.errors import CallError

SAMPLES, SEED, LEVEL = 10_000, 0, 0.95
FEWEST = 6  # people for a verdict: the bootstrap's intervals of fewer are too narrow
DETAIL = ("psnr_person", "ssim", "sharpness", "sharpness_inside", "sharpness_coarse", "vgg")
HEADLINE = (
    *(f"novel.{split}.psnr" for split in ("all", "input", "front", "side", "back")),
    *(f"novel.all.{name}" for name in ("ssim", "lpips", "iou", "psnr_person")),
    *(f"detail.{group}.{name}" for group in ("front", "oblique", "side", "back") for name in DETAIL),
    *(
        f"geometry.raw.{name}"
        for name in ("chamfer_cm", "p2s_cm", "s2p_cm", "normal_consistency", "fscore_1cm")
    ),
    "geometry.rigid.chamfer_cm",
    "geometry.similarity.chamfer_cm",
    *(f"body.{name}_mm" for name in ("mpjpe_initial", "mpjpe_refined", "pa_mpjpe_refined", "pelvis_refined")),
    "body.hands_mm",
    "body.angle_deg",
    "mask_iou",
    *(
        f"back_view.{row}.{name}"
        for row in ("coarse", "refined")
        for name in ("psnr", "ssim", "lpips", "sharpness_ratio")
    ),
    "matting.iou",
    "matting.mae",
    "seconds.total",
)
OF_PHOTOS = (  # of a report of real photos
    "landmark_px",
    "body_iou",
    "gaussians_iou",
    "front_psnr",
    "front_psnr_person",
    *(f"sharpness.{name}" for name in ("front", "side", "back")),
    "mirror_mm",
    "seconds",
)
_MORE = ("psnr", "ssim", "iou", "consistency", "fscore")  # more of these is better, of the others less


@dataclass(frozen=True)
class Difference:
    """A figure of the same people in two reports: means, mean difference new - old and its interval."""

    figure: str
    people: int
    old: float
    new: float
    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """better, worse, or nothing: few people, an interval that holds 0, or a figure without a better
        end."""
        if self.people < FEWEST or "sharpness" in self.figure or self.low <= 0 <= self.high:
            return ""
        more = any(word in self.figure.rsplit(".", 1)[-1] for word in _MORE)
        return "better" if (self.difference > 0) == more else "worse"


def load(file: Path) -> dict[str, Any]:
    """A report of `turnaround evaluate`; ValueError where the file is none."""
    try:
        report = json.loads(file.read_text())
        if not isinstance(report["photos" if "photos" in report else "subjects"], list):
            raise TypeError("subjects is not a list")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CallError(f"{file} is no report of `turnaround evaluate --json` ({error})") from error
    return report


def compare(old: Mapping[str, Any], new: Mapping[str, Any], *, everything: bool = False) -> list[Difference]:
    """Differences over the people that both reports have.

    Args:
        everything: every figure of a person or photo, not only HEADLINE or OF_PHOTOS.

    Raises:
        ValueError: the reports are of different suites or resolutions, share nobody, or their people are not
        the same.
    """
    for name in ("suite", "resolution"):
        if old.get(name) != new.get(name):
            raise CallError(f"the reports cannot be compared: {name} {old.get(name)!r} and {new.get(name)!r}")
    before, after = _people(old), _people(new)
    names = [name for name in before if name in after]
    if not names:
        raise CallError("the reports cannot be compared: nobody was reconstructed in both")
    changed = [
        n
        for n in names
        if before[n].get("truth") != after[n].get("truth") and "truth" in before[n] and "truth" in after[n]
    ]
    if changed:
        raise CallError(
            f"the reports cannot be compared: their people of the same name are not the same, as {changed[0]}"
        )
    figures = None if everything else OF_PHOTOS if "photos" in new else HEADLINE
    return _differences([before[name] for name in names], [after[name] for name in names], figures)


def against_full(report: Mapping[str, Any]) -> dict[str, list[Difference]]:
    """Every baseline and ablation of a report against the full model on the same people (positive: the
    variant has more)."""
    people = list(_people(report).values())
    found: dict[str, list[Difference]] = {}
    for part in ("baselines", "ablations"):
        for name in dict.fromkeys(name for person in people for name in person.get(part) or {}):
            pairs = [
                (person, person[part][name])
                for person in people
                if "failed" not in (person.get(part) or {}).get(name, {"failed": 1})
            ]
            full, variants = [full for full, _ in pairs], [variant for _, variant in pairs]
            found[name] = _differences(full, variants, HEADLINE)
    return found


def _people(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The reconstructed people or photos by name, with the mean of their rows of matting."""
    subjects = report["photos"] if "photos" in report else report["subjects"]
    done = [subject for subject in subjects if not {"failed", "error"} & set(subject)]
    people = {subject["name"]: dict(subject) for subject in done}
    for person in people.values():
        rows = [{"iou": row["iou"], "mae": row["mae"]} for row in person.get("matting") or ()]
        person["matting"] = means(rows)
    return people


def _differences(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], figures: Sequence[str] | None
) -> list[Difference]:
    """Of the figures at these paths; None: of all that a person has."""
    if figures is None:
        figures = list(dict.fromkeys(path for person in after for path in _leaves(person)))
    found: list[Difference] = []
    for figure in figures:
        pairs = np.array([(at(a, figure), at(b, figure)) for a, b in zip(before, after, strict=True)], float)
        pairs = pairs[np.isfinite(pairs).all(1)]  # None is NaN here
        if len(pairs):
            old, new = pairs.mean(0)
            low, high = interval(pairs[:, 1] - pairs[:, 0])
            found.append(Difference(figure, len(pairs), float(old), float(new), float(new - old), low, high))
    return found


def interval(values: np.ndarray) -> tuple[float, float]:
    """The bootstrap's percentile interval of the mean, over people (LEVEL)."""
    drawn = np.random.default_rng(SEED).integers(len(values), size=(SAMPLES, len(values)))
    low, high = np.quantile(values[drawn].mean(1), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return float(low), float(high)


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Dotted paths of all numbers."""
    paths: list[str] = []
    for name, value in tree.items():
        if isinstance(value, Mapping):
            paths += _leaves(value, f"{prefix}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            paths.append(f"{prefix}{name}")
    return paths


def as_json(rows: Sequence[Difference]) -> list[dict[str, Any]]:
    """For programs."""
    return [{**asdict(row), "verdict": row.verdict} for row in rows]


def as_text(rows: Sequence[Difference], names: tuple[str, str] = ("old", "new")) -> str:
    """A table for people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for name in ("figure", "people", *names, "difference", f"{LEVEL:.0%} interval", ""):
        table.add_column(name, justify="left" if name in ("figure", "") else "right", no_wrap=True)
    for row in rows:
        bounds = f"{row.low:+.4f} .. {row.high:+.4f}"
        table.add_row(
            row.figure,
            str(row.people),
            f"{row.old:.4f}",
            f"{row.new:.4f}",
            f"{row.difference:+.4f}",
            bounds,
            row.verdict,
        )
    text = io.StringIO()
    Console(file=text, width=140, color_system=None).print(table)
    return text.getvalue()
