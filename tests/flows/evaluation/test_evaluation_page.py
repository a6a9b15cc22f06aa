"""The evaluation's page: the worst first, everybody below, nothing that is not escaped, tables of all
figures."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch

from turnaround.flows.evaluation import page, summary, tables
from turnaround.flows.evaluation.pictures import sheet
from turnaround.flows.evaluation.pictures.views import write_jpeg

SPLITS = ("all", "input", "front", "side", "back")


def figures_of(psnr: float) -> dict[str, Any]:
    novel = {
        split: {"psnr": psnr, "ssim": 0.9, "lpips": None, "iou": 0.8, "psnr_person": 10.0} for split in SPLITS
    }
    raw = {"chamfer_cm": 2.0, "p2s_cm": 2.1, "s2p_cm": 1.9, "normal_consistency": 0.8, "fscore_1cm": 0.4}
    body = {
        f"{name}_{when}_mm": 30.0
        for name in ("mpjpe", "pa_mpjpe", "pelvis")
        for when in ("initial", "refined")
    }
    joints = {"initial": {"pelvis": 0.0, "left_knee": 40.0}, "refined": {"pelvis": 0.0, "left_knee": 30.0}}
    return {
        "novel": novel,
        "geometry": {"raw": raw, "rigid": raw, "similarity": raw},
        "body": body | {"per_joint_mm": joints},
    }


def subject_of(name: str, psnr: float) -> dict[str, Any]:
    back = {
        row: {"psnr": 20.0, "ssim": 0.9, "lpips": None, "sharpness_ratio": 0.7}
        for row in ("coarse", "refined", "fused")
    }
    return {
        "name": name,
        "truth": "same",
        **figures_of(psnr),
        "back_view": back,
        "matting": [{"background": "room", "refused": False, "iou": 0.9, "mae": 0.01}],
        "pictures": {"views": f"pictures/{name}_views.jpg"},
        "seconds": {"mesh": 3.0, "total": 3.0},
        "keys": {"mesh": "abc"},
        "baselines": {"white": {"novel": figures_of(psnr - 8)["novel"]}},
        "ablations": {"one_view": figures_of(psnr - 0.2)},
    }


def report_of(count: int, noise: float = 0.0) -> dict[str, Any]:
    """A report of people who are the worse the later they come."""
    subjects = [subject_of(f"p{k}", 25 - 0.3 * k + noise * (-1) ** k) for k in range(count)]
    head = {
        "suite": "people-test",
        "count": count,
        "failed": 0,
        "resolution": 256,
        "config": "default",
        "overrides": [],
        "commit": "c",
    }
    return {**head, "device": "cpu", **summary.summarize(subjects), "subjects": subjects}


def names_in(html: str) -> list[str]:
    return re.findall(r"<h3>(.*?)</h3>", html)


def test_the_worst_ten_come_first_and_everybody_follows(tmp_path):
    html = page.write_page(tmp_path, report_of(14)).read_text()
    worst_first = [f"p{k}" for k in range(13, -1, -1)]
    assert names_in(html) == worst_first[:10] + worst_first
    assert html.count("<tr data-name=") == 14 and "src='pictures/p13_views.jpg'" in html
    assert "http" not in html  # nothing from elsewhere


def test_names_and_messages_are_escaped(tmp_path):
    report = report_of(2)
    report["subjects"][0]["name"] = "<img src=x onerror=alert(1)>'"
    report["subjects"].append({"name": "<b>", "failed": "mesh", "message": "<script>"})
    html = page.write_page(tmp_path, report).read_text()
    assert "<img src=x" not in html and "<b>" not in html and html.count("<script>") == 1
    assert "&lt;script&gt;" in html


def test_every_part_of_the_report_has_its_table():
    found = dict(tables.tables(report_of(3)))
    joined = "".join(found.values())
    for word in (
        "white",
        "similarity",
        "left_knee",
        "sharpness_ratio",
        "one_view",
        "iou_by_background",
        "mesh",
    ):
        assert word in joined
    assert "Released script's protocol" not in found  # not measured here
    assert (
        tables.number(None) == "-"
        and tables.number(1234.56) == "1234.6"
        and tables.number(0.12345) == "0.123"
        and tables.number(7) == "7"
    )


def test_worst_first_leaves_failures_out():
    people = [subject_of("good", 25.0), subject_of("bad", 15.0), {"name": "x", "failed": "mesh"}]
    assert [s["name"] for s in summary.worst_first(people)] == ["bad", "good"]


def test_the_sheet_stacks_the_worst_and_the_best(tmp_path):
    import json

    folder = tmp_path / "evaluation"
    (folder / "pictures").mkdir(parents=True)
    report = report_of(4)
    (folder / page.REPORT).write_text(json.dumps(report))
    for k, subject in enumerate(report["subjects"]):
        write_jpeg(folder / subject["pictures"]["views"], torch.full((20, 50, 3), k / 4))
    sheet.main([str(tmp_path), "--worst", "2", "--best", "1", "--out", str(tmp_path / "out.jpg")])
    rows = page_rows(tmp_path / "out.jpg")
    assert rows == pytest.approx([0.75, 0.5, 0.0], abs=0.02)
    with pytest.raises(SystemExit):
        sheet.main([str(tmp_path / "nowhere"), "--out", str(tmp_path / "out.jpg")])


def page_rows(file) -> list[float]:
    """The grey of each picture of a stack."""
    from turnaround.pipeline.formats.codecs import load_image

    return [part.mean().item() for part in load_image(file).split(20)]
