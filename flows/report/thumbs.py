"""Small pictures beside the page, made once per content digest and shared by all reports of a work folder.

report/thumbs/<first 24 hex of the content's sha256>.jpg     may be deleted at any time; the next report makes
it again report/thumbs/<the same>.why                                 in its place for content that cannot be
shown: the reason
"""

from __future__ import annotations

import base64
import io
import logging
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from turnaround.pipeline.errors import CallError, is_one_of
from turnaround.pipeline.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

SIDE = 256  # pixels of the longer side
QUALITY = 82
MAX_PIXELS = 100_000_000  # of a picture; a larger one is not opened
PREVIEW_SIDE = 1600  # of photos in a format that browsers do not show
SHOWN = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".svg")  # photos that browsers show as they are


def token(digest: str) -> str:
    """Name of a content's thumbnail without its suffix."""
    return digest[:24]


class Thumbs:
    """The thumbnails of one work folder: `want` them first, `make` them together."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.unseen: dict[str, str] = {}  # token -> why there is no picture
        self._have = set(os.listdir(folder)) if folder.is_dir() else set()
        self._wanted: dict[str, tuple[Path, int]] = {}
        self._used: set[str] = set()

    def want(self, digest: str, file: Path) -> str:
        """Ask for the thumbnail of a picture or film; its token."""
        return self._want(token(digest), file, SIDE)

    def want_preview(self, digest: str, file: Path) -> str:
        """Ask for a large picture of a photo that browsers do not show; its token."""
        return self._want(f"{token(digest)}-large", file, PREVIEW_SIDE)

    def _want(self, name: str, file: Path, side: int) -> str:
        self._used.add(name)
        if f"{name}.why" in self._have:
            self.unseen.setdefault(name, (self.folder / f"{name}.why").read_text("utf-8", "replace"))
        elif f"{name}.jpg" not in self._have:
            self._wanted[name] = (file, side)
        return name

    def make(self) -> int:
        """Write all that are missing; what cannot be shown is noted in `unseen`. The number made."""
        if not self._wanted:
            return 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:  # a page without thumbnails is better than none
            log.warning("%s: no thumbnails (%s)", self.folder, error.strerror)

        def written(item: tuple[str, tuple[Path, int]]) -> str:
            return self._write(item[0], *item[1])

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            reasons = list(pool.map(written, self._wanted.items()))
        self.unseen |= {name: reason for name, reason in zip(self._wanted, reasons, strict=True) if reason}
        self._have |= {
            f"{name}.jpg" for name, reason in zip(self._wanted, reasons, strict=True) if not reason
        }
        made = len([reason for reason in reasons if not reason])
        self._wanted = {}
        return made

    def _write(self, name: str, file: Path, side: int) -> str:
        """Make one thumbnail; why it is not possible, or ''."""
        try:
            picture = first_frame(file) if file.suffix == ".mp4" else open_picture(file, side)
            if side == SIDE:
                picture = without_margin(picture)
            self.store(name, picture, side)
        except Exception as error:  # readers of strangers' pictures raise anything
            log.debug("no thumbnail of %s", file, exc_info=error)
            reason = (
                "not a picture"
                if is_one_of(error, "PIL:UnidentifiedImageError")
                else " ".join(str(error).split())[:200]
            )
            if (
                not isinstance(error, MemoryError) and getattr(error, "errno", None) is None
            ):  # the content's fault, not the disk's
                with suppress(OSError):
                    (self.folder / f"{name}.why").write_text(reason, "utf-8", "replace")
            return reason
        return ""

    def store(self, name: str, picture: Image, side: int = SIDE) -> None:
        """Write a picture under a name of the caller's, in one rename."""
        from PIL import Image as pil

        picture.thumbnail((side, side), pil.Resampling.LANCZOS)
        with replacing(self.folder / f"{name}.jpg") as beside:
            picture.save(beside, format="JPEG", quality=QUALITY)
        self._have.add(f"{name}.jpg")
        self._used.add(name)

    def has(self, name: str) -> bool:
        """Whether a thumbnail is there; it counts as used then."""
        found = f"{name}.jpg" in self._have
        if found:
            self._used.add(name)
        return found

    def inlined(self) -> dict[str, str]:
        """token -> data URI of every thumbnail that the page uses."""
        files = {
            name: self.folder / f"{name}.jpg" for name in sorted(self._used) if f"{name}.jpg" in self._have
        }
        return {
            name: f"data:image/jpeg;base64,{base64.b64encode(file.read_bytes()).decode()}"
            for name, file in files.items()
        }


def open_picture(file: Path, side: int = 0) -> Image:
    """An upright RGB picture of the formats that stages read too, alpha composed over white; ValueError for
    one that is too large.

    side: decode no more than is needed for this size where the format allows it; 0 = all pixels.
    """
    from PIL import Image as pil
    from PIL import ImageOps

    from turnaround.pipeline.photos import heic

    with file.open("rb") as stream:
        formats = heic.formats(stream.read(256))
    with pil.open(file, formats=formats) as image:
        if image.width * image.height > MAX_PIXELS:
            raise CallError(f"{image.width} x {image.height} pixels are too many for a thumbnail")
        if side:
            image.draft("RGB", (2 * side, 2 * side))
        upright = ImageOps.exif_transpose(image)
        if upright.mode in ("RGB", "L"):
            return upright.convert("RGB")
        if upright.mode.startswith(("I", "F")):
            return upright.convert("I").point(lambda value: value / 256).convert("L").convert("RGB")
        colors = upright.convert("RGBA")
        return pil.alpha_composite(pil.new("RGBA", colors.size, (255, 255, 255, 255)), colors).convert("RGB")


def without_margin(picture: Image) -> Image:
    """The middle of a square picture with white all around, in few steps, so that two pictures of one person
    stay alike."""
    from PIL import ImageOps

    side, box = (
        picture.width,
        ImageOps.invert(picture).point(([0] * 17 + [255] * 239) * 3).getbbox(),
    )  # what is not nearly white
    if side != picture.height or box is None:
        return picture
    free = min(box[0], box[1], side - box[2], side - box[3])
    margin = side * max(0, 32 * free // side - 1) // 32
    return picture.crop((margin, margin, side - margin, side - margin))


def first_frame(file: Path) -> Image:
    """The first picture of a film; OSError where there is none."""
    import imageio_ffmpeg
    from PIL import Image as pil

    # imageio_ffmpeg.read_frames forks, which threaded kernels of this process do not bear; subprocess alone
    # does not
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-v",
        "error",
        "-i",
        str(file),
        "-frames:v",
        "1",
        "-f",
        "image2pipe",
        "-vcodec",
        "bmp",
        "-",
    ]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
    if not done.stdout:
        raise OSError(f"{file.name} holds no picture")
    with pil.open(io.BytesIO(done.stdout), formats=("BMP",)) as frame:
        return frame.convert("RGB")
