"""`open`: a file or folder in the program that the system has for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path


def show(path: Path) -> bool:
    """Open a path with the system's opener, without waiting for it; False where there is none, or no
    screen."""
    if sys.platform == "win32":
        os.startfile(path)
        return True
    command = opener()
    if command is None:
        return False
    quiet = subprocess.DEVNULL
    subprocess.Popen(
        [command, str(path.absolute())], stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True
    )
    return True


def opener() -> str | None:
    """Find the program that opens files as a person's click does; None where there is none, or no screen to
    show them on."""
    if sys.platform == "darwin":
        return shutil.which("open")
    if not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return None
    return shutil.which("xdg-open")
