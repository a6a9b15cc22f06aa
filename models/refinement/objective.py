"""The refinement's total loss for given targets: one place, for the descent and for choosing the best
body."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from turnaround.models.body.model import BodyModel, BodyOutput
from turnaround.models.mesh.silhouette import MeshEdges, mesh_contour, normal_difference, visible_faces
from turnaround.models.mesh.zbuffer_torch import enlarged, visible
from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.evidence import Evidence, landmarks_at, surface_of
from turnaround.models.refinement.outline import (
    OutlineTarget,
    match_outlines,
    outline_losses,
    outline_target,
    residuals,
)
from turnaround.models.refinement.outline_device import (
    DeviceEdges,
    DeviceTargets,
    Sizes,
    outline_losses_on_device,
    sizes_for,
)
from turnaround.models.refinement.terms import joint_errors, joint_loss, prior_loss
from turnaround.pipeline.values.camera import project, resize
from turnaround.pipeline.values.types import Body, Camera

REFERENCE_WIDTH = 256  # pixels, in which the settings are given


@dataclass(frozen=True)
class Targets:
    """What the body is compared with during one round."""

    outlines: list[OutlineTarget | None]  # per view
    normals: Float[Tensor, "2 h w 3"] | None
    sides: Camera | None = None  # of the normals
    packed: DeviceTargets | None = None  # the outlines where the body is, unless that is the CPU


@dataclass(frozen=True)
class Objective:
    """Total loss of a body: `loss(body, targets, inside_weight)`."""

    config: RefinementConfig
    evidence: Evidence
    estimate: Body
    model: BodyModel
    edges: MeshEdges

    @cached_property
    def device(self) -> torch.device:
        """Where the body and the fit are."""
        return self.estimate.transl.device

    @cached_property
    def _on_device(self) -> tuple[DeviceEdges, Sizes]:
        """Topology and array sizes of the fit on a GPU, for the outlines and for the normals."""
        edges = DeviceEdges.of(self.edges, self.device)
        return edges, sizes_for(self.model(self.estimate).vertices.detach(), edges, self.evidence.cameras)

    @property
    def unit(self) -> float:
        """Pixels of the fit for one pixel of the settings."""
        return self.config.size / REFERENCE_WIDTH

    @property
    def has_sides(self) -> bool:
        """Whether views other than the photo take part."""
        return self.config.side_weight > 0 and self.config.views > 1

    def targets(
        self, masks: Float[Tensor, "c h w"] | None, normals: Float[Tensor, "2 height width 3"] | None
    ) -> Targets:
        """Outlines of the photo's mask and of the other views' `masks` (whose first is ignored)."""
        direction = self.config.normal_direction_weight * self.unit
        sides = (
            [outline_target(mask, direction) for mask in masks[1:]]
            if masks is not None and self.has_sides
            else []
        )
        front = outline_target(self.evidence.front_mask, direction)
        missing: list[OutlineTarget | None] = [None] * (self.config.views - 1 - len(sides))
        outlines = [front, *sides, *missing]
        packed = None if self.device.type == "cpu" else DeviceTargets.of(outlines, self.device)
        return Targets(
            outlines, normals, None if normals is None else self._front_and_back(normals.shape[1]), packed
        )

    def _front_and_back(self, size: int) -> Camera:
        return resize(
            self.evidence.cameras[torch.tensor([0, self.config.views // 2], device=self.device)], size
        )

    def loss(
        self, body: Body, targets: Targets, inside_weight: float
    ) -> tuple[Float[Tensor, ""], dict[str, Float[Tensor, ""]]]:
        """Total and its parts, already weighted; they stay where the body is."""
        posed = self.model(body)
        outlines = self._outlines(posed, targets, inside_weight)
        parts = {
            "front": outlines[0],
            "sides": outlines[1:].sum(),
            "prior": prior_loss(body, self.estimate, self.config),
        }
        if self.config.joint_weight > 0 and len(self.evidence.landmark_index):
            parts["joints"] = self.config.joint_weight * self._joints(posed)
        if self.config.normal_weight > 0 and targets.normals is not None:
            parts["normals"] = self._normals(posed, targets)
        total = torch.stack(list(parts.values())).sum()
        return total, {name: part.detach() for name, part in {"total": total, **parts}.items()}

    def _outlines(self, posed: BodyOutput, targets: Targets, inside_weight: float) -> Float[Tensor, " c"]:
        config, cameras, count = self.config, self.evidence.cameras, self.config.views
        # the paper's weights as shares, so that switching views off does not make the front louder against
        # the rest
        share = config.outline_scale / (config.front_weight + config.side_weight * (count - 1))
        if targets.packed is not None:
            return share * self._outlines_on_device(posed, targets.packed, inside_weight)
        weights = [config.front_weight] + [config.side_weight] * (count - 1)
        active = [k for k, target in enumerate(targets.outlines) if target is not None and weights[k] > 0]
        drawn = cameras[torch.tensor(active)]  # views without a target cost nothing
        contour = mesh_contour(posed.vertices, self.edges, drawn)
        matches = match_outlines(
            contour,
            [targets.outlines[k] for k in active],
            [weights[k] for k in active],
            config.normal_direction_weight * self.unit,
        )
        residual = residuals(posed.vertices, contour, matches, drawn) / self.unit
        views = torch.from_numpy(contour.view)[matches.sample]
        losses = outline_losses(
            residual, matches, views, len(active), huber=config.outline_huber, inside_weight=inside_weight
        )
        return torch.zeros(count).index_add(0, torch.tensor(active), losses) * share

    def _outlines_on_device(
        self, posed: BodyOutput, targets: DeviceTargets, inside_weight: float
    ) -> Float[Tensor, " c"]:
        config, (edges, sizes) = self.config, self._on_device
        weights = torch.full((config.views,), config.side_weight, device=self.device)
        weights[0] = config.front_weight
        losses = outline_losses_on_device(
            posed.vertices,
            edges,
            self.evidence.cameras,
            targets,
            weights,
            sizes,
            direction_weight=config.normal_direction_weight * self.unit,
            huber=config.outline_huber * self.unit,
            inside_weight=inside_weight,
        )
        return losses / self.unit**2

    @cached_property
    def _surface(self) -> Int[Tensor, " s"]:
        return surface_of(self.model, self.evidence.landmark_index).to(self.device)

    def squared_keypoint_errors(self, posed: BodyOutput) -> Float[Tensor, " k"]:
        """In squared pixels of the settings' width."""
        evidence = self.evidence
        points = landmarks_at(posed, self._surface, evidence.landmark_index)
        return joint_errors(points, evidence.keypoints, evidence.cameras[0]) / self.unit**2

    def _joints(self, posed: BodyOutput) -> Float[Tensor, ""]:
        return joint_loss(
            self.squared_keypoint_errors(posed), self.evidence.confidence, self.config.joint_scale
        )

    def _normals(self, posed: BodyOutput, targets: Targets) -> Float[Tensor, ""]:
        assert targets.normals is not None and targets.sides is not None
        if self.device.type == "cpu":
            faces, shown = self.edges.faces, visible_faces(posed.vertices, self.edges.faces, targets.sides)
        else:
            faces, shown = self._visible_on_device(posed.vertices, targets.sides)
        known = (targets.normals != 0).any(-1).to(targets.normals)
        # the mean over the pixels where both have a normal: `terms.normal_loss` of the drawn maps
        total, count = normal_difference(posed.vertices, faces, shown, targets.normals, known)
        share = self.config.normal_weight / (
            self.config.front_weight + self.config.side_weight * (self.config.views - 1)
        )
        return share * total / count.clamp(min=1)

    def _visible_on_device(
        self, vertices: Float[Tensor, "v 3"], cameras: Camera
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        edges, sizes = self._on_device
        pixels, depth = project(vertices.detach(), cameras)
        windows = enlarged(sizes.windows, cameras.width / self.evidence.cameras.width)
        return edges.faces, visible(
            torch.cat([pixels, depth[..., None]], -1), edges.faces, cameras.height, cameras.width, windows
        )
