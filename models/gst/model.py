"""GST: one transformer that says a person's SMPL-X body and their Gaussians (Prospero et al. 2024, sec. 3).

The decoder of the body's queries decodes learnable tokens, too: K groups of points by five kinds. They do not
see each other (the paper runs the decoder twice), so that before any training the body is the estimator's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models.body.model import BodyModel
from turnaround.models.estimator.kinematics import Skeleton
from turnaround.models.estimator.model import Prediction
from turnaround.models.gst.anchors import Anchors, Posed
from turnaround.models.gst.config import KINDS, GSTConfig
from turnaround.models.gst.fill import Fill
from turnaround.models.gst.finer import Finer
from turnaround.models.gst.gaussians import activated
from turnaround.models.gst.heads import Heads
from turnaround.models.gst.landmark_tokens import LandmarkTokens
from turnaround.models.gst.paper.paper_network import body_network
from turnaround.pipeline.values.types import Gaussians

HEAD = 6.0  # how much denser the finer points lie on the head, for the face's sake


@dataclass(frozen=True)
class GSTOutput:
    """A batch of people in the world of the canonical camera."""

    body: Prediction
    posed: Posed
    people: list[Gaussians]
    offsets: Float[Tensor, "b m 3"]  # of the Gaussians from the skin, metres


class GST(nn.Module):
    """Window pixels (RGB over white, mask), the window's place, and landmarks -> GSTOutput."""

    def __init__(self, body: BodyModel, config: GSTConfig = GSTConfig()) -> None:
        super().__init__()
        self.config = config
        self.network = body_network(Skeleton(body.joint_template, body.joint_shapedirs), config.network)
        heads = Anchors(body, config.points, config.groups)
        self.anchors = Anchors(body, config.finer, 1, HEAD) if config.finer else heads
        self.finer = Finer(heads, self.anchors) if config.finer else None
        width = config.network.width
        self.tokens = nn.Parameter(torch.rand(len(KINDS) * config.groups, width))
        self.fill = Fill(self.anchors, body) if config.fill and config.colors == "copied" else None
        self.heads = Heads(config, heads.size)
        self.landmarks = LandmarkTokens(config.network.memory) if config.landmarks else None
        queries = len(self.network.tokens.queries)
        apart = torch.arange(queries + len(self.tokens)) >= queries
        self.register_buffer("apart", apart[:, None] != apart, persistent=False)

    def forward(
        self,
        pixels: Float[Tensor, "b 4 s s"],
        window: Float[Tensor, "b 3"],
        landmarks: Float[Tensor, "b n 7"] | None = None,
        gaussians: bool = True,
        posed: Posed | None = None,
        picture: Float[Tensor, "b 4 t t"] | None = None,
    ) -> GSTOutput:
        """Body and Gaussians.

        Args:
            landmarks: as `landmark_values` makes them; None: the picture alone.
            gaussians: false: the body alone.
            posed: points of other bodies, that carry the Gaussians in the place of the network's own.
            picture: the window at more pixels, that finer points copy their colours from; None: `pixels`.
        """
        seen: Any = self.network.features(pixels)
        queries, memory = self._asked(seen, window, landmarks)
        if gaussians:
            tokens = self.tokens.to(queries.dtype).expand(len(pixels), -1, -1)
            mask = self.get_buffer("apart")
            decoded = self.network.decoder(torch.cat([queries, tokens], 1), memory, tgt_mask=mask)
        else:
            decoded = self.network.decoder(queries, memory)
        body = self.network.read(decoded, seen, window)
        carrying: Posed = (
            self.anchors(body.rotations, body.betas, body.pelvis, self.network.hands)
            if posed is None
            else posed
        )
        if not gaussians:
            return GSTOutput(body, carrying, [], carrying.points[:, :0])
        raw = self.heads(decoded[:, queries.shape[1] :])
        spacing = None
        if self.finer is not None:
            raw, spacing = self.finer(raw), self.finer.spacing
        source = picture if picture is not None and self.config.finer else pixels
        people, offsets = activated(
            raw, carrying, self.anchors, self.config, source, window, self.fill, spacing
        )
        return GSTOutput(body, carrying, people, offsets)

    def body(
        self,
        pixels: Float[Tensor, "b 4 s s"],
        window: Float[Tensor, "b 3"],
        landmarks: Float[Tensor, "b n 7"] | None = None,
    ) -> Prediction:
        """The body of `forward`, without points of its skin."""
        seen: Any = self.network.features(pixels)
        queries, memory = self._asked(seen, window, landmarks)
        return self.network.read(self.network.decoder(queries, memory), seen, window)

    def _asked(
        self, seen: Any, window: Float[Tensor, "b 3"], landmarks: Float[Tensor, "b n 7"] | None
    ) -> tuple[Float[Tensor, "b q c"], Float[Tensor, "b t d"]]:
        """The body's queries, and the tokens of picture and landmarks that they attend to."""
        queries, memory = self.network.tokens(seen, window)
        if self.landmarks is not None and landmarks is not None:
            memory = torch.cat([memory, self.landmarks(landmarks)], 1)
        return queries, memory
