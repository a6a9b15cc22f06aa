"""Packages by their digest: downloads that go on, mirrors, the folder for machines without a network."""

from __future__ import annotations

import base64
import concurrent.futures
import hashlib
import io
import json
import pickle
import socket
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from registry_server import Registry, serving

from turnaround.pipeline.files import user_cache, write_atomic
from turnaround.pipeline.packages import indexes as mirrors
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package, RegistryError

ROOT = Path(__file__).resolve().parents[3]
BALL = "/@toys/ball/-/ball-1.2.3.tgz"
WHEEL = "toy_ball-1.0-py3-none-any.whl"


def tarball(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def wheel(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def npm(content: bytes) -> Package:
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode()
    return Package("npm", "@toys/ball", "1.2.3", integrity)


CONTENT = tarball({"LICENSE": b"be kind", "a.js": b"1" * 9, "../../evil.js": b"2"})
WHEEL_CONTENT = wheel({"toy_ball/a.py": b"a = 1\n"})
PYPI = Package("pypi", "Toy.Ball", "1.0", "sha256-" + hashlib.sha256(WHEEL_CONTENT).hexdigest(), WHEEL)
ball = npm(CONTENT)


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A registry with the package, and an empty cache."""
    monkeypatch.delenv(registry.VARIABLE, raising=False)
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "cache"))
    with serving() as server:
        monkeypatch.setenv("npm_config_registry", server.url + "/")
        server.files[BALL] = CONTENT
        yield server


def cached(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_package_is_fetched_once_and_checked_each_time(served: Registry, tmp_path):
    told: list[tuple[int, int]] = []
    assert registry.fetch(ball, lambda *now: told.append(now)) == tmp_path / "cache/npm/toys-ball-1.2.3.tgz"
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert registry.read(ball, ("LICENSE", "a.js")) == {"LICENSE": b"be kind", "a.js": b"1" * 9}
    assert served.asked == [(BALL, None)], "the second time from the cache"
    ball.path.write_bytes(CONTENT[:-1] + b"?")
    assert registry.fetch(ball).read_bytes() == CONTENT, "a damaged one is fetched again"
    with pytest.raises(RegistryError, match=r"toys-ball-1\.2\.3\.tgz: expected b\.js"):
        registry.read(ball, ("a.js", "b.js"))
    assert cached(tmp_path) == {"toys-ball-1.2.3.tgz": CONTENT}, "nothing is unpacked, no half is left"
    registry.forget(ball)
    registry.forget(ball)
    assert cached(tmp_path) == {}


def test_a_half_is_continued(served: Registry, tmp_path):
    part = ball.path.with_name(ball.file + ".part")
    write_atomic(part, CONTENT[:100])
    assert registry.fetch(ball).read_bytes() == CONTENT
    assert served.asked == [(BALL, "bytes=100-")] and cached(tmp_path) == {ball.file: CONTENT}


def test_a_connection_that_breaks_is_taken_up_again(served: Registry, tmp_path):
    served.most = [50, 70]
    assert registry.fetch(ball).read_bytes() == CONTENT
    assert served.asked == [(BALL, None), (BALL, "bytes=50-"), (BALL, "bytes=120-")]


def test_what_has_arrived_is_kept_for_the_next_time(served: Registry, tmp_path):
    served.most = [60, 0]
    with pytest.raises(RegistryError, match=rf"the connection ended after 60 of {len(CONTENT)} bytes"):
        registry.fetch(ball)
    assert cached(tmp_path) == {ball.file + ".part": CONTENT[:60]}
    served.asked.clear()
    assert registry.fetch(ball).read_bytes() == CONTENT and served.asked == [(BALL, "bytes=60-")]


def test_a_server_without_ranges_sends_all_of_it_again(served: Registry):
    served.ranges = False
    write_atomic(ball.path.with_name(ball.file + ".part"), CONTENT[:100])
    told: list[tuple[int, int]] = []
    assert registry.fetch(ball, lambda *now: told.append(now)).read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT)) and len(served.asked) == 1


@pytest.mark.parametrize("half", [b"?" * 100, CONTENT + b"?", CONTENT], ids=["other", "long", "whole"])
def test_a_half_of_something_else_begins_anew(served: Registry, tmp_path, half):
    write_atomic(ball.path.with_name(ball.file + ".part"), half)
    assert registry.fetch(ball).read_bytes() == CONTENT
    assert len(served.asked) == (1 if half == CONTENT else 2) and cached(tmp_path) == {ball.file: CONTENT}


def test_another_digest_is_refused(served: Registry, tmp_path):
    served.files[BALL] = tarball({"a.js": b"evil"})
    with pytest.raises(RegistryError, match=r"got another digest from .* of which nothing is used"):
        registry.read(ball, ("a.js",))
    assert cached(tmp_path) == {}


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://127.0.0.1", "nonsense"])
def test_without_a_network_the_message_says_what_to_put_where(served: Registry, tmp_path, monkeypatch, url):
    monkeypatch.setenv("npm_config_registry", url)
    with pytest.raises(RegistryError) as caught:
        registry.read(ball, ("a.js",))
    remedies = (str(ball.path), "TURNAROUND_PACKAGES", "npm_config_registry")
    for said in (f"{url}{BALL}", "@toys/ball 1.2.3", ball.digest, *remedies):
        assert said in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value), "it passes between processes"
    assert cached(tmp_path) == {}


def test_a_silent_server_is_given_up(served: Registry, monkeypatch):
    monkeypatch.setattr(mirrors, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(RegistryError, match="timed out"):
            registry.fetch(ball)


def test_what_is_missing_is_told_with_its_status(served: Registry):
    served.files.clear()
    with pytest.raises(RegistryError, match="HTTP Error 404"):
        registry.fetch(ball)


def test_a_cache_that_cannot_be_written_is_told(served: Registry, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("TURNAROUND_CACHE", str(tmp_path / "file"))
    with pytest.raises(RegistryError, match="choose another place with TURNAROUND_CACHE"):
        registry.fetch(ball)


def test_more_than_the_limit_is_not_loaded(served: Registry, monkeypatch):
    monkeypatch.setattr("turnaround.pipeline.packages.download.MOST", 100)
    with pytest.raises(RegistryError, match="more than 100 bytes"):
        registry.fetch(ball)


@pytest.mark.parametrize("name", ["toys-ball-1.2.3.tgz", "ball-1.2.3.tgz"])
def test_a_folder_stands_for_the_network(served: Registry, tmp_path, monkeypatch, name):
    folder = tmp_path / "given"
    folder.mkdir()
    monkeypatch.setenv(registry.VARIABLE, str(folder))
    with pytest.raises(RegistryError, match=rf"toys-ball-1\.2\.3\.tgz with .* got no such file in {folder}"):
        registry.fetch(ball)
    (folder / name).write_bytes(CONTENT[1:])
    with pytest.raises(RegistryError, match="with another digest"):
        registry.fetch(ball)
    (folder / name).write_bytes(CONTENT)
    assert registry.read(ball, ("LICENSE",)) == {"LICENSE": b"be kind"}
    assert registry.fetch(ball) == folder / name
    registry.forget(ball)
    assert (folder / name).is_file() and served.asked == [] and not (tmp_path / "cache").exists()


# ------------------------------------------------------------------------------------------ PyPI and
# passwords


@pytest.mark.parametrize("kind", ["application/vnd.pypi.simple.v1+json", "text/html"])
def test_a_wheel_is_found_in_the_index_and_read(served: Registry, monkeypatch, kind):
    monkeypatch.setenv("PIP_INDEX_URL", served.url + "/root/simple/")
    page = "/root/simple/toy-ball/"
    links = [f"../../files/{name}#sha256=1" for name in ("other-1.0.whl", WHEEL)]
    as_html = "".join(f'<a href="{link}">file</a><br>' for link in links)
    as_json = json.dumps({"files": [{"filename": Path(link).name, "url": link} for link in links]})
    served.files[page] = (as_json if "json" in kind else as_html).encode()
    served.files[f"/root/files/{WHEEL}"] = WHEEL_CONTENT
    served.kinds[page] = kind
    assert registry.read(PYPI, ("toy_ball/a.py",)) == {"toy_ball/a.py": b"a = 1\n"}
    assert [path for path, _ in served.asked] == [page, f"/root/files/{WHEEL}"]
    assert PYPI.path == user_cache("pypi", WHEEL)


def test_a_wheel_that_the_index_does_not_list_is_named(served: Registry, monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", served.url)
    served.files["/toy-ball/"] = b"<a href='x.whl'>x</a>"
    with pytest.raises(RegistryError, match=rf"does not list {WHEEL}"):
        registry.fetch(PYPI)


def test_passwords_of_a_mirror_are_sent_and_not_shown(served: Registry, monkeypatch):
    monkeypatch.setenv("npm_config_registry", served.url.replace("//", "//me:secr%40t@"))
    assert registry.fetch(ball).is_file()
    assert served.authorizations == ["Basic " + base64.b64encode(b"me:secr@t").decode()]
    registry.forget(ball)
    served.files.clear()
    with pytest.raises(RegistryError) as caught:
        registry.fetch(ball)
    assert "secr" not in str(caught.value)


# ------------------------------------------------------------------------------------------ several at once


def test_of_threads_and_processes_at_once_one_downloads(served: Registry, tmp_path):
    arguments = [
        sys.executable,
        "-c",
        f"from turnaround.pipeline.packages import registry; registry.fetch(registry.{ball!r})",
    ]
    processes = [subprocess.Popen(arguments, cwd=ROOT) for _ in range(3)]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert {path.read_bytes() for path in pool.map(registry.fetch, [ball] * 4)} == {CONTENT}
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(served.asked) == 1 and cached(tmp_path) == {ball.file: CONTENT}


def test_writing_is_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a" / "file"
    write_atomic(file, b"first")
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError("pulled out")))
    with pytest.raises(OSError, match="pulled out"):
        write_atomic(file, b"second")
    assert cached(tmp_path) == {"file": b"first"}
