"""`animate`: subjects in motion, as a film, a page, a rigged mesh, a folder of Gaussians or numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from turnaround.flows.animation.motions import Chosen, choose, held, without_repeat
from turnaround.flows.animation.order import FORMATS, STILL, Order, Step
from turnaround.flows.animation.rigged import rigged_person
from turnaround.flows.animation.scene import Mover, mover, provenance
from turnaround.flows.animation.written import Written, target
from turnaround.pipeline.errors import CallError
from turnaround.pipeline.store.runs import LinkedRuns


def animate(
    people: Sequence[tuple[LinkedRuns, str]],
    order: Order,
    *,
    say: Callable[[str], object] = lambda _: None,
    step: Step = lambda _done, _all: None,
) -> list[Written]:
    """Write what is ordered of each subject, or of all together.

    Args:
        people: where the runs of a subject are, and its name.
        order: what to make.
        say: told what was guessed in reading the motion, and what is made.
        step: told of every frame.

    Raises:
        CallError: an order that cannot be met.
        FormatError: a motion that cannot be read.
    """
    chosen = choose(order.motion, order.fps, order.seconds)
    for note in chosen.notes:
        say(f"{chosen.title}: {note}")
    groups = [list(people)] if order.together else [[each] for each in people]
    if len(groups) > 1 and order.out is not None and order.out.suffix:
        raise CallError(f"--out {order.out} is one file for {len(groups)} subjects; give a folder")
    done = []
    for group in groups:
        movers = [mover(rigged_person(*each), chosen, order.edits) for each in group]
        say(f"{_names(movers)}: {chosen.title}, {len(chosen.motion)} frames")
        done.append(_one(movers, order, chosen, step))
    return done


def _one(movers: list[Mover], order: Order, chosen: Chosen, step: Step) -> Written:
    from turnaround.flows.animation import writers

    name = f"{_names(movers)}-{chosen.title}"
    first = movers[0]
    settings: dict[str, Any] = {"motion": chosen.source, "fps": order.fps}
    if order.to == "mp4":
        settings |= {key: getattr(order, key) for key in ("camera", "size", "background", "floor")}
        seconds = order.seconds or STILL[order.camera]
        movers = [
            dataclasses.replace(each, motion=held(without_repeat(each.motion), seconds)) for each in movers
        ]
    about = provenance(movers, order.edits, settings)
    frames = len(first.motion)
    if order.to == "ply":
        path = writers.write_ply(first, order.frame, order.out, name, about, step)
        frames = frames if order.frame is None else 1
    else:
        path = target(order.out, name, order.to, FORMATS)
        if order.to == "mp4":
            frames = writers.write_mp4(movers, order, path, about, step)
        elif order.to == "npz":
            writers.write_npz(first, path, about)
        elif order.to == "glb":
            writers.write_glb(movers, chosen.title, path, about)
        else:
            writers.write_html(first, chosen.title, path, about)
    return Written(
        path, tuple(each.person.name for each in movers), order.to, frames, order.fps, chosen.notes
    )


def _names(movers: Sequence[Mover]) -> str:
    """The names of all, or of the first two and how many more."""
    names = [each.person.name for each in movers]
    return "+".join(names) if len(names) < 4 else f"{names[0]}+{names[1]}+{len(names) - 2}"
