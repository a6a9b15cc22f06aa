"""How near a decimated surface stays to the whole one: `python -m benchmarks.decimation WORK SUBJECT`.

The mesh of the stage `mesh` is decimated to several numbers of faces. Distances in millimetres are those from
100,000 points of the whole surface to the nearest of 200,000 of the smaller one, whose own spacing is what
the mean has without any decimation ("none"). Where open3d is installed, its quadric decimation is measured,
too.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import trimesh
from scipy.spatial import KDTree

import turnaround as ta
from turnaround.models.mesh.surface import Surface, decimate, describe

FACES = (20_000, 5_000, 2_000, 1_000)
Way = Callable[[Surface, int], Surface]


def by_open3d(surface: Surface, faces: int) -> Surface:
    """open3d's `simplify_quadric_decimation`."""
    o3d = importlib.import_module("open3d")
    mesh = o3d.geometry.TriangleMesh(
        o3d.utility.Vector3dVector(surface.vertices),
        o3d.utility.Vector3iVector(surface.faces.astype(np.int32)),
    ).simplify_quadric_decimation(faces)
    return Surface(np.asarray(mesh.vertices).copy(), np.asarray(mesh.triangles).astype(np.int64))


def apart(whole: Surface, small: Surface) -> np.ndarray:
    """Millimetres from points of the whole surface to the nearest of the smaller one's."""
    one, other = (trimesh.Trimesh(each.vertices, each.faces, process=False) for each in (whole, small))
    return 1000 * KDTree(other.sample(200_000, seed=0)).query(one.sample(100_000, seed=1))[0]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(prog="benchmarks.decimation", description=__doc__)
    parser.add_argument("work", type=Path)
    parser.add_argument("subject")
    options = parser.parse_args()
    mesh = ta.load(options.work, options.subject).load("mesh.mesh")
    whole = Surface(mesh.vertices.double().numpy(), mesh.faces.numpy().astype(np.int64))
    ways: dict[str, Way] = {"fast-simplification": decimate}
    if importlib.util.find_spec("open3d"):
        ways["open3d"] = by_open3d
    print("| faces | way | mean mm | greatest mm | seconds | watertight |\n|---|---|---|---|---|---|")
    far = apart(whole, whole)
    print(f"| {len(whole.faces):,} | none | {far.mean():.2f} | {far.max():.1f} | - | - |")
    for name, way in ways.items():
        way(whole, FACES[0])  # imports
        for faces in FACES:
            start = time.perf_counter()
            small = way(whole, faces)
            seconds = time.perf_counter() - start
            far, closed = apart(whole, small), describe(small)["watertight"]
            figures = f"{far.mean():.2f} | {far.max():.1f} | {seconds:.2f} | {closed}"
            print(f"| {len(small.faces):,} | {name} | {figures} |")


if __name__ == "__main__":
    main()
