"""The splat renderer, forward and backward: the CPU backend against a plain-torch list of pairs, or gsplat's
frames a second.

    python -m benchmarks.splat --json splat.json
    python -m benchmarks.splat --device cuda

All that is compared runs in this process in turn, so that the ratios of the medians hold on a busy machine
too.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from benchmarks import scene, splat_torch
from turnaround.models.splat.cpu import render as cpu
from turnaround.pipeline.values.camera import orbit_cameras
from turnaround.pipeline.values.types import Camera, Gaussians

# the person fills nine tenths of the picture: standard deviations of about 1.3 px at 512 px
FOCAL, DISTANCE = 1.56, 3.0
SIZES = ((20_000, 256), (65_536, 512), (131_072, 512))  # Gaussians and pixels
MAIN = SIZES[1]
FASTER = 3  # runs of the CPU backend for each of the list of pairs, which is slow

log = logging.getLogger("benchmarks.splat")
Times = dict[str, float]


def cameras_around(count: int, size: int) -> Camera:
    """`count` cameras at equal angles around the person of `benchmarks.scene`."""
    return orbit_cameras([360.0 * k / count for k in range(count)], size, focal=FOCAL, distance=DISTANCE)


def timed(render: Callable, gaussians: Gaussians, cameras: Camera, geometry: bool = True) -> Times:
    """Milliseconds of one rendering and of its backward pass: wall, and CPU time of the process."""
    leaves = gaussians._map(lambda x: x.detach().requires_grad_())
    cuda = gaussians.means.is_cuda
    clocks = []

    def tick() -> None:
        if cuda:
            torch.cuda.synchronize()
        clocks.append((time.perf_counter(), time.process_time()))

    tick()
    image, alpha = render(leaves, cameras, geometry)
    tick()
    v = [torch.ones_like(image), torch.ones_like(alpha)]
    tick()
    torch.autograd.backward([image, alpha], v)
    tick()
    (w0, c0), (w1, c1), (w2, c2), (w3, c3) = clocks
    seconds = {
        "forward_ms": w1 - w0,
        "backward_ms": w3 - w2,
        "cpu_forward_ms": c1 - c0,
        "cpu_backward_ms": c3 - c2,
    }
    return {name: 1e3 * value for name, value in seconds.items()}


def compare(
    count: int, size: int, channels: int, cameras: int, rounds: int, *, pairs: bool
) -> dict[str, dict]:
    """Medians of a case, and, with `pairs` and one camera, of the list of pairs in the same run."""
    gaussians, views = scene.capsule_person(count), cameras_around(cameras, size)
    backends = {"numba": cpu.render} | ({"torch_pairs": splat_torch.render} if pairs else {})
    timed(cpu.render, gaussians, views, channels == 7)  # compiles
    runs: dict[str, list[Times]] = {name: [] for name in backends}
    for k in range(rounds):
        for name, render in backends.items():
            for _ in range(FASTER if name == "numba" and pairs else 1):
                runs[name].append(timed(render, gaussians, views, channels == 7))
        log.info(
            "%d Gaussians, %d px, %d channels, %d cameras, round %d of %d",
            count,
            size,
            channels,
            cameras,
            k + 1,
            rounds,
        )
    case = f"{round(count / 1000)}k_{size}px_{channels}ch_{cameras}cam"
    results = {}
    for name, times in runs.items():
        for way in ("forward", "backward"):
            medians = {
                key: statistics.median(run[f"{prefix}{way}_ms"] for run in times)
                for key, prefix in _CLOCKS.items()
            }
            results[f"splat_{name}_{case}_{way}"] = {**medians, "n": len(times)}
    if pairs:
        for way in ("forward", "backward"):
            mine, other = (f"splat_{name}_{case}_{way}" for name in ("numba", "torch_pairs"))
            for key, clock in (("ratio_to", "median_ms"), ("cpu_ratio_to", "cpu_ms")):
                results[mine][key] = {other: results[other][clock] / results[mine][clock]}
    return results


_CLOCKS = {"median_ms": "", "cpu_ms": "cpu_"}


def measure(rounds: int = 9, quick: bool = False) -> dict[str, dict]:
    """Every size, 3 and 7 channels, 1 and 12 cameras; `quick`: the size of the targets with one camera, 7
    channels.

    Returns:
        {name: {"median_ms", "cpu_ms", "n", and, where the list of pairs ran, "ratio_to": {its name: how many
        times faster}}}, "splat_memory" with "peak_mib" beyond the inputs, and "splat_agreement" with the list
        of pairs' pictures.
    """
    results: dict[str, dict] = {}
    for count, size in (MAIN,) if quick else SIZES:
        for channels in (7,) if quick else (3, 7):
            for cameras in (1,) if quick else (1, 12):
                pairs = cameras == 1 and (quick or (count, size) == MAIN or channels == 7)
                results |= compare(
                    count, size, channels, cameras, max(rounds // 3, 3) if pairs else rounds, pairs=pairs
                )
    return results | {"splat_memory": memory(*MAIN), "splat_agreement": agreement(*MAIN)}


def agreement(count: int, size: int) -> dict[str, float]:
    """How far the pictures of the CPU backend and of the list of pairs are apart, over 7 channels."""
    gaussians, views = scene.capsule_person(count), cameras_around(1, size)
    with torch.no_grad():
        difference = (
            cpu.render(gaussians, views, True)[0] - splat_torch.render(gaussians, views, True)[0]
        ).abs()
    return {"difference_mean": difference.mean().item(), "difference_max": difference.max().item()}


def memory(count: int, size: int, cameras: int = 1) -> dict[str, float]:
    """MiB that a first rendering with 7 channels and its backward pass add to a fresh process, outputs and
    gradients included.

    The peak of the resident set (reset through /proc, so Linux only) over what it was with the scene in
    memory and the kernels loaded.
    """
    code = f"from benchmarks.splat import _grown; print(_grown({count}, {size}, {cameras}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {
        "peak_mib": float(done.stdout.split()[-1]),
        "gaussians": count,
        "pixels": size,
        "cameras": cameras,
    }


def _grown(count: int, size: int, cameras: int) -> float:
    gaussians, views = scene.capsule_person(count), cameras_around(cameras, size)
    timed(cpu.render, scene.capsule_person(64), cameras_around(1, 32))
    Path("/proc/self/clear_refs").write_text("5")
    before = _status("VmRSS")
    timed(cpu.render, gaussians, views)
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    """A figure of /proc/self/status in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:"))


