"""`override`: a person's file in the place of something computed: what it changes, what it says, how it is
taken back."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy
from PIL import Image

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects import given, overrides
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.store.digest import file_digest
from turnaround.pipeline.store.store import Store

ROOT = Path("work")


class Label(toy.Label):
    """The mask beside the photo may be given as the label's own text."""

    accepts = {"text": "mask"}


@pytest.fixture(autouse=True)
def _toys(monkeypatch, tmp_path):
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", toys)
    monkeypatch.chdir(tmp_path)
    for name in ("alice", "bob"):
        Path(f"{name}.png").write_bytes(name.encode() * 10)
    assert turn("run", "alice.png", "bob.png", "--direct") == 0
    toy.calls.clear()


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


def states(name: str, capsys) -> dict[str, str]:
    capsys.readouterr()
    assert turn("status", name, "--json") == 0
    return {
        stage: facts["state"] for stage, facts in json.loads(capsys.readouterr().out)[name]["stages"].items()
    }


def record(name: str, stage: str):
    found = Store(ROOT).linked(name, stage)
    assert found is not None
    return found


def edited(value: dict[str, Any]) -> Path:
    file = Path("edited.json")
    file.write_text(json.dumps(value))
    return file


def test_a_given_output_replaces_the_computed_one_and_what_follows_is_stale(capsys):
    before = record("alice", "count")
    assert turn("override", "alice/count/number.json", edited({"n": 70, "pair": [1, 2]})) == 0
    assert "STALE(INPUT): count, share, label" in capsys.readouterr().out
    assert states("alice", capsys) == {
        "count": "STALE(INPUT)",
        "share": "STALE(INPUT)",
        "label": "STALE(INPUT)",
    }
    assert set(states("bob", capsys).values()) == {"FRESH"}
    assert turn("rerun", "-s", "alice") == 0
    assert toy.calls == ["share", "label"], "what is given is not computed"
    after = record("alice", "count")
    assert after.load("number")["n"] == 70 and record("alice", "share").load("quotient") == {"q": 7}
    assert after.digest("film") == before.digest("film") and after.manifest["computed"] == before.key
    assert after.manifest["given"] == {"number": given.entries(ROOT, "alice")["count.number"]["sha256"]}
    assert Store(ROOT).find("count", before.key) is not None
    assert set(states("alice", capsys).values()) == {"FRESH"} and not after.faults(content=True)
    toy.calls.clear()
    assert turn("run", "alice.png", "bob.png", "--direct") == 0
    assert toy.calls == []


def test_removing_it_brings_the_computed_one_back_without_computing(capsys):
    turn("override", "alice/count/number.json", edited({"n": 70, "pair": [1, 2]}))
    turn("rerun", "-s", "alice")
    toy.calls.clear()
    assert turn("override", "alice/count/number.json", "--remove") == 0
    assert states("alice", capsys)["count"] == "STALE(INPUT)"
    turn("why", "alice/count")
    assert "given number" in capsys.readouterr().out
    assert turn("rerun", "-s", "alice") == 0
    assert toy.calls == [] and record("alice", "share").load("quotient") == {"q": 5}
    assert turn("override", "alice/count/number.json", "--remove") == 2
    assert "is not given; given is: nothing" in capsys.readouterr().err


def test_the_same_value_stops_the_cascade(capsys):
    number = record("alice", "count").load("number")
    turn("override", "alice/count/number.json", edited(number))
    assert turn("rerun", "-s", "alice") == 0
    assert toy.calls == [] and set(states("alice", capsys).values()) == {"FRESH"}


def test_computing_anew_keeps_what_is_given(capsys):
    turn("override", "alice/count/number.json", edited({"n": 70, "pair": [1, 2]}))
    assert turn("rerun", "count", "-s", "alice", "--set", "stages.count.offset=3") == 0
    assert toy.calls == ["count", "share", "label"]
    assert record("alice", "count").load("number")["n"] == 70
    Path("alice.png").write_bytes(b"another photo")
    assert turn("rerun", "-s", "alice") == 0
    assert (
        record("alice", "count").load("number")["n"] == 70
        and record("alice", "count").load("film") == b"another photo" * 1000
    )


