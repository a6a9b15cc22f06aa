"""Settings: presets, files that extend each other, `--set` with types, and errors that name the nearest
setting."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import pytest
import toy
import yaml
from pydantic import Field, ValidationError

from turnaround import stages
from turnaround.pipeline import settings as config
from turnaround.pipeline.settings import ConfigError, load_settings, read_config
from turnaround.pipeline.stage import Stage, StageConfig, Trace

STAGES = (toy.Count, toy.Share, toy.Label)


class Camera(StageConfig):
    focal: float = Field(0.8, gt=0, description="focal length over width")


class AllConfig(StageConfig):
    seed: int = Field(0, description="an integer")
    rate: float = Field(0.1, description="a fraction")
    person: str = Field("auto", description="a word or a number")
    sides: tuple[int, ...] = Field((), description="a list")
    mode: Literal["fast", "good"] = Field("fast", description="a choice")
    flip: bool = Field(False, description="a switch")
    file: str | None = Field(None, description="a file or nothing")
    body: str = Field("body", description="the body model")
    camera: Camera = Field(default_factory=Camera, description="settings within settings")
    extra: dict[str, float] = Field(default_factory=dict, description="free names")


class All(Stage[AllConfig]):
    name, version = "all", 1
    Config = AllConfig

    class Outputs(NamedTuple):
        out: Trace

    def run(self, *, device: Any) -> Outputs:
        return self.Outputs({})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of presets with an empty `default`."""
    (tmp_path / "default.yaml").write_text("# nothing differs\n")
    monkeypatch.setattr(config, "FOLDER", tmp_path)
    return tmp_path


def with_set(*overrides: str) -> AllConfig:
    return load_settings("default", [All], overrides).stages["all"]  # type: ignore[return-value]


@pytest.mark.parametrize(
    "preset", sorted(file.stem for file in config.FOLDER.glob("*.yaml") if not file.stem.startswith("train_"))
)
def test_the_presets_fit_the_stages(preset):
    settings = load_settings(preset, stages.classes())
    assert settings.name == preset and set(settings.stages) == set(stages.NAMES)
    assert [stage.name for stage in settings.build(stages.classes())] == list(stages.NAMES)
    again = load_settings(preset, stages.classes(), [f"body={settings.body}"])
    assert again.dump() == settings.dump() == yaml.safe_load(yaml.safe_dump(settings.dump()))


def test_default_is_a_preset_and_every_setting_has_a_description():
    assert (config.FOLDER / "default.yaml").is_file()
    for stage in stages.classes():
        assert all(field.description for field in stage.Config.model_fields.values()), stage.name


@pytest.mark.parametrize(
    "override, field, value",
    [
        ("stages.all.seed=7", "seed", 7),
        ("stages.all.rate=1e-3", "rate", 1e-3),
        ("stages.all.rate=2", "rate", 2.0),
        ("stages.all.person=left", "person", "left"),
        ("stages.all.person=0", "person", "0"),
        ("stages.all.person=", "person", ""),
        ("stages.all.sides=[0, 90]", "sides", (0, 90)),
        ("stages.all.mode=good", "mode", "good"),
        ("stages.all.flip=true", "flip", True),
        ("stages.all.file=/a/b=c.npz", "file", "/a/b=c.npz"),
        ("stages.all.file=null", "file", None),
        ("stages.all.camera.focal=1.5", "camera", Camera(focal=1.5)),
        ("stages.all.extra.any=2", "extra", {"any": 2.0}),
        ("body=/my/SMPLX.npz", "body", "/my/SMPLX.npz"),
        (" stages.all.seed=7", "seed", 7),
    ],
)
def test_set_is_typed(folder, override, field, value):
    found = getattr(with_set(override), field)
    assert found == value and type(found) is type(value)


def test_the_last_set_wins_and_the_rest_stays(folder):
    found = with_set("stages.all.seed=1", "stages.all.seed=2")
    assert found == AllConfig(seed=2)


