"""The refinement loop: the body is fitted to the photo and to the HGM model's side views, in rounds."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from turnaround.models.body.model import BodyModel
from turnaround.models.mesh.silhouette import mesh_edges
from turnaround.models.refinement.causes import fit_causes
from turnaround.models.refinement.config import RefinementConfig
from turnaround.models.refinement.evidence import Evidence, MaskModel, NormalModel
from turnaround.models.refinement.objective import Objective, Targets
from turnaround.models.refinement.quality import fit_quality
from turnaround.pipeline.values.fit import causes_to_json
from turnaround.pipeline.values.types import Body

FITTED = ("global_orient", "body_pose", "betas", "transl")  # hands and face stay as estimated


@dataclass(frozen=True)
class Refinement:
    """The refined body, the masks of the last round, the record of every loss, and the body before each step
    and after the last."""

    body: Body
    masks: Float[Tensor, "c h w"] | None
    trace: dict[str, Any]
    path: Body  # batch of iterations + 1


def refine_body(
    estimate: Body,
    evidence: Evidence,
    model: BodyModel,
    config: RefinementConfig,
    *,
    masks: MaskModel | None = None,
    normals: NormalModel | None = None,
    independent: bool = False,
) -> Refinement:
    """Refine an estimated body by the paper's loop (section 3.2 and appendix, "SMPL-X optimization").

    The fit runs where the estimate and the model are; on a GPU an iteration does not wait for it.

    Args:
        estimate: of one person; the pull goes to it, and it is returned if no iterate has a lower loss.
        evidence: of the photo.
        model: the body model of `estimate`.
        config: the settings.
        masks: of all views, from the HGM model; needed when side views are on.
        normals: of front and back; needed when normals are on.
        independent: the keypoints come from other networks than the estimate (`fit_causes`).

    Raises:
        ValueError: a model that the settings need was not given, or the photo's mask is empty.
    """
    _check(evidence, config, masks, normals)
    device = estimate.transl.device
    objective = Objective(
        config, evidence.to(device), estimate, model, mesh_edges(model.skin_faces.cpu().numpy())
    )
    descent = _Descent(estimate, config)
    bodies: dict[str, Body] = {}  # candidates by the number of steps behind them
    records: list[dict[str, Float[Tensor, ""]]] = []
    path: list[Body] = []
    targets, seen = Targets([], None), None
    for iteration in range(config.iterations):
        if iteration % config.model_every == 0:
            bodies[f"iteration {iteration}"] = descent.body()
            targets, seen = _look(objective, descent.body(), iteration, masks, normals)
        path.append(descent.body())
        inside = config.inside_weight if iteration >= config.inside_from else 1.0
        loss, parts = objective.loss(descent.body(grad=True), targets, inside)
        records.append(parts)
        descent.step(loss, iteration)
    bodies[f"iteration {config.iterations}"] = descent.body()
    best, totals = _best(objective, bodies, targets)
    trace = {
        "iterations": _numbers(records),
        "candidates": totals,  # all compared with the targets of the last round
        "kept": best,
        "before": fit_quality(objective, estimate, seen),
        "after": fit_quality(objective, bodies[best], seen),
    }
    causes = fit_causes(trace["after"], config, independent=independent)
    trace |= {"poor_fit": [cause.sentence for cause in causes], "causes": causes_to_json(causes)}
    return Refinement(bodies[best], seen, trace, stack([*path, bodies[f"iteration {config.iterations}"]]))


def stack(bodies: list[Body]) -> Body:
    """One batch of `bodies`, in order."""
    return Body(
        **{name: torch.stack([getattr(body, name).detach() for body in bodies]) for name in vars(bodies[0])}
    )


def _check(
    evidence: Evidence, config: RefinementConfig, masks: MaskModel | None, normals: NormalModel | None
) -> None:
    if config.side_weight > 0 and config.views > 1 and masks is None:
        raise ValueError(
            "side views are on (side_weight > 0) but no mask model was given; give one or set "
            "side_weight to 0"
        )
    if config.normal_weight > 0 and normals is None:
        raise ValueError(
            "normals are on (normal_weight > 0) but no normal model was given; give one or set "
            "normal_weight to 0"
        )
    if float(evidence.front_mask.max()) < 0.5:
        raise ValueError("the photo's mask is empty: there is no person to fit the body to")


def _numbers(records: list[dict[str, Float[Tensor, ""]]]) -> list[dict[str, Any]]:
    """The losses of every iteration as numbers, fetched at once: asking in the loop would make it wait for
    the device."""
    rows = torch.stack([torch.stack(list(parts.values())) for parts in records]).tolist()
    return [
        {"iteration": k} | dict(zip(parts, row, strict=True))
        for k, (parts, row) in enumerate(zip(records, rows, strict=True))
    ]


@torch.no_grad()
def _look(
    objective: Objective, body: Body, iteration: int, masks: MaskModel | None, normals: NormalModel | None
):
    """Targets from the models, run on the current body, and the masks of all views with the photo's as the
    first."""
    config = objective.config
    seen = None
    if objective.has_sides and masks is not None:
        fed = body if iteration >= config.feed_body_from else None
        seen = masks(fed, objective.evidence.cameras).cpu()
        seen = torch.cat([objective.evidence.front_mask.cpu()[None], seen[1:]])
    predicted = None
    if normals is not None and config.normal_weight > 0:
        predicted = normals(body if iteration >= config.feed_normals_from else None).to(objective.device)
    return objective.targets(seen, predicted), seen


@torch.no_grad()
def _best(objective: Objective, bodies: dict[str, Body], targets: Targets) -> tuple[str, dict[str, float]]:
    """The body of the lowest total loss under the same targets and weights."""
    last = (
        objective.config.inside_weight if objective.config.iterations > objective.config.inside_from else 1.0
    )
    totals = {name: objective.loss(body, targets, last)[1]["total"].item() for name, body in bodies.items()}
    return min(totals, key=totals.__getitem__), totals


class _Descent:
    """Adam on the fitted fields of one body, with a cosine schedule."""

    def __init__(self, estimate: Body, config: RefinementConfig) -> None:
        self.start, self.config = estimate, config
        self.values = {name: getattr(estimate, name).detach().clone().requires_grad_() for name in FITTED}
        rates = {"betas": config.shape_rate, "transl": config.translation_rate}
        groups = [
            {"params": [value], "lr": rates.get(name, config.pose_rate)}
            for name, value in self.values.items()
        ]
        self.optimizer = torch.optim.Adam(groups, betas=config.momenta)
        self.rates = [group["lr"] for group in groups]

    def body(self, grad: bool = False) -> Body:
        """The current body; without `grad` a copy cut from the graph."""
        values = (
            self.values if grad else {name: value.detach().clone() for name, value in self.values.items()}
        )
        return dataclasses.replace(self.start, **values)

    def step(self, loss: Float[Tensor, ""], iteration: int) -> None:
        """One step down `loss`."""
        low = self.config.final_rate
        factor = low + (1 - low) * 0.5 * (1 + math.cos(math.pi * iteration / self.config.iterations))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
