"""FBX and USDZ by way of Blender's `bpy`, which is not installed with us: a process of its own makes them of
our GLB."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

from turnaround.pipeline.errors import CallError

BPY, PYTHON = "5.0.1", (3, 11)  # on PyPI, and the Python that it is built for
_LONGEST = 600  # seconds
_SCRIPT = Path(__file__).with_name("in_blender.py")


FORMATS = ("fbx", "usdz")


def by_blender(glb: bytes, to: str, fps: float) -> bytes:
    """The fbx or usdz of a skinned GLB, its clips sampled at `fps`; CallError where bpy is missing or fails.

    A usdz holds one clip.
    """
    if importlib.util.find_spec("bpy") is None:
        raise CallError(_missing(to))
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "person.glb"), Path(folder, f"person.{to}")
        source.write_bytes(glb)
        # of its own: bpy writes to the terminal and handles signals
        command = [sys.executable, str(_SCRIPT), str(source), str(target), str(fps)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_LONGEST)
        except subprocess.TimeoutExpired as error:
            raise CallError(f"bpy did not finish in {_LONGEST} s; write --to glb --rig instead") from error
        if done.returncode or not target.is_file():
            last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
            raise CallError(
                f"bpy could not write the {to} ({last[0]}); `pip install bpy=={BPY}` is the version that is "
                f"known to work, or write --to glb --rig and export it in Blender"
            )
        return target.read_bytes()


def _missing(to: str) -> str:
    wanted = ".".join(map(str, PYTHON))
    if sys.version_info[:2] == PYTHON:
        how = f"`pip install bpy=={BPY}` brings it (370 MB)"
    else:
        own = ".".join(map(str, sys.version_info[:2]))
        how = f"bpy {BPY} is for Python {wanted}, this is {own}: install turnaround and bpy=={BPY} there"
    return (
        f"--to {to} needs Blender as the package bpy: {how}; or write --to glb --rig and import it in Blender"
    )
