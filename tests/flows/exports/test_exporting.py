"""`export`: the .splat file, the formats of the command, and the offline page in a real browser."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import toy_person
import trimesh
from chromium import Browser, needs_chromium
from PIL import Image

from turnaround.flows.cli.app import app, guarded
from turnaround.flows.exports.export import FORMATS, Changes, export_file
from turnaround.flows.exports.rigged import FORMATS as RIGGED
from turnaround.flows.exports.stature import stature
from turnaround.flows.viewer import html_page
from turnaround.flows.viewer.html_page import Person, page
from turnaround.flows.viewer.packing import STEP, pack_gaussians, pack_mesh, unpack_gaussians
from turnaround.models.splat import rasterize
from turnaround.models.splat.pruning import importance, pruned
from turnaround.pipeline.formats import glb, ply, spz, textured_glb
from turnaround.pipeline.formats import splat as dot_splat
from turnaround.pipeline.store.store import Store
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.rotation import quat_to_matrix

READERS: dict[str, Any] = {"ply": ply, "splat": dot_splat, "spz": spz}


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    return toy_person.make(tmp_path_factory.mktemp("work"))


def test_splat_file_is_the_ply_within_its_quantisation():
    g = ply.decode(ply.encode(toy_person.gaussians()))
    order = torch.argsort(-(g.scales.double().prod(-1) * g.opacities.double()), stable=True)
    data = dot_splat.encode(g)
    back, expected = dot_splat.decode(data), g[order]
    assert len(data) == 32 * len(g)
    assert torch.equal(back.means, expected.means) and torch.equal(back.scales, expected.scales)
    assert (back.colors - expected.colors).abs().max() <= 0.5 / 255 + 1e-6
    assert (back.opacities - expected.opacities).abs().max() <= 0.5 / 255 + 1e-6
    assert (
        quat_to_matrix(back.quats) - quat_to_matrix(expected.quats)
    ).abs().max() < 0.04  # 8 bits a component
    assert (
        dot_splat.encode(dot_splat.decode(data))[:12] == data[:12]
        and (torch.diff(back.scales.prod(-1)) <= 1e-9).all()
    )


def test_splat_record_is_that_of_the_format():
    """One Gaussian by hand, as antimatter15's convert.py writes it."""
    one = dot_splat.Gaussians(
        torch.tensor([[1.0, 2.0, 3.0]]),
        torch.tensor([[0.0, 1.0, 0.0, 0.0]]),
        torch.tensor([[0.1, 0.2, 0.3]]),
        torch.tensor([0.5]),
        torch.tensor([[1.0, 0.0, 0.2]]),
    )
    data = dot_splat.encode(one)
    assert np.frombuffer(data[:24], "<f4").tolist() == pytest.approx([1, 2, 3, 0.1, 0.2, 0.3])
    assert list(data[24:]) == [255, 0, 51, 128, 128, 255, 128, 128]


def test_splat_refuses_what_it_cannot_hold(tmp_path):
    g = toy_person.gaussians(count=1)
    g.means[0, 0] = torch.nan
    with pytest.raises(ValueError, match="means of 4 Gaussians"):
        dot_splat.encode(g)
    file = tmp_path / "short.splat"
    file.write_bytes(bytes(33))
    with pytest.raises(ValueError, match=r"short\.splat: .*33 bytes"):
        dot_splat.load(file)
    file.write_bytes(np.full(8, np.nan, "<f4").tobytes())
    with pytest.raises(ValueError, match="not finite"):
        dot_splat.load(file)


@pytest.mark.parametrize("to", [name for name in FORMATS if name not in ("html", *RIGGED)])
def test_every_format_is_written_and_read_back(work, tmp_path, to):
    made = export_file(work, "toy", to, tmp_path / "deep" / f"x.{to}")
    content = made.path.read_bytes()
    if to in READERS:
        assert len(READERS[to].decode(content)) == len(toy_person.gaussians(0)) and made.stages == ("detail",)
    elif to == "glb":
        assert len(textured_glb.decode(content).faces) == len(toy_person.mesh().faces) and made.stages == (
            "texture",
        )
    else:
        assert content == b"film" if to == "mp4" else content.startswith(b"# turnaround")
    assert f"from {made.stages[0]}" in str(made)


def test_export_into_a_folder_and_its_errors(work, tmp_path, monkeypatch):
    assert export_file(work, "toy", "ply", tmp_path).path == tmp_path / "toy.ply"
    monkeypatch.chdir(tmp_path)
    assert export_file(work, "toy", "glb", None).path == Path("toy.glb")
    with pytest.raises(
        ValueError, match="--to stl: expected one of ply, splat, spz, glb, obj, mp4, html, vrm"
    ):
        export_file(work, "toy", "stl", None)
    with pytest.raises(ValueError, match="knows no subject 'nobody'"):
        export_file(work, "nobody", "ply", None)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot be written .* --out"):
        export_file(work, "toy", "ply", tmp_path / "file" / "x.ply")


