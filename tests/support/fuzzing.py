"""Readers of files from strangers, valid examples for each, and random damage to them.

    PYTHONPATH=. python tests/support/fuzzing.py SECONDS SEED [TARGET...]     prints what a reader raised that
    it must not

Of any bytes a reader makes a value or an error that names what is wrong: ValueError, StageError, StoreError
or MissingWeight. Everything else, a warning of numpy's included, is a fault of the reader.
"""

from __future__ import annotations

import base64
import io
import json
import pickle
import random
import struct
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save
from toy_motions import little_amass, little_bvh

from turnaround.data.scans.parameters import read_fields
from turnaround.data.scans.scan import ScanError
from turnaround.flows.subjects import memory as subjects
from turnaround.models import zoo
from turnaround.models.estimator.given.body_file import read_body
from turnaround.models.estimator.given.pickles import load_pickle
from turnaround.models.motion.reader import read_motion
from turnaround.pipeline.formats import glb, ply
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.formats.untrusted import parse_yaml
from turnaround.pipeline.photos.photo import decode, decode_mask
from turnaround.pipeline.settings import load_settings, read_config
from turnaround.pipeline.stage import StageError
from turnaround.pipeline.store.digest import DigestMemo
from turnaround.pipeline.store.recipe import Recipe
from turnaround.pipeline.store.store import Store, StoreError
from turnaround.pipeline.values.types import Body, Camera, Gaussians, Mesh, View

ALLOWED = (ValueError, StageError, StoreError, zoo.MissingWeight, ScanError)
FOLDER = Path(tempfile.mkdtemp(prefix="fuzzing-"))
SIZE = 72


def picture(mode: str, kind: str, **options: Any) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 4), dtype=np.uint8)
    pixels[..., :3] //= 32
    stream = io.BytesIO()
    Image.fromarray(pixels).convert("RGB" if mode == "P" else mode).convert(mode).save(
        stream, kind, **options
    )
    return stream.getvalue()


def saved(kind: str, value: Any) -> bytes:
    codec = codec_for(kind)
    file = FOLDER / f"seed{codec.suffix}"
    codec.save(value, file)
    return file.read_bytes()


def npz(values: dict[str, Any], compressed: bool = True) -> bytes:
    stream = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(stream, **values)
    return stream.getvalue()


def _body() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {
        "global_orient": rng.normal(size=3),
        "body_pose": rng.normal(size=(21, 3)).astype("f4"),
        "betas": rng.normal(size=(1, 10)),
    }


def _bodies() -> list[bytes]:
    body = _body()
    lists = {name: array.tolist() for name, array in body.items()} | {"cam": [0.9, 0.1, 0.2]}
    whole = {"rotmat": np.tile(np.eye(3), (55, 1, 1)), "transl": np.array([0, 0, 3.0])}
    pickles = [
        pickle.dumps(value, protocol) for value in (body, [{"param": whole}]) for protocol in (0, 2, 4, 5)
    ]
    return [
        npz(body),
        npz(whole, False),
        json.dumps(lists).encode(),
        json.dumps([lists, {"annot": lists}]).encode(),
        *pickles,
    ]


def _view() -> View:
    mask = torch.ones(8, 8)
    return View(
        torch.rand(8, 8, 3, generator=torch.Generator().manual_seed(0)),
        mask,
        Camera(torch.eye(3), torch.eye(4), 8, 8),
    )


def _gaussians() -> Gaussians:
    rng = torch.Generator().manual_seed(0)
    quats = torch.nn.functional.normalize(torch.randn(3, 4, generator=rng), dim=-1)
    return Gaussians(
        torch.randn(3, 3, generator=rng),
        quats,
        torch.full((3, 3), 0.1),
        torch.full((3,), 0.5),
        torch.full((3, 3), 0.5),
    )


def _manifest() -> bytes:
    recipe = Recipe("toy", 1, {"seed": 1}, {"photo.image": "0" * 64}, {})
    store = Store(FOLDER / "seed_store")
    store.prepare()
    return (
        store.save(recipe, {"film": "Video"}, {"film": b"1"}, {"seconds": 1.0}).path / "manifest.json"
    ).read_bytes()


