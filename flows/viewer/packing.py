"""Gaussians and meshes as the page keeps them: cut to what can be seen, in the order that compresses best."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from turnaround.flows.viewer.tracks import pack_skin
from turnaround.pipeline.formats import splat
from turnaround.pipeline.formats.textured_glb import texture_bytes
from turnaround.pipeline.values.rig import SkinWeights
from turnaround.pipeline.values.types import Gaussians, Mesh, TexturedMesh

STEP = 2.0**-14  # metres between positions
_SCALE_BITS = 7  # of the mantissa: steps of 0.8 %
_QUALITY = 82  # of the texture's JPEG: a third of the bytes of the files for other programs


def pack_gaussians(gaussians: Gaussians) -> bytes:
    """`.splat` records, their first bytes first, then their second bytes and so on; positions are within 0.03
    mm, scales within 0.4 %."""
    cut = _cut(gaussians)
    return _packed(cut[splat.by_visibility(cut)])


def pack_skinned(gaussians: Gaussians, skin: SkinWeights) -> tuple[bytes, bytes]:
    """`pack_gaussians` in the order given, and what moves them."""
    return _packed(_cut(gaussians)), pack_skin(skin)


def _cut(gaussians: Gaussians) -> Gaussians:
    g = gaussians.detach().to("cpu")
    return dataclasses.replace(g, means=(g.means / STEP).round() * STEP, scales=_short(g.scales))


def _packed(cut: Gaussians) -> bytes:
    records = splat.records_of(cut).view(np.uint8)
    return records.reshape(-1, splat.RECORD.itemsize).T.tobytes()


def unpack_gaussians(data: bytes) -> bytes:
    """The `.splat` file of `pack_gaussians`; the page's `splatFile` does the same."""
    return np.frombuffer(data, np.uint8).reshape(splat.RECORD.itemsize, -1).T.tobytes()


def _short(values: torch.Tensor) -> torch.Tensor:
    """Floats rounded to a short mantissa."""
    low = 23 - _SCALE_BITS
    bits = values.numpy().astype("<f4").view("<u4")
    return torch.from_numpy(((bits + np.uint32(1 << (low - 1))) & ~np.uint32((1 << low) - 1)).view("<f4"))


def pack_mesh(mesh: Mesh | TexturedMesh) -> tuple[dict[str, Any], bytes]:
    """A mesh in 16 bits a coordinate: its description, and indices, positions and colours (8 bits) in this
    order.

    In the place of colours, a textured mesh has its texture coordinates (16 bits) and then the texture as
    JPEG.
    """
    m = mesh.detach().to("cpu")
    vertices = m.vertices.double().numpy()
    low = vertices.min(0)
    size = np.maximum(vertices.max(0) - low, 1e-9)
    wide = len(vertices) > 2**16
    indices = m.faces.numpy().astype("<u4" if wide else "<u2")
    places = np.round((vertices - low) / size * 65535).astype("<u2")
    textured = isinstance(m, TexturedMesh)
    paint = (
        _skin(m)
        if textured
        else np.round(m.colors.double().clamp(0, 1).numpy() * 255).astype(np.uint8).tobytes()
    )
    facts = {
        "vertices": len(vertices),
        "faces": len(indices),
        "low": low.tolist(),
        "size": size.tolist(),
        "wide": wide,
    }
    return {**facts, "textured": textured}, indices.tobytes() + places.tobytes() + paint


def _skin(mesh: TexturedMesh) -> bytes:
    texels = io.BytesIO()
    Image.fromarray(texture_bytes(mesh)).save(texels, "JPEG", quality=_QUALITY)
    return np.round(mesh.uv.double().clamp(0, 1).numpy() * 65535).astype("<u2").tobytes() + texels.getvalue()