def measure_cuda(rounds: int, count: int = 131_072, size: int = 512) -> dict[str, dict]:
    """Frames a second of gsplat for 1, 12, 60 and 360 cameras, and how far its picture is from the CPU
    backend's."""
    from turnaround.models.splat import cuda

    gaussians, results = scene.capsule_person(count), {}
    for cameras in (1, 12, 60, 360):
        on_gpu, views = gaussians.to("cuda"), cameras_around(cameras, size).to("cuda")
        for geometry in (False, True):
            runs = [timed(cuda.render, on_gpu, views, geometry) for _ in range(rounds + 2)][2:]
            with torch.no_grad():
                still = [timed_forward(cuda.render, on_gpu, views, geometry) for _ in range(rounds)]
            medians = {
                way: statistics.median(run[f"{way}_ms"] for run in runs) for way in ("forward", "backward")
            }
            case = f"splat_gsplat_{round(count / 1000)}k_{size}px_{7 if geometry else 3}ch_{cameras}cam"
            for way, median in {**medians, "inference": statistics.median(still)}.items():
                results[f"{case}_{way}"] = {
                    "median_ms": median,
                    "n": rounds,
                    "frames_per_second": 1e3 * cameras / median,
                }
    one = cameras_around(1, size)
    difference = (
        cuda.render(gaussians.to("cuda"), one.to("cuda"), True)[0].cpu() - cpu.render(gaussians, one, True)[0]
    ).abs()
    return results | {
        "splat_gsplat_agreement": {
            "difference_mean": difference.mean().item(),
            "difference_max": difference.max().item(),
        }
    }


def timed_forward(render: Callable, gaussians: Gaussians, cameras: Camera, geometry: bool) -> float:
    """Milliseconds of a rendering on CUDA without a gradient."""
    torch.cuda.synchronize()
    before = time.perf_counter()
    render(gaussians, cameras, geometry)
    torch.cuda.synchronize()
    return 1e3 * (time.perf_counter() - before)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=9,
        help="a third of it, at least 3, where the list of pairs runs as well",
    )
    parser.add_argument("--quick", action="store_true", help="only the size of the targets")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", type=Path, default=None, help="write the result here as well")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result = (
        measure(arguments.rounds, arguments.quick)
        if arguments.device == "cpu"
        else measure_cuda(arguments.rounds)
    )
    machine = {
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
    }
    text = json.dumps({**result, "setting": machine}, indent=2)
    log.info(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
