"""HEIC pictures, as iPhones take them: read by pillow-heif where it is installed; its wheels hold GPL-2 code,
so nothing here depends on it."""

from __future__ import annotations

from functools import lru_cache

from turnaround.pipeline.formats.untrusted import PICTURES

FORMAT = "HEIF"  # as pillow-heif calls it
REMEDY = "pip install 'turnaround[heic]' makes HEIC readable, or save the photo as JPEG or PNG"
_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
_ANY = {b"mif1", b"msf1"}  # of any coding: those that follow tell


def is_heic(data: bytes) -> bool:
    """Whether a file's first bytes say that it is a HEIC picture (ISO/IEC 23008-12, `ftyp`)."""
    if data[4:8] != b"ftyp":
        return False
    others = {data[k : k + 4] for k in range(16, min(int.from_bytes(data[:4], "big"), 256), 4)}
    return data[8:12] in _BRANDS or (data[8:12] in _ANY and bool(others & _BRANDS))


def formats(data: bytes) -> tuple[str, ...]:
    """The formats in which Pillow may read a picture that begins so: HEIC, too, where it is readable."""
    return (*PICTURES, FORMAT) if is_heic(data) and readable() else PICTURES


@lru_cache(maxsize=1)
def readable() -> bool:
    """Whether HEIC can be read here; Pillow knows the format after that."""
    try:
        import pillow_heif
    except ImportError:
        return False
    pillow_heif.register_heif_opener()
    return True
