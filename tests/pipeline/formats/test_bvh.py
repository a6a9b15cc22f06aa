"""BVH: round trip, golden text, what channels mean, and every way in which a file can be broken."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.bvh import Bvh, decode, encode, in_file_order, local_places, local_rotations

TEXT = b"""HIERARCHY
ROOT Hips
{
\tOFFSET 0.000000 90.000000 0.000000
\tCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
\tJOINT Bip01 L Thigh
\t{
\t\tOFFSET 10.000000 0.000000 0.000000
\t\tCHANNELS 3 Zrotation Xrotation Yrotation
\t\tEnd Site
\t\t{
\t\t\tOFFSET 0.000000 -40.000000 0.000000
\t\t}
\t}
}
MOTION
Frames: 2
Frame Time: 0.03333333
1.000000 91.000000 2.000000 90.000000 0.000000 0.000000 0.000000 0.000000 0.000000
1.500000 92.000000 2.000000 0.000000 90.000000 0.000000 10.000000 20.000000 30.000000
"""


def test_a_file_is_read_and_written_to_the_same_bytes():
    bvh = decode(TEXT)
    assert bvh.names == ("Hips", "Bip01 L Thigh") and bvh.parents == (-1, 0) and len(bvh) == 2
    assert bvh.ends == (None, (0.0, -40.0, 0.0)) and bvh.frame_time == 0.03333333
    assert encode(bvh) == TEXT


def test_the_angles_are_applied_in_the_order_of_the_channels():
    turned = local_rotations(decode(TEXT))
    assert np.allclose(turned[0, 0] @ [1, 0, 0], [0, 1, 0])  # 90 degrees about z
    assert np.allclose(turned[1, 0] @ [0, 1, 0], [0, 0, 1])  # about x
    z, x, y = np.radians([10, 20, 30])
    rz = np.array([[np.cos(z), -np.sin(z), 0], [np.sin(z), np.cos(z), 0], [0, 0, 1]])
    rx = np.array([[1, 0, 0], [0, np.cos(x), -np.sin(x)], [0, np.sin(x), np.cos(x)]])
    ry = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    assert np.allclose(turned[1, 1], rz @ rx @ ry)


@pytest.mark.parametrize(("height", "wanted"), [(91.0, 91.0), (1.0, 91.0)])
def test_positions_are_in_place_of_the_offset_or_beside_it(height, wanted):
    bvh = decode(TEXT.replace(b" 91.0", f" {height}".encode()).replace(b" 92.0", f" {height}".encode()))
    assert local_places(bvh)[0, 0, 1] == wanted


@st.composite
def skeletons(draw):
    count = draw(st.integers(1, 12))
    tree = [-1, *(draw(st.integers(0, k - 1)) for k in range(1, count))]
    order = in_file_order(tuple(tree))
    parents = tuple(order.index(tree[old]) if tree[old] >= 0 else -1 for old in order)
    width = draw(st.sampled_from([("Xrotation",), ("Zrotation", "Yrotation", "Xrotation"), ()]))
    channels = [("Yposition", "Xrotation"), *[width] * (count - 1)]
    frames, rng = draw(st.integers(1, 4)), np.random.default_rng(draw(st.integers(0, 99)))
    return Bvh(
        names=tuple(f"joint {k}" for k in range(count)), parents=parents,
        offsets=np.round(rng.normal(0, 30, (count, 3)), 6),
        ends=tuple(None if k in parents else (0.0, 1.0, 2.0) for k in range(count)),
        channels=tuple(channels), frame_time=0.01,
        values=np.round(rng.normal(0, 90, (frames, sum(map(len, channels)))), 6),
    )  # fmt: skip


@given(skeletons())
def test_round_trip_of_any_skeleton(bvh):
    found = decode(encode(bvh))
    assert (found.names, found.parents, found.ends, found.channels) == (
        bvh.names,
        bvh.parents,
        bvh.ends,
        bvh.channels,
    )
    assert np.array_equal(found.values, bvh.values) and np.array_equal(found.offsets, bvh.offsets)


def test_other_line_ends_tabs_and_letters_are_the_same_file():
    odd = TEXT.replace(b"\n", b"\r\n").replace(b"\t", b"   ").replace(b"Zrotation", b"ZROTATION")
    assert encode(decode(odd)) == TEXT


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"HIERARCHY", b"", "HIERARCHY is missing"),
        (b"MOTION", b"", "MOTION is missing"),
        (b"Frame Time: 0.03333333", b"", "'Frame Time:' is missing"),
        (b"Frame Time: 0.03333333", b"Frame Time: 0", "'Frame Time:' is '0'"),
        (b"Frame Time: 0.03333333", b"Frame Time:", "'Frame Time:' is ''"),
        (b"Frames: 2\n", b"", "'Frames:' is missing"),
        (b"Frames: 2", b"Frames: 0", "0 frames"),
        (b"Frames: 2", b"Frames: two", "expected a whole number"),
        (b"Frames: 2", b"Frames: 3", "says 3, but 2 lines"),
        (b"Frames: 2", b"Frames: 99999999", "numbers are read"),
        (b" 20.000000 30.000000", b"", "line 20: expected 9 numbers, one a channel, got 7"),
        (b" 20.000000", b" 20,0", "line 20: expected 9 numbers, got '20,0'"),
        (b" 20.000000", b" nan", "1 of 2 frames hold NaN or infinity, the first is frame 1"),
        (b"Xposition", b"Wposition", "line 5: expected a channel"),
        (b"Xposition", b"Yposition", "channels that differ"),
        (b"CHANNELS 6", b"CHANNELS 7", "line 5: expected 0 to 6 channels"),
        (b"OFFSET 10.000000", b"OFFSET ten", "line 8: expected a number, got 'ten'"),
        (b"OFFSET 10.000000", b"OFFSET inf", "expected a finite number"),
        (b"JOINT Bip01", b"ROOT Bip01", "one ROOT"),
        (b"}\nMOTION", b"MOTION", "cut short: 1 braces"),
        (b"ROOT Hips\n{", b"ROOT Hips\n", "expected|cut short|ends"),
    ],
)
def test_what_is_broken_is_told(before, after, said):
    with pytest.raises(FormatError, match=said):
        decode(TEXT.replace(before, after, 1))


@pytest.mark.parametrize("length", range(0, len(TEXT) - 2, 23))
def test_a_file_that_is_cut_short_is_an_error_and_never_a_shorter_motion(length):
    with pytest.raises(FormatError):
        decode(TEXT[:length])


def test_a_zip_and_a_crowd_of_joints_are_told():
    with pytest.raises(FormatError, match=r"zip archive.*unpack"):
        decode(b"PK\x03\x04" + TEXT)
    joints = b"JOINT a\n{\nOFFSET 0 0 0\n" * 3000
    with pytest.raises(FormatError, match="more than 2000 joints"):
        decode(b"HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\n" + joints + b"MOTION\nFrames: 1\nFrame Time: 1\n")


def test_what_cannot_be_written_is_told():
    bvh = decode(TEXT)
    with pytest.raises(FormatError, match="not finite"):
        encode(dataclasses.replace(bvh, values=bvh.values * np.nan))
    with pytest.raises(FormatError, match="8 values a frame for 9 channels"):
        encode(dataclasses.replace(bvh, values=bvh.values[:, :8]))
