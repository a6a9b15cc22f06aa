"""The interactive viewer: a scene in the browser through viser, by default on this machine alone."""

from __future__ import annotations

import logging
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from turnaround.flows.runs import interrupts
from turnaround.flows.viewer.scene import Scene, open_scene
from turnaround.pipeline.errors import CallError

if TYPE_CHECKING:
    from turnaround.flows.viewer.window import Window

log = logging.getLogger(__name__)


def serve(
    root: Path, subject: str, *, host: str, port: int, open_browser: bool, say: Callable[[str], object]
) -> None:
    """Show a subject until Ctrl-C. ValueError for an unknown subject, an address that cannot be had, or where
    viser is missing."""
    scene = open_scene(root, subject)
    window = start(scene, host, port)
    from turnaround.flows.viewer.guard import loopback

    where = "localhost" if host in ("127.0.0.1", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    url = f"http://{where}:{window.port}"
    say(f"{subject}: {url} (Ctrl-C ends it)")
    if not loopback(host):
        log.warning(
            "everybody who reaches %s:%d can look at this person; --host 127.0.0.1 is this machine alone",
            host,
            window.port,
        )
    try:
        if open_browser:
            webbrowser.open(url)
        with interrupts.raised():
            window.wait()
    except KeyboardInterrupt:
        pass
    finally:
        window.close()


def start(scene: Scene, host: str = "127.0.0.1", port: int = 8080) -> Window:
    """The running viewer of a scene. ValueError as `serve`."""
    try:
        import viser  # noqa: F401  # pyright: ignore[reportUnusedImport]
    except ImportError as error:
        raise CallError(f"the viewer needs viser ({error}): pip install 'turnaround[view]'") from error
    from turnaround.flows.viewer.window import Window

    try:
        return Window(scene, host, port)
    except OSError as error:
        raise CallError(
            f"{host}:{port} cannot be listened on ({error}); choose others with --host and --port"
        ) from error
