"""Turnaround: one photo of a person to 3D Gaussians, a mesh and a video.

    import turnaround as ta
    person = ta.reconstruct("photo.jpg")
    person.save("person.glb")

Names are imported when they are used: `import turnaround` loads neither torch nor a network.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnaround.failure import Failure, ReconstructionError
    from turnaround.models.splat.rasterize import Render, rasterize
    from turnaround.moving import animate
    from turnaround.person import Person
    from turnaround.pipeline.errors import TurnaroundError
    from turnaround.pipeline.settings import presets
    from turnaround.pipeline.values.camera import canonical_camera, orbit_cameras
    from turnaround.pipeline.values.types import Body, Camera, Gaussians, Mesh, TexturedMesh, View
    from turnaround.reconstruction import load, reconstruct, reconstruct_folder

    __version__: str

__all__ = [
    "Body",
    "Camera",
    "Failure",
    "Gaussians",
    "Mesh",
    "Person",
    "ReconstructionError",
    "Render",
    "TexturedMesh",
    "TurnaroundError",
    "View",
    "__version__",
    "animate",
    "canonical_camera",
    "load",
    "orbit_cameras",
    "presets",
    "rasterize",
    "reconstruct",
    "reconstruct_folder",
]

_MODULES = {
    "turnaround.failure": ("Failure", "ReconstructionError"),
    "turnaround.models.splat.rasterize": ("Render", "rasterize"),
    "turnaround.moving": ("animate",),
    "turnaround.person": ("Person",),
    "turnaround.pipeline.errors": ("TurnaroundError",),
    "turnaround.pipeline.settings": ("presets",),
    "turnaround.pipeline.values.camera": ("canonical_camera", "orbit_cameras"),
    "turnaround.pipeline.values.types": ("Body", "Camera", "Gaussians", "Mesh", "TexturedMesh", "View"),
    "turnaround.reconstruction": ("load", "reconstruct", "reconstruct_folder"),
}
_HOME = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use (PEP 562)."""
    if name == "__version__":
        from importlib.metadata import version

        value: Any = version("turnaround")
    elif name in _HOME:
        value = getattr(importlib.import_module(_HOME[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
