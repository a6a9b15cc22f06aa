"""Many subjects in several formats: one folder, names that stay apart, what is stale."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import toy_person

from turnaround.flows.cli.app import app, guarded
from turnaround.flows.exports.batch import Wish, export_all
from turnaround.flows.exports.export import Changes, export_file


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_person.make(tmp_path_factory.mktemp("work"))


def project_whose(state: dict[str, str]) -> Any:
    """A project that says so of every subject's stages, and FRESH of the others."""
    return SimpleNamespace(
        status=lambda root, name: [SimpleNamespace(stage=stage, state=word) for stage, word in state.items()]
    )


def test_a_result_from_before_is_exported_with_a_warning_and_not_when_strict(work, tmp_path, caplog):
    stale = project_whose({"fuse": "STALE", "detail": "FRESH", "texture": "STALE"})
    done = export_all(stale, work, ["toy"], Wish.of("ply", tmp_path))
    assert not caplog.text and done.code(strict=True) == 0
    done = export_all(stale, work, ["toy"], Wish.of("glb", tmp_path))
    assert "this is the result from before; `turnaround rerun -s toy`" in caplog.text
    assert (done.code(strict=False), done.code(strict=True)) == (0, 3) and (tmp_path / "toy.glb").is_file()
    done = export_all(stale, work, ["toy"], Wish.of("obj,ply,html", tmp_path / "new", strict=True))
    assert (
        [to for _, to, _ in done.written] == ["ply"]
        and "toy.obj is not written" in caplog.text
        and done.code(strict=True) == 3
    )
    assert sorted(file.name for file in (tmp_path / "new").iterdir()) == ["toy.ply"]


def test_many_subjects_in_several_formats_lie_in_one_folder(work, tmp_path, monkeypatch, capsys):
    shutil.copytree(work, tmp_path / "work", symlinks=True)
    folder = tmp_path / "work/subjects"
    for name in ("pair-1", "pair-2", "other", "bare"):
        shutil.copytree(folder / "toy", folder / name, symlinks=True)
    for link in folder.glob("bare/0[6-9]_*"):
        link.unlink()
    monkeypatch.chdir(tmp_path)

    def turn(*words: str) -> int:
        return guarded(lambda: app(["export", *words], standalone_mode=False))

    assert turn("pair-*", "--to", "glb,ply,mp4", "--out", "v1.5", "--height", "1.75", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    assert {(row["subject"], row["format"]) for row in said["files"]} == {
        (name, to) for name in ("pair-1", "pair-2") for to in ("glb", "ply", "mp4")
    }
    assert {Path(row["path"]) for row in said["files"]} == set(Path("v1.5").iterdir()) and not said["failed"]
    assert all(Path(row["path"]).stat().st_size == row["bytes"] for row in said["files"])
    alone = export_file(
        Path("work"), "pair-2", "glb", Path("alone.glb"), Changes(height=1.75)
    ).path.read_bytes()
    assert Path("v1.5/pair-2.glb").read_bytes() == alone, "as that of one subject"
    assert turn("bare", "other", "--to", "mp4", "--out", "films") == 1
    assert (
        "FAILED bare.mp4: bare has no mp4 yet" in capsys.readouterr().err
        and Path("films/other.mp4").is_file()
    )
    assert (
        turn("pair-1", "--to", "glb,stl")
        == turn("pair-1", "--to", "mp4,html", "--texture", "1024")
        == turn("piar-1", "--to", "ply")
        == 2
    )
    told = capsys.readouterr().err
    assert (
        "--to stl: expected one of" in told
        and "--texture goes with --to glb, obj" in told
        and "did you mean 'pair-1'?" in told
    )
    Path("file").write_text("")
    assert turn("pair-*", "--to", "ply", "--out", "file") == 2
    assert "--out file is a file; 2 files need a folder" in capsys.readouterr().err
