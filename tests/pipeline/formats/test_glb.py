"""GLB and OBJ: valid for other programs, y up, the person facing +z, with the colours of the mesh."""

from __future__ import annotations

import dataclasses
import io
import json
import struct

import numpy as np
import pytest
import torch
import trimesh
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.formats import glb
from turnaround.pipeline.values.types import Mesh

# a tetrahedron in our world (x right, y down, z away from the camera): the tip is up, one vertex is nearest
# to the camera
VERTICES = torch.tensor([[0.0, -1.7, 0.0], [0.3, 0.2, 0.2], [-0.4, 0.2, 0.2], [0.0, 0.2, -0.5]])
FACES = torch.tensor([[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]])
COLORS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.2, 0.5, 0.8]])
MESH = Mesh(VERTICES, FACES, COLORS)
TIP, NEAREST = 0, 3


def loaded(data: bytes, kind: str = "glb") -> trimesh.Trimesh:
    """The mesh as trimesh reads it."""
    found = trimesh.load(io.BytesIO(data), file_type=kind, process=False, force="mesh")
    assert isinstance(found, trimesh.Trimesh)
    return found


def chunks(data: bytes) -> tuple[dict, bytes]:
    """The json and the binary chunk, read by the letter of the glTF 2.0 specification (section 4.4)."""
    magic, version, length = struct.unpack_from("<4sII", data, 0)
    assert (magic, version, length) == (b"glTF", 2, len(data)) and length % 4 == 0
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    binary_size, binary_kind = struct.unpack_from("<I4s", data, 20 + size)
    assert binary_kind == b"BIN\0" and binary_size % 4 == 0 and 28 + size + binary_size == length
    return json.loads(data[20 : 20 + size]), data[28 + size :]


def test_the_winding_of_the_test_mesh_is_outward():
    """As `Mesh` asks: counter-clockwise seen from outside, in our right-handed world."""
    a, b, c = (VERTICES[FACES[:, i]] for i in range(3))
    outward = torch.linalg.cross(b - a, c - a)
    assert torch.all((outward * ((a + b + c) / 3 - VERTICES.mean(0))).sum(-1) > 0)


@pytest.mark.parametrize("kind", ["glb", "obj"])
def test_other_programs_read_it_upright_and_facing_them(kind):
    found = loaded(glb.encode(MESH) if kind == "glb" else glb.encode_obj(MESH), kind)
    np.testing.assert_allclose(found.vertices, VERTICES * torch.tensor([1, -1, -1]), atol=1e-6)
    np.testing.assert_array_equal(found.faces, FACES)
    assert found.vertices[:, 1].argmax() == TIP and found.vertices[:, 2].argmax() == NEAREST
    assert found.is_watertight and found.is_winding_consistent and found.volume > 0, "turned, not mirrored"


def test_vertex_colours():
    """Linear in glTF (specification 3.7.2.1), sRGB in OBJ; half grey tells them apart."""
    document, binary = chunks(glb.encode(MESH))
    primitive = document["meshes"][0]["primitives"][0]
    entry = document["bufferViews"][document["accessors"][primitive["attributes"]["COLOR_0"]]["bufferView"]]
    linear = np.frombuffer(binary, "<f4", entry["byteLength"] // 4, entry["byteOffset"]).reshape(-1, 3)
    np.testing.assert_allclose(linear[3], [0.0331, 0.2140, 0.6038], atol=1e-4)
    np.testing.assert_allclose(linear[:3], COLORS[:3], atol=1e-6)
    obj = loaded(glb.encode_obj(MESH), "obj")
    np.testing.assert_allclose(obj.visual.vertex_colors[:, :3] / 255, COLORS, atol=1 / 255)  # type: ignore[union-attr]


def test_trimesh_gives_the_colours_of_the_vertices():
    """Linear, in 8 bits, as it reads every GLB; beside a material it would take them for an attribute of a
    texture."""
    found = loaded(glb.encode(MESH))
    assert found.visual.kind == "vertex"  # type: ignore[union-attr]
    linear = found.visual.vertex_colors[:, :3] / 255  # type: ignore[union-attr]
    np.testing.assert_allclose(linear, glb.to_linear(COLORS.numpy()), atol=0.51 / 255)
    assert np.ptp(linear, axis=0).min() > 0.9


def test_the_document_is_valid_gltf():
    document, binary = chunks(glb.encode(MESH))
    assert document["asset"]["version"] == "2.0" and document["buffers"] == [{"byteLength": len(binary)}]
    primitive = document["meshes"][0]["primitives"][0]
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    turned = VERTICES * torch.tensor([1.0, -1, -1])
    assert (
        position["min"] == turned.min(0).values.tolist() and position["max"] == turned.max(0).values.tolist()
    )
    assert document["accessors"][primitive["indices"]] == {
        "bufferView": 3,
        "componentType": 5125,
        "count": 12,
        "type": "SCALAR",
    }
    for accessor in document["accessors"]:
        entry = document["bufferViews"][accessor["bufferView"]]
        assert entry["byteOffset"] % 4 == 0 and entry["byteOffset"] + entry["byteLength"] <= len(binary)
        assert entry["byteLength"] == 4 * accessor["count"] * {"VEC3": 3, "SCALAR": 1}[accessor["type"]]
    normals = np.frombuffer(binary, "<f4", 12, document["bufferViews"][1]["byteOffset"]).reshape(-1, 3)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-6)
    assert np.all((normals * (turned - turned.mean(0)).numpy()).sum(1) > 0), "normals point out"


