"""People in poses that their photo does not show: the rig's Gaussians driven by the true body, against
pictures of
the same person in that pose."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.flows.evaluation import page, report
from turnaround.flows.evaluation.memory import Measured, sources_digest
from turnaround.flows.evaluation.pictures.poses import PosedPerson, posed_people
from turnaround.flows.evaluation.pictures.truth import true_avatar
from turnaround.flows.evaluation.pictures.views import write_jpeg
from turnaround.flows.evaluation.report import Figures, Form, Telling
from turnaround.flows.evaluation.setting import Setting
from turnaround.flows.evaluation.subject import body_model
from turnaround.flows.evaluation.summary import means, rounded
from turnaround.flows.evaluation.tables import Column, table
from turnaround.models.avatar.avatar import Avatar
from turnaround.models.body.model import BodyModel
from turnaround.models.metrics import image as image_metrics
from turnaround.models.metrics import texture
from turnaround.models.splat.fine import rasterize_fine
from turnaround.pipeline.formats.preview import contact_sheet
from turnaround.pipeline.store.store import Record, Store
from turnaround.pipeline.values.rotation import axis_angle_to_matrix, matrix_to_quat, quat_multiply
from turnaround.pipeline.values.types import Body, Gaussians, TexturedMesh

__all__ = ["SUITE", "evaluate_poses"]
log = logging.getLogger(__name__)
SUITE, UNTIL = "people-poses", "rig"
STRETCH = 2.5  # times its length at rest, beyond which an edge has another limb's weights
LEAST = 0.004  # metres: shorter edges are not counted
SOURCES = tuple(f"flows/evaluation/{name}.py" for name in ("measures/poses", "pictures/truth"))
ROWS = ("driven", "bound", "rigid")
COLUMNS = (
    Column("PSNR", "driven.psnr", True),
    Column("SSIM", "driven.ssim", True),
    Column("IoU", "driven.iou", True),
    Column("sharpness", "driven.sharpness_ratio", True),
    Column("bound", "bound.psnr", True),
    Column("rigid", "rigid.psnr", True),
    Column("stretched", "stretched", False),
    Column("seconds", "seconds.total", False),
)
Pictures = tuple[Float[Tensor, "p s s 3"], Float[Tensor, "p s s"]]


def evaluate_poses(
    limit: int, setting: Setting, telling: Telling, *, size: int = 256, workers: int = 1
) -> Figures:
    """Run and measure the first `limit` people.

    Returns:
        The report of docs/evaluation.md; it and the page lie in the setting's folder too. `driven` is the
        reconstruction in the true pose, `bound` the same machinery on the true person, `rigid` the
        reconstruction
        moved by the pelvis alone.

    Raises:
        ValueError: a setting that does not exist, or no wardrobe.
        StageError: nobody could be reconstructed.
    """
    setting.stages()
    Store(setting.work).prepare()
    people = posed_people(limit, setting.folder, size)
    form = Form(partial(_report, report.header(SUITE, setting, resolution=size)), _line)
    found = report.each(people, partial(evaluate_person, setting=setting), workers)
    figures = report.suite(found, limit, form, telling, setting.folder)
    log.info("pictures: %s", _write_page(setting.folder, figures))
    return figures


def evaluate_person(person: PosedPerson, setting: Setting) -> Figures:
    """All figures of one person, or why there are none; see `report.tried`."""

    def measure() -> Figures:
        run = setting.run(person.photo, until=UNTIL)
        return _measured(person, setting, run.records) if run.ok else run.failure

    return {"name": person.name, **report.tried(person.name, measure)}


def _measured(person: PosedPerson, setting: Setting, records: Mapping[str, Record]) -> Figures:
    truth, model = person.digest(), body_model(setting.body_file())
    measured = Measured(setting.folder / "measured" / f"{person.name}_poses.json", truth)
    rig, detail = records["rig"], records["detail"]
    sheet = setting.folder / "pictures" / f"{person.name}_poses.jpg"
    code = sources_digest(SOURCES)

    def compute() -> Figures:
        avatar = Avatar(model, rig.load("rig"), rig.load("mesh"), rig.load("gaussians"))
        driven = drawn(person, avatar.posed_gaussians, driving(model, avatar, person))
        rigid = drawn(
            person, partial(moved, model, detail.load("gaussians"), avatar.rig.photo), person.bodies
        )
        _draw(sheet, person, driven)
        return {
            "driven": compared(driven, person),
            "rigid": compared(rigid, person),
            "stretched": stretched(avatar, driving(model, avatar, person)),
        }

    def bound() -> Figures:
        avatar = true_avatar(model, person)
        return compared(drawn(person, avatar.posed_gaussians, person.bodies), person)

    seconds = {stage: record.manifest["seconds"] for stage, record in records.items()}
    return {
        "truth": truth,
        **measured("poses", [rig.key, detail.key, code], compute, [sheet]),
        "bound": measured("bound", [f"rig {rig.manifest['version']}", code], bound),
        "seconds": {**seconds, "total": sum(seconds.values())},
        "keys": {stage: record.key for stage, record in records.items()},
        "pictures": {"poses": sheet.relative_to(setting.folder).as_posix()},
    }


def driving(model: BodyModel, avatar: Avatar, person: PosedPerson) -> Body:
    """The true poses on the reconstruction's own shape, the pelvis where the true one is."""
    count = len(person.bodies.transl)
    betas = avatar.rig.rest.betas.expand(count, 10)
    own = replace(person.bodies, betas=betas)
    pelvis = model.joints(person.bodies)[:, 0] - model.joints(own)[:, 0]
    return replace(own, transl=own.transl + pelvis)


