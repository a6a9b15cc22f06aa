"""`doctor`: this machine, its backends, the weights with licence and remedy, versions and disk."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from turnaround.flows.subjects.project import Project, remedy
from turnaround.models import zoo
from turnaround.pipeline.graph import package_versions
from turnaround.pipeline.store.store import Store, StoreError

_LEAST_DISK = 2.0  # GiB; a photo takes about 30 MiB
_LEAST_MEMORY = 4.0  # GiB for one photo under the default preset
_LIBRARIES = {"libgomp.so.1.0.0": "libgomp1"}  # of numba's threads -> Debian's package
_FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what the CPU renderer and the networks gain from


def examine(
    work: Path, config: str = "default", overrides: Sequence[str] = (), project: Project | None = None
) -> dict[str, Any]:
    """Everything that is found; `problems` are in the way of a run under this preset, and `ok` says that
    there are none."""
    found = {
        "machine": _machine(),
        "backends": _backends(),
        "weights": [_weight(weight) for weight in zoo.WEIGHTS.values()],
        "preset": {"config": config, "weights": _needed(project or Project(), config, overrides)},
        "packages": package_versions(),
        "disk": _disk(work),
    }
    problems = list(_problems(found))
    return found | {"problems": problems, "ok": not problems}


def _problems(found: dict[str, Any]) -> Iterator[str]:
    """What is in the way of a run, each with its remedy."""
    machine, disk = found["machine"], found["disk"]
    if not machine["python_supported"]:
        yield f"Python {platform.python_version()} is not supported: use 3.11 or 3.12"
    if not machine["locks"]:
        yield "this system has no POSIX file locks, which keep two runs apart: use Linux, macOS or WSL"
    for library, package in machine["missing_libraries"].items():
        yield f"{library}, which numba needs, is missing: apt-get install {package} (or `make system`)"
    for weight in found["weights"]:
        if weight["state"] == "changed" or (weight["embedded"] and weight["state"] == "missing"):
            yield weight["remedy"]
    optional = {
        weight["name"]: f": it {weight['source']}"
        for weight in found["weights"]
        if weight["state"] == "optional"
    }
    for need in found["preset"]["weights"]:
        if need["state"] != "present" and (need["weight"] not in zoo.WEIGHTS or need["weight"] in optional):
            stages = ", ".join(need["stages"])
            told = remedy(need["weight"]) or optional.get(
                need["weight"], ": a file of your own, told in the comments of the preset"
            )
            yield f"{need['weight']} is not there (stages {stages}, preset {found['preset']['config']}){told}"
    if not disk["writable"]:
        yield disk.get("remedy") or f"{disk['work']} cannot be written: choose another with --work"
    elif not disk["enough"]:
        yield (
            f"{disk['work']} has {disk['free_gib']} GiB left, at least {_LEAST_DISK:.0f} are needed: "
            f"`turnaround gc`, or another --work"
        )


def _needed(project: Project, config: str, overrides: Sequence[str]) -> list[dict[str, Any]]:
    """Every weight that the preset's stages use; ConfigError for a preset that does not exist."""
    users: dict[str, list[str]] = {}
    for stage in project.build(project.settings(config, overrides)):
        for name in stage.weights():
            users.setdefault(name, []).append(stage.name)
    return [
        {"weight": name, "stages": stages, "state": _state(project, name)} for name, stages in users.items()
    ]


def _state(project: Project, name: str) -> str:
    try:
        project.weight_digest(name)
    except zoo.MissingWeight:
        return "missing"
    return "present"


def _machine() -> dict[str, Any]:
    names = getattr(os, "sysconf_names", {})
    known = "SC_PHYS_PAGES" in names and "SC_PAGE_SIZE" in names  # not on Windows
    memory = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1) if known else None
    return {
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gib": memory,
        "memory_enough": memory is None or memory >= _LEAST_MEMORY,
        "instructions": _instructions(),
        "python_supported": (3, 11) <= sys.version_info[:2] <= (3, 12),
        "locks": importlib.util.find_spec("fcntl") is not None,
        "missing_libraries": {
            name: package
            for name, package in _LIBRARIES.items()
            if sys.platform == "linux" and not _loads(name)
        },
    }


