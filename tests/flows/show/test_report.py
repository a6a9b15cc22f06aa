"""Reports: what the pages hold, that nothing in them is markup of a stranger, differences in their units."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toy_pictures import SIZE, data_of, paint, painted, photo, project

from turnaround.flows.report import measures, page, pairs, write_comparison, write_work_page
from turnaround.flows.report.document import Document, relative_url
from turnaround.flows.report.rows import Cell, Row
from turnaround.flows.report.thumbs import SIDE, Thumbs, without_margin
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.store.manifest import Record
from turnaround.pipeline.store.store import Store
from turnaround.pipeline.values.types import Body, Gaussians


@pytest.fixture
def work(tmp_path) -> Path:
    return painted(tmp_path)


def test_the_page_holds_every_subject_and_stage(work):
    data = data_of(write_work_page(project(), work))
    assert [s["name"] for s in data["subjects"]] == ["ann", "bob", "cat"] and data["stages"] == [
        "paint",
        "print",
    ]
    ann, bob, cat = data["subjects"]
    assert {stage: cell["state"] for stage, cell in ann["cells"].items()} == {
        "paint": "FRESH",
        "print": "FRESH",
    }
    assert [cell["state"] for cell in cat["cells"].values()] == [
        "FAILED",
        "MISSING",
    ] and "window.hacked" in cat["cells"]["paint"]["note"]
    assert [file for file, _ in ann["cells"]["paint"]["pics"]] == [
        "after.png",
        "before.png",
        "film.mp4",
        *(f"views/{a}.png" for a in ("000", "090", "180")),
    ]
    assert ann["cells"]["paint"]["pair"] == [1, 0] and data["pool"][ann["cells"]["paint"]["config"]] == {
        "shade": 0.5
    }
    assert list(ann["cells"]["paint"]["curves"]) == ["front", "total"]  # sides is 0 throughout
    assert (
        ann["fit"]["iou"] == pytest.approx(0.7059, abs=1e-3)
        and not ann["fit"]["poor"]
        and len(bob["fit"]["poor"]) == 1
    )
    for subject in (ann, bob):  # the links lead to the artifacts
        for file, token in subject["cells"]["paint"]["pics"]:
            assert (
                work
                / "report"
                / data["bases"][0]
                / "cache"
                / "paint"
                / subject["cells"]["paint"]["key"]
                / file
            ).is_file()
            assert (work / "report" / "thumbs" / f"{token}.jpg").is_file() != (token in data["unseen"])


def test_states_follow_the_work_folder(work):
    photo(work.parent / "photos" / "bob.png", (90, 90, 90))
    (work.parent / "photos" / "ann.png").unlink()
    ann, bob, _ = data_of(write_work_page(project(), work))["subjects"]
    assert bob["cells"]["paint"]["state"] == "STALE" and bob["cells"]["paint"]["causes"][0].startswith(
        "INPUT photo.image"
    )
    assert (
        "cannot be read" in ann["error"]
        and ann["cells"]["paint"]["state"] == "UNKNOWN"
        and ann["photo"]["gone"]
    )


def test_what_a_person_gave_is_told(work, tmp_path):
    from turnaround.flows.subjects.overrides import override

    Image.new("RGB", (SIZE, SIZE), (1, 2, 3)).save(tmp_path / "mine.png")
    override(project(), work, "ann/paint/after", tmp_path / "mine.png")
    ann = data_of(write_work_page(project(), work))["subjects"][0]
    assert list(ann["given"]) == ["paint.after"] and "mine.png" in ann["given"]["paint.after"]
    assert {stage: cell["state"] for stage, cell in ann["cells"].items()} == {
        "paint": "STALE",
        "print": "STALE",
    }


def test_a_run_leaves_the_same_page(work):
    (page_,) = (work / "runs").glob("*/report.html")
    data = data_of(page_)
    assert data["kind"] == "run" and [c["state"] for s in data["subjects"] for c in s["cells"].values()] == [
        "MADE"
    ] * 4 + ["FAILED"]
    assert data["resume"].startswith("turnaround run") and data["bases"] == ["../.."]


def test_thumbnails_are_made_once_per_content(work):
    folder = work / "report" / "thumbs"
    before = {file.name: file.stat().st_mtime_ns for file in folder.iterdir()}
    write_work_page(project(), work)
    assert {file.name: file.stat().st_mtime_ns for file in folder.iterdir()} == before
    film = data_of(work / "report" / "index.html")["unseen"]
    assert (
        len(film) == 1 and f"{next(iter(film))}.why" in before
    )  # both subjects' films are the same bytes, and no film
    victim = next(name for name in before if name.endswith(".jpg"))
    (folder / victim).unlink()
    write_work_page(project(), work)
    assert (folder / victim).is_file()


def test_gc_takes_the_thumbnails_of_what_is_gone(work):
    from turnaround.flows.report.work import orphans
    from turnaround.flows.show.garbage import collect

    before = set((work / "report" / "thumbs").iterdir())
    assert len(orphans(Store(work))) == 1  # the photo of the subject that failed, which no run has
    paint(work.parent / "photos", work, "stages.paint.shade=0.9")
    write_comparison(project(), work, *sorted(folder.name for folder in (work / "runs").iterdir()))
    more = set((work / "report" / "thumbs").iterdir())
    collect(work, dry_run=False)
    after = set((work / "report" / "thumbs").iterdir())
    assert before < more and after < more and not orphans(Store(work))
    write_work_page(project(), work)
    assert len(set((work / "report" / "thumbs").iterdir()) - after) == 1


def test_thumbnails_are_small_upright_and_over_white(tmp_path):
    wide = Image.new("RGB", (900, 300), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    wide.save(tmp_path / "a.jpg", exif=exif)
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "b.png")
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    thumbs = Thumbs(tmp_path / "thumbs")
    a, b, bomb = (
        thumbs.want(str(k) * 64, tmp_path / name) for k, name in enumerate(("a.jpg", "b.png", "bomb.png"))
    )
    assert thumbs.make() == 2 and list(thumbs.unseen) == [bomb]
    with (
        Image.open(tmp_path / "thumbs" / f"{a}.jpg") as turned,
        Image.open(tmp_path / "thumbs" / f"{b}.jpg") as clear,
    ):
        assert turned.height == SIDE > turned.width and clear.convert("RGB").getpixel((5, 5)) == (
            255,
            255,
            255,
        )


def test_white_around_a_person_is_cut_away_alike():
    def seen(*box: int) -> Image.Image:
        picture = Image.new("RGB", (512, 512), "white")
        picture.paste("red", box)
        return without_margin(picture)

    assert seen(200, 100, 300, 400).size == seen(205, 104, 300, 403).size == (352, 352)
    assert np.all(np.array(seen(200, 100, 300, 400))[20:320, 120:220] == (255, 0, 0)), (
        "the middle, and all of the person"
    )
    assert seen(200, 0, 300, 400).size == seen(0, 0, 0, 0).size == (512, 512)


def test_a_folder_that_takes_nothing_costs_the_pictures_only(tmp_path, caplog):
    (tmp_path / "report").write_text("a file where the folder should be")
    thumbs = Thumbs(tmp_path / "report" / "thumbs")
    token = thumbs.want("0" * 64, photo(tmp_path / "a.png", (1, 2, 3)))
    assert thumbs.make() == 0 and token in thumbs.unseen and "no thumbnails" in caplog.text


def test_photos_that_browsers_do_not_show_have_a_large_picture(work, tmp_path):
    (work.parent / "photos" / "ann.png").unlink()
    Image.new("RGB", (900, 600), (9, 99, 9)).save(work.parent / "photos" / "ann.tiff")
    paint(work.parent / "photos", work)
    (ann,) = [
        s for s in data_of(write_work_page(project(), work))["subjects"] if s["photo"]["name"] == "ann.tiff"
    ]
    with Image.open(work / "report" / "thumbs" / f"{ann['photo']['large']}.jpg") as large:
        assert large.size == (900, 600)


def test_a_standalone_page_needs_no_thumbnails(work, tmp_path):
    data = data_of(write_work_page(project(), work, tmp_path / "sent" / "page.html", standalone=True))
    tokens = {
        token for s in data["subjects"] for c in s["cells"].values() for _, token in c.get("pics", ())
    } | {s["photo"]["thumb"] for s in data["subjects"]}
    assert tokens == data["inlined"].keys() | data["unseen"].keys() and data["bases"] == ["../work"]


@given(st.text() | st.sampled_from(["</script>", "<!--", "]]>", "\u2028", "\ud800", "&lt;"]))
def test_no_text_ends_the_data(text):
    html = page.render({"title": text, "made": text})
    assert (
        html.isascii() and html.count("</script>") == 2 and html.count("<script") == 2 and "<!--" not in html
    )
    (data,) = re.findall(r'id="data">(.*?)</script>', html, re.DOTALL)
    assert json.loads(data) == {"title": text, "made": text}


def test_the_policy_admits_exactly_this_script():
    import base64
    import hashlib

    html = page.render({"title": "x"})
    script = html.rpartition('<script type="module">')[2].partition("</script>")[0]
    assert f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" in html
    assert not re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html)


@pytest.mark.parametrize(
    "name",
    [
        "a b.png",
        "100%.png",
        "what?.png",
        "n#1.png",
        "q\"'.png",
        "<img src=x>.png",
        "Zoë 人.png",
        "a&b;c:d.png",
    ],
)
def test_urls_lead_back_to_files(tmp_path, name):
    from urllib.parse import unquote, urlsplit

    url = relative_url(tmp_path / "photos" / name, tmp_path / "w" / "report" / "index.html")
    assert urlsplit(url).path == url and unquote(url) == f"../../photos/{name}" and url.isascii()


def test_a_stranger_s_manifest_is_told_and_not_believed(work, tmp_path):
    record = next(iter(Store(work).records()))
    odd = [
        {**record.manifest, "config": [1]},
        {**record.manifest, "outputs": {"x": 3}},
        {**record.manifest, "seconds": "<b>", "device": {}},
    ]
    rows = [
        Row(str(k), Path("/dev/zero"), (Cell("paint", "FRESH", Record(record.path, manifest)),))
        for k, manifest in enumerate(odd)
    ]
    document = Document(tmp_path / "page.html", Thumbs(tmp_path / "thumbs"))
    first, second, third = (document.subject(row, work) for row in rows)
    assert [s["cells"]["paint"]["state"] for s in (first, second, third)] == ["UNKNOWN", "UNKNOWN", "FRESH"]
    assert third["cells"]["paint"]["seconds"] is None and third["seconds"] is None and first["photo"]["gone"]


def test_an_empty_work_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="holds no subjects yet"):
        write_work_page(project(), tmp_path)


# measures


def records(tmp_path: Path, kind: str, *values: Any) -> list[Record]:
    """Records with one output `x` each."""
    from turnaround.pipeline.store.recipe import Recipe

    store = Store(tmp_path / "store")
    store.prepare()
    recipes = [Recipe("toy", 1, {"k": k}, {}, {}) for k in range(len(values))]
    return [
        store.save(recipe, {"x": kind}, {"x": value}, {})
        for recipe, value in zip(recipes, values, strict=True)
    ]


def cloud(n: int, shift: float = 0.0) -> Gaussians:
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(n, 3, generator=generator)
    return Gaussians(
        means + torch.tensor([shift, 0, 0]),
        torch.tensor([[1.0, 0, 0, 0]]).repeat(n, 1),
        torch.full((n, 3), 0.01),
        torch.full((n,), 0.5),
        torch.full((n, 3), 0.5),
    )


def test_shifted_gaussians_and_bodies_are_as_far_apart_as_the_shift(tmp_path):
    found = measures.measure(*records(tmp_path, "Gaussians", cloud(50), cloud(50, 0.004)), "x")
    assert (
        found["count"] == [50, 50]
        and found["means_rms_mm"] == pytest.approx(4, abs=1e-2)
        and found["colors_rms"] == 0
    )
    fewer = measures.measure(*records(tmp_path / "b", "Gaussians", cloud(50), cloud(49)), "x")
    assert fewer["count"] == [50, 49] and fewer["nearest_rms_mm"] > 0
    import dataclasses

    body = Body.neutral()
    moved = dataclasses.replace(body, transl=body.transl + torch.tensor([0.003, 0.0, 0.004]))
    found = measures.measure(*records(tmp_path / "c", "Body", body, moved), "x")
    assert found["joints_rms_mm"] == pytest.approx(5, abs=1e-2) and found["vertices_max_mm"] == pytest.approx(
        5, abs=1e-2
    )


def test_pictures_are_measured_in_decibels(tmp_path):
    grey, lighter, small = (
        np.full(shape, value)
        for shape, value in (((8, 8, 3), 100 / 255), ((8, 8, 3), 105 / 255), ((4, 4, 3), 0.0))
    )
    found = measures.measure(
        *records(
            tmp_path,
            "Images",
            {"a": grey, "b": grey, "c": grey, "d": grey},
            {"a": grey, "b": lighter, "c": small},
        ),
        "x",
    )
    assert found["x/b.png"] == {"psnr": round(20 * math.log10(51), 3), "max": 5} and "x/a.png" not in found
    assert found["x/c.png"] == {"sizes": "8 x 8 and 4 x 4"} and found["x/d.png"] == {"only_in": 1}
    assert pairs.psnr(np.zeros((4, 4, 3), np.int16)) is None


def test_json_fields_and_missing_outputs(tmp_path):
    a, b = records(
        tmp_path,
        "Trace",
        {"n": 1, "same": 2, "deep": {"x": True}, "long": [1] * 9},
        {"n": 2, "same": 2, "deep": {"x": False}, "new": "w", "long": [2] * 9},
    )
    found = measures.measure(a, b, "x")
    assert (
        found.keys() == {"n", "deep.x", "new", "long"}
        and found["n"] == [1, 2]
        and found["new"] == [None, "w"]
    )
    assert measures.measure(a, Record(b.path, {**b.manifest, "outputs": {}}), "x") == {"only_in": 1}
    assert codec_for("Trace").suffix == ".json"


# commands


def test_the_commands(work, monkeypatch, capsys):
    import turnaround.flows.subjects.project
    from turnaround.flows.cli.app import app, guarded

    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", project)

    def turn(*words: object) -> tuple[int, str]:
        code = guarded(lambda: app([*map(str, words), "--work", str(work)], standalone_mode=False))
        said = capsys.readouterr()
        return code, said.out + said.err

    code, said = turn("report")
    assert code == 0 and Path(said.strip()) == work / "report" / "index.html"
    paint(work.parent / "photos", work, "stages.paint.shade=0.9")
    capsys.readouterr()
    code, said = turn("diff", "ann/paint", "--json")
    facts = json.loads(said)
    assert (
        code == 0 and facts["outputs"]["after"]["after.png"]["max"] == 41 and Path(facts["picture"]).is_file()
    )
    code, said = turn("diff", "ann/print")
    assert code == 0 and "INPUT paint.after" in said and "same bytes: nothing" in said
    first, second = sorted(folder.name for folder in (work / "runs").iterdir())
    code, said = turn("report", "--compare", first, second, "--out", work / "c.html")
    assert code == 0 and data_of(work / "c.html")["labels"] == [first, second]
    assert [
        turn("diff", "ann/paint", "zz")[0],
        turn("diff", "a", "b", "c", "d")[0],
        turn("report", "--compare", first, "x")[0],
    ] == [
        2,
        2,
        2,
    ]