def at_path(suffix: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """A reader of files as one of bytes."""

    def run(data: bytes) -> Any:
        file = FOLDER / f"input{suffix}"
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(data)
        return read(file)

    return run


def _run_of_a_stranger(data: bytes) -> Any:
    folder = FOLDER / "stranger"
    run = folder / "cache" / "toy" / json.loads(_SEEDS["manifest"][0])["key"]
    run.mkdir(parents=True, exist_ok=True)
    (run / "film.mp4").write_bytes(b"1")
    (run / "manifest.json").write_bytes(data)
    record = Store(folder).read(run)
    return (
        None
        if record is None
        else (record.damage(content=True), [record.load(name) for name in record.manifest["outputs"]])
    )


def _subject(data: bytes) -> Any:
    file = FOLDER / "work" / "subjects" / "alice" / subjects.FILE
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    memory = subjects.recall(FOLDER / "work", "alice")
    assert all(
        isinstance(text, str)
        for text in (memory.image, memory.config, *memory.overrides, *memory.failures.values())
    )


def _settings(data: bytes) -> Any:
    from turnaround import stages

    file = FOLDER / "input.yaml"
    file.write_bytes(data)
    read_config(file)
    return load_settings(file, stages.classes(), ["stages.refine.fit.iterations=3"])


_YAML = (
    b"extends: default\nbody: body\nstages:\n"
    b"  prepare: {size: 256, matting: {kind: hub, model: m, labels: [a, b]}}\n"
    b"  refine:\n    fit: {iterations: 3}\n"
)
_SEEDS: dict[str, list[bytes]] = {
    "photo": [
        picture("RGB", "PNG"),
        picture("RGBA", "PNG"),
        picture("P", "GIF"),
        picture("L", "PNG", transparency=3),
        picture("CMYK", "TIFF"),
        picture("RGB", "JPEG", exif=Image.Exif()),
        picture("RGB", "WEBP"),
        picture("RGB", "BMP"),
        picture("RGB", "TIFF", compression="tiff_lzw"),
    ],
    "mask": [picture("LA", "PNG")],
    "image": [picture("RGB", "PNG"), picture("RGBA", "PNG"), picture("L", "PNG")],
    "view": [saved("View", _view())],
    "body": [saved("Body", Body.neutral())],
    "ply": [ply.encode(_gaussians())],
    "glb": [glb.encode(Mesh(torch.rand(3, 3), torch.tensor([[0, 1, 2]]), torch.rand(3, 3)))],
    "trace": [b'{"loss": [1.0, 0.5], "note": "x"}'],
    "given": _bodies(),
    "pickle": [data for data in _bodies() if data[:1] in (b"\x80", b"(")],
    "scan": [data for data in _bodies() if not data.startswith((b"[", b"(lp")) and b"param" not in data],
    "yaml": [_YAML, b"a: [1, 2.5, true, null, 2020-01-01, 1:30, 0x1f, !!str x]\nb: {c: 'd', <<: {e: 1}}\n"],
    "settings": [_YAML],
    "manifest": [_manifest()],
    "subject": [
        b'{"config": "default", "failures": {"count": "bad"}, "image": "/a.png", "overrides": ["a=1"]}'
    ],
    "weights": [
        save({"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.float16)}, metadata={"config": "{}"})
    ],
    "bvh": [little_bvh(), little_bvh("mm")],
    "motion": [*_bodies(), little_amass()],
    "memo": [b"\n1:2:3:4:5 " + b"a" * 64 + b"\n"],
}

READERS: dict[str, Callable[[bytes], Any]] = {
    "photo": lambda data: decode(data, "input"),
    "mask": lambda data: decode_mask(data, "input", (SIZE, SIZE)),
    "image": at_path(".png", codec_for("Image").load),
    "view": at_path(".png", codec_for("View").load),
    "body": at_path(".npz", codec_for("Body").load),
    "ply": at_path(".ply", ply.load),
    "glb": at_path(".glb", glb.load),
    "trace": at_path(".json", codec_for("Trace").load),
    "given": read_body,
    "pickle": load_pickle,
    "scan": lambda data: at_path(
        {b"P": ".npz", b"{": ".json", b"[": ".json"}.get(data[:1], ".pkl"), read_fields
    )(data),
    "yaml": lambda data: parse_yaml(data.decode("latin1")),
    "settings": _settings,
    "manifest": _run_of_a_stranger,
    "subject": _subject,
    "weights": at_path(".safetensors", zoo.load_state),
    "bvh": lambda data: read_motion(data, "x.bvh"),
    "motion": lambda data: read_motion(data, "x"),
    "memo": at_path(".txt", DigestMemo),
}
TOKENS = [
    b"\xff" * 8,
    b"\0" * 8,
    b"\x7f\xff\xff\xff",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"NaN",
    b"Infinity",
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"../../../etc/passwd",
    b"(",
    b"[" * 300,
    b"(lp0\n",
    b"\x8c\x02os\x8c\x06system\x93",
    b"cos\nsystem\n",
    b"&a ",
    b"*a",
    b"<<: ",
    b"!!python/object:os.x",
    b"element vertex 99999999999\n",
    b"property list uchar int a\n",
    b"|O",
    b"<U9999999",
    b"(9999999999,)",
    b"'descr': 'O'",
    b"\x80\x02",
    b"R",
    b"b.",
]


def seeds(target: str) -> list[bytes]:
    """Valid files of a reader."""
    return _SEEDS[target]


def damaged(chance: random.Random, examples: list[bytes]) -> bytes:
    """An example with some bytes changed, cut out, put in, repeated, or taken from another."""
    data = bytearray(chance.choice(examples))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        at = chance.randrange(len(data) + 1)
        # most of what matters in a file stands near its ends
        at = (
            min(at, chance.randrange(200))
            if chance.random() < 0.4
            else max(at, len(data) - chance.randrange(200))
            if chance.random() < 0.3
            else at
        )
        how = chance.randrange(8)
        if how == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif how == 1 and at < len(data):
            data[at] = chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        elif how == 2:
            del data[at : at + chance.choice((1, 4, 50))]
        elif how == 3:
            data[at:at] = chance.choice(TOKENS)
        elif how == 4:
            token = chance.choice(TOKENS)
            data[at : at + len(token)] = token
        elif how == 5:
            data[at : at + 4] = struct.pack(
                chance.choice("<>") + "I",
                chance.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, chance.randrange(2**32))),
            )
        elif how == 6:
            other = chance.choice(examples)
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randrange(1, 64)]
        else:
            del data[at if chance.random() < 0.5 else len(data) :]
    return bytes(data)


