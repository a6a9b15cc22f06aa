"""The steps of benchmarks/gpu.py, each run by a process of its own; what a step needs is imported inside
it."""

from __future__ import annotations

import argparse
import dataclasses
import functools
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_sheet import Sheet, Skipped, spread

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = (
    "torch",
    "triton",
    "numpy",
    "numba",
    "gsplat",
    "spconv-cu120",
    "cumm-cu120",
    "smplx",
    "diffusers",
    "transformers",
    "fast-simplification",
    "pydantic",
    "beartype",
    "jaxtyping",
    "hypothesis",
    "pytest",
    "imageio-ffmpeg",
    "trimesh",
    "ninja",
)
GAUSSIANS, SIZE, VIEWS = 131_072, 512, (1, 12, 60, 360)


def build(sheet: Sheet) -> None:
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    sheet.add(
        "machine",
        python=sys.version.split()[0],
        cores=os.cpu_count(),
        packages=versions,
        cuda=torch.version.cuda,
    )
    if sheet.device.type != "cuda":
        return
    properties = torch.cuda.get_device_properties(0)
    sheet.add(
        "gpu",
        name=properties.name,
        capability=f"{properties.major}.{properties.minor}",
        mib=properties.total_memory >> 20,
    )
    if versions["gsplat"] is None:
        sheet.add("gsplat", built=False, reason="not installed")
        return
    os.environ.setdefault("TORCH_CUDA_ARCH_LIST", f"{properties.major}.{properties.minor}")
    before = time.perf_counter()
    kernels = importlib.import_module("gsplat.cuda._backend")._C
    sheet.add("gsplat", built=kernels is not None, seconds=time.perf_counter() - before)


def tests(sheet: Sheet) -> None:
    """The tests marked gpu; only files that have any, so that a package which other tests need may be
    missing."""
    files = sorted(
        str(file)
        for file in (ROOT / "tests").glob("test_*.py")
        if "mark.gpu" in file.read_text() or "marks=pytest" in file.read_text()
    )
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-m",
            "gpu",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            "-vv",
            "--tb=short",
        ]
        if sheet.device.type == "cpu":  # only whether they can be read here
            done = subprocess.run(
                [*command, "--collect-only", "-q", "-q", *files], cwd=ROOT, capture_output=True, text=True
            )
            sheet.add("collected", files=len(files), tests=done.stdout.count("::"), code=done.returncode)
            if done.returncode:
                raise RuntimeError(done.stdout[-2000:])
            return
        subprocess.run([*command, f"--junitxml={report}", *files], cwd=ROOT, check=False)
        cases = list(ElementTree.parse(report).iter("testcase"))
    names: dict[str, dict[str, str]] = {"passed": {}, "failure": {}, "error": {}, "skipped": {}}
    for case in cases:
        kind = next((child for child in case if child.tag in names), None)
        message = "" if kind is None else f"{kind.get('message', '')}\n{kind.text or ''}"[-1500:]
        names["passed" if kind is None else kind.tag][f"{case.get('classname')}::{case.get('name')}"] = (
            message
        )
    sheet.add(
        "tests",
        counts={kind: len(found) for kind, found in names.items()},
        passed=sorted(names.pop("passed")),
        **names,
    )
    if names["failure"] or names["error"]:
        raise RuntimeError(f"{len(names['failure'])} tests failed, {len(names['error'])} could not run")


