"""The store: a run is complete or absent, whatever happens while it is saved; its key holds all that matters
and no more."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import toy

from turnaround.pipeline.formats import codecs
from turnaround.pipeline.graph import run_stage
from turnaround.pipeline.store import links, store
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import MANIFEST, Store, StoreError

TESTS = Path(__file__).resolve().parents[2] / "support"
RECIPE = Recipe("toy", 1, {"seed": 1}, {"photo.image": "0" * 64}, {"net": "1" * 64})
KINDS = {"film": "Video", "trace": "Trace"}
OUTPUTS = {"film": b"film" * 100, "trace": {"loss": [1.0, 0.5]}}


def saved(folder: Path, recipe: Recipe = RECIPE) -> store.Record:
    made = Store(folder)
    made.prepare()
    return made.save(recipe, KINDS, OUTPUTS, {"seconds": 1.0})


def child(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    """A Python process that can import the suite's modules."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parents[1])])}
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], env=environment)


def test_a_saved_run_is_found_with_its_values_and_its_manifest(tmp_path):
    record = saved(tmp_path)
    found = Store(tmp_path).find("toy", RECIPE.key)
    assert found is not None and found.path == record.path
    assert found.manifest == record.manifest == json.loads((record.path / MANIFEST).read_text())
    assert found.load("film") == OUTPUTS["film"] and found.load("trace") == OUTPUTS["trace"]
    assert found.faults(content=True) == [] and found.manifest["seconds"] == 1.0
    assert list((tmp_path / "tmp").iterdir()) == []
    assert [r.key for r in Store(tmp_path).records()] == [RECIPE.key]


def test_outputs_must_be_those_declared(tmp_path):
    with pytest.raises(ValueError, match=r"made \['film'\], declares \['film', 'trace'\]"):
        Store(tmp_path).save(RECIPE, KINDS, {"film": b"1"}, {})
    with pytest.raises(ValueError, match="no bytes"):
        Store(tmp_path).save(RECIPE, KINDS, {"film": b"", "trace": {}}, {})
    assert Store(tmp_path).find("toy", RECIPE.key) is None and list((tmp_path / "tmp").iterdir()) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from turnaround.pipeline.formats import codecs
from turnaround.pipeline.store import store
from tests.pipeline.store.test_store import KINDS, OUTPUTS, RECIPE

