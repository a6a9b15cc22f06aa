"""BVH (Biovision hierarchy): a skeleton and its motion as text, read by Blender, Maya, MotionBuilder, Unity.

A joint has an offset from its parent and channels, three angles in degrees about axes that turn with it, in
the order in which they are applied: `Zrotation Xrotation Yrotation` is Z @ X @ Y. Units and axes are told by
nobody.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from turnaround.pipeline.errors import FormatError

MAX_BYTES = 512 * 2**20
MAX_JOINTS = 2000
MAX_VALUES = 60_000_000  # numbers of all frames
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_DIGITS = 6  # behind the point: a millionth of a degree, 10 nm where the unit is a centimetre


@dataclass(frozen=True)
class Bvh:
    """A skeleton of j joints in the order of a file (`in_file_order`), and f frames of c channels; angles in
    degrees as there."""

    names: tuple[str, ...]
    parents: tuple[int, ...]  # -1 for the root
    offsets: Float[np.ndarray, "j 3"]  # from the parent, the file's units
    ends: tuple[tuple[float, float, float] | None, ...]  # of each joint's end site, from the joint
    channels: tuple[tuple[str, ...], ...]  # such as Xposition, Zrotation
    frame_time: float  # seconds
    values: Float[np.ndarray, "f c"]

    def __len__(self) -> int:
        return len(self.values)


def local_rotations(bvh: Bvh) -> Float[np.ndarray, "f j 3 3"]:
    """The rotation of each joint against its parent."""
    result = np.broadcast_to(np.eye(3), (len(bvh), len(bvh.names), 3, 3)).copy()
    for joint, columns in _columns(bvh):
        axes = [(name[0], column) for name, column in columns if name.endswith("rotation")]
        if axes:
            order = "".join(axis for axis, _ in axes)
            angles = bvh.values[:, [column for _, column in axes]]
            result[:, joint] = Rotation.from_euler(order, angles, degrees=True).as_matrix()
    return result


def local_places(bvh: Bvh) -> Float[np.ndarray, "f j 3"]:
    """Where each joint lies from its parent, in the parent's frame.

    Programs differ in whether position channels are in the offset's place or beside it: beside are those that
    are small against it in the median.
    """
    result = np.broadcast_to(bvh.offsets, (len(bvh), len(bvh.names), 3)).copy()
    for joint, columns in _columns(bvh):
        moved = {"XYZ".index(name[0]): column for name, column in columns if name.endswith("position")}
        if not moved:
            continue
        values, offset = bvh.values[:, list(moved.values())], bvh.offsets[joint, list(moved)]
        middle = np.median(values, 0) if len(values) else offset
        beside = np.linalg.norm(middle) < np.linalg.norm(offset) / 2
        result[:, joint, list(moved)] = values + offset * beside
    return result


def _columns(bvh: Bvh) -> Iterator[tuple[int, list[tuple[str, int]]]]:
    """Each joint with its channels and their columns."""
    column = 0
    for joint, names in enumerate(bvh.channels):
        yield joint, [(name, column + k) for k, name in enumerate(names)]
        column += len(names)


def encode(bvh: Bvh) -> bytes:
    """The text, the same each time; ValueError where a number is not finite or sizes do not agree."""
    if bvh.values.shape[1] != sum(map(len, bvh.channels)):
        raise FormatError(f"{bvh.values.shape[1]} values a frame for {sum(map(len, bvh.channels))} channels")
    if not (np.isfinite(bvh.values).all() and np.isfinite(bvh.offsets).all() and bvh.frame_time > 0):
        raise FormatError("a motion with values that are not finite, or without a frame time")
    if in_file_order(bvh.parents) != list(range(len(bvh.parents))):
        raise FormatError("joints that are not in the order of a file: each one's whole subtree after it")
    lines = ["HIERARCHY"]
    _write_joint(bvh, 0, 0, lines)
    lines += ["MOTION", f"Frames: {len(bvh)}", f"Frame Time: {bvh.frame_time:.8f}"]
    lines += [" ".join(f"{value:.{_DIGITS}f}" for value in row) for row in bvh.values.tolist()]
    return ("\n".join(lines) + "\n").encode()


def _write_joint(bvh: Bvh, joint: int, depth: int, lines: list[str]) -> None:
    pad = "\t" * depth

    def numbers(xyz: Iterable[float]) -> str:
        return " ".join(f"{x:.{_DIGITS}f}" for x in xyz)

    lines += [f"{pad}{'JOINT' if depth else 'ROOT'} {bvh.names[joint]}", pad + "{"]
    lines.append(f"{pad}\tOFFSET {numbers(bvh.offsets[joint])}")
    lines.append(f"{pad}\tCHANNELS {len(bvh.channels[joint])} {' '.join(bvh.channels[joint])}")
    for child, parent in enumerate(bvh.parents):
        if parent == joint:
            _write_joint(bvh, child, depth + 1, lines)
    end = bvh.ends[joint]
    if end is not None:
        lines += [f"{pad}\tEnd Site", pad + "\t{", f"{pad}\t\tOFFSET {numbers(end)}", pad + "\t}"]
    lines.append(pad + "}")


def in_file_order(parents: tuple[int, ...]) -> list[int]:
    """The joints as they follow each other in a file: each one's whole subtree after it."""
    order: list[int] = []
    left = [k for k, parent in enumerate(parents) if parent < 0]
    while left:
        joint = left.pop()
        order.append(joint)
        left += [k for k in reversed(range(len(parents))) if parents[k] == joint]
    return order


