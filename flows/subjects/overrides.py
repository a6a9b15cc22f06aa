"""`override`: a file that a person made takes the place of something a stage makes, remembered with where it
came from.

Two ways. Where the stage itself takes such a file from beside the photo (a mask, a back view), it is given
that file, so that everything the stage makes fits it. Otherwise the stage's run becomes one whose output is
the given file and whose other outputs are the computed ones (`pipeline/graph.py`). Either way the file's
digest is part of the keys that follow.
"""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

from turnaround.flows.runs.execute import lend_device
from turnaround.flows.show.suggestions import meant
from turnaround.flows.subjects import given, memory
from turnaround.flows.subjects.project import Project
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.files import temporary_folder, write_atomic
from turnaround.pipeline.formats.codecs import codec_for
from turnaround.pipeline.graph import Subject, downstream
from turnaround.pipeline.photos.source import NONE
from turnaround.pipeline.stage import PHOTO, Stage, StageError
from turnaround.pipeline.store.digest import bytes_digest, file_digest
from turnaround.pipeline.store.store import Record

_WHOLE = ("Images", "Video")  # kinds that are no single file a later stage reads


def choices(stages: tuple[Stage[Any], ...]) -> dict[str, str]:
    """What can be given -> what it takes the place of: itself, or "photo.mask|body|back" beside the photo."""
    needs = {need for stage in stages for need in stage.needs.values()}
    found = {
        need: need for need in sorted(needs) if need.startswith(f"{PHOTO}.") and need != f"{PHOTO}.image"
    }
    for stage in stages:
        for output, kind in stage.makes.items():
            name = f"{stage.name}.{output}"
            if output in stage.accepts:
                found[name] = f"{PHOTO}.{stage.accepts[output]}"
            elif name in needs and kind not in _WHOLE:
                found[name] = name
    return found


def override(project: Project, root: Path, target: str, file: Path, device: str = "auto") -> str:
    """Give `file` in the place of `target` (SUBJECT/STAGE/OUTPUT); says what is stale now.

    ValueError for what cannot be given, a file that cannot be read or does not fit, or an output that is not
    made yet.
    """
    name, what = _parse(project, root, target)
    stages = project.stages_of(root, name)
    takes = choices(stages)[what]
    if not file.is_file():
        raise CallError(f"{file} does not exist; give the file that takes the place of {target}")
    subject = project.open(root, name)
    owner, _, output = what.partition(".")
    if owner == PHOTO:
        replaces, suffix, data = subject.sources[output], file.suffix, file.read_bytes()
    else:
        stage, record = _made(stages, subject, owner)
        replaces, suffix = record.digest(output), codec_for(stage.makes[output]).suffix
        data = (
            _fitting(stage, output, file, record)
            if what == takes
            else _beside(stage, output, file, subject, device)
        )
    _check_picture(takes, data, file)
    place(
        root,
        name,
        what,
        data,
        suffix,
        str(file.absolute()),
        replaces=replaces,
        takes=takes,
        origin_sha256=file_digest(file),
    )
    readers = (
        [stage.name for stage in stages if takes in stage.needs.values()]
        if takes.startswith(PHOTO)
        else [owner]
    )
    affected = {*readers, *(later for reader in readers for later in downstream(stages, reader))}
    stale = ", ".join(stage.name for stage in stages if stage.name in affected)
    return (
        f"{target} is given by {file}; STALE(INPUT): {stale}\nGo on with: turnaround rerun -s "
        f"{shlex.quote(name)} --work {root}"
    )


def remove(project: Project, root: Path, target: str) -> str:
    """Take back what was given; the computed output counts again."""
    name, what = _parse(project, root, target)
    found = given.entries(root, name)
    if what not in found:
        there = ", ".join(_path(name, known) for known in found) or "nothing"
        raise CallError(f"{target} is not given; given is: {there}")
    take_back(root, name, what)
    return f"{target} is computed again\nGo on with: turnaround rerun -s {shlex.quote(name)} --work {root}"


def take_back(root: Path, name: str, what: str) -> None:
    """Forget what is given in the place of `what`, and its file; KeyError where nothing is."""
    found = given.entries(root, name)
    entry = found.pop(what)
    _write(root, name, found)
    (given.folder(root, name) / entry["file"]).unlink(missing_ok=True)


def listing(project: Project, root: Path, name: str) -> str:
    """What of a subject is given, and what can be."""
    memory.recall(root, name)
    found = given.entries(root, name)
    lines = [f"{_path(name, what)}  {given.told(entry)}" for what, entry in found.items()] or [
        f"nothing of {name} is given"
    ]
    return "\n".join(
        [
            *lines,
            "can be given: "
            + ", ".join(_path(name, what) for what in choices(project.stages_of(root, name))),
        ]
    )


