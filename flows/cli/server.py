"""The command `server`: Prefect's page and API for runs on this and on other machines."""

from __future__ import annotations

from typing import Annotated

import typer


def server(
    host: Annotated[
        str,
        typer.Option(
            "--host", help="who may connect: this machine alone by default; the server asks for no password"
        ),
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535)] = 4200,
) -> None:
    """Start Prefect's server, which shows runs.

    It lets several machines share one; stop it with Ctrl-C.
    """
    from turnaround.flows.prefect.server import LOOPBACK, serve

    open_to_all = host in ("0.0.0.0", "::")
    name = "THIS_MACHINE" if open_to_all else f"[{host}]" if ":" in host else host
    typer.echo(f"page: http://{'127.0.0.1' if open_to_all else name}:{port}   (stop: Ctrl-C)")
    typer.echo(f"export PREFECT_API_URL=http://{name}:{port}/api")
    if name not in LOOPBACK:
        typer.echo(
            f"turnaround: everybody who reaches {host}:{port} can start runs, and with them any program: use "
            f"a network that you trust, "
            "or PREFECT_SERVER_API_AUTH_STRING (docs/scaling.md)",
            err=True,
        )
    raise typer.Exit(serve(host, port))
