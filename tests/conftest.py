"""Shared settings of the suite: shapes are checked while it runs, random tests are the same every time."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down on small machines
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault(
    "TURNAROUND_PRECISION", "fp32"
)  # the same numbers on every machine; bfloat16 has tests of its own

from hypothesis import settings
from jaxtyping import install_import_hook
from prefect_server import server  # noqa: F401, a fixture of the session
from tiny_run import tiny_run  # noqa: F401, too

settings.register_profile("same", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("same")

# the central types and the geometry are called with wrong shapes most easily; checking costs little there
install_import_hook(
    [
        "turnaround.pipeline.values.types",
        "turnaround.pipeline.values.camera",
        "turnaround.pipeline.values.rotation",
    ],
    "typecheck.checked",
)