def attempt(target: str, data: bytes) -> str | None:
    """What a reader raised that it must not, or None."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # Pillow tells of odd metadata
            warnings.simplefilter("error", RuntimeWarning)
            READERS[target](data)
    except ALLOWED:
        return None
    except BaseException:
        return traceback.format_exc()
    return None


def search(seconds: float, seed: int, targets: list[str]) -> Iterator[tuple[str, bytes, str]]:
    """Damage examples for a while; yields reader, bytes and trace of each fault of another kind."""
    chance, known, tries = random.Random(seed), set(), 0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        target = chance.choice(targets)
        data = damaged(chance, seeds(target))
        tries += 1
        started = time.monotonic()
        trace = attempt(target, data)
        slow = time.monotonic() - started
        kind = (target, trace.splitlines()[-1][:60] if trace else f"{slow:.0f} s")
        if (trace or slow > 5) and kind not in known:
            known.add(kind)
            yield target, data, trace or f"took {slow:.1f} s"
    sys.stdout.write(f"{tries} tries, {len(known)} kinds of faults\n")


if __name__ == "__main__":
    import logging

    logging.disable()
    for name, found, what in search(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:] or list(READERS)):
        sys.stdout.write(f"{name}: {base64.b64encode(found[:3000]).decode()}\n{what}\n")
