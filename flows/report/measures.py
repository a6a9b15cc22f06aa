"""How far two outputs of one kind are apart, in the unit that fits the kind. Reads the files; asked only for
what differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turnaround.flows.report.gallery import facts
from turnaround.flows.report.pairs import compare_pictures, psnr
from turnaround.pipeline.store.digest import bytes_digest
from turnaround.pipeline.store.store import Record

Measure = dict[str, Any]
_MAX_FIELDS = 200


def measure(a: Record, b: Record, output: str) -> Measure:
    """Figures of what differs between two runs' output; {"only_in": 1 or 2} where one has none.

    Pictures: psnr (dB), max (255ths), by name. Gaussians and meshes: counts, rms (mm). Bodies: rms of joints
    and vertices (mm). Json: fields with old and new. Films: psnr over all frames.
    """
    have = [output in record.manifest["outputs"] for record in (a, b)]
    if not all(have):
        return {"only_in": 1 if have[0] else 2}
    kind = a.manifest["outputs"][output]["kind"]
    other = b.manifest["outputs"][output]["kind"]
    if kind != other:
        return {"kinds": [kind, other]}
    return _MEASURES.get(kind, _sizes)(a, b, output)


def _sizes(a: Record, b: Record, output: str) -> Measure:
    """Of a kind that has no measure of its own."""
    return {"bytes": [record.manifest["outputs"][output]["bytes"] for record in (a, b)]}


def _pictures(a: Record, b: Record, output: str) -> Measure:
    first, second = (record.manifest["outputs"][output]["files"] for record in (a, b))
    found: Measure = {}
    for name in dict.fromkeys([*first, *second]):
        if name not in first or name not in second:
            found[name] = {"only_in": 1 if name in first else 2}
        elif first[name]["sha256"] != second[name]["sha256"]:
            found[name] = compare_pictures(a.path / name, b.path / name)[0]
    return found


def _gaussians(a: Record, b: Record, output: str) -> Measure:
    """Rms of the means: Gaussian by Gaussian where the numbers are equal, else to the nearest of the other
    set, both ways."""
    import numpy as np

    first, second = (record.load(output) for record in (a, b))
    values = [
        {n: getattr(g, n).double().numpy() for n in ("means", "scales", "opacities", "colors")}
        for g in (first, second)
    ]
    found = _points(values[0]["means"], values[1]["means"])
    if len(first) == len(second):
        for name in ("scales", "opacities", "colors"):
            delta = values[0][name] - values[1][name]
            found[f"{name}_rms"] = round(
                float(np.sqrt(np.mean(delta**2))) * (1000 if name == "scales" else 1), 4
            )
        found["scales_rms_mm"] = found.pop("scales_rms")
    return found


def _meshes(a: Record, b: Record, output: str) -> Measure:
    first, second = (record.load(output) for record in (a, b))
    faces = [int(mesh.faces.shape[0]) for mesh in (first, second)]
    return {"faces": faces} | _points(
        first.vertices.double().numpy(), second.vertices.double().numpy(), nearest=True
    )


def _points(a: Any, b: Any, *, nearest: bool = False) -> Measure:
    """Counts and rms in mm of two sets of points (n, 3) in metres."""
    import numpy as np

    found: Measure = {"count": [len(a), len(b)]}
    if len(a) == len(b) and not nearest:
        squares = ((a - b) ** 2).sum(-1)
        return found | {
            "means_rms_mm": _mm(squares),
            "means_max_mm": round(1000 * float(squares.max(initial=0)) ** 0.5, 3),
        }
    from scipy.spatial import KDTree

    there, back = KDTree(b).query(a)[0], KDTree(a).query(b)[0]
    return found | {"nearest_rms_mm": _mm(np.concatenate([there, back]) ** 2)}


def _bodies(a: Record, b: Record, output: str) -> Measure:
    """Both on the body model of the first run."""
    from turnaround.models.body.model import BodyModel

    name = a.manifest["config"].get("body", "body")
    model = BodyModel.load(None if name == "body" else Path(name))
    bodies = [record.load(output) for record in (a, b)]
    if bodies[0].transl.shape != bodies[1].transl.shape:  # sequences of different lengths
        return {"count": [body.transl[..., 0].numel() for body in bodies]}
    first, second = (model(body) for body in bodies)
    squares = {
        k: ((getattr(first, k) - getattr(second, k)) ** 2).sum(-1).detach().double().numpy()
        for k in ("joints", "vertices")
    }
    return {f"{k}_rms_mm": _mm(v) for k, v in squares.items()} | {
        "vertices_max_mm": round(1000 * float(squares["vertices"].max()) ** 0.5, 3)
    }


def _traces(a: Record, b: Record, output: str) -> Measure:
    """Fields whose values differ: [old, new]; the number of them where they are many."""
    first, second = (dict(_leaves(json.loads(record.file(output).read_text()))) for record in (a, b))
    names = [name for name in dict.fromkeys([*first, *second]) if first.get(name) != second.get(name)]
    shown = {name: [first.get(name), second.get(name)] for name in names[:_MAX_FIELDS]}
    return shown | ({"more_fields": len(names) - _MAX_FIELDS} if len(names) > _MAX_FIELDS else {})


def _leaves(value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        return [("value", value)]
    found = list(facts(value))
    rest = {name: item for name, item in value.items() if isinstance(item, list) and name not in dict(found)}
    return found + [(name, f"{len(item)} entries, sha256 {_digest(item)}") for name, item in rest.items()]


def _digest(value: Any) -> str:
    return bytes_digest(json.dumps(value, sort_keys=True).encode())[:12]


def _films(a: Record, b: Record, output: str) -> Measure:
    """Over all frames, where both have as many of one size."""
    import imageio_ffmpeg
    import numpy as np

    files = [str(record.file(output)) for record in (a, b)]
    counts = [imageio_ffmpeg.count_frames_and_secs(file)[0] for file in files]
    readers = [
        imageio_ffmpeg.read_frames(file) for file in files
    ]  # a frame at a time: a film is some hundred MB
    try:
        sizes = [list(next(reader)["size"])[::-1] for reader in readers]  # type: ignore[index]
        if counts[0] != counts[1] or sizes[0] != sizes[1]:
            return {"frames": counts, "sizes": sizes}
        pairs = ([np.frombuffer(frame, np.uint8) for frame in two] for two in zip(*readers, strict=True))  # type: ignore[arg-type]
        errors = [psnr(np.abs(x.astype(np.int16) - y)) for x, y in pairs]
    finally:
        for reader in readers:
            reader.close()
    known = [error for error in errors if error is not None]
    return {
        "frames": len(errors),
        "frames_equal": len(errors) - len(known),
        "psnr_lowest": min(known, default=None),
    }


def _mm(squares: Any) -> float:
    """Root of the mean of squared metres, in millimetres."""
    return round(1000 * float(squares.mean()) ** 0.5, 3) if squares.size else 0.0


_MEASURES: dict[str, Callable[[Record, Record, str], Measure]] = {
    "Image": _pictures,
    "Images": _pictures,
    "View": _pictures,
    "Gaussians": _gaussians,
    "Mesh": _meshes,
    "TexturedMesh": _meshes,
    "Body": _bodies,
    "Trace": _traces,
    "Video": _films,
}
