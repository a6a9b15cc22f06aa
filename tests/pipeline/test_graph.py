"""The graph: order, caching, values from disk, early cut-off, and why a stage would run again."""

from __future__ import annotations

import itertools
import json
import logging
import os
from typing import Any, NamedTuple

import pytest
import toy
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline import graph
from turnaround.pipeline.graph import Status, Subject, downstream, ordered, run_stage, statuses, upstream, why
from turnaround.pipeline.photos.source import Photo
from turnaround.pipeline.stage import Stage, StageConfig, StageError, Trace
from turnaround.pipeline.store.store import DamagedRun

CPU = toy.on("cpu")


@pytest.fixture(autouse=True)
def _no_calls():
    toy.calls.clear()


def chain(**configs: StageConfig) -> list[Stage[Any]]:
    return [toy.Count(configs.get("count")), toy.Share(configs.get("share")), toy.Label(configs.get("label"))]


def run_all(subject: Subject, stages: list[Stage[Any]] | None = None) -> list[bool]:
    """Run a chain and link it, as the flow does; whether each stage was fresh."""
    fresh = []
    for position, stage in enumerate(ordered(stages or chain()), 1):
        outcome = run_stage(stage, subject, CPU)
        subject.store.link(subject.photo.name, position, outcome.record)
        fresh.append(outcome.fresh)
    return fresh


class Out(NamedTuple):
    out: Trace


def stage_named(stage_name: str, *needed: str) -> Stage[Any]:
    """A stage that needs the output `out` of each of `needed`."""

    def run(self, *, device: Any, **inputs: Any) -> Out:
        return Out({})

    needs = {f"from_{n}": f"{n}.out" for n in needed}
    return type(
        stage_name.title(), (Stage,), {"name": stage_name, "version": 1, "needs": needs, "run": run}
    )()


def names(stages: list[Stage[Any]]) -> list[str]:
    return [stage.name for stage in stages]


# ---------------------------------------------------------------------------------------------- order


@given(
    st.integers(1, 7).flatmap(
        lambda n: st.tuples(
            st.permutations(range(n)), st.lists(st.booleans(), min_size=n * n, max_size=n * n)
        )
    )
)
def test_each_stage_comes_after_what_it_needs_and_a_good_order_is_kept(drawn):
    order, edges = drawn
    n = len(order)
    good = [stage_named(f"s{i}", *(f"s{j}" for j in range(i) if edges[i * n + j])) for i in range(n)]
    assert ordered(good) == good
    found = ordered([good[i] for i in order])
    place = {stage.name: i for i, stage in enumerate(found)}
    assert sorted(place) == sorted(names(good))
    assert all(place[need] < place[stage.name] for stage in good for need in upstream(stage))


def test_what_depends_on_a_stage():
    stages = [stage_named("a"), stage_named("b", "a"), stage_named("c"), stage_named("d", "b", "c")]
    assert (
        downstream(stages, "a") == ["b", "d"]
        and downstream(stages, "c") == ["d"]
        and downstream(stages, "d") == []
    )
    assert (
        upstream(stages[3]) == ["b", "c"]
        and upstream(toy.Label()) == ["share"]
        and upstream(toy.Count()) == []
    )


def test_circles_are_refused_and_named():
    with pytest.raises(ValueError, match=r"circle: .*(a -> b|b -> a)"):
        ordered([stage_named("a", "b"), stage_named("b", "a")])
    with pytest.raises(ValueError, match=r"circle: a -> a"):
        ordered([stage_named("a", "a")])


def test_needs_that_nobody_makes_are_refused():
    with pytest.raises(ValueError, match=r"share needs 'count\.number' for `number`.*label\.text"):
        ordered([toy.Share(), toy.Label()])
    with pytest.raises(ValueError, match=r"b needs 'a\.out'.*no stage makes"):
        ordered([stage_named("c"), stage_named("b", "a")])
    with pytest.raises(ValueError, match="share a name"):
        ordered([toy.Count(), toy.Count()])


# ---------------------------------------------------------------------------------------------- running


def test_a_second_run_computes_nothing(tmp_path):
    assert run_all(toy.subject(tmp_path)) == [False] * 3 and toy.calls == ["count", "share", "label"]
    assert run_all(toy.subject(tmp_path)) == [True] * 3 and len(toy.calls) == 3


