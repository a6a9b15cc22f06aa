"""Pickles of strangers: arrays and plain values are read exactly, everything else is refused and nothing of
theirs runs."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
from pathlib import Path

import numpy as np
import pytest

from turnaround.models.estimator.given.pickles import load_npy, load_pickle


class Call:
    """Pickled as a call of `function`, as attacks are."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def flag(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_run_no_code(tmp_path, protocol):
    import builtins
    import importlib
    import operator

    evil = flag(tmp_path)
    calls = [
        Call(os.system, f"touch {evil}"),
        Call(subprocess.call, ["touch", str(evil)]),
        Call(builtins.eval, f"open({str(evil)!r}, 'w')"),
        Call(builtins.exec, f"open({str(evil)!r}, 'w')"),
        Call(builtins.open, str(evil), "w"),
        Call(builtins.__import__, "os"),
        Call(importlib.import_module, "this"),
        Call(builtins.getattr, {}, "keys"),
        Call(operator.attrgetter, "system"),
        Call(np.load, str(evil), None, True),
        Call(np.fromfile, "/etc/passwd", "u1"),
        Call(np.memmap, str(evil), "u1", "w+", 0, (10,)),
    ]
    for call in calls:
        for value in (call, {"betas": call}, [{"body_pose": call}], (call,)):
            with pytest.raises(ValueError):
                load_pickle(pickle.dumps(value, protocol))
    assert not evil.exists()


def raw(*parts: bytes) -> bytes:
    return b"".join(parts) + b"."


ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
DTYPE = b"cnumpy\ndtype\n(S'%s'\nI0\nI1\ntR"
ATTACKS = {
    "an array of objects over bytes": raw(ARRAY, b"(I1\n(I1\nt", DTYPE % b"O8", b"I0\nS'AAAAAAAA'\ntb"),
    "an array of objects whose type forgot its flags": raw(
        ARRAY, b"(I1\n(I1\nt", DTYPE % b"O8", b"(I3\nS'|'\nNNNI8\nI1\nI0\ntb", b"I0\nS'AAAAAAAA'\ntb"
    ),
    "one object over bytes": raw(ARRAY, b"(I1\n(t", DTYPE % b"O8", b"I0\nS'AAAAAAAA'\ntb"),
    "an object that is itself": raw(ARRAY, b"p0\n(I1\n(t", DTYPE % b"O8", b"I0\n(lg0\natb"),
    "objects within a value": raw(b"(l", ARRAY, b"(I1\n(t", DTYPE % b"O8", b"I0\n(lI1\natba"),
    "two objects": raw(ARRAY, b"(I1\n(I2\nt", DTYPE % b"O8", b"I0\n(lI1\naI2\natb"),
    "a shape beyond its bytes": raw(ARRAY, b"(I1\n(I4000000000\nt", DTYPE % b"f8", b"I0\nS'AAAAAAAA'\ntb"),
    "a negative shape": raw(ARRAY, b"(I1\n(I-1\nt", DTYPE % b"f8", b"I0\nS'AAAAAAAA'\ntb"),
    "an array without content": raw(ARRAY),
    "numpy's array called": raw(b"cnumpy\nndarray\n((I1000000\nI1000000\nttR"),
    "a function changed": raw(b"c_codecs\nencode\n}S'x'\nI1\nsb"),
    "a function's defaults changed": raw(b"c_codecs\nencode\n(N}S'__defaults__'\nNstb"),
    "a codec that runs code of its module": raw(b"c_codecs\nencode\n(S'x'\nS'idna'\ntR"),
    "a place far away in the memory": raw(b"\x80\x02}r\xff\xff\xff\x7f"),
    "a byte array larger than the file": raw(b"\x80\x05\x96\xff\xff\xff\xff\x0f\0\0\0"),
    "an extension code": raw(b"\x80\x02\x82\x01"),
    "an old instance": raw(b"(ios\nsystem\n"),
    "an instance by class": raw(b"(cos\nsystem\nS'true'\no"),
    "a persistent id": raw(b"S'x'\nQ"),
    "a buffer from outside": raw(b"\x80\x05\x97"),
    "deep tuples": raw(b"\x80\x02)", b"\x85" * 30_000),
    "deep lists": raw(b"(l", b"q\0]h\0a" * 0, b"".join(b"]q%c" % (i % 250) for i in range(90)), b"a" * 89),
    "a dictionary in itself": raw(b"}q\0S'a'\nh\0s"),
    "a set of a list": raw(b"\x80\x02c__builtin__\nset\n]]a\x85R"),
    "only a mark": b"(.",
    "a name that is no text": raw(b"\x80\x04I1\nI2\n\x93"),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_attacks_by_pickle_are_refused(attack):
    with pytest.raises(ValueError) as raised:
        load_pickle(ATTACKS[attack])
    assert len(str(raised.value)) < 500


def test_a_pickle_cannot_grow_by_naming_itself():
    """Ten lists of ten lists ... are some hundred bytes and 10^12 values."""
    value: list = [0.0] * 10
    for _ in range(12):
        value = [value] * 10
    for laughs in (value, {"a": value}):
        with pytest.raises(ValueError, match="more than"):
            load_pickle(pickle.dumps(laughs))
    text = "x" * 100_000
    grown = [Call(__import__("_codecs").encode, text, "latin1") for _ in range(200)]
    with pytest.raises(ValueError, match="grows"):
        load_pickle(pickle.dumps(grown))


@pytest.mark.parametrize("dtype", ["f4", ">f8", "i4", "u1", "?", "c8", "U5", "S3"])
@pytest.mark.parametrize("protocol", range(6))
def test_arrays_of_numbers_and_texts_are_read_exactly(dtype, protocol):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for value in (array, array.T, array[:, ::2], np.asfortranarray(array), array[0, 0, 0], array[:0]):
        found = load_pickle(pickle.dumps({"a": [value, value]}, protocol))["a"]
        assert all(np.array_equal(one, value) and one.dtype == value.dtype for one in found)


def test_what_numpy_saved_as_one_object_is_that_object():
    value = {"cams": {"K": [np.eye(3)]}, "ims": [{"ims": ["a/b.jpg"], "kpts2d": [np.zeros((2, 3))]}]}
    stream = io.BytesIO()
    np.save(stream, value)  # type: ignore[arg-type]
    found = load_npy(stream.getvalue())
    assert np.array_equal(found["cams"]["K"][0], np.eye(3)) and found["ims"][0]["ims"] == ["a/b.jpg"]
    for other in (np.zeros(3), np.array([{}, {}], object), np.array(1.0)):
        stream = io.BytesIO()
        np.save(stream, other, allow_pickle=True)
        with pytest.raises(ValueError, match="expected one pickled value"):
            load_npy(stream.getvalue())
    for damage in (b"", b"\x93NUMPY\x01\x00", stream.getvalue()[:40]):
        with pytest.raises(ValueError, match=r"not an \.npy file"):
            load_npy(damage)
