"""`train`: the networks by their published names, and the programs beside the models that train them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from turnaround import models
from turnaround.flows.show.suggestions import meant
from turnaround.pipeline.errors import CallError


@dataclass(frozen=True)
class Training:
    """How one network is trained."""

    module: str
    first: tuple[str, ...]  # arguments that choose the network where a program trains several
    needs: str  # data and other networks
    minutes: tuple[int, int]  # typical, on one large GPU and on two CPU cores; the first are estimates


TRAININGS = {
    "matting": Training("turnaround.models.matting.train", (), "singles set, backgrounds.npy", (6, 90)),
    "estimator": Training("turnaround.models.estimator.train", (), "singles set, backgrounds.npy", (12, 240)),
    "lifter": Training("turnaround.models.estimator.lifter.train", (), "landmark set", (5, 120)),
    "hgm-coarse": Training("turnaround.models.hgm.train", ("--views", "1"), "views set", (10, 180)),
    "hgm-fusion": Training(
        "turnaround.models.hgm.train",
        ("--views", "2"),
        "views set; better with --init hgm_coarse and --backs",
        (10, 120),
    ),
    "gst": Training(
        "turnaround.models.gst.train", (), "views set, or `data rig`'s; better with --init gst", (10, 120)
    ),
    "normals": Training("turnaround.models.normals.train", (), "views set", (6, 60)),
    "back-view-vae": Training("turnaround.models.back_view.train", ("vae",), "views set", (5, 40)),
    "back-view-unet": Training(
        "turnaround.models.back_view.train", ("unet",), "views set, back-view-vae", (5, 40)
    ),
    "back-view-controlnet": Training(
        "turnaround.models.back_view.train",
        ("controlnet",),
        "views set, vae and unet; better with --coarse",
        (5, 40),
    ),
}


def programs() -> dict[str, str]:
    """Program -> module, by file names: `models/hgm/train.py` is `hgm`, `models/normals/train.py` is
    `normals`."""
    folder = Path(models.__file__ or "").parent
    found = {
        file.parent.name: f"{models.__name__}.{file.parent.name}.train" for file in folder.glob("*/train.py")
    }
    return {name.replace("_", "-"): module for name, module in sorted(found.items())}


def overview() -> str:
    """The table that `turnaround train` shows."""
    rows = [f"{name:21} {t.needs:55} {t.minutes[0]:>4} {t.minutes[1]:>6}" for name, t in TRAININGS.items()]
    return "\n".join(
        [
            f"{'network':21} {'needs':55} {'GPU':>4} {'2 cores':>6}",
            *rows,
            "",
            "Typical minutes; those on a GPU are estimates. `turnaround train NETWORK --help` lists the "
            "settings of one, and",
            "--config FILE takes them from a file: configs/training/*_default.yaml ship, *_paper.yaml are "
            "the paper's.",
            "Data sets are made by `turnaround data people`, landmark sets by `turnaround data landmarks`.",
            "On several GPUs: torchrun --nproc-per-node 4 -m MODULE ...",
        ]
    )


def find_training(network: str) -> Callable[[list[str]], object]:
    """The `main(arguments)` of a network's training, by its published name or that of a program; ValueError
    for another."""
    name, known = network.replace("_", "-"), programs()
    chosen = TRAININGS.get(name) or (Training(known[name], (), "", (0, 0)) if name in known else None)
    if chosen is None:
        near = meant(name, list(TRAININGS))
        raise CallError(f"no training is called {network!r}{near}; there are {', '.join(TRAININGS)}")
    program = importlib.import_module(chosen.module).main

    return lambda arguments: program([*chosen.first, *arguments])
