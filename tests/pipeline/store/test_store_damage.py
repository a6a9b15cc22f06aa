"""Damaged runs and work folders of strangers: found, never read from outside, made again."""

from __future__ import annotations

import json
import logging
import os
import pickle
import shutil
from pathlib import Path

import pytest

from tests.pipeline.store.test_store import OUTPUTS, RECIPE, saved
from turnaround.pipeline.store import links
from turnaround.pipeline.store.digest import file_digest
from turnaround.pipeline.store.store import MANIFEST, DamagedRun, Store

DAMAGES = {
    "truncated manifest": lambda path: (path / MANIFEST).write_text((path / MANIFEST).read_text()[:80]),
    "empty manifest": lambda path: (path / MANIFEST).write_text(""),
    "manifest of zeros": lambda path: (path / MANIFEST).write_bytes(bytes(200)),
    "manifest is a list": lambda path: (path / MANIFEST).write_text("[]"),
    "manifest without outputs": lambda path: (path / MANIFEST).write_text(json.dumps({"key": path.name})),
    "manifest of another run": lambda path: (path / MANIFEST).write_text(
        (path / MANIFEST).read_text().replace(RECIPE.key, "f" * 24)
    ),
    "manifest is a folder": lambda path: ((path / MANIFEST).unlink(), (path / MANIFEST).mkdir()),
    "no manifest": lambda path: (path / MANIFEST).unlink(),
    "missing artifact": lambda path: (path / "film.mp4").unlink(),
    "short artifact": lambda path: (path / "film.mp4").write_bytes(b"film"),
    "artifact is a folder": lambda path: ((path / "film.mp4").unlink(), (path / "film.mp4").mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_a_miss_with_a_warning_and_is_made_good(tmp_path, caplog, damage):
    record = saved(tmp_path)
    DAMAGES[damage](record.path)
    with caplog.at_level(logging.WARNING):
        assert Store(tmp_path).find("toy", RECIPE.key) is None
    assert record.path.name in caplog.text and "made again" in caplog.text
    again = saved(tmp_path)
    assert again.faults(content=True) == [] and Store(tmp_path).find("toy", RECIPE.key) is not None


def test_an_absent_run_is_a_miss_without_a_warning(tmp_path, caplog):
    assert Store(tmp_path).find("toy", RECIPE.key) is None and caplog.text == ""


def test_changed_bytes_are_found_by_content_and_never_loaded(tmp_path):
    record = saved(tmp_path)
    trace = record.path / "trace.json"
    trace.write_text(trace.read_text().replace("0.5", "0.4"))  # still json, of the same size
    assert record.faults() == [] and record.faults(content=True) == [
        "trace.json has other bytes than were written"
    ]
    (fault,) = record.damage(content=True)
    assert fault.expected == record.digest("trace") and fault.got == file_digest(trace)
    with pytest.raises(
        DamagedRun, match=r"trace\.json.*cannot be read.*other bytes.*`turnaround verify`.*run"
    ) as raised:
        record.load("trace")
    assert pickle.loads(pickle.dumps(raised.value)).path == raised.value.path == record.path, (
        "it comes back from other processes"
    )
    (record.path / "film.mp4").unlink()
    with pytest.raises(DamagedRun, match=r"film\.mp4.*cannot be read.*missing"):
        record.load("film")


def test_a_file_that_nobody_wrote_is_found(tmp_path):
    record = saved(tmp_path)
    (record.path / "extra.png").write_bytes(b"?")
    assert record.faults() == [] and record.faults(content=True) == ["extra.png was not written by the stage"]


def test_a_damaged_run_is_set_aside_and_made_again(tmp_path):
    record = saved(tmp_path)
    (record.path / "film.mp4").write_bytes(b"film" * 99 + b"fill")
    aside = Store(tmp_path).set_aside(record.path)
    assert aside.parent == tmp_path / "tmp" and (aside / MANIFEST).is_file() and not record.path.exists()
    assert Store(tmp_path).set_aside(record.path) == record.path, "another process did it already"
    assert saved(tmp_path).faults(content=True) == []


# ---------------------------------------------------------------------------------------------- work folders
# of strangers

OUTSIDE = [
    "../../../secret",
    "/etc/passwd",
    "a/../../../../secret",
    "..",
    "C:\\secret",
    "\\\\host\\secret",
    "..\\secret",
    "",
    ".",
    "a\0b",
]


@pytest.mark.parametrize("name", OUTSIDE)
@pytest.mark.parametrize("place", ["file", "files"])
def test_a_manifest_that_names_files_outside_is_a_miss(tmp_path, caplog, name, place):
    record = saved(tmp_path)
    (tmp_path / "secret").write_bytes(OUTPUTS["film"])
    manifest = json.loads((record.path / MANIFEST).read_text())
    entry = manifest["outputs"]["film"]
    if place == "file":
        entry["file"] = name
    else:
        entry["files"] = {name: entry["files"]["film.mp4"]}
    (record.path / MANIFEST).write_text(json.dumps(manifest))
    with caplog.at_level(logging.WARNING):
        assert Store(tmp_path).find("toy", RECIPE.key) is None
    assert "not a file of the run" in caplog.text


@pytest.mark.parametrize("link", ["film.mp4", MANIFEST])
def test_links_in_a_run_are_damage(tmp_path, link):
    record = saved(tmp_path)
    outside = tmp_path / "outside"
    os.rename(record.path / link, outside)
    (record.path / link).symlink_to(outside)
    assert Store(tmp_path).find("toy", RECIPE.key) is None
    if link == MANIFEST:
        return
    with pytest.raises(DamagedRun, match="behind a link"):
        record.load("film")


def test_a_link_that_leads_out_of_the_cache_is_no_run(tmp_path, caplog):
    record, store_ = saved(tmp_path), Store(tmp_path)
    shutil.copytree(record.path, tmp_path / "elsewhere" / "toy" / RECIPE.key)
    store_.subject("alice").mkdir(parents=True)
    for target in (tmp_path / "elsewhere" / "toy" / RECIPE.key, tmp_path / "cache", Path("/etc")):
        links.replace(store_.subject("alice") / "01_toy", target)
        with caplog.at_level(logging.WARNING):
            assert store_.linked("alice", "toy") is None
        assert f"leads to {target}" in caplog.text


@pytest.mark.parametrize("name", ["", ".", "..", "../alice", "a/b", "/etc", "a\\b", "a\0"])
def test_the_name_of_a_subject_is_that_of_a_folder(tmp_path, name):
    with pytest.raises(ValueError, match="cannot be the name of a subject"):
        Store(tmp_path).subject(name)