def renderer(sheet: Sheet) -> None:
    from benchmarks.scene import capsule_person
    from benchmarks.splat import cameras_around, timed
    from turnaround.models.splat import cuda
    from turnaround.models.splat.cpu import render as cpu

    render = cuda.render if sheet.device.type == "cuda" else cpu.render
    count, size, views = (2000, 64, (1, 3)) if sheet.quick else (GAUSSIANS, SIZE, VIEWS)
    rounds = 1 if sheet.quick else 7
    here = capsule_person(count)
    there = here.to(sheet.device)
    for cameras in views:
        around = cameras_around(cameras, size)
        for packed in (True, False) if sheet.device.type == "cuda" else (True,):
            cuda.PACKED = packed
            for geometry in (False, True):
                moved = around.to(sheet.device)
                with torch.no_grad():
                    still = sheet.timed(
                        lambda geometry=geometry, moved=moved: render(there, moved, geometry), rounds
                    )
                both = [timed(render, there, moved, geometry) for _ in range(rounds + 1)][1:]
                ways = {
                    way: statistics.median(run[f"{way}_ms"] for run in both)
                    for way in ("forward", "backward")
                }
                name = f"{cameras}_views_{7 if geometry else 3}_channels{'' if packed else '_unpacked'}"
                second = 1e3 * cameras / statistics.median(still)
                sheet.add(
                    name,
                    **spread(still),
                    frames_per_second=second,
                    **{f"{k}_ms": v for k, v in ways.items()},
                    mib=sheet.peak_mib(),
                )
        cuda.PACKED = True
        chosen = torch.tensor(
            sorted({0, cameras // 3, cameras - 1})
        )  # of different calls of gsplat where they are many
        with torch.no_grad():
            image, alpha = (
                x[chosen.to(x.device)].cpu() for x in render(there, around.to(sheet.device), True)
            )
            expected, covered = cpu.render(here, around[chosen], True)
        error, color = (image - expected).abs(), (image - expected)[..., :3].abs()
        sheet.add(
            f"{cameras}_views_parity",
            views=chosen.tolist(),
            color_max=color.max().item(),
            color_mean=color.mean().item(),
            depth_max=error[..., 3].max().item(),
            alpha_max=(alpha - covered).abs().max().item(),
        )


def refinement(sheet: Sheet) -> None:
    from benchmarks.refinement import TIMED, posed_case
    from turnaround.data.sets.perturbed import mpjpe
    from turnaround.models.body.model import BodyModel
    from turnaround.models.refinement.fit import refine_body

    here = BodyModel.load()
    there = BodyModel.load().to(sheet.device)
    for size in (64,) if sheet.quick else (256, 512):
        case = posed_case(here, 0, size)
        config = TIMED.but(size=size, **({"iterations": 2} if sheet.quick else {}))
        fit = lambda body, model, case=case, config=config: refine_body(  # noqa: E731
            body,
            case.evidence,
            model,
            config,
            masks=lambda *_: case.masks["true"],
            normals=lambda _: case.normals,
        )
        estimate = case.estimate.to(sheet.device)
        times = sheet.timed(functools.partial(fit, estimate, there), 1 if sheet.quick else 5, warm=1)
        bodies = {
            "before": case.estimate,
            "cpu": fit(case.estimate, here).body,
            "device": fit(case.estimate.to(sheet.device), there).body,
        }
        errors = {
            name: 1e3 * mpjpe(here(body.to("cpu")).joints.detach(), case.person.joints)
            for name, body in bodies.items()
        }
        sheet.add(
            f"{config.views}x{config.iterations}_{size}px",
            **spread(times),
            mpjpe_mm=errors,
            mib=sheet.peak_mib(),
        )


def networks(sheet: Sheet) -> None:
    from benchmarks import network_cases

    with network_cases.number_format("fp32"), tempfile.TemporaryDirectory() as folder:
        person, known = network_cases.recorded(plain=False, device=sheet.device)
        files = network_cases.random_diffusion(Path(folder))
        known |= network_cases.diffusion(files, person.back.image, plain=False, device=sheet.device)
    if not sheet.quick:
        for views, size in ((1, 256), (1, 512), (2, 512)):
            known[f"paper_unet_{size}_{views}"] = network_cases.paper_unet(size, views).to(sheet.device)
    expected: dict[str, Any] = {}
    rounds = 1 if sheet.quick else 20
    for kind in ("fp32", "bf16"):
        for name, case in known.items():
            found = case.run(kind)
            expected.setdefault(name, found)
            times = sheet.timed(lambda case=case, kind=kind: case.run(kind), rounds)
            sheet.add(
                f"{name}_{kind}",
                **spread(times),
                from_fp32=apart(found, expected[name]),
                mib=sheet.peak_mib(),
            )
    if sheet.quick:
        return
    for kind in ("bf16", "fp32"):
        for name, case in reversed(known.items()):  # the largest first
            torch._dynamo.reset()  # several share their code, which is compiled a few times at most
            before = time.perf_counter()
            faster = dataclasses.replace(case, network=torch.compile(case.network))
            try:
                found = faster.run(kind)
                first = time.perf_counter() - before
                times = sheet.timed(lambda faster=faster, kind=kind: faster.run(kind), rounds)
            except Exception as error:
                sheet.add(f"{name}_{kind}_compiled", error=f"{type(error).__name__}: {error}"[:600])
                continue
            sheet.add(
                f"{name}_{kind}_compiled",
                **spread(times),
                compile_seconds=first,
                from_fp32=apart(found, expected[name]),
            )


def apart(found: Any, expected: Any) -> float:
    """The largest relative distance of two results' tensors."""
    pairs = zip(leaves(found), leaves(expected), strict=True)
    return max(((a.float() - b.float()).norm() / b.float().norm().clamp(min=1e-9)).item() for a, b in pairs)


def leaves(value: Any) -> list[torch.Tensor]:
    """Every tensor of nested lists, tuples, mappings and records."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [leaf for item in value for leaf in leaves(item)]
    members = value if isinstance(value, dict) else getattr(value, "__dict__", {})
    return [leaf for item in members.values() for leaf in leaves(item)]


def pipeline(sheet: Sheet) -> None:
    _photos(sheet, "tiny" if sheet.quick else "default", ())


def paper(sheet: Sheet) -> None:
    """The paper's sizes with networks of random numbers: what it costs, not what it looks like; the embedded
    diffusion for SD 1.5."""
    from benchmarks.network_cases import random_diffusion
    from turnaround.models.hgm.config import hgm_config
    from turnaround.models.hgm.create import create_hgm
    from turnaround.models.hgm.weights import save_hgm

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = create_hgm(hgm_config("tiny" if sheet.quick else "paper"))
        file = save_hgm(model, Path(folder) / "random.safetensors")
        weights = (
            f"stages.coarse.weights={file}",
            f"stages.refine.hgm={file}",
            f"stages.fuse.weights={file}",
        )
        if sheet.quick:
            _photos(sheet, "tiny", weights)
        else:
            names = ("vae", "unet", "controlnet")
            files = zip(names, random_diffusion(Path(folder)), strict=True)
            back = tuple(f"stages.back_view.refiner.{name}={file}" for name, file in files)
            _photos(sheet, "paper", ("body=body", "stages.back_view.refiner=embedded", *back, *weights))


def _photos(sheet: Sheet, preset: str, overrides: tuple[str, ...]) -> None:
    """Seconds of every stage of the demo photos, the first of which compiles and loads; a stage that cannot
    run says why."""
    from turnaround import stages
    from turnaround.models import zoo
    from turnaround.pipeline.graph import Subject, ordered, run_stage
    from turnaround.pipeline.photos.source import Photo
    from turnaround.pipeline.settings import load_settings
    from turnaround.pipeline.store.store import Store

    failures: list[Exception] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        store.prepare()
        for photo in sorted((ROOT / "docs" / "demo").glob("*.jpg"))[: 1 if sheet.quick else 3]:
            subject = Subject.open(Photo(photo.stem, photo), store, zoo.digest)
            seconds: dict[str, Any] = {}
            for stage in ordered(load_settings(preset, stages.classes(), overrides).build(stages.classes())):
                device = sheet.device if stage.device == "gpu" else torch.device("cpu")
                before = time.perf_counter()
                try:
                    run_stage(stage, subject, lambda _, device=device: nullcontext(device))
                except Exception as error:
                    seconds[stage.name] = f"{type(error).__name__}: {error}"[:600]
                    sheet.add(photo.stem, stages=seconds, mib=sheet.peak_mib())
                    failures.append(error)
                    break
                seconds[stage.name] = round(time.perf_counter() - before, 3)
                sheet.add(photo.stem, stages=seconds, all=sum(seconds.values()), mib=sheet.peak_mib())
    if failures:
        raise failures[0]


STEPS = {step.__name__: step for step in (build, tests, renderer, refinement, networks, pipeline, paper)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=STEPS)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    if options.device.startswith("cuda") and not torch.cuda.is_available():
        raise Skipped("torch finds no CUDA device")
    STEPS[options.step](Sheet(options.json, options.device, options.quick))


if __name__ == "__main__":
    main()
