"""Workers that are killed: the others' subjects are done, the suspects once more alone."""

from __future__ import annotations

import os
import signal
import sys
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import toy
from hypothesis import given
from hypothesis import strategies as st

from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.runs.workers import despite_deaths, is_death, marked
from turnaround.flows.subjects import memory as subjects
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.photos.source import Photo, find_photos
from turnaround.pipeline.store.store import Store

TESTS, ROOT = Path(__file__).resolve().parents[2] / "support", Path(__file__).resolve().parents[3]


@dataclass
class Pool:
    """Workers that do jobs in turn; some kill theirs, always or the first time, and with it the pool."""

    deadly: dict[str, int]  # deaths that are left in a job
    done: list[str]
    rounds: int = 0

    def go(self, jobs: Any, workers: int, marks: str) -> list[Job]:
        self.rounds += 1
        for first in range(0, len(jobs), workers):
            busy = jobs[first : first + workers]
            dead = [job for job in busy if self.deadly.get(job.photo.name, 0) > 0]
            if dead:
                for job in busy:
                    held = marked(marks, job.photo.name)
                    held.__enter__()  # and never left, as by a process that is killed
                for job in dead:
                    self.deadly[job.photo.name] -= 1
                return list(jobs[first:])
            self.done += [job.photo.name for job in busy]
        return []


def job(name: str) -> Job:
    return Job(
        Photo.at(Path(f"{name}.png")),
        Path("work"),
        (),
        toy.WEIGHTS.__getitem__,
        subjects.Memory(f"{name}.png"),
    )


@given(st.lists(st.integers(0, 3), max_size=12), st.integers(1, 4))
def test_all_are_done_but_those_whose_worker_dies_again_alone(deaths, workers):
    jobs = [job(f"p{i}") for i in range(len(deaths))]
    pool = Pool({f"p{i}": count for i, count in enumerate(deaths)}, [])
    failed: list[str] = []
    despite_deaths(jobs, workers, pool.go, lambda job, stage: failed.append(job.photo.name))
    assert sorted(pool.done + failed) == sorted(j.photo.name for j in jobs)  # each once
    assert set(failed) == {f"p{i}" for i, count in enumerate(deaths) if count > 1}
    assert pool.rounds <= 1 + 2 * len(jobs)


def test_workers_that_die_before_they_begin_are_not_started_for_ever():
    failed: list[tuple[str, str]] = []
    despite_deaths(
        [job("a"), job("b")],
        2,
        lambda jobs, workers, marks: jobs,
        lambda job, stage: failed.append((job.photo.name, stage)),
    )
    assert failed == [("a", "photo"), ("b", "photo")]


def test_deaths_are_told_from_faults(monkeypatch):
    """By the class of a cluster that is loaded, not by what a class is called."""
    killed, namesake = (type("KilledWorker", (Exception,), {}) for _ in range(2))
    assert not is_death(killed())
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(KilledWorker=killed))
    assert is_death(killed()) and not is_death(namesake())
    assert is_death(BrokenProcessPool()) and not is_death(ValueError())


class Deadly(toy.Count):
    """Kills its process for a photo that says so."""

    def run(self, *, device: Any, image: bytes) -> toy.Count.Outputs:
        if image.startswith(b"kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().run(device=device, image=image)


def test_a_killed_worker_costs_its_photo_alone(tmp_path, monkeypatch):
    from prefect.server.api.server import SubprocessASGIServer

    from turnaround.flows.prefect.flow import run_with_prefect

    others: list[Any] = []  # servers that Prefect itself starts where one of its threads knows no address
    monkeypatch.setattr(SubprocessASGIServer, "_run_uvicorn_command", lambda self: others.append(self))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(ROOT)]))
    (tmp_path / "photos").mkdir()
    for i in range(5):
        (tmp_path / "photos" / f"p{i}.png").write_bytes(b"kill" + b"x" * 30 if i == 1 else b"x" * (30 + i))
    Store(tmp_path / "work").prepare()
    chain = tuple(ordered([Deadly(), toy.Share(), toy.Label()]))
    jobs = [
        Job(
            photo,
            tmp_path / "work",
            chain,
            toy.WEIGHTS.__getitem__,
            subjects.Memory(str(photo.image)),
            device="cpu",
        )
        for photo in find_photos([tmp_path / "photos"])
    ]
    told: list[Result] = []
    results = run_with_prefect(jobs, "processes", 2, told.append)
    assert [r.ok for r in results] == [True, False, True, True, True] and len(told) == 5
    dead = results[1]
    assert (
        dead.failed == "count"
        and dead.message.startswith("p1.png: ")
        and "killed" in dead.message
        and "--workers" in dead.message
    )
    assert "killed" in subjects.recall(tmp_path / "work", "p1").failures["count"]
    again = run_with_prefect(
        [
            replace(job, memory=subjects.recall(job.root, job.photo.name))
            for job in jobs
            if job is not jobs[1]
        ],
        "processes",
        1,
        told.append,
    )
    assert all(facts["state"] == "fresh" for result in again for facts in result.stages.values())
    assert not others
