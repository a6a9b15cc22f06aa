"""From figures of each person to the report's means; the keys are the report's format and never renamed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from turnaround.flows.evaluation.measures import matting

MEASURED = ("novel", "detail", "hgm_protocol", "geometry", "body", "back_view", "seconds")
COMPARED = ("novel", "detail", "geometry", "body")  # of an ablation


def means(values: Sequence[Any]) -> Any:
    """The mean of equal trees of numbers, leaf by leaf; None and NaN are left out, a leaf without a number is
    None."""
    return _over(values, lambda numbers: sum(numbers) / len(numbers))


def medians(values: Sequence[Any]) -> Any:
    """The median of equal trees of numbers, as `means` is their mean."""
    return _over(values, median)


def _over(values: Sequence[Any], middle: Callable[[list[float]], float]) -> Any:
    trees = [value for value in values if isinstance(value, Mapping)]
    if trees:
        keys = dict.fromkeys(key for tree in trees for key in tree)
        return {key: _over([tree.get(key) for tree in trees], middle) for key in keys}
    known = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
    numbers = [float(v) for v in known if math.isfinite(v)]
    return middle(numbers) if numbers else None


def summarize(subjects: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means over the people that were reconstructed."""
    done = [subject for subject in subjects if "failed" not in subject]
    report = {part: means([subject[part] for subject in done if part in subject]) for part in MEASURED}
    for part in ("detail", "hgm_protocol"):  # only where they were asked for
        if report[part] is None:
            del report[part]
    report["matting"] = matting.summary([row for subject in done for row in subject.get("matting", ())])
    report |= _seconds(done)
    report["baselines"] = _variants(done, "baselines")
    report["ablations"] = _ablations(done)
    return report


def _seconds(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first person's seconds by stage (a new process loads and compiles there) and the others' median."""
    trees = [subject["seconds"] for subject in done]
    if not trees:
        return {"seconds_first": None, "seconds_median": None}
    others = trees[1:] or trees
    return {
        "seconds_first": trees[0],
        "seconds_median": {name: median(tree[name] for tree in others) for name in trees[0]},
    }


def _variants(done: Sequence[Mapping[str, Any]], part: str) -> dict[str, Any]:
    """Means of baselines or ablations over the people for whom they did not fail."""
    names = dict.fromkeys(name for subject in done for name in subject.get(part, {}))
    kept = {
        name: [
            subject[part][name]
            for subject in done
            if "failed" not in subject.get(part, {}).get(name, {"failed": 1})
        ]
        for name in names
    }
    return {
        name: means(values) | {"count": len(values)} if values else {"count": 0}
        for name, values in kept.items()
    }


def _ablations(done: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The ablations, and before them the full model on the same people."""
    ablated = [subject for subject in done if subject.get("ablations")]
    if not ablated:
        return {}
    full = means([{part: subject[part] for part in COMPARED if part in subject} for subject in ablated])
    return {"full": {**full, "count": len(ablated)}, **_variants(ablated, "ablations")}


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