@pytest.mark.parametrize(
    "override, message",
    [
        ("stages.all.sed=7", r"unknown setting 'stages\.all\.sed': did you mean 'stages\.all\.seed'\?"),
        ("stages.al.seed=7", r"unknown setting 'stages\.al.*': did you mean 'stages\.all"),
        ("seed=7", r"unknown setting 'seed': did you mean 'stages\.all\.seed'\?"),
        ("stages.all.camera.focus=1", r"did you mean 'stages\.all\.camera\.focal'\?"),
        ("zzz=1", r"unknown setting 'zzz'; `turnaround config` lists all"),
        ("stages.all.seed=many", r"stages\.all\.seed: Input should be a valid integer.*got 'many'"),
        ("stages.all.seed=1.5", r"stages\.all\.seed: .*integer.*got 1\.5"),
        ("stages.all.mode=slow", r"stages\.all\.mode: Input should be 'fast' or 'good', got 'slow'"),
        ("stages.all.camera.focal=-1", r"stages\.all\.camera\.focal: .*greater than 0, got -1"),
        ("stages.all.sides=[1", r"'\[1' is not a yaml value"),
        ("stages.all.seed", "expected key=value"),
        ("=7", "expected key=value"),
        ("stages=5", "stages: expected names of stages"),
        ("stages.all=5", r"stages\.all: expected settings, got 5"),
        ("body=5", "body: expected"),
        ("body.x=5", "body: expected"),
    ],
)
def test_wrong_sets_are_refused_with_the_nearest_name(folder, override, message):
    with pytest.raises(ConfigError, match=message):
        with_set(override)


def test_files_extend_each_other(folder):
    (folder / "base.yaml").write_text("stages: {count: {offset: 1, pause: 0.5}, share: {divisor: 2}}")
    (folder / "middle.yaml").write_text("extends: base\nstages: {count: {offset: 2}}")
    (folder / "leaf.yaml").write_text("extends: middle\nstages: {label: {weights: runes}}")
    found = load_settings("leaf", STAGES, ["stages.share.divisor=3"])
    assert found.stages == {
        "count": toy.CountConfig(offset=2, pause=0.5),
        "share": toy.ShareConfig(divisor=3),
        "label": toy.LabelConfig(weights="runes"),
    }
    assert load_settings(folder / "leaf.yaml", STAGES).stages["share"] == toy.ShareConfig(divisor=2)
    assert read_config("base")["stages"]["count"]["offset"] == 1, "merging changed the file's own values"


def test_a_file_elsewhere_extends_a_preset(folder, tmp_path):
    (folder / "base.yaml").write_text("stages: {count: {offset: 4}}")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "my.yaml").write_text("extends: base\nbody: other")
    found = load_settings(mine / "my.yaml", [*STAGES, All])
    assert (
        found.name == "my"
        and found.stages["count"] == toy.CountConfig(offset=4)
        and found.stages["all"] == AllConfig(body="other")
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("extends: bad", "circle: bad -> bad"),
        ("extends: nothing", "no preset is called 'nothing'"),
        ("extends: [default]", "extends: expected"),
        ("- 1", "expected keys and values, got list"),
        ("a: [", "is not yaml"),
        ("stages: {count: {ofset: 1}}", "did you mean 'stages.count.offset'"),
        ("stages: 5", "expected names of stages"),
        ("stages: {count: 5}", "expected settings, got 5"),
        ("\0", "is not yaml"),
    ],
)
def test_wrong_files_are_refused(folder, text, message):
    (folder / "bad.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_settings("bad", STAGES)


def test_empty_entries_are_defaults(folder):
    (folder / "empty.yaml").write_text("stages:\n  count:\n")
    assert load_settings("empty", STAGES).dump() == load_settings("default", STAGES).dump()


def test_presets_and_files_that_do_not_exist(folder):
    with pytest.raises(
        ConfigError, match=r"no preset is called 'defualt': did you mean 'default'\?; there are default"
    ):
        load_settings("defualt", STAGES)
    with pytest.raises(ConfigError, match=r"mine\.yaml does not exist"):
        load_settings("mine.yaml", STAGES)


def test_settings_are_frozen_and_closed():
    settings = AllConfig()
    with pytest.raises(ValidationError, match="frozen"):
        settings.seed = 1  # type: ignore[misc]
    with pytest.raises(ValidationError, match="Extra inputs"):
        AllConfig(more=1)  # type: ignore[call-arg]
    assert hash(toy.CountConfig()) == hash(toy.CountConfig())


def test_building_gives_each_stage_its_settings(folder):
    count, share, _ = load_settings("default", STAGES, ["stages.count.offset=9"]).build(STAGES)
    assert count.config == toy.CountConfig(offset=9) and share.config == toy.ShareConfig()
