"""Every weight of the project: name, file, digest, licence, how to get it, and how it is read and written.

Embedded weights lie in `models/weights/` as safetensors beside `index.json`, which pins their sha256. A file
that is missing or differs from its pin is an error that says what to do; nothing runs on random numbers in
silence. Numbers are 16-bit floats, those of large tensors 8 bits where `Weight.bits` says so
(`models/eight_bits.py`), and float32 once read. Trainable weights do not ship: they lie there, pinned like
the others, once somebody trained them with `--save`. Fetched weights lie in the user's cache, pinned in the
code; `turnaround fetch` brings them, those of measuring alone by `--evaluation`.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from turnaround.models import hub_source
from turnaround.models.landmarks import files as landmark_files
from turnaround.models.metrics import vgg_files
from turnaround.pipeline.errors import CallError, TurnaroundError
from turnaround.pipeline.files import user_cache, write_atomic
from turnaround.pipeline.store.digest import DigestMemo

if TYPE_CHECKING:  # torch takes a second to import, and `turnaround status` needs digests only
    from torch import Tensor

FOLDER = Path(__file__).parent / "weights"
INDEX = FOLDER / "index.json"
_BIG = 64 * 2**20  # bytes; the weights of Stable Diffusion take seconds to hash
EMBEDDED_LICENCE = "Apache-2.0, trained by this project on synthetic people"


class MissingWeight(TurnaroundError, RuntimeError):
    """A weight that is needed is not there, or is not the one that was pinned."""

    fault = "weights"


@dataclass(frozen=True)
class Weight:
    """One weight file or hub repository."""

    name: str
    file: str  # below models/weights, or a hub id or a user's path for the others
    purpose: str
    licence: str
    source: str  # how to get it
    kind: Literal["embedded", "fetched", "brought"] = "embedded"  # its place: models/weights, the cache, any
    instead: str = ""  # what runs without it
    trainable: bool = False  # embedded, but it does not ship
    bits: Literal[8, 16] = 16  # of a number of its large tensors, where `save_state` writes it

    @property
    def embedded(self) -> bool:
        """Whether its place is models/weights."""
        return self.kind == "embedded"

    @property
    def place(self) -> Path:
        """Where it is looked for; a brought one lies where the user says."""
        if self.kind == "fetched":
            return vgg_files.path() if self.name == vgg_files.NAME else landmark_files.path(self.name)
        return FOLDER / self.file


_TRAINED = "ships with the project; made again by `turnaround train {}`"
_TRAINABLE = (
    "does not ship; make it by `turnaround train back-view-vae --data VIEWS --out RUN --save back_view_vae`, "
    "then back-view-unet and back-view-controlnet in the same way (docs/training.md)"
)
_UNSEEN = "the project's own estimator and matting, which have never seen a photograph"
WEIGHTS: dict[str, Weight] = {
    weight.name: weight
    for weight in (
        Weight(
            "body",
            "body_free.npz",
            "free body in the SMPL-X format",
            "CC0-1.0 data (MakeHuman, MPFB2)",
            "ships with the project; made again by `python -m turnaround.data.body.build`",
        ),
        *(
            Weight(
                name,
                f"{name}.safetensors",
                purpose,
                EMBEDDED_LICENCE,
                _TRAINED.format(name.replace("_", "-")),
                bits=8 if name.startswith("hgm_") else 16,  # half of 17 MiB; quality: docs/results.md
            )
            for name, purpose in (
                ("matting", "person mask"),
                ("estimator", "SMPL-X parameters and 2D joints from a photo"),
                ("lifter", "SMPL-X parameters from landmarks"),
                ("normals", "clothed normals, front and back"),
                ("hgm_coarse", "Human Gaussian Model, one view"),
                ("hgm_fusion", "Human Gaussian Model, two views"),
                ("gst", "GST: body and Gaussians in one pass"),
            )
        ),
        *(
            Weight(
                name,
                f"{name}.safetensors",
                purpose,
                EMBEDDED_LICENCE,
                _TRAINABLE,
                trainable=True,
                instead="the view from behind without diffusion",
            )
            for name, purpose in (
                ("back_view_vae", "latents of the back view"),
                ("back_view_unet", "latent diffusion of back views"),
                ("back_view_controlnet", "control of the diffusion by the coarse back view"),
            )
        ),
        Weight(
            "smplx",
            "SMPLX_NEUTRAL.npz",
            "the licensed SMPL-X body",
            "SMPL-X Model License (non-commercial research)",
            "register at https://smpl-x.is.tue.mpg.de, then --set body=/path/to/SMPLX_NEUTRAL.npz",
            "brought",
            "the free body",
        ),
        Weight(
            "stable_diffusion",
            "stable-diffusion-v1-5",
            "back view diffusion",
            "CreativeML OpenRAIL-M",
            "a local folder or hub id in stages.back_view.refiner.base",
            "brought",
            "the view from behind without diffusion",
        ),
        Weight(
            "controlnet_tile",
            "lllyasviel/control_v11f1e_sd15_tile",
            "control of the diffusion",
            "CreativeML OpenRAIL-M",
            "a local folder or hub id in stages.back_view.refiner.controlnet",
            "brought",
            "the view from behind without diffusion",
        ),
        Weight(
            "lgm",
            "ashawkey/LGM",
            "start of the paper-size UNet",
            "MIT",
            "model_fp16_fixrot.safetensors",
            "brought",
            "own initialisation",
        ),
        *(
            Weight(
                name,
                f"{name}.tflite",
                known.purpose,
                landmark_files.LICENCE,
                "`turnaround fetch`",
                "fetched",
                _UNSEEN,
            )
            for name, known in landmark_files.NETWORKS.items()
        ),
        Weight(
            vgg_files.NAME,
            f"{vgg_files.NAME}.h5",
            "the VGG distance of `evaluate --detail`",
            vgg_files.LICENCE,
            "`turnaround fetch --evaluation`",
            "fetched",
            "no VGG distances; nothing else needs it",
        ),
    )
}


def path(name: str) -> Path:
    """The file of an embedded or fetched weight; raises MissingWeight with the remedy."""
    weight = WEIGHTS.get(name)
    if weight is None or weight.kind == "brought":
        ours = sorted(known for known in WEIGHTS if WEIGHTS[known].kind != "brought")
        raise MissingWeight(f"no embedded or fetched weight is called {name!r}; there are {ours}")
    file = weight.place
    if not file.is_file():
        if weight.kind == "fetched":
            what = f"network {name!r} is missing: {file} ({weight.purpose}; {weight.licence})"
            raise MissingWeight(f"{what}. Get it with {weight.source}; without it: {weight.instead}")
        raise MissingWeight(
            f"weight {name!r} is missing: {file} ({weight.purpose}; {weight.licence}). It {weight.source}."
        )
    return file


def file_digest(file: Path) -> str:
    """sha256 of a file's bytes, remembered while its inode, times and size stay the same: of a big file from
    one command to the next."""
    status = file.stat()
    if status.st_size >= _BIG:
        return DigestMemo.at(user_cache("digests.txt")).digest(file)
    return _file_digest(str(file), status.st_ino, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _file_digest(file: str, _inode: int, _mtime: int, _size: int) -> str:
    with open(file, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def digest(name_or_path: str | Path) -> str:
    """sha256 of an embedded or fetched weight by name, checked by its pin, or of a file or folder by path;
    commit of a hub model."""
    if str(name_or_path).startswith((hub_source.HUB, hub_source.CACHED)):
        try:
            return hub_source.commit_of(str(name_or_path))
        except hub_source.UnknownRevision as error:
            raise MissingWeight(str(error)) from error
    if str(name_or_path) not in WEIGHTS:
        given = Path(name_or_path)
        if given.is_dir():
            parts = [
                f"{f.relative_to(given)}:{file_digest(f)}" for f in sorted(given.rglob("*")) if f.is_file()
            ]
            return hashlib.sha256("\n".join(parts).encode()).hexdigest()
        if not given.is_file():
            raise MissingWeight(
                f"weight file {given} does not exist; give the path of a file or the name of one of "
                f"{sorted(WEIGHTS)}"
            )
        return file_digest(given)
    name = str(name_or_path)
    if WEIGHTS[name].kind == "fetched":
        return _fetched_digest(name)
    found, pinned = file_digest(path(name)), pins().get(name)
    if pinned is not None and found != pinned:
        raise MissingWeight(
            f"weight {name!r} ({path(name)}) has sha256 {found[:12]}, pinned is {pinned[:12]}: restore "
            f"it with "
            f"`git checkout -- models/weights`, or pin your own with `python -m turnaround.models.zoo`"
        )
    return found


def _fetched_digest(name: str) -> str:
    """As `digest`, hashed once for all processes: these are pinned in the code."""
    file = path(name)
    if name == vgg_files.NAME:
        pinned, found = vgg_files.SHA256, vgg_files.digest()
    else:
        pinned, found = landmark_files.NETWORKS[name].sha256, landmark_files.digest(name)
    if found != pinned:
        differs = f"network {name!r} ({file}) has sha256 {found[:12]}, pinned is {pinned[:12]}"
        raise MissingWeight(f"{differs}: get the right one with {WEIGHTS[name].source}")
    return found


def pins() -> dict[str, str]:
    """The pinned digests of index.json by name."""
    return json.loads(INDEX.read_text()) if INDEX.is_file() else {}


def pin() -> dict[str, str]:
    """Write index.json anew from the files that are there."""
    found = {
        name: file_digest(FOLDER / w.file)
        for name, w in sorted(WEIGHTS.items())
        if w.embedded and (FOLDER / w.file).is_file()
    }
    write_atomic(INDEX, (json.dumps(found, indent=2) + "\n").encode())
    return found


def file_of(name_or_path: str | Path) -> Path:
    """The file of a weight by name, checked by its pin, or by path; MissingWeight where there is none."""
    if str(name_or_path) in WEIGHTS:
        digest(name_or_path)
        return path(str(name_or_path))
    file = Path(name_or_path)
    if not file.is_file():
        raise MissingWeight(f"weight file {file} does not exist")
    return file


def metadata_of(file: Path) -> dict[str, str]:
    """What a safetensors file says of itself; MissingWeight for another kind of file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise MissingWeight(f"weight file {file} is damaged or no safetensors file ({error})") from error


