"""Ten expression components from the face units (blend shapes as ARKit names them, CC0-1.0)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from turnaround.data.body.makehuman import parse_target

_JAW = ("jawOpen", "jawLeft", "jawRight", "jawForward", "tongueOut")  # the jaw joint does these


def face_units(folder: Path, vertex_count: int) -> dict[str, np.ndarray]:
    """Name -> offsets (V,3) of every unit that is not a joint's work (jaw, gaze)."""
    units = {}
    for path in sorted(folder.glob("*.target")):
        if path.stem not in _JAW and not path.stem.startswith("eyeLook"):
            index, offset = parse_target(path.read_text())
            units[path.stem] = np.zeros((vertex_count, 3))
            units[path.stem][index] = offset
    return units


def expression_directions(
    units: dict[str, np.ndarray], rng: np.random.Generator, count: int = 10
) -> tuple[np.ndarray, float]:
    """(count,V,3) principal directions of random expressions, one standard deviation each, and the explained
    share.

    A random expression uses about a seventh of the units at up to full strength; left and right mostly agree.
    """
    names = list(units)
    samples = np.abs(rng.normal(size=(2000, len(names)))) * (rng.random((2000, len(names))) < 0.15) * 0.7
    for column, name in enumerate(names):
        right = name.removesuffix("Left") + "Right"
        if name.endswith("Left") and right in units:
            together = rng.random(2000) < 0.8
            samples[together, names.index(right)] = samples[together, column]
    shapes = np.stack([units[name] for name in names]).reshape(len(names), -1)
    factor = np.linalg.cholesky(np.cov(samples.T, bias=True) + 1e-9 * np.eye(len(names)))
    _, sigma, directions = np.linalg.svd(factor.T @ shapes, full_matrices=False)
    explained = float((sigma[:count] ** 2).sum() / (sigma**2).sum())
    return (sigma[:count, None] * directions[:count]).reshape(count, -1, 3), explained
