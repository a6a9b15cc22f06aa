"""How the processes of xdist share the suite: a file stays in one of them, so that what it makes once is made
once; what takes long comes first, so that all end together; what must have the machine for itself comes
afterwards, in a run of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# files of trainings, browsers, servers and whole runs, the longest first: what `make test-fast` leaves out
HEAVY = (
    "test_stages_device", "test_training_devices", "test_workers", "test_reproducible", "test_faults",
    "test_refinement_device", "test_training_parallel", "test_scale", "test_gpu_command",
    "test_networks_device", "test_kills", "test_prepare_landmarks", "test_exporting", "test_attempt",
    "test_mirror", "test_scans", "test_startup", "test_override", "test_landmark_people",
    "test_back_view_training", "test_viewer", "test_landmark_sets", "test_flow", "test_wheel",
    "test_training_programs", "test_scans_renders", "test_evaluation", "test_networks", "test_people",
    "test_splat_kernels", "test_hgm", "test_refinement", "test_landmarks", "test_notebook",
    "test_several_people", "test_given_body_in_view", "test_evaluation_detail", "test_people_variety",
    "test_back_view", "test_first_minutes", "test_metrics_vgg", "test_refine_stage", "test_batch",
    "test_estimator_training", "test_training", "test_small_people", "test_evaluation_photos",
    "test_report_browser", "test_hgm_training", "test_turntable", "test_report_compare",
    "test_texture_stage", "test_animated_page", "test_skinned_files", "test_rigged_exports",
    "test_movement", "test_animate", "test_normals", "test_scans_errors", "test_evaluation_sides",
    "test_evaluation_poses", "test_gst_training", "test_rigs", "test_rigs_layouts", "test_rigs_errors",
    "test_page_changes",
)  # fmt: skip
ALONE = {  # file -> its tests that compare seconds or need several threads
    "test_batch": ("test_200_photos_in_one_run",),
    "test_exemplar": ("test_the_same_seed_gives_the_same_bytes_with_any_number_of_threads",),
    "test_landmarks": ("test_the_smaller_networks_agree_and_are_quicker",),
    "test_person": ("test_import_turnaround_costs_less_than_a_module_of_the_standard_library",),
}
TOGETHER = {  # file -> the file whose fixture of the session it uses, too
    "test_scale": "test_flow",  # Prefect's server
    "test_reproducible": "test_notebook",  # the tiny run
}


def share_cores(config: pytest.Config) -> None:
    """One thread for each worker that will be started; a number that is set stays."""
    if getattr(config.option, "numprocesses", None):
        for library in ("OMP", "MKL", "OPENBLAS", "NUMBA"):
            os.environ.setdefault(f"{library}_NUM_THREADS", "1")


def lock_kernels(config: pytest.Config) -> None:
    """Let one worker at a time at a kernel's cache: numba numbers its files without a lock, and of two
    workers that compile a kernel for different types one would run the other's later."""
    if not hasattr(config, "workerinput"):
        return
    from numba.core.caching import IndexDataCacheFile as Cache

    from turnaround.pipeline.store import locks

    def locked(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any) -> Any:
            with locks.held(Path(self._index_path).with_suffix(".lock")):
                return method(self, *arguments)

        return call

    Cache.save, Cache.load = locked(Cache.save), locked(Cache.load)  # type: ignore[method-assign]


def mark(items: list[pytest.Item]) -> None:
    """Mark what is heavy or alone, and put the longest files first."""
    for item in items:
        if item.path.stem in HEAVY:
            item.add_marker("heavy")
        if getattr(item, "originalname", item.name) in ALONE.get(item.path.stem, ()):
            item.add_marker("alone")
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    place = {name: number for number, name in enumerate(HEAVY)}
    items.sort(key=lambda item: place.get(item.path.stem, len(place)))  # files stay whole: the sort is stable


def is_left_out(file: Path, expression: str) -> bool:
    """Whether a file of tests need not be imported: all that `-m expression` asks for are elsewhere."""
    if not file.name.startswith("test_"):
        return False
    return (expression.startswith("alone") and file.stem not in ALONE) or (
        "not heavy" in expression and file.stem in HEAVY
    )


def scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker whole files, those that share a fixture of the session to the same."""
    from xdist.scheduler import LoadFileScheduling

    class SharedFiles(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            name = Path(super()._split_scope(nodeid)).stem
            return TOGETHER.get(name, name)

    config.option.loadscopereorder = False  # by `mark`, and not by the number of tests
    return SharedFiles(config, log)
