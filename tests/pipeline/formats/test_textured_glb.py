"""Textured GLB and OBJ: read back as they were, valid for other programs, standing upright on the ground."""

from __future__ import annotations

import dataclasses
import functools
import io

import numpy as np
import pytest
import torch
import trimesh
from toy_textured import ball, tetrahedron

from tests.pipeline.formats.test_glb import FACES, VERTICES, chunks
from tests.pipeline.formats.test_glb import with_document as changed_document
from turnaround.pipeline.formats import textured_glb, textured_obj
from turnaround.pipeline.formats.codecs import codec_for

MESH = tetrahedron()


def loaded(data: bytes) -> trimesh.Trimesh:
    found = trimesh.load(io.BytesIO(data), file_type="glb", process=False, force="mesh")
    assert isinstance(found, trimesh.Trimesh)
    return found


def test_what_is_saved_is_read_back(tmp_path):
    codec = codec_for("TexturedMesh")
    for mesh in (MESH, ball()):
        codec.save(mesh, tmp_path / "mesh.glb")
        found = codec.load(tmp_path / "mesh.glb")
        for name in ("vertices", "faces", "colors", "uv"):
            assert torch.equal(getattr(found, name), getattr(mesh, name)), name
        assert 10 * torch.log10(1 / (found.texture - mesh.texture).square().mean().clamp(min=1e-12)) > 40
        assert textured_glb.encode(mesh) == (tmp_path / "mesh.glb").read_bytes(), "the same bytes twice"


def test_flat_colours_are_kept_exactly():
    flat = dataclasses.replace(MESH, texture=torch.full((64, 64, 3), 51 / 255))
    assert textured_glb.encode_texture(flat).startswith(b"\x89PNG")
    assert torch.equal(textured_glb.decode(textured_glb.encode(flat)).texture, flat.texture)


def test_other_programs_see_the_texture_where_it_belongs():
    """trimesh's own lookup of the texture at the vertices gives the colours that were painted there."""
    mesh = ball()
    found = loaded(textured_glb.encode(mesh))
    seen = found.visual.to_color().vertex_colors[:, :3] / 255  # type: ignore[union-attr]
    assert np.abs(seen - mesh.colors.numpy()).mean() < 0.03
    np.testing.assert_allclose(found.vertex_attributes["_COLOR"], mesh.colors, atol=1e-6)


def test_the_person_stands_on_the_ground_facing_us():
    scene = trimesh.load(io.BytesIO(textured_glb.encode(MESH)), file_type="glb", process=False)
    low, high = scene.bounds
    assert low[1] == pytest.approx(0, abs=1e-6) and high[1] == pytest.approx(1.9)
    flipped = VERTICES * torch.tensor([1, -1, -1])
    np.testing.assert_allclose([low[2], high[2]], [flipped[:, 2].min(), flipped[:, 2].max()], atol=1e-6)
    tall = trimesh.load(io.BytesIO(textured_glb.encode(MESH, scale=1.25)), file_type="glb", process=False)
    np.testing.assert_allclose(tall.bounds, scene.bounds * 1.25, atol=1e-6)
    assert torch.equal(textured_glb.decode(textured_glb.encode(MESH, scale=1.25)).vertices, MESH.vertices)


def test_obj_with_its_material_stands_as_the_glb_does(tmp_path):
    textured_glb.save(MESH, tmp_path / "mesh.glb")
    assert {p.name for p in tmp_path.iterdir()} in (
        {"mesh.glb", "mesh.obj", "mesh.mtl", f"mesh.{e}"} for e in ("png", "jpg")
    )
    found = trimesh.load(tmp_path / "mesh.obj", process=False, force="mesh")
    assert isinstance(found, trimesh.Trimesh)
    np.testing.assert_allclose(
        found.bounds, trimesh.load(tmp_path / "mesh.glb", process=False).bounds, atol=1e-5
    )
    assert found.is_watertight or found.volume > 0
    texels = found.visual.material.image  # type: ignore[union-attr]
    assert texels.size == (64, 64)
    u, v = found.visual.uv.T  # type: ignore[union-attr]
    order = [int(np.abs(found.vertices - p).sum(1).argmin()) for p in np.array([[0, 1.9, 0]])]
    np.testing.assert_allclose([u[order[0]], 1 - v[order[0]]], MESH.uv[0], atol=1e-5)
    assert b"mtllib other.mtl" in textured_obj.encode(MESH, "other.mtl")


def test_the_document_is_valid_gltf():
    document, binary = chunks(textured_glb.encode(MESH))
    assert document["buffers"] == [{"byteLength": len(binary)}] and "COLOR_0" not in str(document)
    primitive = document["meshes"][0]["primitives"][0]
    assert set(primitive["attributes"]) == {"POSITION", "NORMAL", "TEXCOORD_0", "_COLOR"}
    for accessor in document["accessors"]:
        entry = document["bufferViews"][accessor["bufferView"]]
        assert entry["byteOffset"] % 4 == 0 and entry["byteOffset"] + entry["byteLength"] <= len(binary)
        assert (
            entry["byteLength"]
            == 4 * accessor["count"] * {"VEC3": 3, "VEC2": 2, "SCALAR": 1}[accessor["type"]]
        )
    picture = document["bufferViews"][document["images"][0]["bufferView"]]
    assert "target" not in picture and picture["byteOffset"] + picture["byteLength"] <= len(binary)


def test_normals_are_one_across_seams():
    mesh = ball()
    document, binary = chunks(textured_glb.encode(mesh))
    entry = document["bufferViews"][1]
    normals = np.frombuffer(binary, "<f4", entry["byteLength"] // 4, entry["byteOffset"]).reshape(-1, 3)
    expected = torch.nn.functional.normalize(mesh.vertices, dim=-1) * torch.tensor([1.0, -1, -1])
    assert (normals * expected.numpy()).sum(1).min() > 0.99


GOOD = textured_glb.encode(MESH)


with_document = functools.partial(changed_document, good=GOOD)

MALFORMED = {
    "empty": b"",
    "cut short": GOOD[:-4],
    "another program": with_document(lambda d: d["asset"].update(generator="Blender")),
    "no views": with_document(lambda d: d.update(bufferViews=[])),
    "no picture": with_document(lambda d: d["bufferViews"][5].update(byteLength=8)),
    "picture outside": with_document(lambda d: d["bufferViews"][5].update(byteOffset=10**8)),
    "picture before": with_document(lambda d: d["bufferViews"][5].update(byteOffset=-8)),
    "odd length": with_document(lambda d: d["bufferViews"][0].update(byteLength=4 * 7)),
    "faces outside": with_document(lambda d: d["bufferViews"][4].update(byteOffset=0)),
    "few texture coordinates": with_document(lambda d: d["bufferViews"][2].update(byteLength=8)),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(tmp_path, case):
    (tmp_path / "bad.glb").write_bytes(MALFORMED[case])
    with pytest.raises(ValueError, match=r"bad\.glb: "):
        textured_glb.load(tmp_path / "bad.glb")


def test_what_cannot_be_written_is_refused():
    with pytest.raises(ValueError, match="outside of its"):
        textured_glb.encode(dataclasses.replace(MESH, faces=torch.where(FACES == 0, 99, FACES)))
    with pytest.raises(ValueError, match="not finite"):
        textured_glb.encode(dataclasses.replace(MESH, texture=torch.full((4, 4, 3), torch.nan)))
