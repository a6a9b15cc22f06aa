"""Serve Prefect's API on loopback for one run: `python -P server_process.py PORT`.

It ends when its standard input does, and imports nothing of ours, since it is started by its path.
`flows.private_server` sets its environment.
"""

from __future__ import annotations

import gc
import os
import sys
import threading


def end_with_parent() -> None:
    """Leave when the pipe from the run closes: at its end, and just so when it is killed."""
    sys.stdin.buffer.read()
    os._exit(0)


def main(port: int) -> None:
    """Serve until the end; the process's exit code is uvicorn's."""
    threading.Thread(target=end_with_parent, daemon=True).start()
    gc.disable()  # the imports make a million objects that stay: collecting costs a sixth of the start
    import uvicorn
    from prefect.server.api.server import create_app

    app = create_app(ephemeral=True, final=True)
    gc.freeze()
    gc.enable()
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error", lifespan="on")


if __name__ == "__main__":
    main(int(sys.argv[1]))
