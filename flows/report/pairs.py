"""Pairs of pictures: how far they are apart, and the picture of their difference, measured once per pair of
contents."""

from __future__ import annotations

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnaround.flows.report.thumbs import Thumbs, open_picture
from turnaround.pipeline.files import write_atomic

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

log = logging.getLogger(__name__)

GAIN = 4  # by which differences are enlarged in pictures
FACTS = "pairs.json"


def compare_pictures(a: Path, b: Path) -> tuple[dict[str, Any], Image | None]:
    """PSNR in dB (None: equal pixels) and the largest difference in 255ths of two pictures over white, and
    the difference picture.

    Pictures of two sizes are told apart by {"sizes": ...} alone. OSError and ValueError for what is no
    picture.
    """
    first, second = open_picture(a), open_picture(b)
    if first.size != second.size:
        return {"sizes": f"{first.width} x {first.height} and {second.width} x {second.height}"}, None
    import numpy as np

    delta = np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16))
    return {"psnr": psnr(delta), "max": int(delta.max(initial=0))}, difference_picture(delta)


def psnr(delta: np.ndarray) -> float | None:
    """Peak signal to noise in dB of differences in 255ths; None where there are none."""
    import numpy as np

    error = float(np.mean(np.square(delta, dtype=np.float64)))
    return None if error == 0 else round(10 * float(np.log10(255**2 / error)), 3)


def difference_picture(delta: np.ndarray) -> Image:
    """White where nothing differs, the darker and more coloured the more."""
    import numpy as np
    from PIL import Image as pil

    return pil.fromarray((255 - np.minimum(255, GAIN * delta.astype(np.int32))).astype(np.uint8))


class Pairs:
    """The pairs of one page: `want` them first, `make` them together; `facts` holds what was found."""

    def __init__(self, thumbs: Thumbs) -> None:
        self.thumbs = thumbs
        self.file = thumbs.folder / FACTS
        self.facts: dict[str, dict[str, Any]] = _read(self.file)
        self._wanted: dict[str, tuple[Path, Path]] = {}

    def want(self, a: tuple[str, Path], b: tuple[str, Path]) -> str:
        """Ask for a pair, each a digest and a file; its token, which also names the thumbnail of the
        difference."""
        token = f"{a[0][:12]}-{b[0][:12]}"
        known = self.facts.get(token)
        if known is None or ("psnr" in known and not self.thumbs.has(token)):
            self._wanted[token] = (a[1], b[1])
        return token

    def make(self) -> None:
        """Measure all that are not known."""
        if not self._wanted:
            return

        def measured(item: tuple[str, tuple[Path, Path]]) -> dict[str, Any]:
            return self._measure(item[0], *item[1])

        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            found = pool.map(measured, self._wanted.items())
            self.facts |= dict(zip(self._wanted, found, strict=True))
        self._wanted = {}
        write_atomic(self.file, json.dumps(self.facts).encode())

    def _measure(self, token: str, a: Path, b: Path) -> dict[str, Any]:
        try:
            facts, picture = compare_pictures(a, b)
        except Exception as error:  # readers of strangers' pictures raise anything
            log.debug("%s and %s cannot be compared", a, b, exc_info=error)
            return {"why": " ".join(str(error).split())[:200]}
        if picture is not None:
            self.thumbs.store(token, picture)
        return facts


def _read(file: Path) -> dict[str, dict[str, Any]]:
    try:
        return dict(json.loads(file.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        log.warning("%s cannot be read (%s); pictures are compared again", file, error)
        return {}
