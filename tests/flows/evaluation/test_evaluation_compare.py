"""Comparing reports: nothing between a report and itself, known differences with intervals, reports that must
not be compared."""

from __future__ import annotations

import copy
import json
from typing import Any

import numpy as np
import pytest

from tests.flows.evaluation.test_evaluation_page import report_of
from turnaround.flows.evaluation import compare


def report(noise: float = 0.0, people: int = 12) -> dict[str, Any]:
    return report_of(people, noise)


def by_figure(rows: list[compare.Difference]) -> dict[str, compare.Difference]:
    return {row.figure: row for row in rows}


def test_a_report_and_itself_have_no_difference():
    rows = compare.compare(report(), report(), everything=True)
    assert len(rows) > 20
    assert all((row.difference, row.low, row.high, row.verdict) == (0, 0, 0, "") for row in rows)


def test_a_known_difference_is_found_with_its_direction():
    new = report()
    for subject in new["subjects"]:
        subject["novel"]["all"]["psnr"] += 0.5
        subject["geometry"]["raw"]["chamfer_cm"] += 0.5
        subject["body"]["mpjpe_refined_mm"] -= 3
    rows = by_figure(compare.compare(report(), new))
    assert (
        rows["novel.all.psnr"].difference == pytest.approx(0.5) and rows["novel.all.psnr"].verdict == "better"
    )
    assert (
        rows["geometry.raw.chamfer_cm"].verdict == "worse"
        and rows["body.mpjpe_refined_mm"].verdict == "better"
    )
    assert rows["novel.all.psnr"].low == pytest.approx(0.5)  # paired: what people differ by does not count
    assert "novel.all.lpips" not in rows  # null in both


def test_the_interval_is_that_of_the_mean():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(60):
        low, high = compare.interval(rng.normal(0.3, 1, 40))
        held += low <= 0.3 <= high
    assert held >= 52  # 95 % of 60, less what chance takes
    low, high = compare.interval(rng.normal(0, 1, 40))
    assert high - low == pytest.approx(2 * 1.96 / np.sqrt(40), rel=0.35)


def test_noise_and_few_people_give_no_verdict():
    few, other = report(people=3), report(people=3)
    for subject in other["subjects"]:
        subject["novel"]["all"]["psnr"] += 5
    assert by_figure(compare.compare(few, other))["novel.all.psnr"].verdict == ""
    a, b = report(0.5), report(0.5)
    for sign, subject in zip([1, -1] * 6, b["subjects"], strict=True):
        subject["novel"]["all"]["psnr"] += sign * 0.4
    assert by_figure(compare.compare(a, b))["novel.all.psnr"].verdict == ""


def test_only_people_of_both_reports_count():
    new = report()
    new["subjects"][0] = {"name": new["subjects"][0]["name"], "failed": "mesh", "message": "x"}
    assert all(row.people == 11 for row in compare.compare(report(), new))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda r: r.update(suite="other"), "suite"),
        (lambda r: r.update(resolution=512), "resolution"),
        (lambda r: r.update(subjects=[]), "nobody"),
        (lambda r: r["subjects"][2].update(truth="other"), "not the same"),
    ],
)
def test_reports_that_must_not_be_compared(change, message):
    new = copy.deepcopy(report())
    change(new)
    with pytest.raises(ValueError, match=message):
        compare.compare(report(), new)


def test_variants_are_held_against_the_full_model():
    found = compare.against_full(report())
    assert list(found) == ["white", "one_view"]
    assert by_figure(found["white"])["novel.all.psnr"].verdict == "worse"
    assert by_figure(found["one_view"])["novel.all.psnr"].difference == pytest.approx(-0.2)


def test_a_file_that_is_no_report_is_named(tmp_path):
    file = tmp_path / "x.json"
    file.write_text('{"a": 1}')
    with pytest.raises(ValueError, match=r"x\.json is no report"):
        compare.load(file)
    file.write_text(json.dumps(report()))
    text = compare.as_text(compare.compare(compare.load(file), report()))
    assert "novel.all.psnr" in text and "difference" in text
    assert compare.as_json(compare.compare(report(), report()))[0]["verdict"] == ""
