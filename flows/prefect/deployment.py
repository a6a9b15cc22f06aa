"""The flow that a team schedules from Prefect's page (`prefect.yaml`): a folder of photos, with parameters
that are plain json."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from prefect import flow
from pydantic import Field


@flow(name="reconstruct-folder", persist_result=False)
def reconstruct_folder(
    photos: Annotated[list[str], Field(description="photos or folders of photos, as the worker sees them")],
    work: Annotated[str, Field(description="folder of all results")] = "work",
    config: Annotated[str, Field(description="preset (default, gst, tiny, paper) or yaml file")] = "default",
    overrides: Annotated[
        list[str] | None, Field(description="settings, e.g. stages.refine.fit.iterations=90")
    ] = None,
    store: Annotated[
        str | None, Field(description="s3://bucket/prefix or another URL behind the work folder")
    ] = None,
    shard: Annotated[str | None, Field(description="i/n: part i of n of the photos")] = None,
    until: Annotated[str | None, Field(description="the last stage to do")] = None,
    device: Annotated[str, Field(description="auto, cpu, cuda or cuda:N")] = "auto",
    runner: Annotated[
        str, Field(description="threads, processes, dask, ray, or a cluster: dask=ADDRESS, ray=ADDRESS")
    ] = "threads",
    workers: Annotated[int, Field(ge=0, description="photos at a time; 0 = by cores and memory")] = 0,
) -> dict[str, Any]:
    """What `turnaround run` does; fails where a photo fails, after all others are done."""
    from turnaround.flows.runs.run import Request, run
    from turnaround.flows.subjects.choice import Choice, choose, parse_shard
    from turnaround.flows.subjects.project import Project

    root = Path(work)
    chosen = choose(root, Choice([Path(photo) for photo in photos], shard=parse_shard(shard)))
    request = Request(
        chosen, root, config, tuple(overrides or ()), device, runner, workers, until=until, store=store
    )
    results = run(request, Project())
    failed = {result.subject: result.message for result in results if not result.ok}
    if failed:
        lines = "\n".join(f"{name}: {message}" for name, message in failed.items())
        raise RuntimeError(f"{len(failed)} of {len(results)} photos failed, the others are done:\n{lines}")
    return {"photos": len(results), "work": str(root)}
