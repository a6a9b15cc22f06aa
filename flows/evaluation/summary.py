"""From figures of each person to the report's means; the keys are the report's format and never renamed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

MEASURED = ("novel", "hgm_protocol", "geometry", "body", "back_view", "seconds")


def means(values: Sequence[Any]) -> Any:
    """The mean of equal trees of numbers, leaf by leaf; None and NaN are left out, a leaf without a number is None."""
    trees = [value for value in values if isinstance(value, Mapping)]
    if trees:
        keys = dict.fromkeys(key for tree in trees for key in tree)
        return {key: means([tree.get(key) for tree in trees]) for key in keys}
    numbers = [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    return sum(numbers) / len(numbers) if numbers else None


def summarize(subjects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the people that were reconstructed."""
    done = [subject for subject in subjects if "failed" not in subject]
    report = {part: means([subject.get(part) for subject in done]) for part in MEASURED}
    for part in ("baselines", "ablations"):
        names = dict.fromkeys(name for subject in done for name in subject.get(part, {}))
        report[part] = {name: means([subject.get(part, {}).get(name) for subject in done]) for name in names}
    return report


def rounded(value: Any, digits: int = 4) -> Any:
    """A tree with its floats rounded; what is not finite is None, for JSON."""
    if isinstance(value, Mapping):
        return {key: rounded(entry, digits) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(entry, digits) for entry in value]
    if isinstance(value, float):
        return round(value, digits) if math.isfinite(value) else None
    return value


def worst_first(subjects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The reconstructed people, the lowest PSNR of new views first."""
    done = [subject for subject in subjects if "failed" not in subject]
    return sorted(done, key=lambda subject: subject["novel"]["all"]["psnr"])