def place(
    root: Path,
    name: str,
    what: str,
    data: bytes,
    suffix: str,
    origin: str,
    *,
    replaces: str = NONE,
    takes: str | None = None,
    origin_sha256: str | None = None,
) -> None:
    """Keep `data` as given in the place of `what` ("stage.output" or "photo.mask"), with where it came from.

    origin: a path, or words for what the program made itself; replaces: digest of what it takes the place of.
    ValueError where it would have no effect, since an output of a stage is given that comes before it.
    """
    folder, takes = given.folder(root, name), takes or what
    found = given.entries(root, name)
    other = next((key for key, entry in found.items() if entry["takes"] == takes and key != what), None)
    if other is not None and what == takes:
        there = _path(name, other)
        raise CallError(f"{there} is given and goes before it; first: turnaround override --remove {there}")
    file = folder / f"{what}{suffix}"
    write_atomic(file, data)
    digest = bytes_digest(data)
    entry = {
        "file": file.name,
        "takes": takes,
        "sha256": digest,
        "origin": origin,
        "origin_sha256": origin_sha256 or digest,
    }
    found[what] = entry | {"replaces": replaces, "when": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
    _write(root, name, found)


def _write(root: Path, name: str, found: dict[str, Any]) -> None:
    file = given.folder(root, name) / given.FILE
    write_atomic(file, (json.dumps(found, indent=1, sort_keys=True) + "\n").encode())


def _parse(project: Project, root: Path, target: str) -> tuple[str, str]:
    """alice/05_back_view/refined.png -> ("alice", "back_view.refined"); ValueError that lists what can be
    given."""
    name, *rest = target.split("/")
    stages = project.stages_of(root, name)
    known, why = choices(stages), "expected SUBJECT/STAGE/OUTPUT"
    if len(rest) == 2:
        number, _, stage = rest[0].partition("_")
        what = f"{stage if number.isdigit() else rest[0]}.{Path(rest[1]).stem}"
        if what in known:
            return name, what
        if what in {f"{stage.name}.{output}" for stage in stages for output in stage.makes}:
            why = "no later stage reads it"
    possible = [_path(name, each, stages) for each in known]
    near = meant(target, possible) if why.startswith("expected") else ""
    raise CallError(f"{target} cannot be given ({why}){near}; these can: {', '.join(possible)}")


def _path(name: str, what: str, stages: tuple[Stage[Any], ...] = ()) -> str:
    owner, _, output = what.partition(".")
    kinds = {stage.name: stage.makes for stage in stages}
    suffix = codec_for(kinds[owner][output]).suffix if owner in kinds else ""
    return f"{name}/{owner}/{output}{suffix}"


def _made(stages: tuple[Stage[Any], ...], subject: Subject, owner: str) -> tuple[Stage[Any], Record]:
    stage = next(stage for stage in stages if stage.name == owner)
    record = subject.store.linked(subject.photo.name, owner)
    if record is None:
        raise CallError(
            f"{subject.photo.name}/{owner} is not made yet, so nothing can take its place; "
            f"make it first: turnaround run {shlex.quote(str(subject.photo.image))} --until {owner}"
        )
    return stage, record


def _beside(stage: Stage[Any], output: str, file: Path, subject: Subject, device: str) -> bytes:
    """The file beside the photo that makes the stage give `file`; ValueError where it does not fit."""
    inputs = {
        argument: subject.photo.load(need.partition(".")[2])
        for argument, need in stage.needs.items()
        if need.startswith(PHOTO)
    }
    try:
        with lend_device(stage, device) as lent:
            return stage.beside(output, file.read_bytes(), device=lent, **inputs)
    except StageError as error:
        raise CallError(f"{file} cannot be {stage.name}/{output}: {error}") from error


def _check_picture(takes: str, data: bytes, file: Path) -> None:
    """ValueError where what is to lie beside the photo is no picture; bodies are read by the stage, which
    knows their forms."""
    if takes not in (f"{PHOTO}.mask", f"{PHOTO}.back"):
        return
    from turnaround.pipeline.photos.photo import decode

    try:
        height, width = decode(data, file.name)[0].shape[:2]
    except StageError as error:
        raise CallError(str(error)) from error
    if takes.endswith(".back") and height != width:
        raise CallError(
            f"{file} has {width} x {height} pixels: a back view is a square picture on the grid of "
            f"05_back_view/coarse.png; "
            "draw over that file"
        )


def _fitting(stage: Stage[Any], output: str, file: Path, record: Record) -> bytes:
    """The file, read and written again in the form of the output; ValueError where it does not fit."""
    kind = stage.makes[output]
    codec = codec_for(kind)
    original = record.load(output)
    try:
        value = _view(file, original) if kind == "View" else codec.load(file)
    except Exception as error:  # readers of foreign files raise anything
        raise CallError(
            f"{file} cannot be read as {stage.name}/{output}{codec.suffix} ({kind}): {error}"
        ) from error
    expected, got = _shape(kind, original), _shape(kind, value)
    if expected != got:
        path = f"{stage.name}/{output}{codec.suffix}"
        raise CallError(
            f"{file} does not fit: {path} has {expected}, the file {got}; start from a copy of it"
        )
    with temporary_folder() as folder:
        fitted = folder / f"{output}{codec.suffix}"
        codec.save(value, fitted)
        return fitted.read_bytes()


def _view(file: Path, original: Any) -> Any:
    """An edited view. Editors drop the camera that the stage wrote into the picture, so it is the
    original's."""
    from dataclasses import replace

    import torch

    from turnaround.pipeline.photos.photo import decode

    pixels, alpha = decode(file.read_bytes(), file.name)
    if alpha is None:
        raise CallError("the picture has no alpha channel, which is the mask")
    mask = torch.from_numpy(alpha)
    return replace(
        original, image=torch.from_numpy(pixels) * mask[..., None] + 1 - mask[..., None], mask=mask
    )


def _shape(kind: str, value: Any) -> str:
    """What of a value later stages rely on, in words."""
    if kind in ("Image", "View"):
        return " x ".join(map(str, (value.mask if kind == "View" else value).shape))
    if kind == "Body":
        return ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in vars(value).items())
    return kind
