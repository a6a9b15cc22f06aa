"""Frames to an H.264 film in memory, the same bytes for the same frames."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor


def encode(frames: Iterable[Float[Tensor, "h w 3"]], *, fps: int = 30, quality: int = 7) -> bytes:
    """An MP4 (yuv420p, plays everywhere) of frames in [0, 1]; odd sizes are padded with white to even ones.

    Raises ValueError when there is no frame.
    """
    import imageio.v2 as imageio

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "film.mp4"
        # one thread and no metadata, so that the file does not depend on the machine or the hour
        options = ["-threads", "1", "-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1", "-movflags", "+faststart"]
        writer = imageio.get_writer(
            file, format="FFMPEG", fps=fps, codec="libx264", quality=quality, macro_block_size=2, output_params=options
        )  # type: ignore[arg-type]
        count = 0
        with writer:
            for frame in frames:
                writer.append_data(_even((frame.clamp(0, 1) * 255).round().byte().numpy()))
                count += 1
        if not count:
            raise ValueError("a film needs at least one frame")
        return file.read_bytes()


def _even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=255)
