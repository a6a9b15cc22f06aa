"""The fit of a subject: what stages keep of it, and how it is put together."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from turnaround.flows.subjects.fits import fit_of
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store
from turnaround.pipeline.values.fit import EXPLAINS, Cause, Fit, causes_of_json, causes_to_json

VALUES = [{"poor_fit": "no list"}, {"causes": [1, {"code": 3}]}, {"causes": "x"}, [], {}]
POOR = Cause("joints", "joints are 9.0 px off", "use another photo", 9.0)
TOUCH = Cause("touching", "somebody touches", "use --people all", 0.2, poor=False)
FOOT = Cause("parts_outside", "a foot is missing", "step back", poor=False)


def kept(store: Store, stage: str, output: str, value: Any) -> None:
    recipe = Recipe(stage, 1, {"value": repr(value)}, {}, {})
    store.link("ann", 1, store.save(recipe, {output: "Trace"}, {output: value}, {"seconds": 0.0}))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.prepare()
    return made


def test_causes_of_all_stages_come_in_the_order_of_the_stages(store):
    assert fit_of(store, "ann") is None
    kept(store, "prepare", "doubts", {"causes": causes_to_json([TOUCH, FOOT])})
    assert fit_of(store, "ann") is None, "nothing is known of the body yet"
    kept(store, "refine", "trace", {"causes": [], "poor_fit": []})
    assert fit_of(store, "ann") == Fit((), (TOUCH, FOOT))
    kept(store, "refine", "trace", {"causes": causes_to_json([POOR]), "poor_fit": [POOR.sentence]})
    found = fit_of(store, "ann")
    assert found is not None and found.state == "poor"
    assert found.causes == (TOUCH, POOR) and found.notes == (FOOT,), "who touches explains the poor fit"


def test_a_poor_photo_is_told_before_its_body_is_there(store):
    kept(store, "prepare", "doubts", {"causes": causes_to_json([Cause("waist", "cut off", "another")])})
    found = fit_of(store, "ann")
    assert found is not None and found.state == "poor"


@pytest.mark.parametrize(
    "value", [{"poor_fit": "no list"}, {"causes": [1, {"code": 3}]}, {"causes": "x"}, [], {}]
)
def test_what_is_no_cause_is_left_out(store, value):
    kept(store, "refine", "trace", value)
    assert fit_of(store, "ann") == Fit()


def test_sentences_of_earlier_versions_are_causes_with_a_remedy(store):
    kept(store, "refine", "trace", {"poor_fit": ["an arm is wrong"]})
    found = fit_of(store, "ann")
    assert found is not None and [cause.sentence for cause in found.causes] == ["an arm is wrong"]
    assert found.causes[0].remedy


def test_damage_is_told_and_not_raised(store, caplog):
    kept(store, "refine", "trace", {"causes": []})
    record = store.linked("ann", "refine")
    assert record is not None
    text = record.file("trace").read_text()
    record.file("trace").write_text("[" * len(text))
    assert fit_of(store, "ann") == Fit() and "tells nothing of the fit" in caplog.text


def test_sorting_keeps_order_drops_seconds_and_loses_nothing():
    rng = random.Random(0)
    names = [*EXPLAINS, "waist", "joints", "behind"]
    for _ in range(200):
        found = [
            Cause(rng.choice(names), f"{k}", "r", poor=rng.random() < 0.3) for k in range(rng.randrange(6))
        ]
        fit = Fit.of(found)
        first = {cause.code: cause for cause in reversed(found)}
        assert set(fit.causes) | set(fit.notes) == set(first.values())
        assert not set(fit.causes) & set(fit.notes) and not any(note.poor for note in fit.notes)
        assert fit.state == ("poor" if any(cause.poor for cause in first.values()) else "good")
        for part in (fit.causes, fit.notes):
            assert [int(c.sentence) for c in part] == sorted(int(c.sentence) for c in part)
        assert causes_of_json(causes_to_json(found)) == tuple(found)
