"""The Prefect flow over toy stages, on one shared server: states, retries, failures, runners."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import toy

from turnaround.flows.runs.execute import Job, Result, is_transient
from turnaround.flows.subjects.memory import Memory
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.photos.source import find_photos
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.store.store import Store, StoreError


@pytest.fixture(autouse=True)
def _server(server):
    """Every flow here runs against the session's server."""


@pytest.fixture
def jobs(tmp_path) -> list[Job]:
    toy.calls.clear()
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, content in (("alice", b"1" * 25), ("bob", b"bad"), ("carol", b"3" * 35)):
        (folder / f"{name}.png").write_bytes(content)
    Store(tmp_path / "work").prepare()
    stages = tuple(ordered([toy.Count(), toy.Share(), toy.Label()]))
    return [
        Job(photo, tmp_path / "work", stages, toy.WEIGHTS.__getitem__, Memory(str(photo.image)), device="cpu")
        for photo in find_photos([folder])
    ]


def _run(jobs: list[Job], runner: str, workers: int) -> list[Result]:
    from turnaround.flows.prefect.flow import run_with_prefect

    finished: list[Result] = []
    results = run_with_prefect(jobs, runner, workers, finished.append)
    assert sorted(r.subject for r in finished) == sorted(r.subject for r in results)
    return results


def _states(results: list[Result]) -> dict[str, Any]:
    return {r.subject: r.ok and {facts["state"] for facts in r.stages.values()} for r in results}


def test_threads_share_the_store_and_a_bad_photo_fails_alone(jobs):
    first = _run(jobs, "threads", 2)
    assert _states(first) == {"alice": {"made"}, "bob": False, "carol": {"made"}}
    assert first[1].fault == "picture" and "bob.png: the photo is bad" in first[1].message
    assert toy.calls.count("count") == 3  # a fault of the picture is not tried again
    second = _run(jobs, "threads", 2)
    assert _states(second) == {"alice": {"fresh"}, "bob": False, "carol": {"fresh"}}


def test_transient_faults_are_tried_again(jobs, monkeypatch):
    tries = []
    run = toy.Share.run

    def flaky(self, **inputs):
        tries.append(1)
        if len(tries) == 1:
            raise TimeoutError("slow disk")
        return run(self, **inputs)

    monkeypatch.setattr(toy.Share, "run", flaky)
    assert _states(_run(jobs[:1], "threads", 1)) == {"alice": {"made"}}
    assert len(tries) == 2


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError("disk"), True),
        (TimeoutError(), True),
        (StageError("nobody"), False),
        (StoreError("full"), False),
        (PermissionError("no"), False),
        (ValueError("bug"), False),
    ],
)
def test_only_what_may_mend_is_transient(error, again):
    assert is_transient(error) is again


@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_runner_that_is_not_installed_is_named(runner, monkeypatch):
    import sys

    from turnaround.flows.prefect.runners import Runner, task_runner

    monkeypatch.setitem(sys.modules, f"prefect_{runner}", None)
    with pytest.raises(ValueError, match=rf"pip install 'turnaround\[{runner}\]'"):
        task_runner(Runner(runner), 1, {})


def test_gpu_lock_is_exclusive_and_freed(tmp_path):
    from turnaround.pipeline.gpu import gpu_slot

    with gpu_slot(tmp_path, [0, 1]) as first, gpu_slot(tmp_path, [0, 1]) as second:
        assert {first, second} == {0, 1}
        with pytest.raises(TimeoutError, match="no GPU"), gpu_slot(tmp_path, [0, 1], timeout=0.1):
            pass
    with gpu_slot(Path(tmp_path), [0], timeout=0.1) as again:
        assert again == 0
