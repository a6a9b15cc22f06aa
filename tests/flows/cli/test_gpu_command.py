"""`python -m benchmarks.gpu`: one step's failure, hanging or missing package leaves the others and what was
measured."""

from __future__ import annotations

import json
import time

import pytest

from benchmarks import gpu

STEPS = """
import json, sys, time
name, file = sys.argv[1], sys.argv[3]
open(file, "w").write(json.dumps({"figures": {"first": {"median_ms": 1.0}}}))
if name == "hangs":
    import subprocess
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    time.sleep(60)
if name == "lacks":
    import a_package_that_nobody_has
if name == "breaks":
    open(file, "w").write("{")
    raise ValueError("wrong")
"""


@pytest.fixture
def steps(tmp_path, monkeypatch):
    (tmp_path / "made_up_steps.py").write_text(STEPS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(gpu, "MODULE", "made_up_steps")
    monkeypatch.setattr(gpu, "STEPS", {"breaks": 20, "hangs": 1, "lacks": 20, "works": 20})
    return tmp_path / "out"


def test_every_step_is_tried_and_keeps_its_figures(steps, capsys):
    started = time.monotonic()
    assert gpu.main(["--out", str(steps)]) == 1 and time.monotonic() - started < 30
    summary = json.loads((steps / "summary.json").read_text())
    assert {name: entry["status"] for name, entry in summary.items()} == {
        "breaks": "failed",
        "hangs": "timeout",
        "lacks": "skipped",
        "works": "done",
    }
    assert (
        "wrong" in summary["breaks"]["reason"] and "a_package_that_nobody_has" in summary["lacks"]["reason"]
    )
    for name in ("hangs", "lacks", "works"):
        assert json.loads((steps / f"{name}.json").read_text())["figures"]["first"]["median_ms"] == 1.0
    assert "works" in capsys.readouterr().out


def test_chosen_steps_and_no_time_left(steps):
    assert gpu.main(["--out", str(steps), "--minutes", "0", "works"]) == 0
    assert "no time left" in json.loads((steps / "summary.json").read_text())["works"]["reason"]
    with pytest.raises(SystemExit):
        gpu.main(["--out", str(steps), "unheard_of"])


def test_small_steps_on_the_cpu(tmp_path):
    assert (
        gpu.main(["--out", str(tmp_path), "--device", "cpu", "--quick", "build", "refinement", "renderer"])
        == 0
    )
    read = lambda name: json.loads((tmp_path / f"{name}.json").read_text())  # noqa: E731
    assert read("build")["figures"]["machine"]["packages"]["torch"]
    assert read("renderer")["figures"]["3_views_parity"]["color_max"] == 0
    errors = read("refinement")["figures"]["12x2_64px"]["mpjpe_mm"]
    assert errors["cpu"] == pytest.approx(errors["device"], rel=1e-3) and errors["device"] < errors["before"]


def test_without_a_gpu_steps_are_skipped(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert gpu.main(["--out", str(tmp_path), "renderer"]) == 0
    assert "no CUDA device" in json.loads((tmp_path / "summary.json").read_text())["renderer"]["reason"]
