"""A store behind the work folder: what is made once is found by every folder, and neither kills, damage nor a
lost network hurt."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import s3_server
import toy

from turnaround.pipeline.graph import Subject, ordered, run_stage
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.store import mirror, remote
from turnaround.pipeline.store.manifest import MANIFEST
from turnaround.pipeline.store.mirror import Tiered, fetch_photo, open_store, send_photo, unsent
from turnaround.pipeline.store.remote import Remote
from turnaround.pipeline.store.store import Store

STAGES = tuple(ordered([toy.Count(), toy.Share(), toy.Label()]))
WORKER = Path(__file__).resolve().parents[2] / "support" / "toy_worker.py"
without_s3 = pytest.mark.skipif(
    bool(s3_server.MISSING), reason=f"not installed: {', '.join(s3_server.MISSING)}"
)


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """URL of a bucket."""
    port = s3_server.free_port()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in s3_server.environment(port).items():
            patch.setenv(name, value)
        with s3_server.running(port):
            yield f"s3://{s3_server.BUCKET}"


@pytest.fixture(params=["memory", "file", pytest.param("s3", marks=without_s3)])
def url(request, tmp_path) -> str:
    remote.remote.cache_clear()
    toy.calls.clear()
    if request.param == "s3":
        return f"{request.getfixturevalue('s3')}/{tmp_path.name}"
    return f"memory://{tmp_path.name}" if request.param == "memory" else f"file://{tmp_path / 'shared store'}"


@pytest.fixture
def folder_url(tmp_path) -> str:
    remote.remote.cache_clear()
    toy.calls.clear()
    return f"file://{tmp_path / 'shared'}"


def work(root: Path, url: str | None, content: bytes = b"1" * 25) -> tuple[dict[str, bool], dict[str, bytes]]:
    """Run the toys in a folder; which stages were fresh, and the bytes of all files of their runs."""
    root.mkdir(exist_ok=True)
    photo = root / "toy.png"
    photo.write_bytes(content)
    subject = Subject.open(Photo.at(photo), open_store(root / "work", url), toy.WEIGHTS.__getitem__)
    fresh = {stage.name: run_stage(stage, subject, toy.on("cpu")).fresh for stage in STAGES}
    cache = root / "work" / "cache"
    return fresh, {str(f.relative_to(cache)): f.read_bytes() for f in cache.glob("*/*/**/*") if f.is_file()}


def names(url: str) -> list[str]:
    """Every object of a store."""
    store = Remote(url)
    return sorted(path.partition("cache/")[2] for path in store.fs.find(f"{store.root}/cache"))


def test_what_one_folder_made_another_finds(tmp_path, url):
    Remote(url).check()
    made, first = work(tmp_path / "a", url)
    found, second = work(tmp_path / "b", url)
    assert set(made.values()) == {False} and set(found.values()) == {True}
    assert toy.calls == ["count", "share", "label"]
    assert first == second and len(first) == 7
    assert not [name for name in names(url) if name.endswith(".part")]
    assert (
        unsent(
            tmp_path / "b" / "work",
            url,
            [("count", name.split("/")[1]) for name in names(url) if name.startswith("count")],
        )
        == []
    )


def test_a_folder_that_was_made_alone_is_sent_later(tmp_path, folder_url):
    work(tmp_path / "a", None)
    assert set(work(tmp_path / "a", folder_url)[0].values()) == {True}
    assert set(work(tmp_path / "b", folder_url)[0].values()) == {True} and len(toy.calls) == 3


def test_nothing_is_asked_twice(tmp_path, folder_url, monkeypatch):
    work(tmp_path / "a", folder_url)
    monkeypatch.setattr(Remote, "read", lambda *_: pytest.fail("asked"))
    monkeypatch.setattr(Remote, "write", lambda *_: pytest.fail("sent"))
    assert set(work(tmp_path / "a", folder_url)[0].values()) == {True}


class Killed(BaseException):
    """Stands for kill -9: nothing after it runs but what the kernel does."""


@pytest.mark.parametrize("after", range(7))
def test_a_push_that_is_killed_leaves_nothing_that_is_seen(tmp_path, folder_url, monkeypatch, after):
    puts = []
    put = Remote._put

    def dying(self, name, content):
        if len(puts) == after:
            raise Killed
        puts.append(name)
        put(self, name, content)

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_put", dying)
        with pytest.raises(Killed):
            work(tmp_path / "a", folder_url)
    complete = (
        {name.split("/")[0] for name in names(folder_url) if name.endswith(MANIFEST)} if puts else set()
    )
    fresh, expected = work(tmp_path / "b", folder_url)
    assert {stage for stage, was in fresh.items() if was} == complete
    assert work(tmp_path / "a", folder_url)[0]["count"]  # the killed one goes on with what it has
    fresh, found = work(tmp_path / "c", folder_url)
    assert set(fresh.values()) == {True} and found == expected


@without_s3
def test_a_worker_killed_in_the_middle_of_a_push(tmp_path, s3):
    url, photo = f"{s3}/killed", tmp_path / "toy.png"
    photo.write_bytes(b"1" * 25)
    command = [sys.executable, str(WORKER), str(tmp_path / "a"), url, str(photo), "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline().startswith("put cache/count/")
        process.send_signal(signal.SIGKILL)
    remote.remote.cache_clear()
    assert names(url) and not [name for name in names(url) if name.endswith(MANIFEST)]
    fresh, _ = work(tmp_path / "b", url)
    assert set(fresh.values()) == {False}
    done = subprocess.run(command[:-1], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == {
        "count": True,
        "share": True,
        "label": True,
    }  # it had published its count before it was killed
    assert set(work(tmp_path / "c", url)[0].values()) == {True}


@without_s3
def test_workers_that_race_leave_one_whole_store(tmp_path, s3):
    url, photo = f"{s3}/race", tmp_path / "toy.png"
    photo.write_bytes(b"2" * 35)
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(tmp_path / name), url, str(photo)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("a", "b", "c")
    ]
    for worker in workers:
        out, _ = worker.communicate(timeout=60)
        assert worker.returncode == 0 and set(json.loads(out)) == {"count", "share", "label"}
    fresh, found = work(tmp_path / "d", url, b"2" * 35)
    assert set(fresh.values()) == {True} and len(found) == 7
    for name in ("a", "b", "c"):
        for path, content in found.items():
            assert path.endswith(MANIFEST) or (tmp_path / name / "cache" / path).read_bytes() == content


@pytest.mark.parametrize("what", ["flip", "cut", "gone", "manifest", "other"])
def test_a_damaged_remote_run_is_made_again_and_sent_anew(tmp_path, url, caplog, what):
    _, expected = work(tmp_path / "a", url)
    store = Remote(url)
    file = next(
        name
        for name in names(url)
        if name.startswith("count/") and name.endswith("manifest.json") == (what in ("manifest", "other"))
    )
    path = f"{store.root}/cache/{file}"
    content = store.fs.cat_file(path)
    if what == "gone":
        store.fs.rm_file(path)
    elif what == "other":  # a whole manifest, of another run
        store.fs.pipe_file(
            path,
            store.fs.cat_file(f"{store.root}/cache/{next(n for n in names(url) if n.startswith('share/'))}"),
        )
    else:
        store.fs.pipe_file(path, content[:-9] if what != "flip" else bytes([content[0] ^ 1]) + content[1:])
    fresh, found = work(tmp_path / "b", url)
    assert fresh == {"count": False, "share": True, "label": True} and "is damaged" in caplog.text
    outputs = {name for name in expected if not name.endswith(MANIFEST)}
    assert {name: found[name] for name in outputs} == {name: expected[name] for name in outputs}
    assert set(work(tmp_path / "c", url)[0].values()) == {True}


@pytest.mark.parametrize("name", ["../../../evil.json", "/evil.json", "..\\evil.json"])
def test_a_remote_manifest_cannot_lead_outside(tmp_path, folder_url, name):
    work(tmp_path / "a", folder_url)
    for file in (tmp_path / "shared").glob("cache/count/*/manifest.json"):
        manifest = json.loads(file.read_text())
        entry = manifest["outputs"]["number"]
        entry["files"] = {name: next(iter(entry["files"].values()))}
        file.write_text(json.dumps(manifest))
    assert work(tmp_path / "b", folder_url)[0]["count"] is False
    assert not list(tmp_path.rglob("evil.json"))


def test_without_the_network_the_run_goes_on_and_is_sent_later(tmp_path, folder_url, monkeypatch, caplog):
    asked = []

    def away(self, name, content=b""):
        asked.append(name)
        raise ConnectionError("no route to host")

    with monkeypatch.context() as patch:
        patch.setattr(Remote, "_put", away)
        patch.setattr("fsspec.implementations.local.LocalFileSystem.cat_file", away)
        Remote(folder_url).check()
        fresh, _ = work(tmp_path / "a", folder_url)
    assert (
        set(fresh.values()) == {False} and "no route to host" in caplog.text and len(asked) == 2
    )  # the check, then once, not at every stage
    key = next((tmp_path / "a/work/cache/count").iterdir()).name
    assert unsent(tmp_path / "a/work", folder_url, [("count", key)]) == [("count", key)]
    remote.remote.cache_clear()  # a later process
    assert set(work(tmp_path / "a", folder_url)[0].values()) == {True}
    assert set(work(tmp_path / "b", folder_url)[0].values()) == {True}
    assert not unsent(tmp_path / "a/work", folder_url, [("count", key)])


@without_s3
def test_a_server_that_is_not_there_is_a_warning_and_a_bucket_that_is_not_there_an_error(
    tmp_path, s3, monkeypatch, caplog
):
    import s3fs

    with pytest.raises(ValueError, match="no such bucket"):
        Remote("s3://nobody-s-bucket/x").check()
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{s3_server.free_port()}")
    s3fs.S3FileSystem.clear_instance_cache()
    Remote("s3://people/away").check()
    assert "does not answer" in caplog.text and "goes on with the work folder alone" in caplog.text
    s3fs.S3FileSystem.clear_instance_cache()


def test_a_store_that_cannot_work_is_refused_with_the_remedy(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"Protocol not known: nowhere.*expected e\.g\. s3://"):
        Remote("nowhere://x")
    with monkeypatch.context() as patch:
        patch.setattr(
            "fsspec.core.url_to_fs", lambda *_, **__: importlib.import_module("a_package_that_nobody_has")
        )
        with pytest.raises(ValueError, match=r"pip install 'turnaround\[s3\]'"):
            Remote("s3://bucket/x")
    (tmp_path / "turnaround.json").write_text('{"format": 2}')
    with pytest.raises(ValueError, match="not of this version"):
        Remote(f"file://{tmp_path}").check()


def test_a_forced_run_with_other_bytes_replaces_the_one_that_is_there(tmp_path, folder_url, monkeypatch):
    work(tmp_path / "a", folder_url)
    store = Tiered(Store(tmp_path / "a" / "work"), folder_url)
    subject = Subject.open(Photo.at(tmp_path / "a" / "toy.png"), store, toy.WEIGHTS.__getitem__)
    other = toy.Count.Outputs({"n": 7, "pair": [1, 2]}, b"other")
    monkeypatch.setattr(toy.Count, "run", lambda self, **_: other)
    forced = run_stage(STAGES[0], subject, toy.on("cpu"), force=True).record
    monkeypatch.undo()
    fresh, found = work(tmp_path / "b", folder_url)
    assert fresh["count"] and found[f"count/{forced.key}/film.mp4"] == b"other"


def test_photos_travel_with_all_that_lies_beside_them(tmp_path, url):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    for name in ("alice.png", "alice.mask.png", "refined.png"):
        (here / name).write_bytes(name.encode())
    photo = Photo.at(here / "alice.png", given={"back_view.refined": here / "refined.png"})
    digests = send_photo(photo, url)
    assert send_photo(photo, url) == digests
    fetched = fetch_photo(photo, digests, there, url)
    assert fetched.name == "alice" and fetched.image.is_relative_to(there)
    assert fetched.load("image") == b"alice.png" and fetched.load("mask") == b"alice.mask.png"
    assert fetched.given["back_view.refined"].read_bytes() == b"refined.png" and fetched.body is None
    store = Remote(url)
    store.fs.pipe_file(f"{store.root}/photos/{digests['image']}/alice.png", b"other bytes")
    assert fetch_photo(photo, digests, there, url) == fetched  # what is here whole is not asked for
    with pytest.raises(OSError, match="damaged; run again"):
        fetch_photo(photo, digests, tmp_path / "elsewhere", url)
    send_photo(photo, url)
    assert fetch_photo(photo, digests, tmp_path / "elsewhere", url).load("image") == b"alice.png"


def test_only_a_url_makes_a_mirror(tmp_path):
    assert type(open_store(tmp_path, None)) is Store and type(open_store(tmp_path, "memory://x")) is Tiered
    assert mirror._content({"outputs": {"a": {"sha256": "1" * 64}}}) == "1" * 12 and os.path.isdir(tmp_path)


def test_the_number_of_requests_is_what_the_sizing_says(tmp_path, folder_url, monkeypatch):
    """docs/scaling.md: a run that is made costs three reads and a write a file, one that is found a read a
    file."""
    counts = {"read": 0, "put": 0}
    for name, method in (("read", Remote.read), ("put", Remote._put)):

        def counted(self, *arguments, name=name, method=method):
            counts[name] += 1
            return method(self, *arguments)

        monkeypatch.setattr(Remote, "read" if name == "read" else "_put", counted)
    _, files = work(tmp_path / "a", folder_url)
    assert counts == {"read": 3 * len(STAGES), "put": len(files)}
    counts.update(read=0, put=0)
    work(tmp_path / "b", folder_url)
    assert counts == {"read": len(files), "put": 0}