def test_out_is_a_folder_or_a_file_of_the_format(work, tmp_path):
    assert export_file(work, "toy", "ply", tmp_path / "new").path == tmp_path / "new" / "toy.ply"
    (tmp_path / "plain").write_text("")
    assert export_file(work, "toy", "obj", tmp_path / "plain").path == tmp_path / "plain"
    with pytest.raises(ValueError, match="ends as glb, and --to is ply"):
        export_file(work, "toy", "ply", tmp_path / "x.GLB")


@pytest.mark.parametrize("to", ["ply", "splat", "html"])
def test_damaged_results_are_not_exported(tmp_path, to, capsys, monkeypatch):
    toy_person.make(tmp_path / "work")
    monkeypatch.chdir(tmp_path)
    file = next(tmp_path.glob("work/cache/detail/*/gaussians.ply"))
    content = file.read_bytes()
    file.write_bytes(content[:-9] + bytes([content[-9] ^ 4]) + content[-8:])
    assert guarded(lambda: app(["export", "toy", "--to", to], standalone_mode=False)) == 2
    said = capsys.readouterr().err
    assert "has other bytes than were written" in said and "`turnaround verify` sets it aside" in said
    assert not (tmp_path / f"toy.{to}").exists()


def test_unfinished_subjects_export_what_they_have_and_say_so(tmp_path, caplog):
    toy_person.make(tmp_path, without=("fuse", "mesh", "detail", "texture", "turntable"))
    made = export_file(tmp_path, "toy", "splat", tmp_path)
    assert made.stages == ("refine",) and "yet: this is that of `refine`" in caplog.text
    for to, stages in {
        "glb": "`texture` or `detail` or `mesh`",
        "obj": "`texture` or `detail` or `mesh`",
        "mp4": "`turntable`",
    }.items():
        with pytest.raises(
            ValueError, match=f"has no .* yet: it comes from {stages}; `turnaround status toy`"
        ):
            export_file(tmp_path, "toy", to, None)


def test_without_a_texture_the_mesh_is_exported_in_its_colours(tmp_path):
    toy_person.make(tmp_path, without=("texture",))
    found = glb.decode(export_file(tmp_path, "toy", "glb", tmp_path).path.read_bytes())
    assert len(found.faces) == len(toy_person.mesh().faces) and float(
        found.vertices[:, 1].max()
    ) == pytest.approx(0, abs=1e-6)
    with pytest.raises(ValueError, match="no texture yet"):
        export_file(tmp_path, "toy", "glb", tmp_path, Changes(texture=32))


@pytest.mark.parametrize("without", [(), ("texture",)])
@pytest.mark.parametrize("to", ["glb", "obj"])
def test_the_height_is_that_of_the_person_who_stands_on_the_ground(tmp_path, to, without):
    toy_person.make(tmp_path, without=without)
    made = export_file(tmp_path, "toy", to, tmp_path / "x", Changes(height=1.75))
    low, high = trimesh.load(made.path, process=False).bounds
    upright = toy_person.mesh().vertices[:, 1]
    expected = float(upright.max() - upright.min()) * 1.75 / stature(Store(tmp_path), "toy")
    assert low[1] == pytest.approx(0, abs=1e-5) and high[1] == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("to", ["ply", "splat", "spz"])
def test_gaussians_are_scaled_by_the_mesh_and_pruned(work, tmp_path, to):
    as_it_is = READERS[to].decode(export_file(work, "toy", to, tmp_path).path.read_bytes())
    factor = 1.75 / stature(Store(work), "toy")
    tall = READERS[to].decode(export_file(work, "toy", to, tmp_path, Changes(height=1.75)).path.read_bytes())
    torch.testing.assert_close(tall.means.amax(0), as_it_is.means.amax(0) * factor, atol=1e-3, rtol=0)
    few = export_file(work, "toy", to, tmp_path, Changes(gaussians=300)).path.read_bytes()
    assert len(READERS[to].decode(few)) == 300
    assert few == export_file(work, "toy", to, tmp_path, Changes(gaussians=300)).path.read_bytes()


def test_a_person_is_as_tall_crouching_as_upright(work, tmp_path):
    assert 1.5 < stature(Store(work), "toy") < 1.9
    toy_person.make(tmp_path, without=("refine",))
    with pytest.raises(ValueError, match="--height needs the body of `refine`"):
        export_file(tmp_path, "toy", "glb", tmp_path, Changes(height=1.75))


