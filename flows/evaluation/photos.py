"""Real photos through the stages, measured without a truth: `turnaround evaluate --photos FOLDER`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from turnaround.flows.evaluation import page, report
from turnaround.flows.evaluation.measures import photo_figures
from turnaround.flows.evaluation.measures.final import final
from turnaround.flows.evaluation.measures.measure import resized
from turnaround.flows.evaluation.measures.mirrored import mirrored_photo
from turnaround.flows.evaluation.memory import Measured, sources_digest
from turnaround.flows.evaluation.pictures import eight_sides
from turnaround.flows.evaluation.pictures.bodies import over, turned
from turnaround.flows.evaluation.pictures.views import write_jpeg
from turnaround.flows.evaluation.report import Figures, Form, Progress, Telling
from turnaround.flows.evaluation.setting import Run, Setting
from turnaround.flows.evaluation.subject import body_model
from turnaround.flows.evaluation.summary import medians, rounded
from turnaround.flows.evaluation.tables import Column, number, table
from turnaround.models.landmarks.record import keypoints_at, moved
from turnaround.models.metrics.body import mirror_mm
from turnaround.pipeline.formats.preview import contact_sheet, draw_points
from turnaround.pipeline.photos.source import Photo, find_photos
from turnaround.pipeline.store.digest import file_digest
from turnaround.pipeline.store.store import Record, Store
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Camera

log = logging.getLogger(__name__)
SUITE, BODY = "photos", "refine"  # the stage up to which the mirrored photo goes
_CODE = ("photos", "photo_figures", "body_pictures", "mirrored", "eight_sides")
SOURCES = tuple(f"flows/evaluation/{name}.py" for name in _CODE)
SHARP = (f"stages.prepare.size={2 * photo_figures.SIZE}",)  # the person fills it: fine enough for any framing
MEASURED = (  # of which the report has medians
    "landmark_px", "body_iou", "gaussians_iou", "front_psnr", "front_psnr_person", "sharpness",
    "mirror_mm", "seconds",
)  # fmt: skip
AROUND, CELL = (0, 90, 180, 270), 256  # azimuths in degrees, pixels
_OTHER_HAND = {"left": "right", "right": "left"}
COLUMNS = (
    Column("landmarks px", "landmark_px", False),
    Column("body IoU", "body_iou", True),
    Column("Gaussians IoU", "gaussians_iou", True),
    Column("front PSNR", "front_psnr", True),
    Column("person PSNR", "front_psnr_person", True),
    Column("sharp front", "sharpness.front", True),
    Column("side", "sharpness.side", True),
    Column("back", "sharpness.back", True),
    Column("mirror mm", "mirror_mm", False),
    Column("seconds", "seconds", False),
)


@dataclass(frozen=True)
class PhotoPlan:
    """What is done with every photo."""

    setting: Setting
    mirror: bool = True


def evaluate_photos(
    folder: Path,
    json_path: Path | None = None,
    *,
    limit: int | None = None,
    config: str = "default",
    overrides: Sequence[str] = (),
    work: Path = Path("work/evaluate"),
    device: str = "auto",
    mirror: bool = True,
    workers: int = 1,
    progress: Progress | None = None,
) -> Figures:
    """Run and measure the photos of a folder, with the files that lie beside them.

    Args:
        folder: of pictures, or one picture.
        json_path: the report is written here too, anew after each photo.
        limit: at most so many photos.
        mirror: also the mirrored photos, for `mirror_mm`.

    Returns:
        The report of docs/evaluation.md; a photo that failed has "error". The work folder has it too.

    Raises:
        ValueError: a setting that does not exist, or a folder without a picture.
    """
    setting = Setting(config, tuple(overrides), work, device, fixed=())
    setting.stages(SHARP)
    photos = find_photos([folder])[:limit]
    Store(work).prepare()
    found = report.each(photos, partial(evaluate_photo, plan=PhotoPlan(setting, mirror)), workers)
    form = Form(partial(_report, report.header(SUITE, setting, resolution=photo_figures.SIZE)), _line)
    figures = report.gather(found, len(photos), form, Telling(json_path, progress))
    report.write(figures, setting.folder / page.REPORT)
    log.info("pictures: %s", write_page(setting.folder, figures))
    return figures


def evaluate_photo(photo: Photo, plan: PhotoPlan) -> Figures:
    """All figures of one photo; what fails is reported under "error", never raised."""
    try:
        run, sharp = plan.setting.run(photo), plan.setting.run(photo, SHARP, until="prepare", apart=True)
        for one in (run, sharp):
            if not one.ok:
                return {"name": photo.name, "error": f"{one.result.failed}: {one.result.message}"}
        figures = _Case(photo, plan).everything(run.records, sharp.records["prepare"])
        return {"name": photo.name, **figures}
    except Exception as error:
        log.warning("%s could not be measured", photo.name, exc_info=error)
        return {"name": photo.name, "error": f"measuring: {type(error).__name__}: {error}"}


class _Case:
    """One photo, and what is known of it."""

    def __init__(self, photo: Photo, plan: PhotoPlan) -> None:
        self.photo, self.setting, self.mirror = photo, plan.setting, plan.mirror
        self.model = body_model(plan.setting.body_file())
        self.digest = file_digest(photo.image)[:24]
        self.measured = Measured(plan.setting.folder / "measured" / f"photo-{photo.name}.json", self.digest)
        self.sources = sources_digest(SOURCES)

    def everything(self, records: Mapping[str, Record], sharp: Record) -> Figures:
        """The figures of a finished run."""
        keys = [
            *(records[stage].key for stage in ("prepare", "estimate", "refine")),
            final(records).key,
            self.sources,
        ]
        figures = {
            **self.measured("body", keys, lambda: self._body(records)),
            **self.measured("likeness", [*keys, sharp.key], lambda: self._likeness(records, sharp)),
            **self._mirrored(records[BODY]),
            "poor": bool(records["refine"].load("trace").get("poor_fit")),
            "seconds": sum(record.manifest["seconds"] for record in records.values()),
        }
        files = {kind: self._file(kind) for kind in ("photo", "sides", "body")}
        self.measured("pictures", keys, lambda: self._draw(files, records), files.values())
        figures["pictures"] = {kind: f"pictures/{file.name}" for kind, file in files.items()}
        figures["keys"] = {stage: record.key for stage, record in records.items()}
        return {**figures, "truth": self.digest}

    def _file(self, kind: str) -> Path:
        return self.setting.folder / "pictures" / f"photo-{self.photo.name}_{kind}.jpg"

    def _body(self, records: Mapping[str, Record]) -> Figures:
        view, body = networks_copy(records["prepare"].load("view")), records["refine"].load("body")
        joints = self.model(body).joints.detach()
        landmarks = _landmarks(records, view.camera)
        return {
            "landmark_px": photo_figures.landmark_px(joints, view.camera, landmarks.points),
            "landmarks": {"source": landmarks.source, "visible": len(landmarks.points)},
            "body_iou": photo_figures.body_iou(self.model, body, view),
        }

    def _likeness(self, records: Mapping[str, Record], sharp: Record) -> Figures:
        gaussians = final(records).load("gaussians")
        overlap = photo_figures.gaussians_iou(gaussians, networks_copy(records["prepare"].load("view")))
        truth = networks_copy(sharp.load("view"), photo_figures.SIZE)
        return {"gaussians_iou": overlap, **photo_figures.likeness(gaussians, truth)}

    def _mirrored(self, refine: Record) -> Figures:
        """mirror_mm: None where it was not asked for; where the mirrored photo fails, with the reason."""
        if not self.mirror:
            return {"mirror_mm": None}
        run = self._run_mirrored()
        if not run.ok:
            return {"mirror_mm": None, "mirror_error": f"{run.result.failed}: {run.result.message}"}
        joints = [self.model(record.load("body")).joints.detach() for record in (refine, run.records[BODY])]
        return {"mirror_mm": mirror_mm(joints[0], joints[1])}

    def _run_mirrored(self) -> Run:
        """The stages up to BODY on the mirrored photo, with settings that name sides mirrored too."""
        prepare, estimate = self.setting.stage("prepare").config, self.setting.stage("estimate").config
        wanted = getattr(prepare, "person", "auto")
        number = getattr(getattr(estimate, "given", None), "person", 0)
        extra = [f"stages.prepare.person={_OTHER_HAND[wanted]}"] if wanted in _OTHER_HAND else []
        extra += ["stages.estimate.given.person=0"] if number else []
        photo = mirrored_photo(self.photo, self.setting.folder / "variants", number)
        return self.setting.run(photo, extra, until=BODY, apart=True)

    def _draw(self, files: Mapping[str, Path], records: Mapping[str, Record]) -> bool:
        """The photo, and the refined body over it with the landmarks; the Gaussians and the body turned."""
        view, body = records["prepare"].load("view"), records["refine"].load("body")
        laid = over(view.image, self.model, body, view.camera)
        points = list(_landmarks(records, view.camera).points.values())
        laid = draw_points(laid, points, radius=view.camera.width / 150) if points else laid
        cells = {"photo": resized(view.image, 2 * CELL), "refined body, landmarks": resized(laid, 2 * CELL)}
        _save(files["photo"], cells, 2)
        write_jpeg(files["sides"], eight_sides.row(view, final(records).load("gaussians")))
        bodies = turned(self.model, body, AROUND, CELL)
        _save(files["body"], {f"body from {a}": bodies[k] for k, a in enumerate(AROUND)}, len(AROUND) // 2)
        return True


def _landmarks(records: Mapping[str, Record], camera: Camera) -> photo_figures.LimbLandmarks:
    """In pixels of a camera where the photo's stood."""
    prepare, estimate = records["prepare"], records["estimate"]
    source = prepare.load("view").camera
    landmarks = prepare.load("landmarks") if "landmarks" in prepare.manifest["outputs"] else None
    heard = "prepare.landmarks" in estimate.manifest["inputs"]
    return photo_figures.LimbLandmarks.of(
        keypoints_at(estimate.load("keypoints"), source, camera),
        None if landmarks is None else moved(landmarks, source, camera),
        heard=heard,
    )


