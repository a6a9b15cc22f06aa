"""What the refinement costs and what it recovers: bodies with a known error, fitted to the masks of dressed
people.

    python -m benchmarks.refinement [--quick] [--json FILE]      times, as `turnaround bench` asks for them
    python -m benchmarks.refinement --data VIEWS_FOLDER --limit 24

The second reads a "views" set (`turnaround data people`), disturbs each true body by `--error` metres and
refines it with and without side views, joints and normals. Side masks are the true ones, or `coherent`: those
of the true body itself moved by 25 mm in depth, as a model that guesses the depth would draw them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from turnaround.data.sets.perturbed import PosedPerson, disturbed, mpjpe, posed_person
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.silhouette import (
    body_masks,
    mesh_contour,
    mesh_edges,
    normal_difference,
    normal_maps,
    visible_faces,
)
from turnaround.models.refinement.config import PAPER, RefinementConfig
from turnaround.models.refinement.evidence import Evidence, landmarks
from turnaround.models.refinement.fit import refine_body
from turnaround.models.refinement.outline import match_outlines, outline_target, residuals
from turnaround.models.refinement.terms import normal_loss
from turnaround.pipeline.values.camera import orbit_cameras, project
from turnaround.pipeline.values.types import Body

OFF: dict[str, object] = {"side_weight": 0.0, "normal_weight": 0.0}
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "true sides": {"side_weight": 1.0, "normal_weight": 0.0},
    "true sides, normals": {"side_weight": 1.0, "normal_weight": 0.5},
    "front": OFF,
    "front, normals": {"side_weight": 0.0, "normal_weight": 0.5},
    "front, no joints": {**OFF, "joint_weight": 0.0},
    "coherent sides": {"side_weight": 1.0, "normal_weight": 0.0},
}


TIMED = PAPER  # the paper's loop: 45 iterations, 12 views, side masks, normals, joints


@dataclass(frozen=True)
class Case:
    """One person with an estimate of the body and everything that the fit may see."""

    name: str
    person: PosedPerson
    estimate: Body
    evidence: Evidence
    masks: dict[str, Tensor]  # "true" and "coherent", (12, S, S)
    normals: Tensor  # front and back (2, S, S, 3), of the clothed surface


def read_body(archive) -> Body:
    return Body(**{f.name: torch.tensor(archive[f"body_{f.name}"]) for f in dataclasses.fields(Body)})


def cases(
    model: BodyModel, folder: Path, limit: int, error: float, noise: float, start: int = 0
) -> Iterator[Case]:
    """People of a views set with disturbed bodies and noisy keypoints (pixels of the set's pictures)."""
    faces = model.skin_faces.numpy().astype(np.int32)
    for seed, file in enumerate(sorted(folder.glob("*.npz"))[start : start + limit]):
        with np.load(file) as archive:
            body, masks = read_body(archive), torch.tensor(archive["mask"] / np.float32(255))
            normals = torch.tensor(archive["normal"][[0, 6]] / np.float32(127))
        cameras = orbit_cameras(range(0, 360, 30), masks.shape[-1])
        with torch.no_grad():
            posed = model(body)
        person = PosedPerson(body, posed.vertices, posed.joints)
        generator = torch.Generator().manual_seed(seed)
        index = torch.arange(22)
        pixels = project(landmarks(posed, model, index), cameras[0])[0]
        evidence = Evidence(
            cameras,
            masks[0],
            index,
            pixels + noise * torch.randn(pixels.shape, generator=generator),
            torch.ones(len(index)),
        )
        shifted = body_masks(posed.vertices + 0.025 * torch.tensor([0.0, 0, 1]), faces, cameras)
        estimate = disturbed(model, person, seed, error=error)
        yield Case(file.stem, person, estimate, evidence, {"true": masks, "coherent": shifted}, normals)


def fit(model: BodyModel, case: Case, config: RefinementConfig, sides: str) -> tuple[float, float, float]:
    """MPJPE before and after in mm, seconds."""
    start = time.perf_counter()
    result = refine_body(
        case.estimate,
        case.evidence,
        model,
        config,
        masks=lambda _body, _cameras: case.masks[sides],
        normals=lambda _body: case.normals,
    )
    seconds = time.perf_counter() - start
    with torch.no_grad():
        before, after = (
            1e3 * mpjpe(model(body).joints, case.person.joints) for body in (case.estimate, result.body)
        )
    return before, after, seconds


def measure(quick: bool) -> dict[str, Any]:
    """Medians in milliseconds, interleaved: the fit of 45 iterations to 12 views (256 px, normals and joints
    on), and its parts.

    refinement_12x45: has mpjpe_before_mm and mpjpe_after_mm, means over the cases. silhouette_masks_12: masks
    of 12 views. silhouette_outlines_12: visible outlines of 12 views, matched with those of the masks, and
    the gradient to the vertices. silhouette_normals_2: difference of two normal maps and its gradient; _torch
    is the same through drawn maps.
    """
    model = BodyModel.load()
    seeds = range(2 if quick else 6)
    known = [posed_case(model, seed) for seed in seeds]
    parts = {**_parts(model, known[0])}
    for call in parts.values():  # compiled before
        call()
    fit(model, known[0], TIMED.but(iterations=2), "true")
    rows, times = [], {name: [] for name in parts}
    for case in known:
        rows.append(fit(model, case, TIMED, "true"))
        for name, call in parts.items():
            for _ in range(3 if quick else 10):
                started = time.perf_counter()
                call()
                times[name].append(time.perf_counter() - started)
    before, after, _ = np.mean(rows, 0)
    whole = 1e3 * float(np.median([seconds for _, _, seconds in rows]))
    entries: dict[str, Any] = {
        name: {"median_ms": 1e3 * float(np.median(each)), "n": len(each)} for name, each in times.items()
    }
    for name, entry in entries.items():
        entry["ratio_to"] = (
            {"refinement_12x45": entry["median_ms"] * TIMED.iterations / whole}
            if not name.endswith("_torch")
            else {}
        )
    slow = entries["silhouette_normals_2_torch"]
    slow["ratio_to"] = {
        "silhouette_normals_2": slow["median_ms"] / entries["silhouette_normals_2"]["median_ms"]
    }
    quality = {"mpjpe_before_mm": float(before), "mpjpe_after_mm": float(after)}
    return {"refinement_12x45": {"median_ms": whole, "n": len(rows), "ratio_to": {}, **quality}, **entries}


def posed_case(model: BodyModel, seed: int, size: int = 256) -> Case:
    """A dressed person made here (`data.perturbed`), an estimate 75 mm off, keypoints with 2 px of noise."""
    faces = model.skin_faces.numpy().astype(np.int32)
    person = posed_person(model, seed)
    cameras = orbit_cameras(range(0, 360, 30), size)
    masks = body_masks(person.surface, faces, cameras, samples=4)
    noise = torch.randn(22, 2, generator=torch.Generator().manual_seed(seed)) * 2
    evidence = Evidence(
        cameras,
        masks[0],
        torch.arange(22),
        project(person.joints[:22], cameras[0])[0] + noise,
        torch.ones(22),
    )
    normals = normal_maps(person.surface, faces, cameras[torch.tensor([0, 6])])
    return Case(f"posed {seed}", person, disturbed(model, person, seed), evidence, {"true": masks}, normals)


def _parts(model: BodyModel, case: Case) -> dict[str, Callable[[], Any]]:
    """What an iteration calls, on the estimate of one case."""
    edges = mesh_edges(model.skin_faces.numpy())
    cameras, pair = case.evidence.cameras, case.evidence.cameras[torch.tensor([0, 6])]
    targets = [outline_target(mask, 8.0) for mask in case.masks["true"]]
    with torch.no_grad():
        start = model(case.estimate).vertices
    known = (case.normals != 0).any(-1).float()

    def outlines() -> None:
        vertices = start.clone().requires_grad_()
        contour = mesh_contour(vertices, edges, cameras)
        matches = match_outlines(contour, targets, [10.0] + [1.0] * 11, 8.0)
        residuals(vertices, contour, matches, cameras).square().sum().backward()

    def normals() -> None:
        vertices = start.clone().requires_grad_()
        visible = visible_faces(vertices, edges.faces, pair)
        normal_difference(vertices, edges.faces, visible, case.normals, known)[0].backward()

    def drawn_normals() -> None:
        vertices = start.clone().requires_grad_()
        normal_loss(normal_maps(vertices, edges.faces, pair), case.normals).backward()

    return {
        "silhouette_masks_12": lambda: body_masks(start, edges.faces, cameras),
        "silhouette_outlines_12": outlines,
        "silhouette_normals_2": normals,
        "silhouette_normals_2_torch": drawn_normals,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of a views set; without it only times are measured")
    parser.add_argument("--quick", action="store_true", help="fewer cases, without --data")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--error", type=float, default=0.075, help="MPJPE of the start in metres")
    parser.add_argument(
        "--noise", type=float, default=2.0, help="of the keypoints, pixels of the set's pictures"
    )
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    if options.data is None:
        from benchmarks.suite import as_text

        timed = measure(options.quick)
        print(as_text(timed))
        if options.json:
            options.json.write_text(json.dumps(timed, indent=1) + "\n")
        return
    torch.set_num_threads(1)
    model = BodyModel.load()
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in VARIANTS}
    for case in cases(model, options.data, options.limit, options.error, options.noise):
        for name, changes in VARIANTS.items():
            config = PAPER.but(**changes)
            results[name].append(
                fit(model, case, config, "coherent" if name.startswith("coherent") else "true")
            )
    print(f"{'':24} before   after mm  better  seconds")
    table = {}
    for name, rows in results.items():
        values = np.array(rows)
        before, after, seconds = values.mean(0)
        table[name] = {
            "before_mm": before,
            "after_mm": after,
            "better": float((values[:, 1] < values[:, 0]).mean()),
            "seconds": seconds,
        }
        print(f"{name:24} {before:6.1f}  {after:6.1f}     {table[name]['better']:4.0%}    {seconds:5.2f}")
    if options.json:
        options.json.write_text(
            json.dumps({"people": options.limit, "error_m": options.error, "rows": table}, indent=2)
        )


if __name__ == "__main__":
    main()
