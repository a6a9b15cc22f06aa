"""Runs with a store behind their work folder: what is checked before, sent, and fetched after."""

from __future__ import annotations

from pathlib import Path

import pytest
import toy

from tests.pipeline.store.test_mirror import folder_url, names  # noqa: F401, a fixture
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.store.manifest import MANIFEST
from turnaround.pipeline.store.remote import Remote
from turnaround.pipeline.store.store import Store

STAGES = tuple(ordered([toy.Count(), toy.Share(), toy.Label()]))


class TestRuns:
    """What `run --store` does around the stages, with toys."""

    @pytest.fixture
    def photos(self, tmp_path) -> Path:
        folder = tmp_path / "photos"
        folder.mkdir()
        for name, content in (("alice", b"1" * 25), ("bob", b"bad")):
            (folder / f"{name}.png").write_bytes(content)
        return folder

    def request(self, photos: Path, root: Path, **options):
        from turnaround.flows.runs.run import Request
        from turnaround.pipeline.photos.source import find_photos

        return Request(find_photos([photos]), root, direct=True, device="cpu", **options)

    def project(self):
        from turnaround.flows.subjects.project import Project

        return Project(lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)

    def test_a_second_machine_finds_what_the_first_made(self, tmp_path, folder_url, photos):
        from turnaround.flows.runs.run import run

        first = run(self.request(photos, tmp_path / "a", store=folder_url), self.project())
        second = run(self.request(photos, tmp_path / "b", store=folder_url), self.project())
        assert [r.ok for r in first] == [r.ok for r in second] == [True, False]
        assert {facts["state"] for facts in second[0].stages.values()} == {"fresh"}
        assert (tmp_path / "b" / "subjects" / "alice" / "03_label" / "text.json").is_file()
        assert f"--store {folder_url}" in self.request(photos, tmp_path, store=folder_url).command([])

    @pytest.mark.parametrize("where", ["environment", "config"])
    def test_the_url_may_be_set_once(self, tmp_path, folder_url, photos, monkeypatch, where):
        from turnaround.flows.runs.run import run

        config = tmp_path / "ours.yaml"
        config.write_text(f"store: {{remote: '{folder_url}'}}\n" if where == "config" else "stages: {}\n")
        if where == "environment":
            monkeypatch.setenv("TURNAROUND_STORE", folder_url)
        run(self.request(photos, tmp_path / "a", config=str(config)), self.project())
        assert [name for name in names(folder_url) if name.startswith("label/") and name.endswith(MANIFEST)]

    def test_runs_that_were_not_sent_are_counted(self, tmp_path, folder_url, photos, monkeypatch, caplog):
        from turnaround.flows.runs.run import run

        with monkeypatch.context() as patch:
            patch.setattr(Remote, "_put", lambda *_: (_ for _ in ()).throw(ConnectionError("away")))
            results = run(self.request(photos, tmp_path / "a", store=folder_url), self.project())
        assert results[0].ok and "3 of 3 runs are in" in caplog.text

    def test_a_worker_that_sees_neither_photos_nor_work_folder(
        self, tmp_path, folder_url, photos, monkeypatch
    ):
        from dataclasses import replace

        from turnaround.flows.runs import mirror as mirroring
        from turnaround.flows.runs.execute import Job, reconstruct_one
        from turnaround.flows.subjects import memory
        from turnaround.flows.subjects.memory import Memory
        from turnaround.pipeline.photos.source import find_photos

        head, chain = tmp_path / "head", STAGES
        jobs = [
            Job(
                photo,
                head,
                chain,
                toy.WEIGHTS.__getitem__,
                Memory(str(photo.image)),
                device="cpu",
                remote=folder_url,
            )
            for photo in find_photos([photos])
        ]
        sent = mirroring.send_photos(jobs)
        photos.rename(tmp_path / "out of sight")
        monkeypatch.setenv("TURNAROUND_WORK", str(tmp_path / "worker"))
        results = [reconstruct_one(job) for job in sent]
        monkeypatch.delenv("TURNAROUND_WORK")
        assert (
            [r.ok for r in results] == [True, False] and results[1].fault == "picture" and not head.exists()
        )
        Store(head).prepare()
        mirroring.collect(jobs, results)
        assert Store(head).linked("alice", "label") is not None and memory.recall(
            head, "bob"
        ).failures.keys() == {"count"}
        unknown = reconstruct_one(replace(jobs[0], root=tmp_path / "other"))
        assert not unknown.ok and unknown.failed == "photo" and unknown.fault == "disk"
