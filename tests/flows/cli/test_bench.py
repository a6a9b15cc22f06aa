"""The benchmark suite: parts run in processes of their own and give medians, failures are said, growth is
drawn."""

from __future__ import annotations

import importlib
import inspect

import pytest

from benchmarks import growth, startup, suite


def test_an_unknown_part_is_an_error_before_anything_is_measured():
    with pytest.raises(ValueError, match="no benchmark is called nonsense; there are splat"):
        suite.measure_all(["nonsense"], quick=True)


@pytest.mark.parametrize("name", suite.PARTS)
def test_every_part_can_be_asked_for_a_quick_run(name):
    assert "quick" in inspect.signature(importlib.import_module(f"benchmarks.{name}").measure).parameters


def test_a_part_runs_in_a_process_of_its_own_and_its_failure_is_said(monkeypatch):
    monkeypatch.setitem(suite.PARTS, "absent_part", "")
    with pytest.raises(RuntimeError, match="benchmark absent_part ended with code"):
        suite.measure_all(["absent_part"], quick=True)


def test_the_table_has_a_line_for_every_figure_and_its_ratios():
    results = {
        "a": {"median_ms": 2.0, "n": 3, "ratio_to": {"b": 4.0}},
        "b": {"median_ms": 8.0, "n": 3},
        "setting": {"cores": 2},
    }
    lines = suite.as_text(results).splitlines()
    assert len(lines) == 2
    assert "2.00 ms" in lines[0] and "4.00 x b" in lines[0] and "8.00 ms" in lines[1]


def test_the_setting_names_machine_and_versions():
    found = suite.setting(quick=True)
    assert found["cores"] >= 1 and found["torch"] and found["numba"] and found["quick"] is True


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="turnaround no-such-command ended with 2"):
        startup._seconds("no-such-command")


def test_growth_sorts_start_up_into_curves_and_draws_them(monkeypatch, tmp_path):
    entries = {
        "startup_help": 50,
        "startup_status_10": 300,
        "startup_status_100": 500,
        "startup_second_run_10": 700,
    }
    monkeypatch.setattr(
        startup, "measure", lambda quick: {name: {"median_ms": ms, "n": 1} for name, ms in entries.items()}
    )
    curves = growth.subjects(quick=True)
    assert curves == {"status": [(10, 300), (100, 500)], "second run, all fresh": [(10, 700)]}
    growth.draw({"subjects": curves}, tmp_path / "growth.png")
    assert (tmp_path / "growth.png").stat().st_size > 1000


@pytest.mark.slow
def test_start_up_is_measured_through_the_command_line():
    results = suite.measure_all(["startup"], quick=True)
    assert results["startup_help"]["median_ms"] < results["startup_second_run_10"]["median_ms"]
