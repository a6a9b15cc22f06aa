"""What `refine`'s settings do to bodies that the embedded estimator found, on training people that no network
saw.

    python -m benchmarks.refine_settings --data VIEWS --first 475 --limit 18 --set prior15:pose_prior=15 --set
    flat:normal_weight=0

reads a "views" set; every `--set NAME:FIELD=VALUE,...` is one variant of the stage's defaults. Prints MPJPE
(22 joints, pelvis-aligned) and the same without alignment, in mm.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.refinement import read_body
from turnaround.data.sets.perturbed import mpjpe
from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.predict import estimate_body, load_estimator
from turnaround.models.normals.network import load_normals, normal_model
from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.evidence import gather_evidence
from turnaround.models.refinement.fit import refine_body
from turnaround.models.refinement.person import OWN_KEYPOINTS
from turnaround.pipeline.values.camera import canonical_camera
from turnaround.pipeline.values.types import Body, View


def variant(text: str, base: RefinementConfig) -> tuple[str, RefinementConfig]:
    """`NAME:FIELD=VALUE,...` as a name and settings."""
    name, _, fields = text.partition(":")
    changes = dict(pair.split("=") for pair in fields.split(","))
    return name, base.but(**changes)


def errors(model: BodyModel, found: Body, true: torch.Tensor) -> tuple[float, float]:
    """Millimetres, pelvis-aligned and not."""
    with torch.no_grad():
        joints = model(found).joints
    return 1e3 * mpjpe(joints, true), 1e3 * float((joints[:22] - true[:22]).norm(dim=-1).mean())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--limit", type=int, default=18)
    parser.add_argument("--estimator", default="estimator")
    parser.add_argument("--normals", default="normals")
    parser.add_argument("--set", dest="variants", action="append", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    model, network, normals = (
        BodyModel.load(),
        load_estimator(options.estimator),
        load_normals(options.normals),
    )
    base = RefinementConfig()
    base = base.but(joint_weight=OWN_KEYPOINTS * base.joint_weight)  # as the stage does without landmarks
    variants = {"default": base, **dict(variant(text, base) for text in options.variants)}
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in ("estimate", *variants)}
    for file in sorted(options.data.glob("*.npz"))[options.first : options.first + options.limit]:
        with np.load(file) as person:
            image, mask = (torch.from_numpy(person[name][0]).float() / 255 for name in ("rgb", "mask"))
            body = read_body(person)
        view = View(image, mask, canonical_camera(image.shape[0]))
        with torch.no_grad():
            true = model(body).joints
        estimate, keypoints = estimate_body(network, view, model)
        rows["estimate"].append(errors(model, estimate, true))
        for name, config in variants.items():
            evidence = gather_evidence(view, keypoints, views=config.views, size=config.size)
            refined = refine_body(
                estimate, evidence, model, config, normals=normal_model(normals, view, model)
            )
            rows[name].append(errors(model, refined.body, true))
    for name, values in rows.items():
        aligned, absolute = np.mean(values, 0)
        print(f"{name:24} {aligned:6.1f} {absolute:6.1f}")


if __name__ == "__main__":
    main()