def test_where_a_stage_takes_it_from_beside_the_photo_it_is_given_there(capsys):
    Image.new("L", (80, 80), 255).save("drawn.png")
    assert turn("override", "alice/03_label/text.json", "drawn.png") == 0
    assert states("alice", capsys) == {"count": "FRESH", "share": "FRESH", "label": "STALE(INPUT)"}
    turn("why", "alice/label")
    assert "INPUT photo.mask: none -> " in capsys.readouterr().out
    turn("rerun", "-s", "alice")
    assert record("alice", "label").load("text")["masked"] is True
    assert turn("override", "alice/photo/mask", "drawn.png") == 2
    assert "alice/label/text is given and goes before it" in capsys.readouterr().err


def test_a_mask_drawn_from_a_given_one_goes_before_it_and_is_taken_back_to_it(capsys):
    for name, value in (("first.png", 255), ("second.png", 200)):
        Image.new("L", (80, 80), value).save(name)
    turn("override", "alice/photo/mask", "first.png")
    turn("rerun", "-s", "alice")
    assert turn("override", "alice/label/text.json", "second.png") == 0
    turn("rerun", "-s", "alice")
    assert record("alice", "label").manifest["inputs"]["photo.mask"] == file_digest(Path("second.png"))
    assert turn("override", "alice/label/text.json", "--remove") == 0
    turn("rerun", "-s", "alice")
    assert record("alice", "label").manifest["inputs"]["photo.mask"] == file_digest(Path("first.png"))
    assert turn("override", "alice/photo/mask", "--remove") == 0


def test_the_resume_command_of_a_rerun_is_a_rerun(capsys):
    Path("alice.png").write_bytes(b"bad")
    capsys.readouterr()
    assert turn("rerun", "-s", "alice") == 1
    resume = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("Resume with: "))
    assert resume == "Resume with: turnaround rerun -s alice --work work"
    Path("alice.png").write_bytes(b"good again")
    assert turn(*resume.split()[3:]) == 0


def test_files_beside_the_photo_are_given_in_the_work_folder_and_win(capsys):
    Image.new("L", (80, 80), 255).save("drawn.png")
    Path("alice.mask.png").write_bytes(b"the one beside")
    turn("rerun", "-s", "alice")
    assert turn("override", "alice/photo/mask", "drawn.png") == 0
    assert states("alice", capsys)["label"] == "STALE(INPUT)"
    turn("rerun", "-s", "alice")
    assert record("alice", "label").manifest["inputs"]["photo.mask"] == file_digest(Path("drawn.png"))
    assert Path("alice.mask.png").read_bytes() == b"the one beside"


def test_where_it_came_from_is_kept_and_shown(capsys):
    file = edited({"n": 70, "pair": [1, 2]})
    original = record("alice", "count").digest("number")
    turn("override", "alice/count/number.json", file)
    entry = given.entries(ROOT, "alice")["count.number"]
    assert (
        entry["origin"] == str(file.absolute())
        and entry["origin_sha256"] == file_digest(file)
        and entry["replaces"] == original
    )
    file.unlink()
    turn("rerun", "-s", "alice")
    capsys.readouterr()
    for words in (
        "override alice",
        "status alice --long",
        "why alice/count",
        "inspect alice",
        "inspect alice/count --json",
    ):
        assert turn(*words.split()) == 0
        said = capsys.readouterr().out
        assert "given" in said and str(file.absolute()) in said, words


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["alice/count/film.mp4", "edited.json"], "no later stage reads it); these can: alice/photo/mask"),
        (["alice/count/nothing.json", "edited.json"], "these can: alice/photo/mask, alice/count/number.json"),
        (["alice/count", "edited.json"], "expected SUBJECT/STAGE/OUTPUT"),
        (["alice", "edited.json"], "expected SUBJECT/STAGE/OUTPUT"),
        (["alice/count/number.json"], "give a FILE, or --remove"),
        (["alice/count/number.json", "nosuch.json"], "nosuch.json does not exist"),
        (["alice/count/number.json", "alice.png"], "cannot be read as count/number.json (Trace)"),
        (["alice/photo/mask", "edited.json"], "not a picture that can be read"),
        (["dora/count/number.json", "edited.json"], "knows no subject 'dora'"),
        (["../alice/count/number.json", "edited.json"], "name of a subject"),
    ],
)
def test_what_cannot_be_given_is_told_with_what_can(words, message, capsys):
    edited({"n": 70, "pair": [1, 2]})
    assert turn("override", *words) == 2
    assert message in capsys.readouterr().err
    assert not (ROOT / "subjects/alice/given").exists()


