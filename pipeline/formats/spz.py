"""Gaussians as `.spz`, version 3 (Niantic, https://github.com/nianticlabs/spz): gzip of 20 bytes a Gaussian,
read by the usual web viewers.

After a header of 16 bytes come all positions (3 x 24-bit fixed point, metres), opacities and colours (8 bits;
the colour is the coefficient of the constant spherical harmonic), scales (8 bits, logarithmic), and rotations
(the three smallest components of the quaternion, xyzw, in 10 bits each). Axes are right, up, back: our world
turned by 180 degrees about x. Within: 0.03 mm, 0.4 % of opacity and of colour, 3 % of scale, 0.1 degrees.
"""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt32

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.formats.ply import SH_C0
from turnaround.pipeline.values.types import Gaussians

MAGIC, VERSION = 0x5053474E, 3
FRACTION = 14  # bits of a position behind the point: steps of 0.06 mm, and 512 m to either side
BYTES = 20  # of a Gaussian before compression
LIMIT = 50_000_000  # Gaussians that are read
_HEADER = struct.Struct("<IIIBBBB")
_COLOR = 0.15  # coefficient to [-0.5, 0.5], as the format has it
_TURN = np.array([1, -1, -1, 1], np.float64)  # x, y, z, w of rotations; x, y, z of positions


def encode(gaussians: Gaussians) -> bytes:
    """The `.spz` bytes, the same each time; ValueError where a value is not finite or a position is out of
    reach.

    Scales below e^-10 m (0.045 mm) become that, colours are clipped to [-0.44, 1.44].
    """
    g = gaussians.detach().to("cpu")
    for name, value in vars(g).items():
        if not value.isfinite().all():
            raise FormatError(f"{name} of {len(g)} Gaussians has values that are not finite")
    places = np.round(g.means.double().numpy() * _TURN[:3] * 2**FRACTION)
    if np.abs(places).max(initial=0) >= 2**23:
        raise FormatError(
            f"Gaussians lie {np.abs(g.means.numpy()).max():.0f} m from the origin; .spz reaches "
            f"{2 ** (23 - FRACTION)} m"
        )
    fixed = np.ascontiguousarray(places.astype("<i4")).view(np.uint8).reshape(-1, 4)[:, :3]
    parts = [
        fixed,
        _byte(g.opacities.double().numpy() * 255),
        _byte(((g.colors.double().numpy() - 0.5) / SH_C0 * _COLOR + 0.5) * 255),
        _byte((np.log(g.scales.double().numpy().clip(1e-9)) + 10) * 16),
        _smallest_three(g.quats.double().numpy()).astype("<u4"),
    ]
    header = _HEADER.pack(MAGIC, VERSION, len(g), 0, FRACTION, 0, 0)
    return gzip.compress(
        header + b"".join(np.ascontiguousarray(part).tobytes() for part in parts), 9, mtime=0
    )


def decode(data: bytes) -> Gaussians:
    """Gaussians of a `.spz` of version 3; harmonics of higher degree are left out. ValueError on any other
    file."""
    body, count, fraction = _unpacked(data)
    fixed = np.zeros((count, 3, 4), np.uint8)
    fixed[..., 1:] = body[: 9 * count].reshape(
        count, 3, 3
    )  # in the upper bytes, so that the sign is where it belongs
    places = (fixed.view("<i4")[..., 0] >> 8) / 2.0**fraction * _TURN[:3]
    opacities, colors, scales = (
        body[a * count : b * count].astype(np.float64) for a, b in ((9, 10), (10, 13), (13, 16))
    )
    quats = _from_smallest_three(np.frombuffer(body[16 * count : 20 * count].tobytes(), "<u4"))
    return Gaussians(
        means=torch.from_numpy(places).float(),
        quats=torch.from_numpy(quats).float(),
        scales=torch.from_numpy(np.exp(scales / 16 - 10)).float().reshape(-1, 3),
        opacities=torch.from_numpy(opacities / 255).float(),
        colors=torch.from_numpy((colors / 255 - 0.5) / _COLOR * SH_C0 + 0.5).float().reshape(-1, 3),
    )


def _unpacked(data: bytes) -> tuple[UInt8[np.ndarray, " bytes"], int, int]:
    """Bytes behind the header, number of Gaussians, bits behind the point."""
    stream = zlib.decompressobj(wbits=31)
    try:
        head = stream.decompress(data, _HEADER.size)
        if len(head) < _HEADER.size:
            raise FormatError("not a .spz, or cut short")
        magic, version, count, degree, fraction, _, _ = _HEADER.unpack(head)
        if magic != MAGIC or version != VERSION or degree > 4 or fraction > 23:
            raise FormatError(f"not a .spz of version {VERSION} (magic {magic:#x}, version {version})")
        if count > LIMIT:
            raise FormatError(f"{count} Gaussians; at most {LIMIT} are read")
        body = stream.decompress(stream.unconsumed_tail, max(1, BYTES * count))
    except zlib.error as error:
        raise FormatError(f"not a .spz: {error}") from error
    if len(body) < BYTES * count:
        raise FormatError(f"cut short: {len(body)} bytes for {count} Gaussians of {BYTES}")
    return np.frombuffer(body, np.uint8), count, fraction


def _byte(values: np.ndarray) -> UInt8[np.ndarray, "..."]:
    return np.round(values).clip(0, 255).astype(np.uint8)


def _smallest_three(quats: Float[np.ndarray, "n 4"]) -> UInt32[np.ndarray, " n"]:
    """wxyz -> number of the largest of x, y, z, w in the two upper bits, then sign and 9 bits of each other
    one in this order."""
    q = quats[:, [1, 2, 3, 0]] / np.linalg.norm(quats, axis=1, keepdims=True).clip(1e-12) * _TURN
    largest = np.abs(q).argmax(1)
    q = q * np.where(np.take_along_axis(q, largest[:, None], 1) < 0, -1, 1)  # q and -q are one rotation
    packed = largest.astype(np.uint32)
    for k in range(4):
        size = np.minimum(np.round(np.abs(q[:, k]) * 2**0.5 * 511), 511).astype(np.uint32)
        longer = packed << np.uint32(10) | (q[:, k] < 0).astype(np.uint32) << np.uint32(9) | size
        packed = np.where(k == largest, packed, longer)
    return packed


def _from_smallest_three(packed: UInt32[np.ndarray, " n"]) -> Float[np.ndarray, "n 4"]:
    largest, left = packed >> np.uint32(30), packed.copy()
    q = np.zeros((len(packed), 4))
    for k in (3, 2, 1, 0):
        stored = k != largest
        size = (left & np.uint32(511)) / 511 / 2**0.5
        q[:, k] = np.where(stored, np.where(left & np.uint32(512), -size, size), 0)
        left = np.where(stored, left >> np.uint32(10), left)
    rest = np.sqrt((1 - (q**2).sum(1)).clip(0))
    q[np.arange(len(q)), largest] = rest
    return (q * _TURN)[:, [3, 0, 1, 2]]


def save(gaussians: Gaussians, path: Path) -> None:
    """Write `encode(gaussians)`."""
    path.write_bytes(encode(gaussians))


def load(path: Path) -> Gaussians:
    """Read a `.spz`; ValueError names the file."""
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