def drawn(person: PosedPerson, pose: Callable[[Body], Gaussians], bodies: Body) -> Pictures:
    """Pictures over white and soft masks, each pose from its camera."""
    images, masks, cameras = [], [], person.cameras
    for number in range(len(bodies.transl)):
        out = rasterize_fine(pose(bodies[number]), cameras[number])
        images.append(out.rgb[0].clamp(0, 1))
        masks.append(out.alpha[0])
    return torch.stack(images), torch.stack(masks)


def moved(model: BodyModel, gaussians: Gaussians, photo: Body, body: Body) -> Gaussians:
    """The Gaussians of the photo moved as its pelvis moves: the baseline without a rig."""
    turn = axis_angle_to_matrix(body.global_orient) @ axis_angle_to_matrix(photo.global_orient).T
    here, there = model.joints(photo)[0], model.joints(body)[0]
    quats = quat_multiply(matrix_to_quat(turn).expand_as(gaussians.quats), gaussians.quats)
    return replace(gaussians, means=(gaussians.means - here) @ turn.T + there, quats=quats)


def compared(pictures: Pictures, person: PosedPerson) -> dict[str, float]:
    """Means over the poses: psnr, ssim, iou, and the gradients' energy inside the true outline over the
    truth's."""
    images, masks = pictures
    inside = texture.interior(person.masks)
    energy, true_energy = (image_metrics.gradient_energy(p, inside) for p in (images, person.images))
    values = {
        "psnr": image_metrics.psnr(images, person.images),
        "ssim": image_metrics.ssim(images, person.images),
        "iou": image_metrics.iou(masks, person.masks),
        "sharpness_ratio": energy / true_energy,
    }
    return {name: value.mean().item() for name, value in values.items()}


def stretched(avatar: Avatar, bodies: Body) -> float:
    """Share of the mesh's edges, over all poses, that are STRETCH times as long as at rest."""
    rest = _edges(avatar.mesh)
    counted = rest > LEAST
    return torch.stack(
        [
            (_edges(avatar.posed_mesh(bodies[k]))[counted] > STRETCH * rest[counted]).float().mean()
            for k in range(len(bodies.transl))
        ]
    ).mean().item()  # fmt: skip


def _edges(mesh: TexturedMesh) -> Float[Tensor, "f 3"]:
    corners = mesh.vertices[mesh.faces]
    return (corners - corners.roll(1, 1)).norm(dim=-1)


def _draw(file: Path, person: PosedPerson, pictures: Pictures) -> None:
    """Truth above, ours below."""
    cells = {f"true {k}": image for k, image in enumerate(person.images)}
    cells |= {f"driven {k}": image for k, image in enumerate(pictures[0])}
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, contact_sheet(cells, columns=len(person.images)))


def _report(head: Figures, subjects: Sequence[Figures]) -> Figures:
    done = [subject for subject in subjects if "failed" not in subject]
    rows = {name: means([subject[name] for subject in done]) for name in ROWS}
    known = {**head, **report.counts(subjects), **rows}
    known |= {"stretched": image_metrics.mean_or_none([subject["stretched"] for subject in done])}
    known |= {"seconds": means([subject["seconds"] for subject in done])}
    return rounded({**known, "peak_memory_gb": report.peak_memory_gb(), "subjects": list(subjects)})


def _line(subject: Figures) -> str:
    if "failed" in subject:
        return f"{subject['name']} failed in {subject['failed']}: {subject['message']}"
    new, bound, rigid = (subject[name] for name in ROWS)
    return (
        f"{subject['name']} {new['psnr']:.2f} dB, SSIM {new['ssim']:.3f}, IoU {new['iou']:.3f}; "
        f"bound {bound['psnr']:.2f}, rigid {rigid['psnr']:.2f}"
    )


def _write_page(folder: Path, figures: Mapping[str, Any]) -> Path:
    done = [subject for subject in figures["subjects"] if "failed" not in subject]
    order = sorted(done, key=lambda subject: subject["driven"]["psnr"])
    found = [
        ("New poses", table({name: figures[name] for name in ROWS})),
        ("Seconds", table({"mean": figures["seconds"]})),
    ]
    title = f"{SUITE}: {figures['count']} people, {figures['failed']} failed"
    gallery = page.Gallery(title, page.facts(figures), found, order, COLUMNS, figures["subjects"], "people")
    return page.write_gallery(folder, gallery)
