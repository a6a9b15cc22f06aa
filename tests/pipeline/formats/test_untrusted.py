"""Files of strangers: no code of theirs runs, nothing grows beyond its limit, nothing outside is touched,
errors are errors."""

from __future__ import annotations

import io
import json
import pickle
import random
import struct
import time
import zipfile
import zlib

import fuzzing
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from turnaround.models import zoo
from turnaround.models.estimator.given.body_file import UnknownBody, read_body
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.formats.untrusted import PICTURES, check_plain, parse_json, parse_yaml, read_npz
from turnaround.pipeline.photos.photo import decode
from turnaround.pipeline.settings import ConfigError, read_config
from turnaround.pipeline.stage import StageError

# ---------------------------------------------------------------------------------------------- what fuzzing
# found, and more of it


@pytest.mark.parametrize("target", fuzzing.READERS)
def test_valid_files_are_read(target):
    for data in fuzzing.seeds(target):
        fuzzing.READERS[target](data)


@pytest.mark.parametrize("target", fuzzing.READERS)
@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_damaged_files_are_values_or_errors(target, seed):
    trace = fuzzing.attempt(target, fuzzing.damaged(random.Random(seed), fuzzing.seeds(target)))
    assert trace is None, trace


@pytest.mark.parametrize("target", fuzzing.READERS)
@settings(max_examples=20)
@given(data=st.binary(max_size=300))
def test_any_bytes_are_values_or_errors(target, data):
    trace = fuzzing.attempt(target, data)
    assert trace is None, trace


QUIET, SIGNALLING, HUGE = (
    struct.pack("<I", 0x7FC00000),
    struct.pack("<I", 0x7F800001),
    struct.pack("<f", 3e38),
)


@pytest.mark.parametrize("number", [QUIET, SIGNALLING, HUGE, struct.pack("<f", float("inf"))])
@pytest.mark.parametrize("field", [0, 2], ids=["vertices", "colours"])
def test_numbers_of_a_mesh_that_no_float_holds(number, field):
    data = bytearray(fuzzing.seeds("glb")[0])
    start = 28 + struct.unpack_from("<I", data, 12)[0] + field * 36  # positions, normals, then colours
    data[start : start + 4] = number
    assert fuzzing.attempt("glb", bytes(data)) is None
    if number != HUGE:
        with pytest.raises(ValueError, match="do not fit"):
            fuzzing.READERS["glb"](bytes(data))


@pytest.mark.parametrize(
    "number", [0x7FF0000000000001, 0x7FF8000000000000, 0x7FF0000000000000, 0x7E37E43C8800759C]
)
@pytest.mark.parametrize("target", ["given", "scan"])
def test_numbers_of_a_body_that_no_float_holds(target, number):
    body = {"global_orient": np.full(3, number, np.uint64).view(np.float64), "body_pose": np.zeros((21, 3))}
    for data in (fuzzing.npz(body), pickle.dumps(body)):
        assert fuzzing.attempt(target, data) is None
        with pytest.raises(ValueError):
            fuzzing.READERS[target](data)


# ---------------------------------------------------------------------------------------------- archives


def archive(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return stream.getvalue()


def npy(shape: str, descr: str = "'<f8'", data: bytes = b"") -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


BOMBS = {
    "zeros that unpack to a quarter of a gigabyte": archive(
        {f"a{i}.npy": npy("(1048576,)", data=bytes(2**23)) for i in range(33)}
    ),
    "a shape without bytes": archive({"betas.npy": npy("(99999999999,)")}),
    "a shape that overflows": archive({"betas.npy": npy("(4294967296, 4294967296, 2)", data=bytes(64))}),
    "a negative shape": archive({"betas.npy": npy("(-1, 8)", data=bytes(64))}),
    "objects": archive({"betas.npy": npy("(1,)", "'|O'", b"cos\nsystem\n(S'false'\ntR.")}),
    "objects in a structure": archive({"betas.npy": npy("(1,)", "[('a', '|O')]", bytes(8))}),
    "code in the header": archive({"betas.npy": npy("(1,)", "__import__('os').system('false')", bytes(8))}),
    "a header of brackets": archive({"betas.npy": npy("(" * 5000, data=bytes(8))}),
    "many arrays": archive({f"{i}.npy": b"" for i in range(10_001)}),
    "a size that lies": archive({"betas.npy": npy("(8,)", data=bytes(64))}).replace(
        struct.pack("<I", 64 + 68), struct.pack("<I", 8)
    ),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_archives_that_lie_are_refused_before_memory_is_taken(bomb):
    assert len(BOMBS[bomb]) < 3 * 2**20
    started = time.process_time()
    with pytest.raises(ValueError):
        read_npz(BOMBS[bomb], 2**28)
    with pytest.raises(UnknownBody):
        read_body(BOMBS[bomb])
    assert time.process_time() - started < 5


def test_names_in_an_archive_are_only_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = archive(
        {
            "../../evil.npy": npy("(1,)", data=bytes(8)),
            "/etc/evil.npy": npy("(1,)", data=bytes(8)),
            "x.txt": b"no array",
        }
    )
    assert sorted(read_npz(data)) == ["../../evil", "/etc/evil"] and not list(tmp_path.iterdir())


# ---------------------------------------------------------------------------------------------- pictures


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    rows = zlib.compress(bytes((width + 1) * min(height, 100)), 9)
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(more) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_pictures_that_unpack_to_gigabytes_are_refused(tmp_path):
    for data in (
        png(30_000, 30_000),
        png(65_000, 2_000),
        png(100, 100, chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**28), 9))),
    ):
        assert len(data) < 2**19
        with pytest.raises(StageError, match=r"large|damaged|cannot|picture"):
            decode(data, "alice.png")
        (tmp_path / "x.png").write_bytes(data)
        for kind in ("Image", "View"):
            with pytest.raises(ValueError, match=r"x\.png"):
                codec_for(kind).load(tmp_path / "x.png")


