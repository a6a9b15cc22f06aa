"""Models of folders and of the hub: what they hold enters the key, a hub id by the commit that is used."""

from __future__ import annotations

from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub import constants

from turnaround.models import hub_source, zoo
from turnaround.models.back_view.diffusion.hub import _pretrained
from turnaround.models.back_view.settings import HubDiffusionSettings
from turnaround.models.location.config import NoLandmarks
from turnaround.models.matting.config import HubModel
from turnaround.models.matting.hub import HubMatting
from turnaround.pipeline.store.recipe import Recipe
from turnaround.stages.back_view import BackView, BackViewConfig
from turnaround.stages.prepare import Prepare, PrepareConfig

OLD, NEW = "a" * 40, "b" * 40


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An empty cache and a hub whose models have one commit; `asked` counts."""
    found = SimpleNamespace(cache=tmp_path / "hub", commit=OLD, asked=0)

    def model_info(self, name, **_):
        found.asked += 1
        if name != "owner/name":
            raise OSError("404: no such repository")
        return SimpleNamespace(sha=found.commit)

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(found.cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", model_info)
    hub_source._commit.cache_clear()
    yield found
    hub_source._commit.cache_clear()


def matting(source: str, **settings) -> Prepare:
    return Prepare(PrepareConfig(matting=HubModel(model=source, **settings), landmarks=NoLandmarks()))


def back_view(source: str) -> BackView:
    return BackView(
        BackViewConfig(refiner=HubDiffusionSettings(base=source, controlnet=source), exemplar=False)
    )


def key(stage) -> str:
    return Recipe.of(stage, {}, zoo.digest).key


@pytest.mark.parametrize("stage", [matting, back_view])
def test_a_folder_s_content_is_in_the_key(stage, tmp_path, monkeypatch):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"1")
    before = key(stage(str(folder)))
    assert key(stage(str(folder))) == before
    monkeypatch.setenv("HOME", str(tmp_path))
    assert zoo.digest(stage("~/model").weights()[0]) == zoo.digest(folder)
    (folder / "weights.bin").write_bytes(b"22")
    assert key(stage(str(folder))) != before


@pytest.mark.parametrize("stage", [matting, back_view])
def test_a_hub_model_s_commit_is_in_the_key_and_stays(stage, hub):
    before = key(stage("owner/name"))
    hub.commit = NEW
    hub_source._commit.cache_clear()  # as in the next command
    assert key(stage("owner/name")) == before and hub.asked == 1, "the cache remembers which one is used"
    (hub.cache / "models--owner--name" / "refs" / "main").write_text(NEW)
    hub_source._commit.cache_clear()
    assert key(stage("owner/name")) != before


def test_what_the_key_names_is_what_is_loaded(hub):
    """The commit goes to `from_pretrained`, of networks and of preprocessors."""
    seen = []

    class Kind:
        @classmethod
        def from_pretrained(cls, place, **options):
            seen.append((place, options.get("revision")))
            raise OSError("enough")

    with pytest.raises(FileNotFoundError, match=r"stages\.x\.base='owner/name'"):
        _pretrained(Kind, "owner/name", "stages.x.base")
    assert seen == [("owner/name", OLD)]


@pytest.mark.parametrize("offline", [True, False])
def test_the_hub_is_not_asked_where_it_may_not_be(offline, hub, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    with pytest.raises(zoo.MissingWeight, match=r"'owner/name' is not in the cache .*models--owner--name"):
        key(matting("owner/name", local_files_only=not offline))
    assert hub.asked == 0
    with pytest.raises(zoo.MissingWeight, match="matting=embedded"):
        HubMatting.read("owner/name", (), not offline)
    assert hub.asked == 0


@pytest.mark.parametrize(("source", "words"), [
    ("owner/other", "neither a folder nor to be had from the hub: 404"),
    ("/no/such/folder", "neither a folder nor a hub id.*save_pretrained"),
    ("../up", "neither a folder nor a hub id"),
    ("a/b/c", "neither a folder nor a hub id"),
])  # fmt: skip
def test_what_is_not_there_is_named(source, words, hub):
    with pytest.raises(zoo.MissingWeight, match=words):
        zoo.digest(matting(source).weights()[0])