def test_a_back_view_that_the_run_would_refuse_is_refused(tmp_path):
    for size, good in (((96, 96), True), ((80, 96), False)):
        file = tmp_path / f"{size[0]}.png"
        Image.new("RGB", size).save(file)
        if good:
            overrides._check_picture("photo.back", file.read_bytes(), file)
            continue
        with pytest.raises(ValueError, match=r"80\.png has 80 x 96 pixels: a back view is a square picture"):
            overrides._check_picture("photo.back", file.read_bytes(), file)
        overrides._check_picture("photo.mask", file.read_bytes(), file)


def test_what_was_given_is_never_forgotten_silently(capsys):
    turn("override", "alice/count/number.json", edited({"n": 70, "pair": [1, 2]}))
    (ROOT / "subjects/alice/given/given.json").write_text("{broken")
    assert turn("run", "alice.png", "--direct") == 2
    assert "given.json cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name", ["../../../victim", "/etc/hostname", "..", "", "given.json", "C:\\x", "link.png"]
)
def test_a_stranger_s_work_folder_leads_nowhere_else(name, capsys):
    """given.json may come with a work folder: neither is another file read, nor deleted."""
    Path("victim").write_text("precious")
    turn("override", "alice/count/number.json", edited({"n": 70, "pair": [1, 2]}))
    (ROOT / "subjects/alice/given/link.png").symlink_to(Path("victim").absolute())
    file = ROOT / "subjects/alice/given/given.json"
    values = json.loads(file.read_text())
    values["count.number"]["file"] = name
    file.write_text(json.dumps(values))
    for words in (
        ["override", "alice/count/number.json", "--remove"],
        ["run", "alice.png", "--direct"],
        ["status"],
    ):
        assert turn(*words) == 2
        assert "is not a file of this folder" in capsys.readouterr().err
    assert Path("victim").read_text() == "precious"


# ---------------------------------------------------------------------------------------------- the real
# stages


def test_what_of_the_real_stages_can_be_given():
    from turnaround import stages

    project = Project()
    found = overrides.choices(project.build(project.settings("tiny", [])))
    assert found["back_view.refined"] == "photo.back" and found["prepare.mask"] == "photo.mask"
    kept = {name for name, takes in found.items() if name == takes}
    assert {
        "estimate.body",
        "refine.body",
        "fuse.gaussians",
        "refine.normals_front",
        "mesh.mesh",
        "photo.body",
    } <= kept
    assert "mesh.previews" not in found and len(stages.classes()) == len(stages.NAMES)


def test_a_mask_edited_in_the_square_is_put_back_into_the_photo():
    """What comes out again, cut from the photo by the mask beside it, is the mask that was drawn."""
    import torch

    from turnaround.pipeline.photos.photo import decode_mask, encode_mask
    from turnaround.stages.prepare import Prepare, PrepareConfig

    generator = np.random.default_rng(0)
    photo = np.full((300, 400), 0.0, np.float32)
    photo[60:260, 150:240] = 1
    picture = _png(generator.uniform(size=(300, 400, 3)))
    stage = Prepare(PrepareConfig(size=128))
    square = stage.run(device=torch.device("cpu"), image=picture, mask=encode_mask(photo)).mask.numpy()
    drawn = square.copy()
    rows, columns = np.nonzero(square > 0.5)
    shoulder = rows.min() + (rows.max() - rows.min()) // 5
    drawn[shoulder : shoulder + 24, columns.min() - 12 : columns.min()] = 1  # an arm that the network missed
    given_mask = stage.beside(
        "mask", encode_mask(drawn), device=torch.device("cpu"), image=picture, mask=encode_mask(photo)
    )
    whole = decode_mask(given_mask, "it", None)
    assert whole.shape == (300, 400) and whole.sum() > 1.03 * photo.sum()
    again = stage.run(device=torch.device("cpu"), image=picture, mask=given_mask).mask.numpy()
    back = stage.beside(
        "mask", encode_mask(again), device=torch.device("cpu"), image=picture, mask=given_mask
    )
    assert abs(decode_mask(back, "it", None) - whole).mean() < 0.005, (
        "the arm moves the square, which lies elsewhere in the photo"
    )
    untouched = stage.beside(
        "mask", encode_mask(square), device=torch.device("cpu"), image=picture, mask=encode_mask(photo)
    )
    assert abs(decode_mask(untouched, "it", None) - photo).mean() < 0.005
    assert stage.beside(
        "mask", encode_mask(photo), device=torch.device("cpu"), image=picture, mask=encode_mask(photo)
    ) == encode_mask(photo)


def _png(pixels: np.ndarray) -> bytes:
    import io

    stream = io.BytesIO()
    Image.fromarray((pixels * 255).astype(np.uint8)).save(stream, "png")
    return stream.getvalue()
