"""Stage 04: the estimated body is fitted to the photo, to normals and to the coarse model's own side
views."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import Field

from turnaround.models.refinement.config import RefinementConfig
from turnaround.pipeline.stage import Image, Images, Stage, StageConfig, StageError, Trace

if TYPE_CHECKING:
    import torch

    from turnaround.models.body.model import BodyModel
    from turnaround.models.refinement.evidence import GaussianModel, NormalModel
    from turnaround.models.refinement.fit import Refinement
    from turnaround.pipeline.values.types import Body, Gaussians, View

log = logging.getLogger(__name__)


OWN_KEYPOINTS = 0.1  # weight of the estimator's own keypoints against that of landmarks


class RefineConfig(StageConfig):
    """Settings of `refine`; `configs/presets/paper.yaml` has the paper's."""

    enabled: bool = Field(default=True, description="false: the estimate goes on as it is")
    fit: RefinementConfig = Field(
        default=RefinementConfig(), description="the fit: its loop, the weights of its terms, its step sizes"
    )
    hgm: str = Field(
        default="hgm_coarse",
        description="embedded weight of the coarse model, or the path of a safetensors file",
    )
    normal_maps: str = Field(
        default="normals",
        description="embedded weight of the normal network, the path of a safetensors file, or a folder with "
        "normals_front.png and normals_back.png made elsewhere (ICON, ECON)",
    )
    body: str = Field(
        default="body", description="body model: 'body' is the free one, else the path of SMPLX_NEUTRAL.npz"
    )


class Refine(Stage[RefineConfig]):
    """The paper's refinement loop (section 3.2, appendix)."""

    name, version = "refine", 7
    needs = {
        "view": "prepare.view",
        "landmarks": "prepare.landmarks",
        "body": "estimate.body",
        "keypoints": "estimate.keypoints",
    }
    device = "gpu"
    Config = RefineConfig
    moved = {
        **{name: f"fit.{name}" for name in RefinementConfig.model_fields},
        "side_views": "fit.side_weight",
        "normals": "fit.normal_weight",
        "joints": "fit.joint_weight",
        "normal_weights": "normal_maps",
        "normal_folder": "normal_maps",
    }

    class Outputs(NamedTuple):
        """The fitted body, and what the fit saw."""

        body: Body
        gaussians: Gaussians  # the coarse model, fed the fitted body
        masks: Images  # its mask, the body before in red and after in green, by azimuth
        normals_front: Image
        normals_back: Image
        trace: Trace  # losses, figures before and after, and why the fit is poor where it is
        path: Body  # the body on its way, a batch

    def weights(self) -> tuple[str, ...]:
        """The coarse model's, the source of the normals, and the body model."""
        return (self.config.hgm, self.config.normal_maps, self.config.body)

    def run(
        self, *, device: torch.device, view: View, landmarks: Trace, body: Body, keypoints: Trace
    ) -> Outputs:
        """The fitted body; StageError where the mask is empty or the body is not before the camera."""
        from dataclasses import replace

        from turnaround.models.body.model import BodyModel
        from turnaround.models.hgm.weights import load_hgm
        from turnaround.models.landmarks.record import keypoints_at
        from turnaround.pipeline.formats.normal_image import encode_normals
        from turnaround.pipeline.values.crop import networks_copy

        close, view = view.camera, networks_copy(view)
        keypoints = keypoints_at(keypoints, close, view.camera)
        file = None if self.config.body == "body" else Path(self.config.body)
        model, there = (
            BodyModel.shared(file),
            BodyModel.shared(file, device),
        )  # for the networks' inputs, and where the fit runs
        hgm = load_hgm(self.config.hgm, self.config.body, device)
        coarse: GaussianModel = lambda fed: hgm.reconstruct([view], fed).merged  # noqa: E731
        normals = self._normal_model(model, view, device)
        # landmarks have no pelvis; the picture's network, which may have been asked for all the same, has
        independent = landmarks.get("source") != "none" and "pelvis" not in keypoints
        refined, settings = self._refine(
            there, view, body.to(device), keypoints, coarse, normals, independent
        )
        refined = replace(refined, body=refined.body.to("cpu"), path=refined.path.to("cpu"))
        gaussians = coarse(refined.body).to("cpu")
        front, back = normals(refined.body)
        cameras = _front_and_back(view, front.shape[0])
        return self.Outputs(
            body=refined.body,
            gaussians=gaussians,
            masks=mask_pictures(model, view, body, refined.body, gaussians, settings),
            normals_front=encode_normals(front, cameras[0]),
            normals_back=encode_normals(back, cameras[1]),
            trace=refined.trace,
            path=refined.path,
        )

    def _refine(
        self,
        model: BodyModel,
        view: View,
        body: Body,
        keypoints: Trace,
        coarse: GaussianModel,
        normals: NormalModel,
        independent: bool,
    ) -> tuple[Refinement, RefinementConfig]:
        from turnaround.models.refinement.evidence import gather_evidence, masks_of_gaussians
        from turnaround.models.refinement.fit import Refinement, refine_body, stack

        settings = self.config.fit
        if not independent:  # the estimate's own keypoints share its errors
            settings = settings.but(joint_weight=OWN_KEYPOINTS * settings.joint_weight)
        if not self.config.enabled:
            return Refinement(
                body,
                None,
                {"iterations": [], "kept": "iteration 0", "poor_fit": [], "causes": []},
                stack([body]),
            ), settings
        evidence = gather_evidence(view, keypoints, views=settings.views, size=settings.size)
        try:
            masks = masks_of_gaussians(coarse)
            refined = refine_body(
                body, evidence, model, settings, masks=masks, normals=normals, independent=independent
            )
        except ValueError as error:
            raise StageError(
                f"the body cannot be fitted to the photo: {error}; look at the overlays of prepare and "
                f"estimate"
            ) from error
        for cause in refined.trace["causes"]:
            log.warning("poor fit: %s; %s", cause["sentence"], cause["remedy"])
        return refined, settings

    def _normal_model(self, model: BodyModel, view: View, device: torch.device) -> NormalModel:
        """Normals of front and back given a body, from the network or from pictures made elsewhere."""
        from turnaround.models import zoo
        from turnaround.models.normals.network import load_normals, normal_model

        folder = Path(self.config.normal_maps)
        if self.config.normal_maps not in zoo.WEIGHTS and folder.is_dir():
            given = _given_normals(folder)
            return lambda _body: given
        predict = normal_model(load_normals(self.config.normal_maps, device), view.to(device), model)
        return lambda body: predict(None if body is None else body.to("cpu")).cpu()


