"""Two runs or work folders on one page, a sweep's page, and `diff`: what differs, what is equal, where the
files go."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from toy_pictures import data_of, paint, painted, project

from turnaround.flows.report import diff, measures, write_comparison, write_sweep
from turnaround.flows.report.thumbs import first_frame


@pytest.fixture
def work(tmp_path) -> Path:
    return painted(tmp_path)


def test_two_runs_side_by_side(work):
    paint(work.parent / "photos", work, "stages.paint.shade=0.9")
    first, second = sorted(folder.name for folder in (work / "runs").iterdir())
    data = data_of(write_comparison(project(), work, first, second))
    assert [(s["stage"], s["text"], s["subjects"]) for s in data["settings"]] == [
        ("paint", "shade: 0.5 -> 0.9", 2)
    ]
    ann, _, cat = data["subjects"]
    assert ann["stages"]["paint"]["outputs"] == ["after"] and list(ann["stages"]["paint"]["pairs"]) == [
        "after"
    ]
    assert ann["stages"]["print"]["causes"][0].startswith("INPUT paint.after") and not cat["stages"]
    token = ann["stages"]["paint"]["pairs"]["after"]
    delta = round(255 * (200 / 510 + 0.36)) - round(255 * (200 / 510 + 0.2))
    assert data["facts"][token]["max"] == delta and data["facts"][token]["psnr"] == pytest.approx(
        20 * math.log10(255 / delta), abs=0.1
    )
    assert (work / "report" / "thumbs" / f"{token}.jpg").is_file()
    assert data["verdict"] == "2 of 3 subjects differ"
    same = data_of(write_comparison(project(), work, first, str(work)))
    assert not same["settings"] or same["settings"][0]["text"] == "shade: 0.5 -> 0.9"
    with pytest.raises(ValueError, match="neither a work folder nor a run"):
        write_comparison(project(), work, first, "nothing")
    with pytest.raises(ValueError, match="several runs"):
        write_comparison(project(), work, first, first[:4])


def test_two_equal_runs_are_called_equal_and_what_only_one_has_is_not(work, tmp_path):
    photos = work.parent / "photos"
    paint(photos, tmp_path / "again")
    data = data_of(write_comparison(project(), work, str(work), str(tmp_path / "again")))
    assert data["verdict"] == "equal: the same bytes in all outputs of 3 subjects" and data["settings"] == []
    ann = data["subjects"][0]["stages"]
    assert [ann[stage][name] for stage in ("paint", "print") for name in ("causes", "outputs", "pairs")] == [
        [],
        [],
        {},
    ] * 2
    (photos / "bob.png").unlink()
    paint(photos, tmp_path / "fewer")
    fewer = write_comparison(project(), work, str(work), str(tmp_path / "fewer"))
    assert data_of(fewer)["verdict"] == "1 of 3 subjects differ"


def test_a_comparison_from_elsewhere_leaves_nothing_in_the_current_folder(work, tmp_path, monkeypatch):
    paint(tmp_path / "photos", tmp_path / "other", "stages.paint.shade=0.1")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    page = write_comparison(project(), Path("work"), "../work", "../other", Path("../pages/X.html"))
    assert not list(Path(".").iterdir()) and [file.name for file in page.parent.iterdir()] == ["X.html"]
    data = data_of(page)
    shown = {
        token for file, token in data["subjects"][0]["a"]["cells"]["paint"]["pics"] if file.endswith(".png")
    } | set(data["facts"])
    assert len(shown) > 3 and all(
        (page.parent / data["thumbs"] / f"{token}.jpg").is_file() for token in shown
    )
    assert (
        write_comparison(project(), Path("work"), "../work", "../other").parent.resolve() == work / "report"
    )


def test_two_work_folders(work, tmp_path):
    paint(tmp_path / "photos", tmp_path / "other", "stages.paint.shade=0.1")
    data = data_of(
        write_comparison(project(), work, str(work), str(tmp_path / "other"), tmp_path / "page.html")
    )
    assert data["bases"] == ["work", "other"] and data["subjects"][0]["b"]["base"] == 1
    assert data["subjects"][0]["stages"]["paint"]["outputs"] == ["after"]


def test_a_sweep_s_page_starts_where_the_values_differ(work):
    photos = work.parent / "photos"
    variants = {f"shade={v}": paint(photos, work, f"stages.paint.shade={v}") for v in (0.2, 0.5, 0.8)}
    data = data_of(write_sweep(work, variants))
    assert data["labels"] == ["shade=0.2", "shade=0.5", "shade=0.8"] and data["first"] == "paint"
    assert [len({v["cells"]["paint"].get("key") for v in s["variants"]}) for s in data["subjects"]] == [
        3,
        3,
        1,
    ]
    with pytest.raises(ValueError, match="at least one subject"):
        write_sweep(work, {"a": []})


def film(frames: np.ndarray, path: Path) -> Any:
    from turnaround.pipeline.formats.video import encode

    path.write_bytes(encode(iter(frames), quality=10))
    return SimpleNamespace(file=lambda output: path)


def test_films_are_measured_frame_by_frame_and_seen_without_a_fork(tmp_path):
    frames = np.full((4, 32, 48, 3), 200, np.uint8)
    other = frames.copy()
    other[2] = 190
    a, b, short = (
        film(value, tmp_path / f"{k}.mp4") for k, value in enumerate((frames, other, frames[:3, :16]))
    )
    found = measures._films(a, b, "film")
    assert (found["frames"], found["frames_equal"]) == (4, 3)
    assert found["psnr_lowest"] == pytest.approx(20 * math.log10(255 / 10), abs=1.5)
    assert measures._films(a, short, "film") == {"frames": [4, 3], "sizes": [[32, 48], [16, 48]]}
    code = """import os, sys; from pathlib import Path; from turnaround.flows.report.thumbs import first_frame