def test_formats_that_run_programs_are_not_opened(tmp_path):
    """PostScript is drawn by Ghostscript, which has run commands of pictures before."""
    data = (
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n(%pipe%touch executed) (w) "
        b"file\n%%EOF\n"
    )
    with pytest.raises(StageError, match="not a picture that can be read"):
        decode(data, "alice.png")
    kinds = {"FLI", "PSD", "WMF", "MPEG", "HDF5", "GRIB", "PCD", "EPS"}
    assert not kinds & set(PICTURES)
    for kind in PICTURES:  # each is one that Pillow knows
        with pytest.raises(Image.UnidentifiedImageError):
            Image.open(io.BytesIO(b"?"), formats=(kind,))


# ---------------------------------------------------------------------------------------------- texts

LAUGHS = "a: &a [x, x]\n" + "\n".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = "a: &a {x: 1}\n" + "\n".join(
    f"{b}: &{b} {{<<: [{', '.join([f'*{a}'] * 9)}]}}" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
YAMLS = {
    "billion laughs": LAUGHS,
    "billion merges": MERGES,
    "itself": "&a [*a]",
    "python": "!!python/object/apply:os.system ['false']",
    "deep": "[" * 5000,
    "deep maps": "{a: " * 3000,
    "long": "#" * (2**20 + 1),
    "no date": "2020-13-45",
    "a list for a name": "? [a, {b: c}]\n: 1",
    "huge number": "1" * 5000,
    "bytes": "\0\x01",
    "tab": "a:\t- b\n\t- c",
    "half": "a: 'b",
    "base 60": "1:" * 3000 + "1",
}


@pytest.mark.parametrize("name", YAMLS)
def test_configs_that_grow_or_run_are_refused(tmp_path, name):
    started = time.process_time()
    if name == "base 60":
        parse_yaml(YAMLS[name])
    else:
        with pytest.raises(ValueError):
            parse_yaml(YAMLS[name])
    file = tmp_path / "config.yaml"
    file.write_text(YAMLS[name])
    with pytest.raises(ConfigError, match=r"config\.yaml"):
        read_config(file)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("parent", ["../../etc/passwd", "/etc/passwd", "a/b", "..\\\\x", "[" * 300])
def test_a_config_extends_presets_and_files_beside_it(tmp_path, parent):
    (tmp_path / "config.yaml").write_text(f'extends: "{parent}"\n')
    with pytest.raises(ConfigError, match="expected the name of one preset"):
        read_config(tmp_path / "config.yaml")


BODIES = {
    "nan": '{"global_orient": [0, 0, NaN], "body_pose": %s}',
    "infinity": '{"global_orient": [0, 0, Infinity], "body_pose": %s}',
    "beyond float32": '{"global_orient": [0, 0, 1e300], "body_pose": %s}',
    "beyond float64": '{"global_orient": [0, 0, 1e999], "body_pose": %s}',
    "a huge whole number": '{"global_orient": [0, 0, 1' + "0" * 400 + '], "body_pose": %s}',
    "too many digits": '{"a": ' + "1" * 5000 + "}",
    "kilometres": '{"global_orient": [0, 0, 0], "body_pose": %s, "transl": [0, 0, 1e6]}',
    "matrices of zeros": '{"pose": ' + str([[0.0] * 9] * 55) + "}",
    "deep": "[" * 100_000,
    "deep maps": '{"a":' * 100_000,
    "deep but closed": '{"a":' * 90 + "1" + "}" * 90,
    "texts": '{"global_orient": "x", "body_pose": "y"}',
    "nothing": "{}",
    "nobody": "[]",
    "empty arrays": '{"global_orient": [], "body_pose": []}',
    "ragged": '{"global_orient": [[0], [0, 1]], "body_pose": %s}',
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_cannot_be_are_refused(name):
    text = BODIES[name].replace("%s", json.dumps([0.0] * 63))
    with pytest.raises(UnknownBody):
        read_body(text.encode())


def test_nested_values_are_counted_with_what_they_share():
    check_plain({"a": [1, [2, {3}], (4,)]})
    with pytest.raises(ValueError, match="levels deep"):
        check_plain(parse_json("[" * 90 + "]" * 90))
    with pytest.raises(ValueError, match="more than 10 values"):
        check_plain([[0] * 4] * 4, budget=10)


def test_weights_whose_header_lies_are_refused(tmp_path):
    good = fuzzing.seeds("weights")[0]
    length = struct.unpack_from("<Q", good)[0]
    header = json.loads(good[8 : 8 + length])

    def with_header(text: bytes, claimed: int | None = None) -> bytes:
        return struct.pack("<Q", len(text) if claimed is None else claimed) + text + good[8 + length :]

    header["a"]["data_offsets"] = [0, 2**40]
    lies = [
        with_header(json.dumps(header).encode()),
        with_header(good[8 : 8 + length], 2**60),
        with_header(b"{" * 1000),
        good[:-4],
        b"",
        good[:9],
    ]
    for number, data in enumerate(lies):
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(data)
        with pytest.raises(zoo.MissingWeight, match=rf"{number}\.safetensors"):
            zoo.load_state(file)