def load_state(name_or_path: str | Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """State dict (float16 and 8 bits widened to float32) and metadata of a safetensors file, by weight name
    or by path."""
    import torch
    from safetensors import SafetensorError, safe_open

    from turnaround.models.eight_bits import unpacked

    file = file_of(name_or_path)
    try:
        with safe_open(file, framework="pt") as opened:
            metadata = dict(opened.metadata() or {})
            stored = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118, no mapping
        state = unpacked(stored)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise MissingWeight(
            f"weight file {file} is damaged or no safetensors file ({error}); restore it or download it again"
        ) from error
    return {key: t.float() if t.dtype == torch.float16 else t for key, t in state.items()}, metadata


def save_state(name_or_path: str | Path, state: dict[str, Tensor], metadata: dict[str, str]) -> Path:
    """Write a state dict as safetensors, atomically: float16, or 8 bits (`Weight.bits`); pin it when it is
    an embedded weight."""
    import torch
    from safetensors.torch import save

    from turnaround.models.eight_bits import packed

    embedded = str(name_or_path) in WEIGHTS
    file = FOLDER / WEIGHTS[str(name_or_path)].file if embedded else Path(name_or_path)
    half = {
        k: (t.half() if t.dtype == torch.float32 else t).detach().cpu().contiguous() for k, t in state.items()
    }
    for key, tensor in half.items():
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise CallError(
                f"weight {name_or_path}: tensor {key} is not finite in float16; nothing was written"
            )
    stored = packed(half) if embedded and WEIGHTS[str(name_or_path)].bits == 8 else half
    write_atomic(file, save(stored, metadata=metadata))
    if embedded:
        pin()
    return file


if __name__ == "__main__":
    pin()