def die(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

def half(value, path):
    path.write_bytes(value[: len(value) // 2])
    die()

moment, root = sys.argv[1], sys.argv[2]
rename, text = os.rename, Path.write_text
if moment == "half an output":
    codecs._CODECS["Video"] = codecs.Codec(".mp4", half, Path.read_bytes)
elif moment == "half a manifest":
    def half_a_manifest(path, data):
        if path.name != store.MANIFEST:
            return text(path, data)
        text(path, data[: len(data) // 2])
        die()

    Path.write_text = half_a_manifest
elif moment == "before the rename":
    os.rename = die
elif moment == "between the renames":
    os.rename = lambda a, b: (rename(a, b), die())
elif moment == "after the rename":
    store._sync = lambda path: die() if path.parent.name == "cache" else None
made = store.Store(Path(root))
made.prepare()
with made.lock(RECIPE.stage, RECIPE.key):
    made.save(RECIPE, KINDS, OUTPUTS, {})
"""


@pytest.mark.parametrize(
    "moment",
    ["half an output", "half a manifest", "before the rename", "between the renames", "after the rename"],
)
def test_kill_in_the_middle_of_a_save(tmp_path, moment, caplog):
    if moment == "between the renames":
        saved(tmp_path)  # there is a run, and it is made again
    assert child(KILLED, moment, tmp_path).wait(60) == -signal.SIGKILL
    survivor = Store(tmp_path)
    found = survivor.find("toy", RECIPE.key)
    if moment == "after the rename":
        assert found is not None and found.faults(content=True) == []
    else:
        assert found is None and not list((tmp_path / "cache").glob("*/*/*"))
    assert caplog.text == "", "what was half-written is never even looked at"
    with survivor.lock("toy", RECIPE.key):  # the kernel freed the dead process's lock
        record = survivor.save(RECIPE, KINDS, OUTPUTS, {})
    assert record.faults(content=True) == [] and record.load("film") == OUTPUTS["film"]


BUSY = """
import dataclasses, sys
from pathlib import Path
from turnaround.pipeline.store.store import Store
from tests.pipeline.store.test_store import KINDS, OUTPUTS, RECIPE
made = Store(Path(sys.argv[1]))
made.prepare()
for i in range(10**6):
    made.save(dataclasses.replace(RECIPE, version=i % 7), KINDS, {**OUTPUTS, "film": b"film" * 50_000}, {})
"""


def test_kill_at_any_time(tmp_path, caplog):
    for pause in (0.01, 0.03, 0.08):
        process = child(BUSY, tmp_path)
        wait_for(lambda: any((tmp_path / "cache").glob("*/*/*")))
        time.sleep(pause)
        process.kill()
        process.wait(60)
        damaged: list[Path] = []
        complete = list(Store(tmp_path).records(damaged.append))
        assert complete and not damaged and caplog.text == ""
        assert all(record.faults(content=True) == [] for record in complete)


def wait_for(condition, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "timed out"
        time.sleep(0.01)


# ---------------------------------------------------------------------------------------------- together

TOGETHER = """
import sys, time
from pathlib import Path
import toy
from turnaround.pipeline.graph import run_stage
root, me = Path(sys.argv[1]), sys.argv[2]
subject = toy.Subject.open(toy.Photo.at(root / "toy.png"), toy.Store(root / "work"), toy.WEIGHTS.__getitem__)
(root / f"ready{me}").touch()
while not ((root / "ready0").exists() and (root / "ready1").exists()):
    time.sleep(0.005)
outcome = run_stage(toy.Count(toy.CountConfig(pause=0.3)), subject, toy.on("cpu"))
(root / f"out{me}").write_text(f"{outcome.record.key} {outcome.fresh} {len(toy.calls)}")
"""


def test_two_processes_on_one_key_compute_once(tmp_path):
    toy.subject(tmp_path)
    both = [child(TOGETHER, tmp_path, me) for me in (0, 1)]
    assert [process.wait(60) for process in both] == [0, 0]
    (key0, fresh0, calls0), (key1, fresh1, calls1) = (
        (tmp_path / f"out{me}").read_text().split() for me in (0, 1)
    )
    assert key0 == key1
    assert sorted([(fresh0, calls0), (fresh1, calls1)]) == [("False", "1"), ("True", "0")]


def test_the_lock_holds_between_threads_and_not_between_keys(tmp_path):
    made, inside = Store(tmp_path), threading.Event()

    def enter() -> None:
        with made.lock("toy", "a"):
            inside.set()

    thread = threading.Thread(target=enter)
    with made.lock("toy", "a"):
        with made.lock("toy", "b"):  # another key is free
            pass
        thread.start()
        assert not inside.wait(0.1)
    assert inside.wait(10)
    thread.join()


def test_a_lock_is_that_of_the_file_that_is_there(tmp_path):
    """gc deletes lock files that nobody holds; who waited for such a file must not hold a lock that nobody
    else sees."""
    made, inside = Store(tmp_path), threading.Event()
    file = tmp_path / "locks" / "toy-a"

    def enter() -> None:
        with made.lock("toy", "a"):
            inside.set()

    with made.lock("toy", "a"):
        thread = threading.Thread(target=enter)
        thread.start()
        time.sleep(0.05)
        file.unlink()
    assert inside.wait(10) and file.exists()
    thread.join()


def test_nobody_works_while_the_folder_is_cleaned(tmp_path):
    made = Store(tmp_path)
    with made.at_work(), made.at_work(), pytest.raises(StoreError, match="a run is at work"), made.alone():
        pass
    with made.alone(), pytest.raises(StoreError, match="a run is at work"), Store(tmp_path).alone():
        pass
    with made.at_work():
        pass


# ---------------------------------------------------------------------------------------------- the disk


def test_a_work_folder_that_is_a_file(tmp_path):
    (tmp_path / "work").write_text("")
    with pytest.raises(StoreError, match=r"work.*cannot be written.*--work"):
        Store(tmp_path / "work").prepare()
    with pytest.raises(StoreError, match=r"cannot be written.*--work"):
        Store(tmp_path / "work").save(RECIPE, KINDS, OUTPUTS, {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_work_folder_without_permission(tmp_path):
    (tmp_path / "work").mkdir(mode=0o500)
    with pytest.raises(StoreError, match=r"Permission denied.*--work"):
        Store(tmp_path / "work").prepare()


@pytest.mark.parametrize(
    "number, remedy",
    [(errno.ENOSPC, "turnaround gc"), (errno.EDQUOT, "turnaround gc"), (errno.EROFS, "--work")],
)
def test_a_full_or_read_only_disk(tmp_path, monkeypatch, number, remedy):
    def full(value, path):
        path.write_bytes(b"some")
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setitem(codecs._CODECS, "Video", codecs.Codec(".mp4", full, Path.read_bytes))
    with pytest.raises(StoreError) as raised:
        saved(tmp_path)
    assert (
        os.strerror(number) in str(raised.value)
        and remedy in str(raised.value)
        and "toy" in str(raised.value)
    )
    assert list((tmp_path / "tmp").iterdir()) == [], "what was half-written takes no room"
    monkeypatch.undo()
    assert saved(tmp_path).faults(content=True) == []


def test_a_disk_that_really_takes_no_more(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    Store(tmp_path).prepare()
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StoreError, match="File too large"):
            Store(tmp_path).save(RECIPE, KINDS, {**OUTPUTS, "film": bytes(100_000)}, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert Store(tmp_path).find("toy", RECIPE.key) is None and list((tmp_path / "tmp").iterdir()) == []


def test_a_disk_error_without_a_number_is_told(tmp_path, monkeypatch):
    def broken(value, path):
        raise OSError("encoder error -2")

    monkeypatch.setitem(codecs._CODECS, "Video", codecs.Codec(".mp4", broken, Path.read_bytes))
    with pytest.raises(StoreError, match="encoder error -2"):
        saved(tmp_path)


# ---------------------------------------------------------------------------------------------- links


def test_a_link_is_relative_and_moves_with_the_work_folder(tmp_path):
    record = saved(tmp_path / "work")
    Store(tmp_path / "work").link("alice", 3, record)
    assert not os.path.isabs(os.readlink(tmp_path / "work/subjects/alice/03_toy"))
    os.rename(tmp_path / "work", tmp_path / "moved")
    found = Store(tmp_path / "moved").linked("alice", "toy")
    assert found is not None and found.key == RECIPE.key
    assert (
        Store(tmp_path / "moved").linked("alice", "other") is None
        and Store(tmp_path / "moved").linked("bob", "toy") is None
    )


def test_a_link_never_points_nowhere_while_it_is_swapped(tmp_path):
    targets = [saved(tmp_path, dataclasses.replace(RECIPE, version=v)) for v in (1, 2)]
    link, stop, misses = tmp_path / "subjects/alice/01_toy", threading.Event(), []
    made = Store(tmp_path)
    made.link("alice", 1, targets[0])

    def look() -> None:
        while not stop.is_set():
            if links.target(link) is None:
                misses.append(1)

    thread = threading.Thread(target=look)
    thread.start()
    for i in range(300):
        made.link("alice", 1, targets[i % 2])
    stop.set()
    thread.join()
    assert not misses and [path.name for path in link.parent.iterdir()] == ["01_toy"]


def test_a_stage_has_one_link_and_leaves_those_of_longer_names_alone(tmp_path):
    made = Store(tmp_path)
    longer = saved(tmp_path, dataclasses.replace(RECIPE, stage="toy_box"))
    made.link("alice", 1, longer)
    made.link("alice", 2, saved(tmp_path))
    made.link("alice", 3, saved(tmp_path))  # the stage moved in the order
    assert sorted(path.name for path in made.subject("alice").iterdir()) == ["01_toy_box", "03_toy"]


def test_text_files_where_symbolic_links_are_not_possible(tmp_path, monkeypatch):
    def impossible(*arguments):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", impossible)
    made = Store(tmp_path)
    for version in (1, 2):
        record = saved(tmp_path, dataclasses.replace(RECIPE, version=version))
        made.link("alice", 1, record)
        found = made.linked("alice", "toy")
        assert found is not None and found.key == record.key
    monkeypatch.undo()
    made.link("alice", 1, saved(tmp_path))
    assert [path.name for path in made.subject("alice").iterdir()] == ["01_toy"]


def test_a_link_to_a_run_that_was_deleted_is_no_run(tmp_path):
    record = saved(tmp_path)
    Store(tmp_path).link("alice", 1, record)
    for file in record.path.iterdir():
        file.unlink()
    record.path.rmdir()
    assert Store(tmp_path).linked("alice", "toy") is None


# ---------------------------------------------------------------------------------------------- keys

CHANGES = [
    {"stage": "other"},
    {"version": 2},
    {"config": {"seed": 2}},
    {"config": {"seed": 1, "more": 0}},
    {"config": {"seed": 1.5}},
    {"inputs": {"photo.image": "2" * 64}},
    {"inputs": {"photo.mask": "0" * 64}},
    {"weights": {"net": "3" * 64}},
    {"weights": {}},
]


def test_the_key_holds_stage_version_config_inputs_and_weights():
    keys = {dataclasses.replace(RECIPE, **change).key for change in CHANGES}
    assert len(keys | {RECIPE.key}) == len(CHANGES) + 1
    assert all(len(key) == 24 and int(key, 16) >= 0 for key in keys)


def test_the_key_is_that_of_the_content_and_not_of_the_order_or_the_process():
    turned = Recipe("toy", 1, {"b": 1, "a": {"d": 2, "c": 3}}, {"y": "1", "x": "2"}, {})
    straight = Recipe("toy", 1, {"a": {"c": 3, "d": 2}, "b": 1}, {"x": "2", "y": "1"}, {})
    assert turned.key == straight.key
    assert RECIPE.key == "54d9d14c62824a2071b7ce59", (
        "the rule for keys changed: every cache of every user would be made again"
    )
    assert Recipe.recorded(json.loads(json.dumps({**RECIPE.__dict__}))).key == RECIPE.key


def test_neither_device_nor_workers_nor_the_clock_enter_the_key(tmp_path, monkeypatch):
    keys, bytes_of = set(), set()
    for device in ("cpu", "cuda:0", "cuda:1"):
        for workers in ("1", "8"):
            monkeypatch.setenv("OMP_NUM_THREADS", workers)
            outcome = run_stage(toy.Count(), toy.subject(tmp_path), toy.on(device), force=True)
            keys.add(outcome.record.key)
            bytes_of.add(outcome.record.digest("number"))
            assert outcome.record.manifest["device"] == device
    assert len(keys) == len(bytes_of) == 1
