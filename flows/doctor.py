"""`doctor`: this machine, its backends, the weights with licence and remedy, versions and disk."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import shutil
from pathlib import Path
from typing import Any

from models import zoo
from pipeline.graph import package_versions
from pipeline.store import Store, StoreError

_LEAST_DISK = 2.0  # GiB; a photo takes about 20 MiB


def examine(work: Path) -> dict[str, Any]:
    """Everything that is found; `ok` is false where the default preset cannot run."""
    weights = [_weight(weight) for weight in zoo.WEIGHTS.values()]
    disk = _disk(work)
    broken = [weight for weight in weights if weight["embedded"] and weight["state"] != "present"]
    return {
        "machine": _machine(),
        "backends": _backends(),
        "weights": weights,
        "packages": package_versions(),
        "disk": disk,
        "ok": not broken and disk["writable"],
    }


def _machine() -> dict[str, Any]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {"system": platform.platform(), "cores": os.cpu_count(), "memory_gib": round(memory, 1)}


def _backends() -> dict[str, str]:
    import torch

    cuda = torch.cuda.is_available()
    found = {"torch": f"{torch.__version__}, {torch.cuda.get_device_name() if cuda else 'no CUDA device: everything runs on the CPU'}"}
    found["splats"] = "gsplat (CUDA)" if cuda and _installed("gsplat") else "numba (CPU)" + (_extra("gsplat") if cuda else "")
    found["sparse convolution"] = "spconv (CUDA)" if cuda and _installed("spconv") else "torch" + (_extra("spconv") if cuda else "")
    for runner, package in (("dask", "prefect_dask"), ("ray", "prefect_ray")):
        found[f"--runner {runner}"] = "installed" if _installed(package) else f"not installed: pip install 'turnaround[{runner}]'"
    return found


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _extra(package: str) -> str:
    return f"; {package} would be faster: pip install 'turnaround[cuda]'"


def _weight(weight: zoo.Weight) -> dict[str, Any]:
    facts: dict[str, Any] = {"name": weight.name, "file": weight.file, "licence": weight.licence, "embedded": weight.embedded}
    facts |= {"purpose": weight.purpose, "source": weight.source, "instead": weight.instead}
    if not weight.embedded:
        return facts | {"state": "optional"}
    try:
        return facts | {"state": "present", "sha256": zoo.digest(weight.name), "bytes": zoo.path(weight.name).stat().st_size}
    except zoo.MissingWeight as error:
        return facts | {"state": "changed" if (zoo.FOLDER / weight.file).is_file() else "missing", "remedy": str(error)}


def _disk(work: Path) -> dict[str, Any]:
    existing = next(path for path in (work.resolve(), *work.resolve().parents) if path.exists())
    free = shutil.disk_usage(existing).free / 2**30
    facts: dict[str, Any] = {"work": str(work), "free_gib": round(free, 1), "enough": free > _LEAST_DISK}
    try:
        if work.exists():
            Store(work).prepare()
        return facts | {"writable": os.access(existing, os.W_OK)}
    except StoreError as error:
        return facts | {"writable": False, "remedy": str(error)}


def render(found: dict[str, Any], *, as_json: bool) -> str:
    """As text or json."""
    if as_json:
        return json.dumps(found, indent=1)
    machine, disk = found["machine"], found["disk"]
    lines = [f"machine   {machine['system']}, {machine['cores']} cores, {machine['memory_gib']} GiB memory"]
    lines += [f"          {name}: {text}" for name, text in found["backends"].items()]
    lines.append(f"disk      {disk['work']}: {disk['free_gib']} GiB free{'' if disk['writable'] else ', CANNOT BE WRITTEN'}")
    lines.append("packages  " + ", ".join(f"{name} {version}" for name, version in found["packages"].items()))
    lines.append("weights")
    for weight in found["weights"]:
        size = f"{weight['bytes'] / 2**20:.1f} MiB" if "bytes" in weight else ""
        lines.append(f"  {weight['name']:22} {weight['state']:9} {size:>9}  {weight['licence']}")
        if weight["state"] != "present":
            remedy = weight.get("remedy") or f"{weight['source']}; without it: {weight['instead']}"
            lines.append(f"  {'':22} {remedy}")
    return "\n".join([*lines, "all is well" if found["ok"] else "something is missing: see above"])
