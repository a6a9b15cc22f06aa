"""Digests of photos are remembered, and only while the times of the file can be believed."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from turnaround.pipeline.store import digest
from turnaround.pipeline.store.digest import DigestMemo, file_digest


def count_reads(monkeypatch) -> list[Path]:
    read: list[Path] = []
    monkeypatch.setattr(digest, "file_digest", lambda path: (read.append(path), file_digest(path))[1])
    return read


def test_a_settled_file_is_hashed_once_by_all_processes(tmp_path, monkeypatch):
    photo, memo = tmp_path / "photo", tmp_path / "cache" / "digests.txt"
    photo.write_bytes(b"x")
    monkeypatch.setattr(digest.time, "time", lambda now=time.time: now() + 5)  # five seconds later
    read = count_reads(monkeypatch)
    found = {DigestMemo(memo).digest(photo) for _ in range(3)}  # as three processes do
    assert found == {file_digest(photo)} and read == [photo]
    assert DigestMemo.at(memo) is DigestMemo.at(memo)
    photo.write_bytes(b"y")
    assert DigestMemo(memo).digest(photo) == file_digest(photo)


def test_a_file_of_just_now_is_not_believed(tmp_path, monkeypatch):
    """As git's racy index: it may change again, to the same size, within one tick of the clock."""
    photo, memo = tmp_path / "photo", DigestMemo(tmp_path / "digests.txt")
    read = count_reads(monkeypatch)
    for content in (b"a", b"b", b"c"):
        photo.write_bytes(content)
        assert memo.digest(photo) == file_digest(photo)
    assert len(read) == 3 and not memo.path.exists()


@pytest.mark.parametrize("moved", [-3600.0, -0.5], ids=["an hour", "a moment"])
def test_times_are_not_believed_when_the_clock_went_back(tmp_path, monkeypatch, moved):
    photo, memo = tmp_path / "photo", DigestMemo(tmp_path / "digests.txt")
    photo.write_bytes(b"x")
    clock, shift = time.time, [5.0]
    monkeypatch.setattr(digest.time, "time", lambda: clock() + shift[0])
    memo.digest(photo)
    read = count_reads(monkeypatch)
    memo.digest(photo)
    assert read == []
    shift[0] = moved  # the file is now of the future, or of this very second
    memo.digest(photo)
    assert read == [photo]
    os.utime(photo, (clock() + 9e6,) * 2)  # and one that always is
    shift[0] = 5.0
    memo.digest(photo)
    memo.digest(photo)
    assert len(read) == 3


def test_a_file_that_changes_while_it_is_hashed_is_not_remembered(tmp_path, monkeypatch):
    photo, memo = tmp_path / "photo", DigestMemo(tmp_path / "digests.txt")
    photo.write_bytes(b"x")
    monkeypatch.setattr(digest.time, "time", lambda now=time.time: now() + 5)
    monkeypatch.setattr(
        digest, "file_digest", lambda path: (file_digest(path), path.write_bytes(b"longer"))[0]
    )
    memo.digest(photo)
    assert not memo.path.exists()


@pytest.mark.parametrize(
    "content", ["{not json", "", "1:2:3:4:5 " + "g" * 64, "1:2:3:4:5", "\n\n", "\xff\0" * 9, "x" * 10**6]
)
def test_a_broken_memo_costs_time_only(tmp_path, content):
    photo, file = tmp_path / "photo", tmp_path / "digests.txt"
    photo.write_bytes(b"x")
    file.write_bytes(content.encode("latin1"))
    memo = DigestMemo(file)
    assert memo.digest(photo) == file_digest(photo) and DigestMemo(file)._known == {}


def test_a_line_cut_short_by_a_kill_harms_no_other(tmp_path, monkeypatch):
    photo, file = tmp_path / "photo", tmp_path / "digests.txt"
    photo.write_bytes(b"x")
    file.write_text("\n" + "66:1:1:1:1 " + "a" * 30)
    monkeypatch.setattr(digest.time, "time", lambda now=time.time: now() + 5)
    DigestMemo(file).digest(photo)
    assert list(DigestMemo(file)._known.values()) == [file_digest(photo)]
