"""What Prefect's page shows of a run, and that it never costs one."""

from __future__ import annotations

from typing import Any

from PIL import Image

from tests.flows.runs.test_scale import jobs  # noqa: F401, a fixture
from turnaround.flows.prefect import artifacts
from turnaround.flows.runs.execute import Result
from turnaround.pipeline.store.store import Store


def test_names_and_messages_of_strangers_are_shown_as_text(tmp_path, jobs):
    message = "`x` <img src=x onerror=alert(1)>\n# heading | [a](javascript:alert(1))"
    result = Result(
        "<script>",
        "x.png",
        {"count": {"state": "failed", "key": None, "seconds": 0.0}},
        failed="count",
        message=message,
    )
    text = artifacts.subject_markdown(jobs[0], result)
    for line in text.splitlines():
        for bad in ("<img", "<script", "](javascript"):
            at = line.find(bad)
            assert at < 0 or line.count("`", 0, at) > 0, line
    assert "\n# heading" not in text
    assert (
        artifacts._key("subject", "Ann <b>/Zoë") == "subject-ann-b-zo"
        and artifacts._key("subject", "山") == "subject-x"
    )


def test_the_sheet_is_small_and_the_last_one(tmp_path, jobs):
    picture = tmp_path / "sheet.png"
    Image.effect_noise((2048, 768), 60).convert("RGBA").save(picture)
    data = artifacts.thumbnail(picture)
    assert data[:2] == b"\xff\xd8" and len(data) < 200_000
    assert artifacts.contact_sheet(Store(tmp_path), Result("x", "x.png")) is None
    rows = artifacts.run_table(
        [Result("x", "x.png", {"count": {"state": "made", "key": "k", "seconds": 1.5}})]
    )
    assert rows == [{"subject": "x", "state": "done", "made": 1, "fresh": 0, "seconds": 1.5, "message": ""}]


def test_a_page_that_does_not_answer_fails_no_subject(monkeypatch, jobs, caplog):
    import prefect.artifacts

    def broken(*_: Any, **__: Any) -> None:
        raise ConnectionError("gone")

    monkeypatch.setattr(prefect.artifacts, "create_markdown_artifact", broken)
    artifacts.show_subject(jobs[0], Result("alice", "alice.png"))
    assert "will not show" in caplog.text


def test_a_server_that_is_gone_is_not_asked_for_every_photo(monkeypatch, jobs, caplog):
    import httpx
    import prefect.artifacts

    asked: list[int] = []

    def gone(*_: Any, **__: Any) -> None:
        asked.append(1)
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(prefect.artifacts, "create_markdown_artifact", gone)
    monkeypatch.setattr(artifacts, "_lost", [])
    for _ in range(3):
        artifacts.show_subject(jobs[0], Result("alice", "alice.png"))
    assert len(asked) == 1 and caplog.text.count("will not show") == 1