def test_textures_of_another_size(work, tmp_path):
    read = lambda path: textured_glb.decode(path.read_bytes())  # noqa: E731
    assert read(export_file(work, "toy", "glb", tmp_path).path).texture.shape == (64, 64, 3)
    small = read(export_file(work, "toy", "glb", tmp_path, Changes(texture=32)).path)
    assert small.texture.shape == (32, 32, 3)
    torch.testing.assert_close(small.texture, toy_person.textured().texture[::2, ::2], atol=0.02, rtol=0)
    with pytest.raises(ValueError, match="bakes anew and needs `back_view`"):
        export_file(work, "toy", "glb", tmp_path, Changes(texture=128))
    export_file(work, "toy", "obj", tmp_path, Changes(texture=32))
    assert {"toy.obj", "toy.mtl"} <= {p.name for p in tmp_path.iterdir()} and "map_Kd toy." in (
        tmp_path / "toy.mtl"
    ).read_text()


def test_changes_go_with_their_formats(work, tmp_path):
    for to, changes in {
        "ply": Changes(texture=64),
        "mp4": Changes(height=1.7),
        "glb": Changes(gaussians=5),
    }.items():
        with pytest.raises(ValueError, match=f"goes with --to .*; --to {to} does not know it"):
            export_file(work, "toy", to, tmp_path, changes)
    with pytest.raises(ValueError, match="--height 0: expected more than 0"):
        export_file(work, "toy", "glb", tmp_path, Changes(height=0))


# fewer Gaussians


def test_importance_is_the_share_that_each_gaussian_has_of_the_pictures():
    """Against finite differences, and against what is known: a covered one shows nothing, a larger one
    more."""
    g = toy_person.gaussians(count=5)
    cameras = orbit_cameras([0, 90], 48)
    found = importance(g, cameras)
    base = rasterize(g, cameras, background=0.0, outputs=("rgb",)).rgb[..., 0].double().sum()
    for k in (0, 7, 19):
        brighter = g.colors.clone()
        brighter[k, 0] += 1
        changed = (
            rasterize(dataclasses.replace(g, colors=brighter), cameras, background=0.0, outputs=("rgb",))
            .rgb[..., 0]
            .double()
            .sum()
        )
        assert float(changed - base) == pytest.approx(float(found[k]), rel=1e-3, abs=0.05)


def test_pruning_keeps_the_picture_and_the_order():
    g = toy_person.gaussians()
    fewer = pruned(g, 1500)
    assert len(fewer) == 1500 and pruned(g, 5000) is g
    cameras = orbit_cameras([30.0], 128)
    before, after = (rasterize(x, cameras, outputs=("rgb",)).rgb for x in (g, fewer))
    first = rasterize(g[:1500], cameras, outputs=("rgb",)).rgb
    assert (after - before).square().mean() < 0.1 * (first - before).square().mean()
    where = (g.means[:, None] == fewer.means[None]).all(-1).float().argmax(0)
    assert (torch.diff(where) > 0).all()
    with pytest.raises(ValueError, match="keep at least 1"):
        pruned(g, 0)


def test_packed_gaussians_are_the_gaussians_within_what_can_be_seen():
    g = toy_person.gaussians()
    exact, back = dot_splat.decode(dot_splat.encode(g)), dot_splat.decode(unpack_gaussians(pack_gaussians(g)))
    order, same = (torch.argsort(x.means[:, 0] * 1e3 + x.means[:, 1], stable=True) for x in (exact, back))
    exact, back = exact[order], back[same]
    close = (back.means - exact.means).abs().max(-1).values <= STEP / 2 + 1e-7
    assert close.float().mean() > 0.9, "all but those that change places in the order of x"
    assert ((back.scales / exact.scales - 1).abs().max(-1).values[close] <= 2**-8 + 1e-6).all()
    assert torch.equal(back.colors[close], exact.colors[close])


def test_packed_mesh_is_the_mesh_within_its_quantisation():
    mesh = toy_person.mesh()
    facts, data = pack_mesh(mesh)
    n, f = facts["vertices"], facts["faces"]
    indices, places, colors = np.split(np.frombuffer(data, np.uint8), [6 * f, 6 * f + 6 * n])
    assert not facts["wide"] and (indices.view("<u2").reshape(-1, 3) == mesh.faces.numpy()).all()
    restored = np.array(facts["low"]) + places.view("<u2").reshape(-1, 3) / 65535 * np.array(facts["size"])
    assert np.abs(restored - mesh.vertices.numpy()).max() < 2e-5
    assert np.abs(colors.reshape(-1, 3) / 255 - mesh.colors.numpy()).max() <= 0.5 / 255 + 1e-6


