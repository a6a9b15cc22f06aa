"""What a photo's fit asks: the coarse Gaussian model, the clothed person's normals, and the body model."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models import zoo
from turnaround.models.body.model import BodyModel
from turnaround.models.body.named import named_body
from turnaround.models.normals.network import load_normal_maps, load_normals, normal_model
from turnaround.models.person_model import gaussian_model
from turnaround.models.refinement.evidence import GaussianModel, NormalModel
from turnaround.pipeline.errors import MissingFile
from turnaround.pipeline.formats.codecs import load_image
from turnaround.pipeline.values.crop import networks_copy
from turnaround.pipeline.values.types import Body, Gaussians, View

GIVEN = ("normals_front.png", "normals_back.png")


@dataclass(frozen=True)
class Networks:
    """The models of one photo."""

    view: View  # the photo as the networks see it
    body: BodyModel  # for the networks' inputs
    fitted: BodyModel  # the same where the fit runs
    coarse: GaussianModel
    normals: NormalModel


def load_networks(view: View, *, hgm: str, normal_maps: str, body: str, device: torch.device) -> Networks:
    """Load what the fit of a photo asks.

    Args:
        view: the photo, any lens.
        hgm, body: weights by name or path.
        normal_maps: the same of the normal network, or a folder with the two pictures of GIVEN.

    Raises:
        MissingFile: that folder lacks one.
    """
    small, model = networks_copy(view), named_body(body)
    network = gaussian_model(hgm, body, device)

    def coarse(fed: Body | None) -> Gaussians:
        return network([small], fed)

    normals = _normals(normal_maps, model, small, device)
    return Networks(small, model, named_body(body, device), coarse, normals)


def _normals(normal_maps: str, model: BodyModel, view: View, device: torch.device) -> NormalModel:
    """Normals of front and back given a body, from the network or from pictures made elsewhere."""
    folder = Path(normal_maps)
    if normal_maps not in zoo.WEIGHTS and folder.is_dir():
        given = given_normals(folder)
        return lambda _body: given
    predict = normal_model(load_normals(normal_maps, device), view.to(device), model)
    return lambda body: predict(None if body is None else body.to("cpu")).cpu()


def given_normals(folder: Path) -> Float[Tensor, "2 h w 3"]:
    """Read the two pictures of GIVEN, front and back, world frame; MissingFile without one."""
    pictures: list[Tensor] = []
    for name in GIVEN:
        if not (folder / name).is_file():
            raise MissingFile(f"normal_maps={folder}: {name} is missing; expected {' and '.join(GIVEN)}")
        pictures.append(load_image(folder / name)[..., :3])
    pair = load_normal_maps(*pictures)
    return torch.stack([pair.front, pair.back])
