"""One short-lived Prefect server for all tests of a session that want it, and what its page would show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from turnaround.flows.prefect import private_server

private_server.PATIENCE = 150.0  # a machine that is busy with other things fails no test


class Server:
    """Reads what runs left on the server."""

    def artifacts(self) -> dict[str, dict[str, Any]]:
        """The latest artifact of each key."""
        import httpx
        from prefect.settings import get_current_settings

        found = httpx.post(
            f"{get_current_settings().api.url}/artifacts/latest/filter", json={"limit": 200}, timeout=30
        )
        return {artifact["key"]: artifact for artifact in found.raise_for_status().json()}


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    from prefect.testing.utilities import prefect_test_harness

    import turnaround.flows.prefect.flow  # noqa: F401, its settings come before prefect's import

    with prefect_test_harness(server_startup_timeout=120):
        yield Server()