os.register_at_fork(before=lambda: os._exit(3)); print(*first_frame(Path(sys.argv[1])).size)"""
    done = subprocess.run([sys.executable, "-c", code, str(a.file("film"))], capture_output=True, text=True)
    assert done.stdout.split() == ["48", "32"], done.stderr
    (tmp_path / "none.mp4").write_bytes(b"film")
    with pytest.raises(OSError, match="holds no picture"):
        first_frame(tmp_path / "none.mp4")


def test_diff_takes_the_run_before_and_beginnings_of_keys(work):
    photos = work.parent / "photos"
    keys = [
        paint(photos, work, f"stages.paint.shade={v}")[0].stages["paint"]["key"] for v in (0.5, 0.7, 0.9, 0.5)
    ]
    facts, (old, new) = diff.diff(work, "ann/paint", [])
    assert facts["keys"] == [keys[2], keys[0]] and [c["what"] for c in facts["causes"]] == [
        "shade"
    ]  # the last used, not the last made
    assert list(facts["outputs"]) == ["after"] and set(facts["same"]) == {"before", "views", "trace", "film"}
    assert "CONFIG shade: 0.9 -> 0.5" in diff.as_text(facts)
    sheet = diff.write_sheet(work, "ann", old, new)
    assert sheet is not None and Image.open(sheet).width == 3 * 384
    assert diff.diff(work, "ann/paint", [keys[1][:10]])[0]["keys"] == [keys[1], keys[0]]
    assert diff.diff(work, "ann/paint", [keys[1], keys[2]])[0]["keys"] == keys[1:3]
    facts, records = diff.diff(work, "ann/paint", [keys[0], keys[0]])
    assert diff.as_text(facts).endswith("  equal: the same bytes in every output")
    assert (
        facts["equal"]
        and not facts["outputs"]
        and not facts["causes"]
        and diff.write_sheet(work, "ann", *records) is None
    )
    wrong = {
        "ann": ([], "SUBJECT/STAGE"),
        "ann/paint": ([""], "fits [0-9]+ keys"),
        "bob/paint": (["zz"], "fits none"),
        "ann/nothing": ([], "no current run"),
        "dora/paint": ([], "knows no subject"),
    }
    for target, (asked, message) in wrong.items():
        with pytest.raises(ValueError, match=message):
            diff.diff(work, target, asked)
