"""Every network: as trained, as it ships (float32) and in bfloat16; and the sparse convolution against one
gather and product.

    python -m benchmarks.networks [--quick] --json networks.json

Variants run in turn in one process, so that the ratios of their medians hold on a busy machine too.
"ratio_to" tells how many times as fast as the other a variant is.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks import network_cases as cases
from turnaround.models.body.model import BodyModel
from turnaround.models.hgm.surface import BodySurface
from turnaround.models.hgm.weights import load_hgm
from turnaround.models.sparse.convolution import SparseVoxels, convolve, neighbours, voxelize

log = logging.getLogger("benchmarks.networks")

VOXELS, CHANNELS = 8683, 32  # the usual case: a person's body in voxels of about 1.5 cm
Entries = dict[str, dict[str, Any]]


def interleaved(name: str, variants: Mapping[str, Callable[[], object]], rounds: int, base: str) -> Entries:
    """Median milliseconds of every variant, run in turn after one warm-up, and how many times as fast as
    `base` it is."""
    times: dict[str, list[float]] = {variant: [] for variant in variants}
    for turn in range(rounds + 1):
        for variant, work in variants.items():
            begun = time.perf_counter()
            work()
            if turn:
                times[variant].append(1e3 * (time.perf_counter() - begun))
    medians = {variant: statistics.median(values) for variant, values in times.items()}
    entries = {
        f"{name}_{variant}": {
            "median_ms": value,
            "n": rounds,
            "ratio_to": {} if variant == base else {f"{name}_{base}": medians[base] / value},
        }
        for variant, value in medians.items()
    }
    log.info(
        "%-22s %s", name, "  ".join(f"{v} {m:.1f} ms ({medians[base] / m:.2f})" for v, m in medians.items())
    )
    return entries


def small(rounds: int) -> Entries:
    """The shipped networks, and those of the back view's diffusion, at the sizes of one photo."""
    entries: Entries = {}
    person, networks = cases.recorded()
    with tempfile.TemporaryDirectory() as folder:
        networks |= cases.diffusion(cases.random_diffusion(Path(folder)), person.back.image)
    for name, case in networks.items():
        kinds = ("plain", "fp32", "bf16") if case.plain is not None else ("fp32", "bf16")
        entries |= interleaved(
            name, {kind: lambda kind=kind, case=case: case.run(kind) for kind in kinds}, rounds, kinds[0]
        )
    return entries


def whole(rounds: int) -> Entries:
    """HGM from pictures and body to Gaussians, and the back view's refinement of a picture."""
    with cases.number_format("fp32"):
        person = cases.person()
    coarse, fusion = load_hgm("hgm_coarse"), load_hgm("hgm_fusion")
    with tempfile.TemporaryDirectory() as folder:
        refiner = cases.embedded_refiner(*cases.random_diffusion(Path(folder)))
    settings = cases.back_view_settings()
    work: dict[str, Callable[[], object]] = {
        "hgm_coarse": lambda: coarse.reconstruct([person.view], person.body),
        "hgm_fusion": lambda: fusion.reconstruct([person.view, person.back], person.body),
        "back_view": lambda: refiner(person.back.image, settings),
    }
    entries: Entries = {}
    for name, do in work.items():
        variants = {kind: lambda kind=kind, do=do: _formatted(kind, do) for kind in ("fp32", "bf16")}
        entries |= interleaved(name, variants, rounds, "fp32")
    return entries


def _formatted(kind: str, do: Callable[[], object]) -> object:
    with cases.number_format(kind):
        return do()


def paper(rounds: int, views: int) -> Entries:
    """The paper's UNet at 256 px, random weights."""
    case = cases.paper_unet(256, views)
    return interleaved(
        "paper_unet_256",
        {kind: lambda kind=kind: case.run(kind) for kind in ("plain", "fp32", "bf16")},
        rounds,
        "plain",
    )


def body_voxels() -> SparseVoxels:
    """The body's surface in as many voxels as the reference's measurement has."""
    points = BodySurface(BodyModel.shared(), 60_000).rest[None]
    low = points.amin((0, 1)) - 0.05
    size = 0.015
    shape = tuple(int(side / size) + 1 for side in (points.amax((0, 1)) + 0.05 - low).tolist())
    voxels = voxelize(points, torch.zeros(1, points.shape[1], 1), low, size, shape)  # type: ignore[arg-type]
    coordinates = voxels.coordinates[:VOXELS]
    generator = torch.Generator().manual_seed(0)
    return SparseVoxels(
        torch.randn(len(coordinates), CHANNELS, generator=generator), coordinates, voxels.shape, 1
    )


@torch.no_grad()
def sparse(rounds: int) -> Entries:
    """A submanifold convolution with its table of neighbours at hand, and the table."""
    voxels = body_voxels()
    weight = torch.randn(CHANNELS, 3, 3, 3, CHANNELS, generator=torch.Generator().manual_seed(1)) / 30
    rows = neighbours(voxels, voxels.coordinates, 1)
    padded = torch.cat([voxels.features, voxels.features.new_zeros(1, CHANNELS)])

    def at_once() -> torch.Tensor:
        return (
            padded.index_select(0, rows.reshape(-1)).reshape(len(rows), -1) @ weight.reshape(CHANNELS, -1).T
        )

    def table() -> torch.Tensor:
        voxels.__dict__.pop("index", None)
        return neighbours(voxels, voxels.coordinates, 1)

    variants = {
        "at_once": at_once,
        "in_parts": lambda: convolve(voxels.features, rows, weight),
        "table": table,
    }
    entries = interleaved("sparse_conv", variants, rounds, "at_once")
    return {name: {**entry, "voxels": len(rows), "channels": CHANNELS} for name, entry in entries.items()}


def measure(quick: bool = False) -> Entries:
    """All of it: {"name": {"median_ms": 0, "n": 0, "ratio_to": {"other": 0}}}."""
    rounds = 5 if quick else 15
    entries = {**small(rounds), **whole(rounds), **sparse(4 * rounds), **paper(1 if quick else 3, 1)}
    return {f"network_{name}": _prefixed(entry) for name, entry in entries.items()}


def _prefixed(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "ratio_to": {f"network_{name}": value for name, value in entry["ratio_to"].items()}}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    result = {
        **measure(options.quick),
        "setting": {"threads": torch.get_num_threads(), "torch": torch.__version__},
    }
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
