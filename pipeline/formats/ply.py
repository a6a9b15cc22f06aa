"""Gaussians as a PLY that the usual splat viewers read: the layout of 3D Gaussian Splatting (Kerbl et al.
2023), SH degree 0.

The file's world is ours (OpenCV axes, y down), as the COLMAP worlds of other splat files are; viewers turn it
upright. Encodings exist only here: colour as the SH coefficient of degree 0, opacity as a logit, scales as
logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.values.types import Gaussians

SH_C0 = 0.28209479177387814  # the constant spherical harmonic, 1 / (2 sqrt(pi))
FIELDS = (
    "x",
    "y",
    "z",
    "nx",
    "ny",
    "nz",
    "f_dc_0",
    "f_dc_1",
    "f_dc_2",
    "opacity",
    "scale_0",
    "scale_1",
    "scale_2",
    "rot_0",
    "rot_1",
    "rot_2",
    "rot_3",
)
_LEAST_OPACITY = 1e-6  # logits stay finite
_LEAST_SCALE = 1e-9  # metres; logarithms stay finite


def encode(gaussians: Gaussians, *, comments: Sequence[str] = ()) -> bytes:
    """The binary little-endian PLY of `gaussians`; ValueError where a value is not finite.

    comments: lines of the header that readers pass over, ASCII.
    """
    g = gaussians.detach().to("cpu")
    opacity = g.opacities.double().clamp(_LEAST_OPACITY, 1 - _LEAST_OPACITY)
    columns = [
        g.means.double(),
        torch.zeros(len(g), 3, dtype=torch.float64),
        (g.colors.double() - 0.5) / SH_C0,
        torch.logit(opacity)[:, None],
        g.scales.double().clamp_min(_LEAST_SCALE).log(),
        g.quats.double(),
    ]
    table = torch.cat(columns, 1).numpy().astype("<f4")
    if not np.isfinite(table).all():
        row, column = np.argwhere(~np.isfinite(table))[0]
        raise FormatError(
            f"Gaussian {row} of {len(g)}: {FIELDS[column]} is {table[row, column]}; expected finite values"
        )
    header = [
        "ply",
        "format binary_little_endian 1.0",
        *(f"comment {line}" for line in comments),
        f"element vertex {len(g)}",
        *(f"property float {name}" for name in FIELDS),
        "end_header",
    ]
    return ("\n".join(header) + "\n").encode() + table.tobytes()


def decode(data: bytes) -> Gaussians:
    """Gaussians of a 3DGS PLY with float properties; view-dependent coefficients are ignored. ValueError on
    any other file."""
    count, names, body = _parse_header(data)
    if len(body) < 4 * count * len(names):
        raise FormatError(
            f"PLY cut short: expected {count} vertices of {4 * len(names)} bytes, got {len(body)} bytes"
        )
    values = np.frombuffer(body, "<f4", count * len(names)).reshape(count, len(names)).astype(np.float32)
    column = {name: torch.from_numpy(values[:, i].copy()) for i, name in enumerate(names)}
    broken = [name for name in FIELDS if name in column and not column[name].isfinite().all()]
    if broken:
        raise FormatError(f"PLY with values that are not finite: {', '.join(broken)}")

    def stack(prefix: str, n: int) -> torch.Tensor:
        return torch.stack([column[f"{prefix}{i}"] for i in range(n)], -1)

    found = Gaussians(
        means=torch.stack([column[axis] for axis in "xyz"], -1),
        quats=torch.nn.functional.normalize(stack("rot_", 4), dim=-1),
        scales=stack("scale_", 3).exp(),
        opacities=torch.sigmoid(column["opacity"]),
        colors=stack("f_dc_", 3) * SH_C0 + 0.5,
    )
    if not all(tensor.isfinite().all() for tensor in vars(found).values()):
        raise FormatError("PLY with scales or colours beyond float32")
    return found


def _parse_header(data: bytes) -> tuple[int, list[str], bytes]:
    """Number of vertices, names of their float properties, and the bytes that follow; ValueError on any other
    layout."""
    header, end, body = data.partition(b"end_header\n")
    lines = [line.split() for line in header.decode("ascii", "replace").split("\n")]
    if not end or lines[0] != ["ply"] or ["format", "binary_little_endian", "1.0"] not in lines:
        raise FormatError("not a binary little-endian PLY")
    elements = [words[1:] for words in lines if words[:1] == ["element"]]
    if (
        len(elements) != 1
        or elements[0][:1] != ["vertex"]
        or len(elements[0]) != 2
        or not elements[0][1].isdecimal()
    ):
        raise FormatError(
            f"not a Gaussian splat PLY: expected the one element `vertex COUNT`, got {elements}"
        )
    properties = [words[1:] for words in lines if words[:1] == ["property"]]
    names = [words[-1] for words in properties if len(words) == 2 and words[0] in ("float", "float32")]
    missing = [name for name in FIELDS if name not in names and name not in ("nx", "ny", "nz")]
    if missing or len(names) != len(properties) or len(set(names)) != len(names):
        raise FormatError(
            f"not a Gaussian splat PLY: expected float properties, each once, missing {missing}"
        )
    return int(elements[0][1]), names, body


def save(gaussians: Gaussians, path: Path) -> None:
    """Write `encode(gaussians)`."""
    path.write_bytes(encode(gaussians))


def load(path: Path) -> Gaussians:
    """Read a PLY; ValueError names the file."""
    try:
        return decode(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from error
