"""The pictures of one person on the evaluation's page: views, mesh, body and back, each with its truth, as
JPEG files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.data.sets.folders import AZIMUTHS
from turnaround.flows.evaluation.measures.measure import BACK, Pictures, resized
from turnaround.flows.evaluation.suite import TestPerson
from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.view import mesh_pictures
from turnaround.models.metrics.body import mpjpe_mm
from turnaround.pipeline.files import replacing
from turnaround.pipeline.formats.preview import contact_sheet, to_pil
from turnaround.pipeline.store.store import Record
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body, Mesh

VERSION = "2"  # of these pictures: another number draws them anew
KINDS = ("views", "mesh", "body", "back")
SHOWN = (0, 30, 60, 90, 150, 180, 210, 270)  # azimuths in degrees
TURN = (0, 90, 180, 270)
CELL = 160  # pixels


def draw(
    files: Mapping[str, Path],
    person: TestPerson,
    records: Mapping[str, Record],
    ours: Pictures,
    model: BodyModel,
) -> None:
    """Write the pictures of KINDS into `files`."""
    cut = _window(torch.maximum(ours[1], person.masks).amax(0))
    photo = networks_copy(records["prepare"].load("view"), person.size).image
    _save(files["views"], _views(person, photo, ours), cut, 1 + len(SHOWN))
    _save(files["mesh"], _mesh(person, records["mesh"].load("mesh")), cut, len(TURN))
    bodies = {"estimated": records["estimate"].load("body"), "refined": records["refine"].load("body")}
    _save(files["body"], _bodies(person, photo, model, bodies), cut, 3)
    back = {
        name: resized(records["back_view"].load(name)[..., :3], person.size) for name in ("coarse", "refined")
    }
    cells = {f"{name} back": image for name, image in back.items()} | {
        "fused": ours[0][BACK],
        "true": person.images[BACK],
    }
    _save(files["back"], cells, cut, 4, cell=200)


Cells = Mapping[str, Float[Tensor, "_ _ 3"]]


def _views(person: TestPerson, photo: Float[Tensor, "h w 3"], ours: Pictures) -> Cells:
    """Two rows: the input and ours at eight azimuths; below, the truth."""
    views = {azimuth: AZIMUTHS.index(azimuth) for azimuth in SHOWN}
    above = {f"{person.name} input": photo} | {f"ours {a}": ours[0][k] for a, k in views.items()}
    return {**above, "": torch.ones_like(photo), **{f"true {a}": person.images[k] for a, k in views.items()}}


def _mesh(person: TestPerson, mesh: Mesh) -> Cells:
    """Shaded mesh, its normals, and those of the true surface."""
    cameras = orbit_cameras(TURN, person.size)
    vertices = torch.from_numpy(person.vertices)
    truth = Mesh(
        vertices, torch.from_numpy(np.asarray(person.faces, np.int64)), torch.full_like(vertices, 0.5)
    )
    rows = {"mesh": mesh_pictures(mesh, cameras), "normals": mesh_pictures(mesh, cameras, "normals")}
    rows["true normals"] = mesh_pictures(truth, cameras, "normals")
    return {f"{name} {a}": images[k] for name, images in rows.items() for k, a in enumerate(TURN)}


def _bodies(
    person: TestPerson, photo: Float[Tensor, "h w 3"], model: BodyModel, bodies: Mapping[str, Body]
) -> Cells:
    """Normals of the bodies over the photo, and from the side over the true picture."""
    side = 90
    cameras = orbit_cameras((0, side), person.size)
    under = torch.stack([photo, person.images[AZIMUTHS.index(side)]])
    posed = {name: model(body) for name, body in bodies.items()} | {"true": model(person.body)}
    cells: list[dict[str, Tensor]] = [{}, {}]
    for name, output in posed.items():
        vertices = output.vertices.detach()
        drawn = mesh_pictures(
            Mesh(vertices, model.skin_faces, torch.zeros_like(vertices)), cameras, "normals"
        )
        covered = (drawn.amin(-1, keepdim=True) < 0.97).float()  # white is nothing
        shown = under * (1 - 0.6 * covered) + 0.6 * covered * drawn
        error = "" if name == "true" else f" {mpjpe_mm(output.joints.detach(), person.joints):.0f} mm"
        cells[0][f"{name} body{error}"] = shown[0]
        cells[1][f"{name} from {side}"] = shown[1]
    return cells[0] | cells[1]


def _save(file: Path, cells: Cells, window: tuple[slice, slice], columns: int, cell: int = CELL) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    cut = [image[window] for image in cells.values()]
    write_jpeg(file, contact_sheet(cut, list(cells), columns=columns, size=cell))


def write_jpeg(file: Path, image: Float[Tensor, "h w 3"]) -> None:
    """A JPEG, complete or absent."""
    with replacing(file) as beside:
        to_pil(image).save(beside, "JPEG", quality=88, optimize=True)


def stacked(sheets: Sequence[Float[Tensor, "_ w 3"]]) -> Float[Tensor, "k w 3"]:
    """Pictures of one width below each other."""
    return torch.cat(list(sheets))


def _window(mask: Float[Tensor, "h w"]) -> tuple[slice, slice]:
    """The smallest square around the picture's middle that holds the mask, so that the person fills the
    cell."""
    size = mask.shape[0]
    where = (mask > 0.05).nonzero()
    half = (where + 0.5 - size / 2).abs().max().item() + 4 if len(where) else size / 2
    edge = max(0, int(size / 2 - half))
    return slice(edge, size - edge), slice(edge, size - edge)