def _given_normals(folder: Path) -> torch.Tensor:
    import torch

    from turnaround.models.normals.network import load_normal_maps
    from turnaround.pipeline.formats.codecs import load_image

    pictures = []
    for name in ("normals_front.png", "normals_back.png"):
        file = folder / name
        if not file.is_file():
            raise StageError(
                f"normal_maps={folder}: {name} is missing; expected normals_front.png and normals_back.png"
            )
        pictures.append(load_image(file)[..., :3])
    pair = load_normal_maps(*pictures)
    return torch.stack([pair.front, pair.back])


def _front_and_back(view: View, size: int) -> tuple[Any, Any]:
    from turnaround.pipeline.values.camera import orbit_cameras, resize

    return resize(view.camera, size), orbit_cameras([180.0], size)[0]


def mask_pictures(
    model: BodyModel, view: View, before: Body, after: Body, gaussians: Gaussians, settings: RefinementConfig
) -> dict[str, torch.Tensor]:
    """Four views by azimuth: the refined model's mask in grey, the body before in red and after in green."""
    import numpy as np
    import torch

    from turnaround.models.mesh.silhouette import body_masks
    from turnaround.models.refinement.evidence import circle, masks_of_gaussians
    from turnaround.models.refinement.pictures import compare_masks

    cameras = circle(view.camera, 12, settings.size)[torch.tensor([1, 3, 6, 9])]
    faces = model.skin_faces.cpu().numpy().astype(np.int32)
    with torch.no_grad():
        old, new = (body_masks(model(body).vertices, faces, cameras) for body in (before, after))
    seen = masks_of_gaussians(lambda _body: gaussians)(after, cameras)
    return {
        f"{azimuth:03d}": compare_masks(seen[k], old[k], new[k])
        for k, azimuth in enumerate((30, 90, 180, 270))
    }
