"""Settings within settings, unions by kind, and settings that moved."""

from __future__ import annotations

from dataclasses import replace

import pytest

from turnaround import stages
from turnaround.flows.subjects.memory import merge_overrides
from turnaround.models.back_view.settings import EmbeddedDiffusionSettings, HubDiffusionSettings, NoDiffusion
from turnaround.models.matting.config import EmbeddedMatting, HubModel
from turnaround.models.refinement.config import PAPER, RefinementConfig
from turnaround.pipeline.frozen import KIND, fields, kinds_of, members
from turnaround.pipeline.settings import ConfigError, load_settings, merged, moved_keys, renewed, valid_keys
from turnaround.pipeline.store.recipe import Recipe, causes
from turnaround.stages.refine import Refine

REFINER, MATTING = "stages.back_view.refiner", "stages.prepare.matting"


def refiner(*overrides: str, preset: str = "default"):
    return load_settings(preset, stages.classes(), overrides).stages["back_view"].refiner  # type: ignore[attr-defined]


def models(model):
    """A model and all inside of it."""
    yield model
    for inside in fields((model,)).values():
        for each in inside:
            yield from models(each)


def test_every_setting_inside_of_settings_has_a_description_too():
    for stage in stages.classes():
        for model in models(stage.Config):
            assert all(field.description for field in model.model_fields.values()), model.__name__
            assert model.model_config["frozen"] and model.model_config["extra"] == "forbid"


def test_kind_is_the_word_of_unions_and_of_nothing_else():
    for stage in stages.classes():
        for model in models(stage.Config):
            for field in model.model_fields.values():
                inside = members(field.annotation)
                words = [kind for each in inside for kind in kinds_of(each)]
                assert len(words) == len(set(words))
                assert all(kinds_of(each) for each in inside) or (len(inside) == 1 and not words)
            assert not kinds_of(model) or model is not stage.Config


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ((), EmbeddedDiffusionSettings()),
        ((f"{REFINER}=none",), NoDiffusion()),
        ((f"{REFINER}={{kind: none}}",), NoDiffusion()),
        ((f"{REFINER}.kind=none",), NoDiffusion()),
        ((f"{REFINER}=hub",), HubDiffusionSettings()),
        ((f"{REFINER}=hub", f"{REFINER}.base=mine"), HubDiffusionSettings(base="mine")),
        ((f"{REFINER}.steps=3",), EmbeddedDiffusionSettings(steps=3)),
        ((f"{REFINER}.steps=3", f"{REFINER}=embedded"), EmbeddedDiffusionSettings(kind="embedded")),
        ((f"{REFINER}=embedded", f"{REFINER}.steps=3", f"{REFINER}=embedded"),
         EmbeddedDiffusionSettings(kind="embedded", steps=3)),
        ((f"{REFINER}=hub", f"{REFINER}.base=mine", f"{REFINER}=none"), NoDiffusion()),
    ],
)  # fmt: skip
def test_a_word_is_short_for_a_kind_and_another_kind_begins_anew(overrides, expected):
    assert refiner(*overrides) == expected


def test_a_kind_of_a_preset_keeps_its_settings_until_another_is_chosen():
    paper = refiner(preset="paper")
    assert paper.kind == "hub" and paper.steps == 100 and not paper.keep_detail
    assert refiner(f"{REFINER}=hub", preset="paper") == paper
    assert refiner(f"{REFINER}.steps=7", preset="paper") == paper.but(steps=7)
    assert refiner(f"{REFINER}=auto", preset="paper") == EmbeddedDiffusionSettings()


def test_the_usual_strengths_are_each_kind_s_own():
    ours, hub = EmbeddedDiffusionSettings(), HubDiffusionSettings()
    assert (ours.strength, ours.noise, ours.amount) == (0.1, 0.25, 0.5)
    assert (hub.strength, hub.noise, hub.amount) == (0.2, 1.0, 1.0)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (f"{REFINER}.base=x", r"refiner\.base is a setting of hub: choose stages\.back_view\.refiner=hub"),
        (f"{REFINER}=other", r"back_view\.refiner: expected 'auto', 'embedded', 'hub', 'none', got 'other'"),
        (f"{REFINER}.strength=-1", r"back_view\.refiner\.strength: .*greater than or equal to 0, got -1"),
        (f"{REFINER}.stepz=1", r"did you mean 'stages\.back_view\.refiner\.steps'"),
        (f"{MATTING}=hub", r"prepare\.matting\.model is needed: folder or hub id"),
        (f"{MATTING}={{kind: hub, model: ''}}", r"prepare\.matting\.model: .*at least 1 character"),
        (
            "stages.refine.iterations=3",
            r"'stages\.refine\.iterations' is now 'stages\.refine\.fit\.iterations'",
        ),
        ("stages.prepare.hub_model=x", r"is now 'stages\.prepare\.matting\.model'"),
    ],
)
def test_what_does_not_fit_names_the_setting_and_the_remedy(override, message):
    with pytest.raises(ConfigError, match=message):
        load_settings("default", stages.classes(), [override])


def test_what_moved_is_there_no_more_and_its_new_name_is():
    valid = set(valid_keys({"stages": {stage.name: stage.Config for stage in stages.classes()}}))
    moved = moved_keys(stages.classes())
    assert moved and not moved.keys() & valid and set(moved.values()) <= valid


def test_remembered_overrides_are_read_by_their_new_names():
    old = (
        "stages.prepare.hub_model=m",
        "stages.prepare.matting=hub",
        "stages.refine.side_views=true",
        "body=b",
    )
    found = load_settings("default", stages.classes(), renewed(old, stages.classes())).stages
    assert found["prepare"].matting == HubModel(model="m")  # type: ignore[attr-defined]
    assert found["refine"].fit == RefinementConfig(side_weight=1)  # type: ignore[attr-defined]
    again = renewed(old, stages.classes())
    assert renewed(again, stages.classes()) == again


def test_a_later_word_ends_what_was_set_inside():
    old = (f"{REFINER}=hub", f"{REFINER}.base=mine", "body=b")
    assert merge_overrides(old, (f"{REFINER}=none",)) == (f"{REFINER}=none", "body=b")
    assert merge_overrides(old, (f"{REFINER}=hub",)) == old


def test_merging_the_same_twice_changes_nothing_and_neither_does_nothing():
    values = [{"a": {KIND: "x", "one": 1}}, {"a": "y"}, {"a": {KIND: "x", "two": 2}}, {"a": {"three": 3}}]
    for first in values:
        assert merged(first, {}) == first == merged({}, first)
        for second in values:
            once = merged(first, second)
            assert merged(once, second) == once


def test_the_paper_s_fit_is_its_preset_s():
    fit = load_settings("paper", stages.classes()).stages["refine"].fit  # type: ignore[attr-defined]
    assert fit == PAPER.but(size=512, joint_weight=1.0)
    assert load_settings("default", stages.classes()).stages["prepare"].matting == EmbeddedMatting()  # type: ignore[attr-defined]


def test_a_run_of_an_older_version_is_stale_by_its_version_alone():
    new = Recipe.of(Refine(), {}, lambda name: name)
    old = replace(new, version=6, config={"iterations": 45, "side_views": False, "body": "body"})
    assert [str(cause) for cause in causes(old, new)] == [f"VERSION version: 6 -> {Refine.version}"]
    other = replace(old, config={**old.config, "body": "mine"})
    assert [cause.what for cause in causes(other, new)] == ["version", "body"]