def test_a_fresh_stage_asks_for_no_device(tmp_path):
    run_all(toy.subject(tmp_path))
    subject = toy.subject(tmp_path)

    def no_device(stage):
        raise AssertionError("asked for a device")

    assert all(run_stage(stage, subject, no_device).fresh for stage in chain())


def test_forced_stages_run_again_and_publish_again(tmp_path):
    subject = toy.subject(tmp_path)
    first = run_stage(toy.Count(), subject, CPU).record
    again = run_stage(toy.Count(), subject, CPU, force=True)
    assert not again.fresh and toy.calls == ["count", "count"]
    assert again.record.key == first.key and again.record.digest("number") == first.digest("number")
    assert again.record.faults(content=True) == []


def test_what_a_stage_hands_on_was_read_from_disk(tmp_path):
    subject = toy.subject(tmp_path)
    record = run_stage(toy.Count(), subject, CPU).record
    assert subject.load("count.number") == {
        "n": 10,
        "pair": [1, 2],
    }  # a tuple went in; Share asserts the same
    record.file("number").write_text(json.dumps({"n": 990, "pair": [1, 2]}))
    with pytest.raises(DamagedRun, match=r"number\.json"):  # and its bytes are compared with their digest
        run_stage(toy.Share(), subject, CPU)


def test_the_manifest_tells_how_it_was_made(tmp_path):
    manifest = run_stage(toy.Count(), toy.subject(tmp_path), toy.on("cuda:1")).record.manifest
    assert manifest["device"] == "cuda:1" and manifest["subject"] == "toy" and manifest["seconds"] >= 0
    assert manifest["packages"]["torch"] and manifest["config"] == {"offset": 0, "pause": 0.0}
    assert set(manifest["inputs"]) == {"photo.image"} and len(manifest["source"]) == 64


def test_the_same_bytes_stop_the_cascade(tmp_path):
    run_all(toy.subject(tmp_path, b"x" * 10))
    assert run_all(toy.subject(tmp_path, b"x" * 19)) == [False, False, True], "both counts have the share 1"
    assert run_all(toy.subject(tmp_path, b"x" * 20)) == [False] * 3
    assert run_all(toy.subject(tmp_path, b"x" * 19)) == [True] * 3, "nothing that was made is forgotten"


def test_two_subjects_with_the_same_photo_share_their_runs(tmp_path):
    first = toy.subject(tmp_path)
    run_all(first)
    (tmp_path / "twin.png").write_bytes(first.photo.image.read_bytes())
    twin = Subject.open(Photo.at(tmp_path / "twin.png"), first.store, toy.WEIGHTS.__getitem__)
    assert run_all(twin) == [True] * 3
    assert sorted(p.name for p in (tmp_path / "work/subjects/twin").iterdir()) == [
        "01_count",
        "02_share",
        "03_label",
    ]


def test_a_failing_stage_publishes_nothing_and_frees_its_lock(tmp_path):
    for _ in range(2):
        with pytest.raises(StageError, match="the photo is bad"):
            run_stage(toy.Count(), toy.subject(tmp_path, b"bad"), CPU)
    assert (
        list((tmp_path / "work/cache").glob("*/*/")) == [] and list((tmp_path / "work/tmp").iterdir()) == []
    )


def test_a_damaged_run_is_made_again(tmp_path, caplog):
    record = run_stage(toy.Count(), toy.subject(tmp_path), CPU).record
    record.file("film").unlink()
    with caplog.at_level(logging.WARNING):
        assert not run_stage(toy.Count(), toy.subject(tmp_path), CPU).fresh
    assert "film.mp4 is missing" in caplog.text


def test_a_sidecar_is_an_input_like_any_other(tmp_path):
    run_all(toy.subject(tmp_path))
    (tmp_path / "toy.mask.png").write_bytes(b"mask")
    subject = toy.subject(tmp_path)
    assert run_all(subject) == [True, True, False] and subject.load("label.text")["masked"] is True
    (tmp_path / "toy.mask.png").unlink()
    assert run_all(toy.subject(tmp_path)) == [True] * 3