def _save(file: Path, cells: Mapping[str, Any], columns: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    write_jpeg(file, contact_sheet(cells, columns=columns))


def _report(head: Figures, photos: Sequence[Figures]) -> Figures:
    done = [photo for photo in photos if "error" not in photo]
    middle = medians([{name: photo[name] for name in MEASURED} for photo in done])
    known = {**head, **report.counts(photos), "poor": sum(photo["poor"] for photo in done), "median": middle}
    return rounded({**known, "peak_memory_gb": report.peak_memory_gb(), "photos": list(photos)})


def _line(photo: Figures) -> str:
    if "error" in photo:
        return f"{photo['name']} failed in {photo['error']}"
    landmarks, mirror = (number(photo[name]) for name in ("landmark_px", "mirror_mm"))
    return (
        f"{photo['name']} landmarks {landmarks} px, IoU of body {photo['body_iou']:.2f}, of Gaussians "
        f"{photo['gaussians_iou']:.2f}, front {photo['front_psnr']:.1f} dB, mirror {mirror} mm, "
        f"{photo['seconds']:.0f} s"
    )


def write_page(folder: Path, figures: Mapping[str, Any]) -> Path:
    """`index.html` in `folder`: the medians, then all photos, the worst body first."""
    done = [photo for photo in figures["photos"] if "error" not in photo]
    order = sorted(done, key=lambda photo: photo["body_iou"])
    middle = dict(figures["median"] or {})
    sharpness = middle.pop("sharpness", None) or {}
    middle |= {f"sharpness {name}": value for name, value in sharpness.items()}
    found = [("Median over photos", table({"": middle}))]
    title = f"{figures['count']} photos, {figures['failed']} failed, {figures['poor']} poor fits"
    gallery = page.Gallery(title, page.facts(figures), found, order, COLUMNS, figures["photos"], SUITE)
    return page.write_gallery(folder, gallery)
