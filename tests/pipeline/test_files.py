"""Temporary files: a disk without room is a fault of the disk and names TMPDIR, not one of the program."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest

from turnaround.pipeline import files
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.files import TemporaryFault, replacing_folder, temporary_folder
from turnaround.pipeline.formats.video import encode

FRAMES = [np.zeros((16, 16, 3), np.uint8)] * 3


@pytest.fixture
def full(monkeypatch):
    """A disk of temporary files without a free byte."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(1, 1, 0))


def encoder(tmp_path: Path, monkeypatch, words: str) -> None:
    """An ffmpeg that ends at once with these words."""
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{words}' >&2\nexit 228\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("imageio_ffmpeg.get_ffmpeg_exe", lambda: str(program))


def test_a_temporary_folder_is_gone_afterwards():
    with temporary_folder() as folder:
        (folder / "x").write_text("x")
    assert not folder.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_an_encoder_without_room_is_a_fault_of_the_disk(code, tmp_path, monkeypatch):
    encoder(tmp_path, monkeypatch, f"av_interleaved_write_frame(): {os.strerror(code)}")
    with pytest.raises(TemporaryFault, match="TMPDIR") as raised:
        encode(FRAMES)
    assert isinstance(raised.value, TurnaroundError) and raised.value.fault == "disk"
    assert tempfile.gettempdir() in str(raised.value)


def test_an_encoder_that_cannot_even_say_so(tmp_path, monkeypatch, full):
    encoder(tmp_path, monkeypatch, "")
    with pytest.raises(TemporaryFault, match=r"no space is left.*TMPDIR"):
        encode(FRAMES)


def test_another_fault_of_the_encoder_stays_one_of_the_program(tmp_path, monkeypatch):
    encoder(tmp_path, monkeypatch, "Unknown encoder")
    with pytest.raises(RuntimeError, match="code 228: Unknown encoder"):
        encode(FRAMES)


def test_a_place_that_cannot_be_used(monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), "/tmp/x")

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    with pytest.raises(TemporaryFault, match=r"Read-only file system.*TMPDIR"), temporary_folder():
        pass


def test_only_its_own_disk_is_blamed(full, monkeypatch):
    for error, kind in (
        (OSError(errno.ENOSPC, "full"), TemporaryFault),
        (PermissionError(13, "no"), PermissionError),
    ):
        with pytest.raises(kind), temporary_folder():
            raise error
    monkeypatch.setattr(files, "is_full", lambda folder: False)
    with pytest.raises(OSError, match="elsewhere") as raised, temporary_folder():
        raise OSError(errno.ENOSPC, "elsewhere")
    assert not isinstance(raised.value, TemporaryFault)


def test_a_folder_takes_the_place_of_another_whole_or_not_at_all(tmp_path):
    place = tmp_path / "frames"
    for text in ("first", "second"):
        with replacing_folder(place) as beside:
            (beside / f"{text}.txt").write_text(text)
    with pytest.raises(KeyError), replacing_folder(place) as beside:
        (beside / "third.txt").write_text("third")
        raise KeyError
    assert [file.name for file in place.iterdir()] == ["second.txt"]
    assert list(tmp_path.iterdir()) == [place]
