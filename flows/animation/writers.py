"""A moving person in each format; files come whole or not at all, and say what they were made from."""

from __future__ import annotations

import html
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from turnaround.flows.animation.edits import rgb
from turnaround.flows.animation.order import FORMATS, Order, Step
from turnaround.flows.animation.scene import Mover, actors
from turnaround.flows.animation.written import target
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import replacing_folder, write_atomic

if TYPE_CHECKING:
    import numpy as np


ABOUT = "about.json"  # in a folder of frames
_OURS = re.compile(r"\d+\.ply|about\.json")


def write_mp4(movers: Sequence[Mover], order: Order, path: Path, about: dict[str, Any], step: Step) -> int:
    """Film the scene; the number of frames."""
    import torch

    from turnaround.models.animation.cameras import View, film_cameras
    from turnaround.models.animation.film import frames
    from turnaround.pipeline.formats.video import encode

    scene, count = actors(movers), len(movers[0].motion)
    points = torch.stack([torch.cat([actor.extent(k) for actor in scene]) for k in range(count)])
    path_of = torch.stack([actor.moved(actor.skinner.joints[:, 0]) for actor in scene]).mean(0)
    cameras = film_cameras(
        points,
        path_of,
        order.size,
        order.fps,
        cast("View", order.camera),  # `Order` has checked it
        wide=len(scene) > 1,
    )

    def drawn() -> Iterator[np.ndarray]:
        pictures = frames(scene, cameras, rgb(order.background), ground=order.floor)
        for done, picture in enumerate(pictures, 1):
            yield picture
            step(done, count)

    _write(path, encode(drawn(), fps=order.fps, comment=_text(about)))
    return count


def write_npz(mover: Mover, path: Path, about: dict[str, Any]) -> None:
    """The motion in the person's proportions, in the layout of AMASS; `turnaround` says where it is from."""
    import numpy as np

    from turnaround.models.motion.to_amass import motion_to_amass

    arrays = dict(np.load(io.BytesIO(motion_to_amass(mover.motion, mover.avatar.model))))
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=False, **arrays, turnaround=np.array(_text(about)))
    _write(path, stream.getvalue())


def write_glb(movers: Sequence[Mover], title: str, path: Path, about: dict[str, Any]) -> None:
    """The rigged mesh with the motion as its clip; several side by side, all in one clip."""
    from turnaround.models.avatar.interchange.skinned import glb_of
    from turnaround.pipeline.formats.rigged import group

    alone = len(movers) == 1
    files = [
        glb_of(each.avatar, [(title, each.motion)], scale=each.scale, extras=about if alone else None)
        for each in movers
    ]
    if alone:
        _write(path, files[0])
        return
    places = [actor.place[0] for actor in actors(movers)]
    people = zip((each.person.name for each in movers), files, places, strict=True)
    _write(path, group.encode([group.Member(*each) for each in people], about))


def write_html(mover: Mover, title: str, path: Path, about: dict[str, Any]) -> None:
    """The page that plays the motion without a network."""
    from turnaround.flows.viewer.animated_page import animated_page

    page = animated_page(mover.avatar, [(title, mover.motion)], name=mover.person.name)
    said = f'<meta name="description" content="{html.escape(_text(about), quote=True)}">'
    _write(path, page.replace(b"<head>", b"<head>\n" + said.encode(), 1))


def write_ply(
    mover: Mover, frame: int | None, out: Path | None, name: str, about: dict[str, Any], step: Step
) -> Path:
    """Gaussians of one frame in a file, or of every frame in a folder of numbered files."""
    from turnaround.models.animation.film import Actor
    from turnaround.models.animation.skinner import Skinner
    from turnaround.pipeline.formats import ply

    actor, count = Actor(Skinner(mover.avatar, mover.motion.body), mover.scale), len(mover.motion)
    if frame is not None:
        if not 0 <= frame < count:
            raise CallError(f"--frame {frame}: the motion has frames 0 to {count - 1}")
        path = target(out, f"{name}-{frame}", "ply", FORMATS)
        said = _text(about | {"frame": frame})
        _write(path, ply.encode(actor.gaussians(frame), comments=(said,)))
        return path
    if out is not None and out.suffix:
        raise CallError(f"--out {out}: --to ply writes a folder of frames; give a folder, or one --frame")
    folder = (out or Path(".")) / name
    _check_free(folder)
    try:
        with replacing_folder(folder) as beside:
            (beside / ABOUT).write_text(_text(about) + "\n", encoding="utf-8")
            for k in range(count):
                (beside / f"{k:05d}.ply").write_bytes(ply.encode(actor.gaussians(k)))
                step(k + 1, count)
    except OSError as error:
        raise CallError(f"{folder} cannot be written ({error.strerror}); choose another --out") from error
    return folder


def _check_free(folder: Path) -> None:
    """CallError where the folder holds anything but frames of before."""
    if folder.exists() and not (
        folder.is_dir() and all(_OURS.fullmatch(file.name) for file in folder.iterdir())
    ):
        raise CallError(f"{folder} is there and holds other things than frames; choose another with --out")


def _write(path: Path, content: bytes) -> None:
    try:
        write_atomic(path, content)
    except OSError as error:
        raise CallError(f"{path} cannot be written ({error.strerror}); choose another --out") from error


def _text(about: dict[str, Any]) -> str:
    return json.dumps(about, sort_keys=True, separators=(",", ":"))
