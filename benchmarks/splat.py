"""Splat renderer, forward and backward, 7 channels: the numba backend against a plain-torch list of pairs.

    python -m benchmarks.splat --json splat.json

Both run in this process in turn, so that the ratio of their medians holds on a busy machine too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import scene, splat_torch
from models.splat import cpu
from pipeline.camera import orbit_cameras
from pipeline.types import Camera, Gaussians

# the person fills nine tenths of the picture: standard deviations of about 1.3 px at 512 px
FOCAL, DISTANCE = 1.56, 3.0

log = logging.getLogger("benchmarks.splat")


def timed(render: Callable, gaussians: Gaussians, cameras: Camera) -> dict[str, float]:
    """Milliseconds of one rendering and of its backward pass: wall, and CPU time of the process."""
    leaves = gaussians._map(lambda x: x.detach().requires_grad_())
    clocks = [(time.perf_counter(), time.process_time())]
    image, alpha = render(leaves, cameras, True)
    clocks.append((time.perf_counter(), time.process_time()))
    torch.autograd.backward([image, alpha], [torch.ones_like(image), torch.ones_like(alpha)])
    clocks.append((time.perf_counter(), time.process_time()))
    (w0, c0), (w1, _), (w2, c2) = clocks
    wall = {"forward_ms": w1 - w0, "backward_ms": w2 - w1, "median_ms": w2 - w0}
    return {name: 1e3 * value for name, value in {**wall, "cpu_ms": c2 - c0}.items()}


def compare(count: int, size: int, rounds: int) -> dict:
    """Medians of both backends, interleaved, and how far their pictures are apart."""
    gaussians, cameras = scene.capsule_person(count), orbit_cameras([0.0], size, focal=FOCAL, distance=DISTANCE)
    backends = {"numba": cpu.render, "torch_pairs": splat_torch.render}
    with torch.no_grad():  # also compiles
        pictures = {name: render(gaussians, cameras, True)[0] for name, render in backends.items()}
    difference = (pictures["numba"] - pictures["torch_pairs"]).abs()
    timed(cpu.render, gaussians, cameras)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in backends}
    for k in range(rounds):
        for name, render in backends.items():
            runs[name].append(timed(render, gaussians, cameras))
        log.info("round %d: %s", k, {name: round(times[-1]["median_ms"], 1) for name, times in runs.items()})
    medians = {name: {key: statistics.median(run[key] for run in times) for key in times[0]} for name, times in runs.items()}
    results = {f"splat_{name}": {**values, "n": rounds} for name, values in medians.items()}
    for key, ratio in (("ratio_to", "median_ms"), ("cpu_ratio_to", "cpu_ms")):
        results["splat_numba"][key] = {"splat_torch_pairs": medians["torch_pairs"][ratio] / medians["numba"][ratio]}
    setting = {"gaussians": count, "size": size, "channels": 7, "threads": torch.get_num_threads(), "cores": os.cpu_count()}
    check = {"difference_mean": difference.mean().item(), "difference_max": difference.max().item()}
    return {**results, "setting": {**setting, "machine": platform.processor() or platform.machine(), **check}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaussians", type=int, default=65536)
    parser.add_argument("--size", type=int, default=512, help="pixels")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, default=None, help="write the result here as well")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result = compare(arguments.gaussians, arguments.size, arguments.rounds)
    text = json.dumps(result, indent=2)
    log.info(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
