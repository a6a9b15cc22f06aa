"""What the refinement recovers: bodies with a known error, fitted to the masks of dressed people.

    python benchmarks/refinement.py --data VIEWS_FOLDER --limit 24

reads a "views" set (`turnaround data people`), disturbs each true body by `--error` metres and refines it with and
without side views, joints and normals. Side masks are the true ones, or `coherent`: those of the true body itself moved
by 25 mm in depth, as a model that guesses the depth would draw them.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from data.perturbed import PosedPerson, disturbed, mpjpe
from models.body import BodyModel
from models.refinement import Evidence, RefinementConfig, landmarks, refine_body
from models.silhouette import body_masks
from pipeline.camera import orbit_cameras, project
from pipeline.types import Body

OFF = {"side_weight": 0.0, "normal_weight": 0.0}
VARIANTS: dict[str, dict[str, object]] = {
    "default": {},
    "true sides": {"side_weight": 1.0, "normal_weight": 0.0},
    "true sides, normals": {"side_weight": 1.0, "normal_weight": 0.5},
    "front": OFF,
    "front, normals": {"side_weight": 0.0, "normal_weight": 0.5},
    "front, no joints": {**OFF, "joint_weight": 0.0},
    "coherent sides": {"side_weight": 1.0, "normal_weight": 0.0},
}


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


def cases(model: BodyModel, folder: Path, limit: int, error: float, noise: float, start: int = 0) -> Iterator[Case]:
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
            cameras, masks[0], index, pixels + noise * torch.randn(pixels.shape, generator=generator), torch.ones(len(index))
        )
        shifted = body_masks(posed.vertices + 0.025 * torch.tensor([0.0, 0, 1]), faces, cameras)
        estimate = disturbed(model, person, seed, error=error)
        yield Case(file.stem, person, estimate, evidence, {"true": masks, "coherent": shifted}, normals)


def fit(model: BodyModel, case: Case, config: RefinementConfig, sides: str) -> tuple[float, float, float]:
    """MPJPE before and after in mm, seconds."""
    start = time.perf_counter()
    result = refine_body(
        case.estimate, case.evidence, model, config, masks=lambda _body, _cameras: case.masks[sides], normals=lambda _body: case.normals
    )
    seconds = time.perf_counter() - start
    with torch.no_grad():
        before, after = (1e3 * mpjpe(model(body).joints, case.person.joints) for body in (case.estimate, result.body))
    return before, after, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of a views set")
    parser.add_argument("--limit", type=int, default=24)
    parser.add_argument("--error", type=float, default=0.075, help="MPJPE of the start in metres")
    parser.add_argument("--noise", type=float, default=2.0, help="of the keypoints, pixels of the set's pictures")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = BodyModel.load()
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in VARIANTS}
    for case in cases(model, options.data, options.limit, options.error, options.noise):
        for name, changes in VARIANTS.items():
            config = dataclasses.replace(RefinementConfig(), **changes)
            results[name].append(fit(model, case, config, "coherent" if name.startswith("coherent") else "true"))
    print(f"{'':24} before   after mm  better  seconds")
    table = {}
    for name, rows in results.items():
        values = np.array(rows)
        before, after, seconds = values.mean(0)
        table[name] = {"before_mm": before, "after_mm": after, "better": float((values[:, 1] < values[:, 0]).mean()), "seconds": seconds}
        print(f"{name:24} {before:6.1f}  {after:6.1f}     {table[name]['better']:4.0%}    {seconds:5.2f}")
    if options.json:
        options.json.write_text(json.dumps({"people": options.limit, "error_m": options.error, "rows": table}, indent=2))


if __name__ == "__main__":
    main()
