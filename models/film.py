"""Turning pictures of Gaussians and mesh, and their encoding as H.264."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from models.mesh_render import render_mesh
from models.splat import rasterize
from pipeline.camera import orbit_cameras
from pipeline.preview import contact_sheet
from pipeline.types import Gaussians, Mesh

CHUNK = 12  # pictures drawn at once
SHEET_AZIMUTHS = tuple(range(0, 360, 45))


@torch.no_grad()
def turn(gaussians: Gaussians, mesh: Mesh, count: int, size: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
    """`count` pictures of one turn around the person, `size` x 2 `size` pixels: Gaussians left, mesh right."""
    azimuths = [360.0 * k / count for k in range(count)]
    for start in range(0, count, CHUNK):
        cameras = orbit_cameras(azimuths[start : start + CHUNK], size)
        left = rasterize(gaussians, cameras.to(gaussians.means.device), outputs=("rgb", "alpha")).rgb.cpu()
        right, _ = render_mesh(mesh, cameras)
        both = torch.cat([left.clamp(0, 1), right], 2)
        yield from (both * 255).round().to(torch.uint8).numpy()


def encode_mp4(frames: Iterable[UInt8[np.ndarray, "h w 3"]], *, fps: int, quality: int) -> bytes:
    """An MP4 that browsers play (H.264, yuv420p); the same pictures give the same bytes.

    Raises:
        ValueError: a side of the pictures is odd, or there is no picture.
    """
    import imageio_ffmpeg

    frames = iter(frames)
    first = next(frames, None)
    if first is None:
        raise ValueError("a film needs at least one picture")
    height, width = first.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"H.264 needs even sides, got {width} x {height}")
    # one thread, and no date or version in the file: bytes must not depend on the machine's load
    options = ["-crf", str(quality), "-preset", "veryfast", "-threads", "1", "-x264-params", "threads=1:lookahead_threads=1"]
    options += ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-movflags", "+faststart"]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        writer = imageio_ffmpeg.write_frames(
            str(file),
            (width, height),
            fps=fps,
            codec="libx264",
            pix_fmt_out="yuv420p",
            quality=None,
            macro_block_size=2,
            output_params=options,
        )
        writer.send(None)
        writer.send(np.ascontiguousarray(first))
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
        writer.close()
        return file.read_bytes()


@torch.no_grad()
def sheet(gaussians: Gaussians, mesh: Mesh, size: int) -> Float[Tensor, "h w 3"]:
    """Eight azimuths: a row of the Gaussians, one of the mesh's colours and one of its normals."""
    cameras = orbit_cameras(SHEET_AZIMUTHS, size)
    splats = rasterize(gaussians, cameras.to(gaussians.means.device), outputs=("rgb", "alpha")).rgb.clamp(0, 1).cpu()
    colors, normals = render_mesh(mesh, cameras)
    rows = (("Gaussians", splats), ("mesh", colors), ("normals", normals))
    images = [image for _, row in rows for image in row]
    labels = [f"{name} {azimuth}" for name, _ in rows for azimuth in SHEET_AZIMUTHS]
    return contact_sheet(images, labels, columns=len(SHEET_AZIMUTHS))