def test_a_photo_that_changes_without_changing_its_size_or_time_is_seen(tmp_path):
    first = toy.subject(tmp_path, b"aaaa")
    times = first.photo.image.stat()
    before = first.sources["image"]
    first.photo.image.write_bytes(b"bbbb")
    os.utime(first.photo.image, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert first.photo.digests(first.store.memo)["image"] != before


# ---------------------------------------------------------------------------------------------- why


def settled(tmp_path, stages=None, **options) -> tuple[list[Status], Subject]:
    """Statuses of `stages` for the subject as it is now."""
    subject = toy.subject(tmp_path, **options)
    return statuses(stages or chain(), subject, {}), subject


def test_fresh_and_missing(tmp_path):
    assert [str(s) for s in settled(tmp_path)[0]] == ["MISSING"] * 3
    run_all(toy.subject(tmp_path))
    assert [str(s) for s in settled(tmp_path)[0]] == ["FRESH"] * 3
    assert toy.calls == ["count", "share", "label"], "asking runs nothing"


def test_changed_settings(tmp_path):
    run_all(toy.subject(tmp_path))
    found, _ = settled(tmp_path, chain(count=toy.CountConfig(offset=5)))
    assert [str(s) for s in found] == ["STALE(CONFIG)", "STALE(INPUT)", "STALE(INPUT)"]
    assert [str(cause) for cause in found[0].causes] == ["CONFIG offset: 0 -> 5"]


def test_changed_version(tmp_path, monkeypatch):
    run_all(toy.subject(tmp_path))
    monkeypatch.setattr(toy.Share, "version", 2)
    found, _ = settled(tmp_path)
    assert [str(s) for s in found] == ["FRESH", "STALE(VERSION)", "STALE(INPUT)"]
    assert str(found[1].causes[0]) == "VERSION version: 1 -> 2"


def test_changed_weights(tmp_path):
    run_all(toy.subject(tmp_path))
    found, _ = settled(tmp_path, weights={"letters": "c" * 64})
    assert [str(s) for s in found] == ["FRESH", "FRESH", "STALE(WEIGHTS)"]
    assert str(found[2].causes[0]) == "WEIGHTS letters: aaaaaaaaaaaa -> cccccccccccc"


def test_changed_photo(tmp_path):
    run_all(toy.subject(tmp_path, b"x" * 10))
    found, subject = settled(tmp_path, content=b"x" * 11)
    assert [str(s) for s in found] == ["STALE(INPUT)"] * 3
    cause = found[0].causes[0]
    assert (cause.kind, cause.what, cause.new) == (
        "INPUT",
        "photo.image",
        subject.sources["image"],
    ) and cause.old != cause.new


def test_all_causes_are_told_the_nearest_first(tmp_path, monkeypatch):
    run_all(toy.subject(tmp_path, b"x" * 10))
    monkeypatch.setattr(toy.Count, "version", 3)
    found, _ = settled(tmp_path, chain(count=toy.CountConfig(offset=5)), content=b"x")
    assert str(found[0]) == "STALE(VERSION, CONFIG, INPUT)" and [cause.kind for cause in found[0].causes] == [
        "VERSION",
        "CONFIG",
        "INPUT",
    ]


def test_why_and_the_key_agree(tmp_path):
    """A stage is FRESH exactly when its key is that of the linked run."""
    run_all(toy.subject(tmp_path))
    for offset, divisor in itertools.product((0, 1), (10, 3)):
        subject = toy.subject(tmp_path)
        for stage in chain(count=toy.CountConfig(offset=offset), share=toy.ShareConfig(divisor=divisor))[:2]:
            linked = subject.store.linked("toy", stage.name)
            assert linked is not None
            subject.done[stage.name] = linked
            same = subject.recipe(stage).key == linked.key
            assert (why(stage, subject).state == "FRESH") == same


def test_failures_and_missing_stages_upstream(tmp_path):
    run_all(toy.subject(tmp_path))
    (tmp_path / "work/subjects/toy/01_count").unlink()
    found, _ = settled(tmp_path)
    assert [s.state for s in found][:2] == ["MISSING", "MISSING"] and found[1].note == "count is not done"
    failed = statuses(chain(), toy.subject(tmp_path), {"count": "the photo is bad"})
    assert failed[0].state == "FAILED" and failed[0].note == "the photo is bad"


def test_changed_code_under_the_same_version_is_noted_and_stays_fresh(tmp_path, monkeypatch):
    run_all(toy.subject(tmp_path))
    monkeypatch.setattr(graph, "source_digest", lambda stage: "d" * 64)
    found, _ = settled(tmp_path)
    assert all(s.state == "FRESH" and s.note == "code changed, version did not" for s in found)