@given(st.floats(0, 1))
def test_colour_curves_are_each_other_s_inverse(value):
    assert glb.to_srgb(glb.to_linear(np.array(value))) == pytest.approx(value, abs=1e-6)


def test_saved_and_loaded(tmp_path):
    glb.save(MESH, tmp_path / "mesh.glb")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["mesh.glb", "mesh.obj"]
    found = glb.load(tmp_path / "mesh.glb")
    assert torch.equal(found.vertices, VERTICES) and torch.equal(found.faces, FACES)
    torch.testing.assert_close(found.colors, COLORS, atol=1e-6, rtol=0)


def test_a_vertex_without_a_face_and_a_face_without_an_area_have_normals():
    odd = Mesh(
        torch.cat([VERTICES, torch.ones(1, 3)]),
        torch.cat([FACES, torch.tensor([[0, 0, 1]])]),
        torch.ones(5, 3),
    )
    document, binary = chunks(glb.encode(odd))
    normals = np.frombuffer(binary, "<f4", 15, document["bufferViews"][1]["byteOffset"])
    assert np.isfinite(normals).all() and normals[-3:].tolist() == [0, 0, 1]
    assert loaded(glb.encode(odd)).vertices.shape == (5, 3)


GOOD = glb.encode(MESH)


def with_document(change, good: bytes = GOOD) -> bytes:
    """A file with its JSON changed."""
    document, binary = chunks(good)
    change(document)
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    body = (
        struct.pack("<II", len(text), 0x4E4F534A)
        + text
        + struct.pack("<II", len(binary), 0x004E4942)
        + binary
    )
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


MALFORMED = {
    "empty": b"",
    "cut short": GOOD[:-4],
    "another format": b"ply\n" + bytes(100),
    "another program": with_document(lambda d: d["asset"].update(generator="Blender")),
    "no asset": with_document(lambda d: d.pop("asset")),
    "no views": with_document(lambda d: d.update(bufferViews=[])),
    "views are numbers": with_document(lambda d: d.update(bufferViews=[1, 2, 3, 4])),
    "offset outside": with_document(lambda d: d["bufferViews"][0].update(byteOffset=10**6)),
    "negative offset": with_document(lambda d: d["bufferViews"][0].update(byteOffset=-8)),
    "odd length": with_document(lambda d: d["bufferViews"][0].update(byteLength=4 * 7)),
    "length is a word": with_document(lambda d: d["bufferViews"][0].update(byteLength="x")),
    "faces outside": with_document(lambda d: d["bufferViews"][3].update(byteOffset=0)),
    "not json": GOOD[:20] + b"?" * 8 + GOOD[28:],
    "document is a list": struct.pack("<4sIIII", b"glTF", 2, 28, 4, 0x4E4F534A)
    + b"[]  "
    + struct.pack("<I", 0),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_files_are_refused_by_name(tmp_path, case):
    (tmp_path / "bad.glb").write_bytes(MALFORMED[case])
    with pytest.raises(ValueError, match=r"bad\.glb: "):
        glb.load(tmp_path / "bad.glb")


def test_meshes_that_are_not_meshes_are_refused():
    with pytest.raises(ValueError, match="outside of its 4 vertices"):
        glb.encode(dataclasses.replace(MESH, faces=torch.tensor([[0, 1, -1]])))
    with pytest.raises(ValueError, match="no vertices"):
        glb.encode(Mesh(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.long), torch.zeros(0, 3)))
