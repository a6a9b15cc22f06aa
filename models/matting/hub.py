"""Masks by a segmentation model of `transformers`, from a local folder or the Hugging Face hub."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from turnaround.models import hub_source, zoo
from turnaround.models.zoo import MissingWeight


class HubMatting(nn.Module):
    """RGB in [0, 1] -> probability of a person, by any semantic segmentation model with such a label."""

    mean: Float[Tensor, "1 3 1 1"]
    std: Float[Tensor, "1 3 1 1"]

    def __init__(
        self, network: nn.Module, labels: list[int], mean: list[float], std: list[float], size: int
    ) -> None:
        super().__init__()
        self.network, self.labels, self.size = network.eval(), labels, size
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    @classmethod
    def load(cls, model: str, labels: tuple[str, ...] = (), *, local_only: bool = False) -> HubMatting:
        """`model`, a folder written by `save_pretrained` or a hub id; the last one stays loaded.

        Args:
            labels: names of the classes that make up the person; empty = the label "person", or, for a model
            of
                clothes and body parts without one, everything but the background.
            local_only: never ask the hub.

        Raises:
            MissingWeight: no such folder or repository.
            ValueError: the model has none of the labels.
        """
        try:
            known = zoo.digest(hub_source.weight_name(model, local_only=local_only))
        except MissingWeight:  # reading it says so with the remedy
            known = model
        return _load(cls, model, tuple(labels), known, local_only)

    @classmethod
    def read(cls, model: str, labels: tuple[str, ...], local_only: bool) -> HubMatting:
        """As `load`, read anew."""
        from transformers import AutoImageProcessor, AutoModelForSemanticSegmentation

        try:
            place, revision = hub_source.place_and_revision(model, local_only=local_only)
            options = (
                {"local_files_only": local_only, "revision": revision}
                if revision
                else {"local_files_only": local_only}
            )
            network = AutoModelForSemanticSegmentation.from_pretrained(place, **options)
        except (OSError, ValueError, hub_source.UnknownRevision) as error:
            where = "folder" if Path(model).exists() else "folder or hub repository"
            raise MissingWeight(
                f"no segmentation model in the {where} {model!r}: {error}. Give a folder written by "
                f"save_pretrained, or the id of a "
                f"semantic segmentation model, or use --set stages.prepare.matting=embedded"
            ) from error
        try:
            processor = AutoImageProcessor.from_pretrained(place, **options)
            mean, std, size = processor.image_mean, processor.image_std, max(dict(processor.size).values())
        except (
            OSError,
            ValueError,
            TypeError,
            AttributeError,
        ):  # no preprocessor file: ImageNet's, the custom of these models
            mean, std, size = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], 512
        return cls(network, person_labels(network.config.id2label, labels), list(mean), list(std), int(size))

    @torch.no_grad()
    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Resized to the model's own size and back."""
        height, width = image.shape[-2:]
        scale = self.size / max(height, width)
        small = [max(32, 32 * round(side * scale / 32)) for side in (height, width)]
        pixels = F.interpolate(image, small, mode="bilinear", antialias=True, align_corners=False)
        logits = self.network(pixel_values=(pixels - self.mean) / self.std).logits.float()
        share = (
            torch.sigmoid(logits)
            if logits.shape[1] == 1
            else logits.softmax(1)[:, self.labels].sum(1, keepdim=True)
        )
        return F.interpolate(share, (height, width), mode="bilinear", align_corners=False)


@lru_cache(maxsize=1)
def _load(
    kind: type[HubMatting], model: str, labels: tuple[str, ...], _known: str, local_only: bool
) -> HubMatting:
    return kind.read(model, labels, local_only)


def person_labels(names: dict[int, str], wanted: tuple[str, ...] = ()) -> list[int]:
    """The classes that are a person, by name."""
    lower = {int(index): name.lower() for index, name in names.items()}
    if wanted:
        chosen = [index for index, name in lower.items() if name in {w.lower() for w in wanted}]
    else:
        chosen = [
            index
            for index, name in lower.items()
            if name.split(",")[0].split(";")[0].strip() in ("person", "human", "people", "foreground")
        ]
        parts = {"hair", "pants", "upper-clothes", "face", "left-leg", "dress"}
        if not chosen and parts & set(lower.values()):
            chosen = [index for index, name in lower.items() if name != "background"]
    if not chosen and len(lower) > 1:
        raise ValueError(
            f"the segmentation model has no label {list(wanted) or 'person'}; it knows "
            f"{sorted(lower.values())[:20]}: choose with "
            f"--set stages.prepare.matting.labels='[...]'"
        )
    return chosen