def decode(data: bytes) -> Bvh:
    """The skeleton and the motion of a file; FormatError says the line, what was expected and found."""
    if data[:2] == b"PK":
        raise FormatError("it is a zip archive, not a BVH text: unpack it and give the .bvh inside")
    if len(data) > MAX_BYTES:
        raise FormatError(f"{len(data) / 2**20:.0f} MiB; at most {MAX_BYTES / 2**20:.0f} MiB are read")
    head, found, tail = data.partition(b"MOTION")
    if b"HIERARCHY" not in head or not found:
        raise FormatError(
            f"it is not a BVH text: {'MOTION' if b'HIERARCHY' in head else 'HIERARCHY'} is missing"
        )
    skeleton = _Hierarchy(head.decode("utf-8", "replace")).read()
    return _with_motion(skeleton, tail, head.count(b"\n") + 1)


class _Hierarchy:
    """The skeleton's part of a file, word by word."""

    def __init__(self, text: str) -> None:
        self.words = [
            (word, number) for number, line in enumerate(text.splitlines(), 1) for word in _words(line)
        ]
        self.place = 0
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[tuple[float, float, float]] = []
        self.ends: list[tuple[float, float, float] | None] = []
        self.channels: list[tuple[str, ...]] = []

    def _fail(self, expected: str) -> FormatError:
        word, line = self.words[min(self.place, len(self.words) - 1)]
        return FormatError(f"line {line}: expected {expected}, got {word[:40]!r}")

    def _next(self, expected: str = "") -> str:
        if self.place >= len(self.words):
            raise FormatError(f"the hierarchy ends where {expected or 'more'} is expected: it is cut short")
        word = self.words[self.place][0]
        if expected and word.upper() != expected:
            raise self._fail(expected)
        self.place += 1
        return word

    def _number(self) -> float:
        try:
            value = float(self._next())
        except ValueError as error:
            self.place -= 1
            raise self._fail("a number") from error
        if not math.isfinite(value):
            self.place -= 1
            raise self._fail("a finite number")
        return value

    def _triple(self) -> tuple[float, float, float]:
        self._next("OFFSET")
        return self._number(), self._number(), self._number()

    def read(self) -> _Hierarchy:
        """Read it to its end; FormatError tells the line of what is not understood."""
        self._next("HIERARCHY")
        open_joints: list[int] = []
        while self.place < len(self.words):
            word = self._next().upper()
            if word in ("ROOT", "JOINT"):
                if (word == "ROOT") != (not self.names):
                    self.place -= 1
                    raise self._fail("one ROOT, then JOINT")
                open_joints.append(self._joint(open_joints[-1] if open_joints else -1))
            elif word == "END" and open_joints:
                self._next("SITE")
                while self._next() != "{":  # some name it
                    pass
                self.ends[open_joints[-1]] = self._triple()
                self._next("}")
            elif word == "}" and open_joints:
                open_joints.pop()
            else:
                self.place -= 1
                raise self._fail("JOINT, End Site or }")
        if open_joints or not self.names:
            raise FormatError(f"the hierarchy is cut short: {len(open_joints)} braces are not closed")
        return self

    def _joint(self, parent: int) -> int:
        if parent < 0 and self.names:
            raise self._fail("one ROOT, then JOINT")
        if len(self.names) >= MAX_JOINTS:
            raise FormatError(f"more than {MAX_JOINTS} joints")
        name = self._next()
        while self.place < len(self.words) and self.words[self.place][0] != "{":
            name += " " + self._next()  # names with blanks: Bip01 L Thigh
        self._next("{")
        self.names.append(name)
        self.parents.append(parent)
        self.offsets.append(self._triple())
        self.ends.append(None)
        self.channels.append(())
        if self.place < len(self.words) and self.words[self.place][0].upper() == "CHANNELS":
            self._next()
            self.channels[-1] = self._channels()
        return len(self.names) - 1

    def _channels(self) -> tuple[str, ...]:
        count = self._number()
        if count != int(count) or not 0 <= count <= 6:
            self.place -= 1
            raise self._fail("0 to 6 channels")
        names: list[str] = []
        for _ in range(int(count)):
            match = _CHANNEL.fullmatch(self._next())
            if match is None:
                self.place -= 1
                raise self._fail("a channel such as Xposition or Zrotation")
            names.append(match[1].upper() + match[2].lower())
        if len(set(names)) != len(names):
            self.place -= 1
            raise self._fail("channels that differ")
        return tuple(names)