def test_packed_texture_lies_behind_places_in_it():
    mesh = toy_person.textured()
    facts, data = pack_mesh(mesh)
    n, f = facts["vertices"], facts["faces"]
    _, places, skin = np.split(np.frombuffer(data, np.uint8), [6 * f + 6 * n, 6 * f + 10 * n])
    assert (
        facts["textured"] and np.abs(places.view("<u2").reshape(-1, 2) / 65535 - mesh.uv.numpy()).max() < 1e-5
    )
    texels = np.asarray(Image.open(io.BytesIO(skin.tobytes()))) / 255
    assert texels.shape == (64, 64, 3) and np.abs(texels - mesh.texture.numpy()).mean() < 0.02


# the page


@pytest.fixture(scope="module")
def programs():
    try:
        html_page.programs()
    except ValueError as error:
        pytest.skip(f"the page's programs cannot be fetched: {error}")


def test_the_page_holds_the_licences_and_escapes_the_name(programs):
    person = Person("<img src=x onerror=alert(1)>-->", toy_person.gaussians(count=3), None)
    text = page(person)
    assert text == page(person), "the same person gives the same page"
    assert "<img" not in text and text.count("&lt;img src=x onerror=alert(1)&gt;--&gt;") >= 2
    assert (
        text.count("WORLD LABS TECHNOLOGIES") >= 2 and "three.js authors" in text and "Arjun Barrett" in text
    ), "in the comment and in About"
    comment = text[text.index("<!--") : text.index("-->")]
    assert "MIT License" in comment and "WORLD LABS" in comment
    assert not re.search(r"<(?:script|link|img|iframe)[^>]*(?:src|href)=", text), (
        "nothing is loaded from elsewhere"
    )
    with pytest.raises(ValueError, match="neither Gaussians nor a mesh"):
        page(Person("empty", None, None))


def test_65k_gaussians_are_a_page_of_a_few_megabytes(programs):
    assert len(page(Person("toy", toy_person.gaussians(count=16384), toy_person.mesh()))) < 4.2e6


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((a / 255.0 - b / 255.0) ** 2)))


@needs_chromium
def test_the_page_shows_what_our_renderer_shows_from_front_and_side(programs, work, tmp_path):
    made = export_file(work, "toy", "html", tmp_path)
    size = 256
    middle, tangent = html_page.frame(Person("toy", toy_person.gaussians(0), toy_person.textured()))
    cameras = orbit_cameras([0, 90], size)
    K, T = cameras.K.clone(), cameras.T_camera_world.clone()
    K[:, [0, 1], [0, 1]] = size / 2 / tangent
    T[:, 1, 3] -= middle
    close = dataclasses.replace(cameras, K=K, T_camera_world=T)
    expected = rasterize(toy_person.gaussians(0), close, outputs=("rgb",)).rgb.clamp(0, 1).numpy() * 255
    browser = Browser(tmp_path / "profile", (size, size))
    only_person = """const style = document.createElement("style");
        style.textContent = "nav, header {display: none}";
        document.head.append(style);
        window.dispatchEvent(new Event("resize"))"""
    try:
        for k, azimuth in enumerate((0, 90)):
            browser.open(f"{made.path.as_uri()}#azimuth={azimuth}")
            browser.wait("document.body?.dataset.ready || document.body?.dataset.failed")
            browser.run(only_person)
            seen = settled(browser)
            assert browser.errors == [], browser.errors
            assert browser.requests == [made.path.as_uri()], "no request but the page's own"
            assert psnr(seen, expected[k]) > 38, azimuth
            assert psnr(seen, expected[k][:, ::-1]) < psnr(seen, expected[k]) - 5, (
                "the mirror image is another picture"
            )
        browser.run(
            "document.querySelector('#kinds button:nth-child(2)').click(); "
            "document.getElementById('reset').click()"
        )
        mesh = settled(browser)
        assert 12 < psnr(mesh, expected[0]) < 27 and tuple(
            mesh[size // 2, size // 2].tolist()
        ) == pytest.approx((204, 204, 51), abs=3)
        browser.run("document.getElementById('background').click()")
        assert tuple(settled(browser)[2, 2].tolist()) == pytest.approx((22, 24, 27), abs=2)
        browser.run("document.getElementById('about').click()")
        assert "three.js authors" in browser.run("document.querySelector('dialog[open] pre').textContent")
    finally:
        browser.close()


def settled(browser: Browser) -> np.ndarray:
    """The picture once it stays: sorting takes some frames."""
    import time

    last = browser.picture()
    for _ in range(40):
        time.sleep(0.25)
        seen = browser.picture()
        if np.array_equal(seen, last):
            return seen
        last = seen
    pytest.fail("the page does not come to rest")
