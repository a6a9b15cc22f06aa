"""`train`: finds the training programs that lie beside the models, by their file names."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import models

_PARTS: dict[str, tuple[str, list[str]]] = {  # weights that share a training program
    "hgm-coarse": ("hgm", ["--views", "1"]),
    "hgm-fusion": ("hgm", ["--views", "2"]),
    "back-view-vae": ("back-view", ["vae"]),
    "back-view-unet": ("back-view", ["unet"]),
    "back-view-controlnet": ("back-view", ["controlnet"]),
}


def trainings() -> dict[str, str]:
    """Network -> module: `models/hgm/train.py` is `hgm`, `models/normals_train.py` is `normals`."""
    folder = Path(models.__file__ or "").parent
    found = {file.parent.name: f"models.{file.parent.name}.train" for file in folder.glob("*/train.py")}
    found |= {file.stem.removesuffix("_train"): f"models.{file.stem}" for file in folder.glob("*_train.py")}
    return {name.replace("_", "-"): module for name, module in sorted(found.items())}


def find_training(network: str) -> Callable[[list[str]], object]:
    """The `main(arguments)` of a network's training, by its name or that of a weight; ValueError for an unknown one."""
    known = trainings()
    wanted, first = _PARTS.get(network.replace("_", "-"), (network.replace("_", "-"), []))
    if wanted not in known:
        raise ValueError(f"no training is called {network!r}; there are {', '.join([*known, *_PARTS])}")
    program = importlib.import_module(known[wanted]).main
    return lambda arguments: program([*first, *arguments])
