"""`.npz` files that are the same bytes every time: sorted names, fixed timestamps, written in one rename."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from turnaround.pipeline.files import replacing

_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time a zip file can hold


def save_npz(path: Path, arrays: dict[str, np.ndarray], level: int = 9) -> None:
    """Write `arrays` compressed; equal arrays give equal bytes (numpy's own writer stores the time)."""
    with replacing(path) as beside, zipfile.ZipFile(beside, "w") as archive:
        for name in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(arrays[name]), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, buffer.getvalue(), compresslevel=level)
