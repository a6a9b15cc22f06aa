"""Frames to an H.264 film in memory, the same bytes for the same frames."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8
from torch import Tensor

from turnaround.pipeline.errors import FormatError
from turnaround.pipeline.files import check_room, temporary_folder

AHEAD = 8  # frames that wait for the encoder while the next are drawn
# the conversion, and the tags that tell players of it: ffmpeg converts by bt601 and says nothing unless it is
# told
BT709 = [
    "-vf",
    "scale=in_range=pc:out_range=tv:out_color_matrix=bt709:flags=accurate_rnd+full_chroma_int,"
    "setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace=bt709",
]


def encode(
    frames: Iterable[Float[Tensor, "h w 3"] | UInt8[np.ndarray, "h w 3"]],
    *,
    fps: float = 30,
    quality: int = 7,
    comment: str = "",
) -> bytes:
    """An MP4 (yuv420p, plays everywhere) of frames in [0, 1] or of bytes; odd sizes are padded with white to
    even ones.

    The encoder is a process of its own, so it works while `frames` draws the next one. quality: 1 to 10,
    best. comment: kept in the file's metadata. Raises ValueError when there is no frame or their sizes
    differ, TemporaryFault where the folder of temporary files is full, RuntimeError with the encoder's words
    where it fails otherwise.
    """
    with temporary_folder() as folder:
        file, errors = folder / "film.mp4", folder / "errors.txt"
        with errors.open("wb") as stderr:
            code = _feed(
                (_even(_bytes(frame)) for frame in frames),
                lambda shape: _start(file, shape, fps, quality, comment, stderr),
            )
        if code:
            words = errors.read_text(errors="replace").strip()[-500:]
            check_room(folder, words)
            raise RuntimeError(f"ffmpeg ended with code {code}: {words}")
        return file.read_bytes()


def _feed(
    frames: Iterator[UInt8[np.ndarray, "h w 3"]], start: Callable[[tuple[int, ...]], subprocess.Popen[bytes]]
) -> int:
    """Write all frames to the encoder that `start` starts, from a thread of its own; the encoder's exit
    code."""
    first = next(frames, None)
    if first is None:
        raise FormatError("a film needs at least one frame")
    process = start(first.shape)
    pipe: Any = process.stdin
    waiting: deque[Future[Any]] = deque()
    with ThreadPoolExecutor(1) as writer:
        try:
            for frame in chain([first], frames):
                if frame.shape != first.shape:
                    raise FormatError(f"frames of different sizes: {first.shape[:2]} and {frame.shape[:2]}")
                waiting.append(writer.submit(pipe.write, np.ascontiguousarray(frame).data))
                if len(waiting) > AHEAD:
                    waiting.popleft().result()
            for future in waiting:
                future.result()
            pipe.close()
        except BrokenPipeError:  # it ended early: its exit code and its words say why
            writer.shutdown(cancel_futures=True)
        except BaseException:
            process.kill()
            writer.shutdown(cancel_futures=True)
            process.wait()
            raise
    return process.wait()


def _start(
    file: Path, shape: tuple[int, ...], fps: float, quality: int, comment: str, stderr: Any
) -> subprocess.Popen[bytes]:
    import imageio_ffmpeg

    source = [
        "-f",
        "rawvideo",
        "-vcodec",
        "rawvideo",
        "-s",
        f"{shape[1]}x{shape[0]}",
        "-pix_fmt",
        "rgb24",
        "-r",
        str(fps),
        "-i",
        "-",
    ]
    rate = str(int((1 - quality / 10) * 51))  # of libx264: 0 is lossless, 51 the worst
    # one thread and no metadata, so that the file does not depend on the machine or the hour
    codec = [
        "-an",
        "-vcodec",
        "libx264",
        "-preset",
        "veryfast",
        "-pix_fmt",
        "yuv420p",
        "-crf",
        rate,
        "-v",
        "error",
        "-threads",
        "1",
    ]
    exact = [
        "-fflags",
        "+bitexact",
        "-flags:v",
        "+bitexact",
        "-map_metadata",
        "-1",
        *(["-metadata", f"comment={comment}"] if comment else []),
        "-movflags",
        "+faststart+write_colr",
    ]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", *source, *BT709, *codec, *exact, str(file)]
    # a session of its own: Ctrl-C reaches this program, which ends the encoder itself
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True
    )


def _bytes(frame: Float[Tensor, "h w 3"] | UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    if isinstance(frame, np.ndarray):
        return frame
    return (frame.clamp(0, 1) * 255).round().byte().numpy()


def _even(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return frame
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), constant_values=255)