def _instructions() -> list[str]:
    """Those of _FLAGS that the CPU has, where the system tells."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return []
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return [flag for flag in _FLAGS if flag in line.split()]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _backends() -> dict[str, str]:
    import torch

    cuda = torch.cuda.is_available()
    found = {
        "torch": f"{torch.__version__}, "
        f"{torch.cuda.get_device_name() if cuda else 'no CUDA device: everything runs on the CPU'}"
    }
    if cuda:
        free, total = torch.cuda.mem_get_info()
        found["GPU memory"] = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    found["splats"] = (
        "gsplat (CUDA)"
        if cuda and _installed("gsplat")
        else "numba (CPU)" + (_extra("gsplat") if cuda else "")
    )
    found["sparse convolution"] = (
        "spconv (CUDA)" if cuda and _installed("spconv") else "torch" + (_extra("spconv") if cuda else "")
    )
    found["video"] = (
        "imageio-ffmpeg" if _installed("imageio_ffmpeg") else "MISSING: pip install imageio-ffmpeg"
    )
    for runner, package in (("dask", "prefect_dask"), ("ray", "prefect_ray")):
        found[f"--runner {runner}"] = (
            "installed" if _installed(package) else f"not installed: pip install 'turnaround[{runner}]'"
        )
    return found


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _extra(package: str) -> str:
    return f"; {package} would be faster: pip install 'turnaround[cuda]'"


def _weight(weight: zoo.Weight) -> dict[str, Any]:
    known = ("name", "file", "licence", "kind", "embedded", "purpose", "source", "instead")
    facts: dict[str, Any] = {name: getattr(weight, name) for name in known}
    if weight.kind == "brought" or (weight.trainable and not weight.place.is_file()):
        return facts | {"state": "optional"}
    try:
        return facts | {
            "state": "present",
            "sha256": zoo.digest(weight.name),
            "bytes": zoo.path(weight.name).stat().st_size,
        }
    except zoo.MissingWeight as error:
        return facts | {"state": "changed" if weight.place.is_file() else "missing", "remedy": str(error)}


def _disk(work: Path) -> dict[str, Any]:
    existing = next(path for path in (work.resolve(), *work.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    facts: dict[str, Any] = {"work": str(work), "free_gib": round(free, 1), "enough": free > _LEAST_DISK}
    try:
        if work.exists():
            Store(work).prepare()
        writable = os.access(existing, os.W_OK)
        return facts | {"writable": writable, "links": _links(existing) if writable else None}
    except StoreError as error:
        return facts | {"writable": False, "links": None, "remedy": str(error)}


def _links(folder: Path) -> str:
    """How subjects point at their runs there: symbolic links, or text files where the disk or the system has
    none."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".doctor-") as place:
            os.symlink("x", Path(place) / "link")
    except (OSError, NotImplementedError):
        return "text files (no symbolic links here)"
    return "symbolic links"


def _weight_lines(weights: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A line a weight, and what to do below those that are not there; one line for a package."""
    said = ""
    for weight in weights:
        size = f"{weight['bytes'] / 2**20:.1f} MiB" if "bytes" in weight else ""
        terms = weight["licence"] + (", fetched" if weight["kind"] == "fetched" else "")
        yield f"  {weight['name']:22} {weight['state']:9} {size:>9}  {terms}"
        if weight["state"] == "present":
            continue
        absent = weight["kind"] == "fetched" and weight["state"] == "missing"
        told = f"{weight['source']}; without it: {weight['instead']}"
        if not absent:
            told = weight.get("remedy", told)
        if not absent or told != said:
            yield f"  {'':22} {told}"
        said = told


def render(found: dict[str, Any], *, as_json: bool) -> str:
    """As text or json."""
    if as_json:
        return json.dumps(found, indent=1)
    machine, disk = found["machine"], found["disk"]
    memory = f"{machine['memory_gib']} GiB memory{'' if machine['memory_enough'] else ' (SCARCE)'}"
    lines = [
        f"machine   {machine['system']}, {machine['cores']} cores "
        f"({' '.join(machine['instructions']) or 'plain'}), {memory}"
    ]
    lines += [f"          {name}: {text}" for name, text in found["backends"].items()]
    links = f", {disk['links']}" if disk["links"] else ""
    lines.append(
        f"disk      {disk['work']}: {disk['free_gib']} GiB "
        f"free{links}{'' if disk['writable'] else ', CANNOT BE WRITTEN'}"
    )
    lines.append("packages  " + ", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    lines += ["weights", *_weight_lines(found["weights"])]
    preset = found["preset"]
    missing = [need for need in preset["weights"] if need["state"] != "present"]
    lines.append(
        f"preset    {preset['config']}: {len(preset['weights']) - len(missing)} of {len(preset['weights'])} "
        f"weights are there"
    )
    if found["ok"]:
        return "\n".join([*lines, "all is well; go on with: turnaround run PHOTO"])
    return "\n".join([*lines, "in the way:", *(f"  - {problem}" for problem in found["problems"])])