def _words(line: str) -> list[str]:
    return line.replace("{", " { ").replace("}", " } ").split()


def _with_motion(skeleton: _Hierarchy, tail: bytes, line: int) -> Bvh:
    found = re.match(rb"\s*Frames:\s*(\S+)\s+Frame\s*Time:[ \t]*(\S*)", tail, re.IGNORECASE)
    if found is None:
        missing = "Frame Time" if re.match(rb"\s*Frames:", tail, re.IGNORECASE) else "Frames"
        raise FormatError(f"after MOTION (line {line}) '{missing}:' is missing, e.g. 'Frame Time: 0.0333'")
    count, frame_time = _count(found[1]), _seconds(found[2])
    width = sum(map(len, skeleton.channels))
    if not count:
        raise FormatError("it has 0 frames; export the motion again, with its range of frames")
    if width == 0 or count * width > MAX_VALUES:
        raise FormatError(
            f"{count} frames of {width} channels; at most {MAX_VALUES:.0e} numbers are read, and one at least"
        )
    first = line + tail[: found.end()].count(b"\n")
    values = _frames(tail[found.end() :], count, width, first)
    return Bvh(
        tuple(skeleton.names),
        tuple(skeleton.parents),
        np.array(skeleton.offsets, np.float64),
        tuple(skeleton.ends),
        tuple(skeleton.channels),
        frame_time,
        values,
    )


def _count(word: bytes) -> int:
    try:
        return max(0, int(word))
    except ValueError as error:
        raise FormatError(f"'Frames:' is followed by {word[:40]!r}, expected a whole number") from error


def _seconds(word: bytes) -> float:
    try:
        seconds = float(word)
    except ValueError:
        seconds = math.nan
    if not 1e-5 < seconds < 1e3:
        raise FormatError(
            f"'Frame Time:' is {word[:40].decode('latin1')!r}, expected seconds a frame, such as 0.0333 for "
            f"30 frames a second"
        )
    return seconds


def _frames(text: bytes, count: int, width: int, first: int) -> Float[np.ndarray, "f c"]:
    """The numbers of all frames; the line of the first that is wrong is told."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            values = np.fromstring(text.decode("latin1"), np.float64, sep=" ")
        except (ValueError, DeprecationWarning):
            values = np.zeros(0)
    if values.size != count * width:
        raise _wrong_frame(text, count, width, first)
    values = values.reshape(count, width)
    bad = ~np.isfinite(values).all(1)
    if bad.any():
        raise FormatError(
            f"{int(bad.sum())} of {count} frames hold NaN or infinity, the first is frame "
            f"{int(bad.argmax())}; export the motion again or cut them out"
        )
    return values


def _wrong_frame(text: bytes, count: int, width: int, first: int) -> FormatError:
    """What is wrong with frames that are not `count` lines of `width` numbers."""
    lines = [(first + k, line.split()) for k, line in enumerate(text.splitlines()) if line.strip()]
    for number, words in lines:
        odd = next((word for word in words if not _is_number(word)), None)
        if odd is not None:
            return FormatError(f"line {number}: expected {width} numbers, got {odd[:40].decode('latin1')!r}")
        if len(words) != width and (len(lines) > 1 or count == 1):  # or all in one line
            return FormatError(
                f"line {number}: expected {width} numbers, one a channel, got {len(words)}: the file is cut "
                f"short or its hierarchy is another one's"
            )
    return FormatError(
        f"'Frames:' says {count}, but {len(lines)} lines of numbers follow: the file is cut short; correct "
        f"the count or export it again"
    )


def _is_number(word: bytes) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
