"""Which diffusion goes over the view from behind, and the weights that the view needs."""

from __future__ import annotations

from pathlib import Path

from turnaround.models import zoo
from turnaround.models.back_view.settings import (
    BackViewSettings,
    EmbeddedDiffusionSettings,
    HubDiffusionSettings,
    NoDiffusion,
)
from turnaround.models.hub_source import weight_name


def chosen_diffusion(config: BackViewSettings) -> EmbeddedDiffusionSettings | HubDiffusionSettings | None:
    """Decide `auto` and `enabled`."""
    chosen = config.refiner
    if not config.enabled or isinstance(chosen, NoDiffusion):
        return None
    return None if chosen.kind == "auto" and not present(*chosen.names) else chosen


def weight_names(config: BackViewSettings) -> tuple[str, ...]:
    """Name the body's, the embedded networks' or the hub model's two: folders by their content, hub ids by
    their commit."""
    diffusion = chosen_diffusion(config)
    body = (config.body,) if config.enabled and config.exemplar and not config.mirror else ()
    if diffusion is None:
        return body
    if isinstance(diffusion, EmbeddedDiffusionSettings):
        return (*body, *diffusion.names)
    return (*body, weight_name(diffusion.base), weight_name(diffusion.controlnet))


def present(*names: str) -> bool:
    """Tell whether all these weights, by name or path, are there; whether they are the right ones is asked
    when they are read."""
    return all((zoo.WEIGHTS[name].place if name in zoo.WEIGHTS else Path(name)).is_file() for name in names)
