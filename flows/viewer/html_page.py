"""One HTML file that shows a person in 3D without a network: Gaussians and mesh with the programs that draw
them inside.

The programs are three.js and Spark (both MIT) from npm, pinned by digest. A page opened from disk may not
load modules beside it, so they lie in it as gzip in base64; its loader turns them into blob: URLs behind an
import map.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.viewer.packing import pack_gaussians, pack_mesh
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.packages import registry
from turnaround.pipeline.packages.registry import Package
from turnaround.pipeline.values.camera import DISTANCE, FOCAL
from turnaround.pipeline.values.types import Gaussians, Mesh, TexturedMesh

THREE = Package(
    "npm",
    "three",
    "0.187.0",
    "sha512-Qiu7R+Cmh8CstZsY1uJOSWnVlfo7ZtNLV7mF8Jltk3LB3AtDu9cRZlcnRKkAk8Y4z6KKw35z7Y7Urd7jWY8etA==",
)
SPARK = Package(
    "npm",
    "@sparkjsdev/spark",
    "2.2.0",
    "sha512-wf5F2YAmPXnjm20/MgXYer9FQTXz2JOCo05HwxFkaD7Guk9rHVPIwdJ6fq0oF9ME0heMvYj+TxS6DTrucvy6KA==",
)
FFLATE = Package(  # inside Spark; only its licence is read
    "npm",
    "fflate",
    "0.8.2",
    "sha512-cPJU47OaAoCbg0pBvzsgpTPhmhqI5eJjh/JIu8tPj5q+T7iLvW/JAYUqmE7KOB4R1ZyEhzBaIQpQpardBF5z8A==",
)

# module name -> package and file in it
MODULES = {
    "three/core": (THREE, "build/three.core.js"),
    "three": (THREE, "build/three.module.js"),
    "three/addons/controls/OrbitControls.js": (THREE, "examples/jsm/controls/OrbitControls.js"),
    "three/addons/postprocessing/Pass.js": (THREE, "examples/jsm/postprocessing/Pass.js"),
    "@sparkjsdev/spark": (SPARK, "dist/spark.module.min.js"),
}
SCRIPTS = ("buttons.js", "contents.js", "viewer.js")  # ours, "turnaround/..." among the modules
PLAYER_KEYS = (
    "Space plays and pauses, comma and full stop go a frame back and on, [ and ] to another clip, g shows or "
    "hides the ground."
)
FREE = 1.06  # of the frame about the person
_OWN = Path(__file__).with_name("page")


@dataclass(frozen=True)
class Person:
    """What a page shows; at least one of the two."""

    name: str
    gaussians: Gaussians | None
    mesh: Mesh | TexturedMesh | None


def page(person: Person) -> str:
    """The HTML of one person; the same person gives the same text.

    Raises:
        ValueError: nothing to show.
        RegistryError: a package cannot be had; the message says what to do.
    """
    facts, parts = _parts(person)
    if not parts:
        raise CallError(f"{person.name} has neither Gaussians nor a mesh yet")
    return document(person.name, facts, parts, SCRIPTS)


def document(name: str, facts: dict[str, Any], parts: Mapping[str, bytes], scripts: Sequence[str]) -> str:
    """The HTML of `facts` and `parts`, which `scripts` of ours show; `player.js` brings its controls."""
    blocks = [_block("module", module, code) for module, code in programs(scripts).items()]
    blocks += [_block("part", part, content) for part, content in parts.items()]
    name = html.escape(name)
    plays = "player.js" in scripts
    values = {
        "title": f"{name} · Turnaround",
        "name": name,
        "notices": html.escape(_notices(), quote=False).replace(
            "--", "- -"
        ),  # it stands in a comment as well
        "style": "\n".join(_own(file) for file in ("page.css", *(["player.css"] if plays else []))),
        "player": _own("player.html") if plays else "",
        "keys": PLAYER_KEYS if plays else "",
        "person": json.dumps(facts).replace("<", "\\u003c"),
        "blocks": "\n".join(blocks),
        "loader": _own("loader.js"),
    }
    return string.Template(_own("page.html")).substitute(values)


def _own(name: str) -> str:
    return (_OWN / name).read_text(encoding="utf-8").rstrip("\n")


def _parts(person: Person) -> tuple[dict[str, Any], dict[str, bytes]]:
    """What the viewer must know, and the bytes of each kind of thing."""
    middle, tangent = frame(person)
    facts: dict[str, Any] = {"name": person.name, "distance": DISTANCE, "middle": middle, "tangent": tangent}
    parts: dict[str, bytes] = {}
    said: list[str] = []
    if person.gaussians is not None and len(person.gaussians):
        facts["splats"], parts["splats"] = {"count": len(person.gaussians)}, pack_gaussians(person.gaussians)
        said.append(f"{len(person.gaussians):,} Gaussians")
    if person.mesh is not None and len(person.mesh.faces):
        facts["mesh"], parts["mesh"] = pack_mesh(person.mesh)
        said.append(f"{len(person.mesh.faces):,} triangles")
    return {**facts, "facts": ", ".join(said)}, parts


def frame(person: Person) -> tuple[float, float]:
    """The height (y of the world) at which the page's camera goes around all of the person, and the tangent
    of half its view."""
    if person.mesh is not None:
        return frame_of(person.mesh.vertices, DISTANCE)
    return frame_of(person.gaussians.means if person.gaussians is not None else torch.zeros(0, 3), DISTANCE)


def frame_of(points: Float[Tensor, "n 3"], distance: float) -> tuple[float, float]:
    """As `frame`, for points around the world's y axis and a camera so many metres from it."""
    middle, tall, wide = frames_of(points, distance)
    return middle, max(tall, wide)


def frames_of(points: Float[Tensor, "n 3"], distance: float) -> tuple[float, float, float]:
    """The height of `frame`, and the tangents of half the view's height and of half its width."""
    if not len(points):
        return 0.0, 0.5 / FOCAL, 0.5 / FOCAL
    x, y, z = points.double().cpu().numpy().T
    middle = float(y.max() + y.min()) / 2
    far = np.hypot(x, z).clip(max=distance / 2)  # from the axis: the nearer it may come to the camera
    tall, wide = np.abs(y - middle) / (distance - far), far / np.sqrt(distance**2 - far**2)
    return middle, float(tall.max()) * FREE, float(wide.max()) * FREE


def programs(scripts: Sequence[str] = SCRIPTS) -> dict[str, bytes]:
    """Code of every module; three's own relative import becomes a name that the import map knows."""
    code = {f"turnaround/{script.removesuffix('.js')}": _own(script).encode() for script in scripts}
    for package in {package for package, _ in MODULES.values()}:
        wanted = {file: name for name, (owner, file) in MODULES.items() if owner == package}
        for file, content in registry.read(package, tuple(wanted)).items():
            code[wanted[file]] = content
    code["three"] = code["three"].replace(b"'./three.core.js'", b"'three/core'")
    return dict(sorted(code.items()))


def _block(kind: str, name: str, content: bytes) -> str:
    packed = base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
    return f'<script type="application/octet-stream" data-{kind}="{html.escape(name)}">{packed}</script>'


def _notices() -> str:
    """The licences of the programs in the page, as their packages have them."""
    texts: list[str] = []
    for package in (THREE, SPARK, FFLATE):
        licence = registry.read(package, ("LICENSE",))["LICENSE"].decode().strip()
        texts.append(f"{package.name} {package.version}\n\n{licence}")
    return "\n\n\n".join(texts)
