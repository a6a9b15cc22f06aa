"""Where the time of a call goes: wrapped functions book their own seconds, less those of wrapped ones inside
them, to a named share."""

from __future__ import annotations

import importlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

PLACES = {  # share -> functions "module:name" or "module:Class.name", where they are called from
    "networks": ("torch.nn:Module.__call__",),
    "renderer": ("turnaround.models.splat.cpu.render:render", "turnaround.models.splat.rasterize:_compose"),
    "fit": ("turnaround.models.refinement.person:refine_body", "turnaround.models.estimator.predict:polish"),
    "mesh": (
        "turnaround.models.mesh.extraction:fuse_depth",
        "turnaround.models.mesh.depth_filter:filter_depth",
        "turnaround.models.mesh.tsdf:filter_depth",
        "turnaround.models.mesh.extraction:largest_component",
        "turnaround.models.mesh.extraction:smooth",
        "turnaround.models.mesh.extraction:decimate",
        "turnaround.models.mesh.extraction:describe",
        "turnaround.models.mesh.extraction:refine_to_normals",
        "turnaround.models.mesh.extraction:paint",
    ),
    "drawing": (
        "turnaround.models.mesh.extraction:mesh_pictures",
        "turnaround.models.turntable:mesh_pictures",
        "turnaround.models.turntable:contact_sheet",
        "turnaround.models.location.person:overlay",
    ),
    "film": ("turnaround.models.turntable:encode",),
    "store": (
        "turnaround.pipeline.store.store:Store.save",
        "turnaround.pipeline.store.store:Store.find",
        "turnaround.pipeline.graph:Subject.load",
    ),
}


class Shares:
    """Exclusive seconds by share since `start`; a context manager that wraps and unwraps."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._open: list[str] = []
        self._since = 0.0
        self._restore: list[Callable[[], None]] = []

    def __enter__(self) -> Shares:
        for share, places in PLACES.items():
            for place in places:
                self._wrap(share, place)
        return self

    def __exit__(self, *_: object) -> None:
        for restore in reversed(self._restore):
            restore()

    def start(self) -> None:
        """Forget what was measured."""
        self.seconds.clear()
        self._since = time.perf_counter()

    def _wrap(self, share: str, place: str) -> None:
        module, _, path = place.partition(":")
        owner: Any = importlib.import_module(module)
        *parents, name = path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        function = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            if (
                share == "networks" and type(args[0]).__name__ == "BodyModel"
            ):  # skinning is a module, but no network
                return function(*args, **kwargs)
            self._turn(share)
            try:
                return function(*args, **kwargs)
            finally:
                self._turn(None)

        setattr(owner, name, timed)
        self._restore.append(lambda: setattr(owner, name, function))

    def _turn(self, share: str | None) -> None:
        """Book the time since the last turn, then open `share` or close the last one."""
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now
        if share is None:
            self._open.pop()
        else:
            self._open.append(share)
