"""The refinement's total loss for given targets: one place, for the descent and for choosing the best body."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.body import BodyModel, BodyOutput
from models.refinement.config import RefinementConfig
from models.refinement.evidence import Evidence, landmarks
from models.refinement.outline import OutlineTarget, match_outlines, outline_losses, outline_target, residuals
from models.refinement.terms import joint_errors, joint_loss, prior_loss
from models.silhouette import MeshEdges, mesh_contour, normal_difference, visible_faces
from pipeline.camera import resize
from pipeline.types import Body

REFERENCE_WIDTH = 256  # pixels, in which the settings are given


@dataclass(frozen=True)
class Targets:
    """What the body is compared with during one round."""

    outlines: list[OutlineTarget | None]  # per view
    normals: Float[Tensor, "2 h w 3"] | None


@dataclass(frozen=True)
class Objective:
    """Total loss of a body: `loss(body, targets, inside_weight)`."""

    config: RefinementConfig
    evidence: Evidence
    estimate: Body
    model: BodyModel
    edges: MeshEdges

    @property
    def unit(self) -> float:
        """Pixels of the fit for one pixel of the settings."""
        return self.config.size / REFERENCE_WIDTH

    @property
    def has_sides(self) -> bool:
        """Whether views other than the photo take part."""
        return self.config.side_weight > 0 and self.config.views > 1

    def targets(self, masks: Float[Tensor, "c h w"] | None, normals: Float[Tensor, "2 h w 3"] | None) -> Targets:
        """Outlines of the photo's mask and of the other views' `masks` (whose first is ignored)."""
        direction = self.config.normal_direction_weight * self.unit
        sides = [outline_target(mask, direction) for mask in masks[1:]] if masks is not None and self.has_sides else []
        front = outline_target(self.evidence.front_mask, direction)
        missing: list[OutlineTarget | None] = [None] * (self.config.views - 1 - len(sides))
        return Targets([front, *sides, *missing], normals)

    def loss(self, body: Body, targets: Targets, inside_weight: float) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Total and its parts, already weighted."""
        posed = self.model(body)
        outlines = self._outlines(posed, targets, inside_weight)
        parts = {"front": outlines[0], "sides": outlines[1:].sum(), "prior": prior_loss(body, self.estimate, self.config)}
        if self.config.joint_weight > 0 and len(self.evidence.landmark_index):
            parts["joints"] = self.config.joint_weight * self._joints(posed)
        if self.config.normal_weight > 0 and targets.normals is not None:
            parts["normals"] = self._normals(posed, targets.normals)
        total = torch.stack(list(parts.values())).sum()
        return total, {"total": total.item()} | {name: part.item() for name, part in parts.items()}

    def _outlines(self, posed: BodyOutput, targets: Targets, inside_weight: float) -> Float[Tensor, " c"]:
        config, cameras, count = self.config, self.evidence.cameras, self.config.views
        weights = [config.front_weight] + [config.side_weight] * (count - 1)
        active = [k for k, target in enumerate(targets.outlines) if target is not None and weights[k] > 0]
        drawn = cameras[torch.tensor(active)]  # views without a target cost nothing
        contour = mesh_contour(posed.vertices, self.edges, drawn)
        matches = match_outlines(
            contour, [targets.outlines[k] for k in active], [weights[k] for k in active], config.normal_direction_weight * self.unit
        )
        residual = residuals(posed.vertices, contour, matches, drawn) / self.unit
        views = torch.from_numpy(contour.view)[matches.sample]
        losses = outline_losses(residual, matches, views, len(active), huber=config.outline_huber, inside_weight=inside_weight)
        # the paper's weights as shares, so that switching views off does not make the front louder against the rest
        share = config.outline_scale / (config.front_weight + config.side_weight * (count - 1))
        return torch.zeros(count).index_add(0, torch.tensor(active), losses) * share

    def squared_keypoint_errors(self, posed: BodyOutput) -> Float[Tensor, " k"]:
        """In squared pixels of the settings' width."""
        evidence = self.evidence
        points = landmarks(posed, self.model, evidence.landmark_index)
        return joint_errors(points, evidence.keypoints, evidence.cameras[0]) / self.unit**2

    def _joints(self, posed: BodyOutput) -> Float[Tensor, ""]:
        return joint_loss(self.squared_keypoint_errors(posed), self.evidence.confidence, self.config.joint_scale)

    def _normals(self, posed: BodyOutput, predicted: Float[Tensor, "2 h w 3"]) -> Float[Tensor, ""]:
        back = self.config.views // 2
        cameras = resize(self.evidence.cameras[torch.tensor([0, back])], predicted.shape[1])
        visible = visible_faces(posed.vertices, self.edges.faces, cameras)
        known = (predicted != 0).any(-1).to(predicted)
        # the mean over the pixels where both have a normal: `terms.normal_loss` of the drawn maps
        total, count = normal_difference(posed.vertices, self.edges.faces, cameras, visible, predicted, known)
        share = self.config.normal_weight / (self.config.front_weight + self.config.side_weight * (self.config.views - 1))
        return share * total / count.clamp(min=1)
