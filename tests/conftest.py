"""Shared settings of the suite: shapes are checked while it runs, random tests are the same every time."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads slow each other down on small machines
os.environ.setdefault("PREFECT_LOGGING_LEVEL", "WARNING")
os.environ.setdefault(
    "TURNAROUND_PRECISION", "fp32"
)  # the same numbers on every machine; bfloat16 has tests of its own

import pytest
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

HEAVY = {  # files of trainings, browsers, servers and whole runs: what `make test-fast` leaves out
    "test_artifacts", "test_attempt", "test_back_view_training", "test_estimator_training",
    "test_evaluation", "test_evaluation_detail", "test_exporting", "test_flow", "test_gpu_command",
    "test_hgm_training", "test_kills", "test_landmark_sets", "test_lifter", "test_mirror", "test_mirror_runs",
    "test_networks", "test_networks_device", "test_notebook", "test_people", "test_people_variety",
    "test_prepare_landmarks", "test_private_server", "test_refinement", "test_refinement_device",
    "test_report_browser", "test_report_compare", "test_reproducible", "test_scale", "test_scans",
    "test_scans_renders", "test_stages_device", "test_startup", "test_training",
    "test_training_devices", "test_training_parallel", "test_training_programs", "test_viewer", "test_wheel",
    "test_workers", "test_faults", "test_batch", "test_hgm_stages", "test_hgm", "test_detail",
    "test_exemplar", "test_texture", "test_texture_stage", "test_turntable", "test_refine_stage",
    "test_splat_kernels",
}  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is heavy by its file."""
    for item in items:
        if item.path.stem in HEAVY:
            item.add_marker("heavy")
