"""The flow on processes, Dask and Ray against one server; what clusters are asked for; artifacts; `server`;
the deployment."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from pathlib import Path
from threading import Lock
from typing import Any

import pytest
import toy
import yaml

from turnaround import stages
from turnaround.flows.prefect.runners import Runner, resources
from turnaround.flows.runs.execute import Job, Result
from turnaround.flows.subjects.memory import Memory
from turnaround.pipeline.graph import ordered
from turnaround.pipeline.photos.source import find_photos
from turnaround.pipeline.store.store import Store

TESTS, ROOT = Path(__file__).resolve().parents[2] / "support", Path(__file__).resolve().parents[3]


def needs(package: str) -> Any:
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(
        missing,
        reason=f"{package} is not installed: pip install 'turnaround[{package.removeprefix('prefect_')}]'",
    )


class Slowly(toy.Count):
    """Notes in which process it ran, and takes long enough for the other worker to get some."""

    def run(self, *, device: Any, image: bytes) -> toy.Count.Outputs:
        time.sleep(0.2)
        return super().run(device=device, image=image)._replace(film=str(os.getpid()).encode())


@pytest.fixture
def jobs(tmp_path, monkeypatch) -> list[Job]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS), str(ROOT)]))  # workers import the toys
    monkeypatch.chdir(ROOT)
    (tmp_path / "photos").mkdir()
    for name, content in (("alice", b"1" * 25), ("bob", b"bad"), ("carol", b"3" * 35), ("dave", b"4" * 45)):
        (tmp_path / "photos" / f"{name}.png").write_bytes(content)
    Store(tmp_path / "work").prepare()
    chain = tuple(ordered([Slowly(), toy.Share(), toy.Label()]))
    return [
        Job(photo, tmp_path / "work", chain, toy.WEIGHTS.__getitem__, Memory(str(photo.image)), device="cpu")
        for photo in find_photos([tmp_path / "photos"])
    ]


@pytest.mark.parametrize(
    "runner",
    [
        pytest.param("processes", marks=pytest.mark.slow),
        pytest.param("dask", marks=needs("prefect_dask")),
        pytest.param("ray", marks=needs("prefect_ray")),
    ],
)
def test_every_runner_makes_the_same_in_several_processes(runner, jobs, server):
    from turnaround.flows.prefect.flow import run_with_prefect

    finished: list[Result] = []
    lock = Lock()  # what no callback of a progress bar can do without, and no worker can be sent

    def told(result: Result) -> None:
        with lock:
            finished.append(result)

    results = run_with_prefect(jobs, runner, 2, told)
    states = {r.subject: r.ok and {facts["state"] for facts in r.stages.values()} for r in results}
    assert states == {"alice": {"made"}, "bob": False, "carol": {"made"}, "dave": {"made"}}
    assert sorted(r.subject for r in finished) == ["alice", "bob", "carol", "dave"]
    store = Store(jobs[0].root)
    workers = {
        store.find("count", r.stages["count"]["key"]).file("film").read_bytes() for r in results if r.ok
    }  # type: ignore[union-attr]
    assert str(os.getpid()).encode() not in workers and 1 <= len(workers) <= 2
    shown = server.artifacts()
    assert {"subject-alice", "subject-bob", "run"} <= set(shown)
    assert (
        "the photo is bad" in shown["subject-bob"]["data"]
        and "| count | made |" in shown["subject-alice"]["data"]
    )


@needs("prefect_dask")
def test_dask_gives_a_subject_only_to_a_worker_with_a_gpu():
    from distributed import Client, LocalCluster

    options: Any = {"n_workers": 1, "threads_per_worker": 1, "processes": False, "dashboard_address": None}
    with LocalCluster(**options, resources={"GPU": 1}) as cluster, Client(cluster) as client:
        with resources(Runner("dask", cluster.scheduler_address), "cuda"):
            asking = client.submit(lambda: 1, pure=False)
        with resources(Runner("dask", cluster.scheduler_address), "cpu"), resources(Runner("dask"), "cuda"):
            other = client.submit(lambda: 2, pure=False)
        assert (asking.result(timeout=30), other.result(timeout=30)) == (1, 2)
        asked = client.run_on_scheduler(
            lambda dask_scheduler: {k: t.resource_restrictions for k, t in dask_scheduler.tasks.items()}
        )
    assert asked[asking.key] == {"GPU": 1} and not asked[other.key]


@needs("prefect_ray")
def test_ray_is_asked_for_a_gpu_only_on_a_cluster_and_for_cuda():
    from prefect_ray.context import RemoteOptionsContext

    with resources(Runner("ray", "ray://head:10001"), "cuda"):
        assert RemoteOptionsContext.get().current_remote_options == {"num_gpus": 1}
    for runner, device in ((Runner("ray", "ray://head:10001"), "auto"), (Runner("ray"), "cuda")):
        with resources(runner, device):
            assert not RemoteOptionsContext.get().current_remote_options


@pytest.mark.parametrize(
    ("text", "kind", "address", "elsewhere"),
    [
        ("threads", "threads", "", False),
        ("ray", "ray", "", False),
        ("dask=tcp://127.0.0.1:8786", "dask", "tcp://127.0.0.1:8786", False),
        ("dask=tcp://10.0.0.7:8786", "dask", "tcp://10.0.0.7:8786", True),
        ("ray=ray://head:10001", "ray", "ray://head:10001", True),
        ("ray=auto", "ray", "auto", True),
    ],
)
def test_runners_are_named_with_the_address_of_their_cluster(text, kind, address, elsewhere):
    runner = Runner.parse(text)
    assert (runner.kind, runner.address, runner.elsewhere) == (kind, address, elsewhere)


@pytest.mark.parametrize("text", ["slurm", "dask=", "threads=tcp://x:1", ""])
def test_other_runners_are_refused(text):
    with pytest.raises(
        ValueError, match="expected one of threads, processes, dask, ray, dask=ADDRESS or ray=ADDRESS"
    ):
        Runner.parse(text)


@pytest.mark.parametrize("url", [None, "http://127.0.0.1:4200/api"])
def test_workers_elsewhere_need_a_server_that_they_reach(url, jobs):
    from prefect.settings import PREFECT_API_URL, temporary_settings

    from turnaround.flows.prefect.flow import run_with_prefect

    with (
        temporary_settings({PREFECT_API_URL: url}),
        pytest.raises(ValueError, match="turnaround server --host"),
    ):
        run_with_prefect(jobs, "dask=tcp://10.0.0.7:8786", 1, lambda _: None)


def test_a_cluster_that_is_not_there_is_said_at_once(jobs):
    from s3_server import free_port

    from turnaround.flows.prefect.flow import run_with_prefect

    with pytest.raises(ValueError, match="no cluster answers there"):
        run_with_prefect(jobs, f"dask=tcp://127.0.0.1:{free_port()}", 1, lambda _: None)


def test_the_lock_of_a_gpu_is_that_of_the_machine_s_gpu(tmp_path, monkeypatch):
    from turnaround.pipeline.gpu import gpu_slot

    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    with gpu_slot(tmp_path, [0, 1]) as index:
        assert index == 0 and [file.name for file in tmp_path.iterdir()] == ["gpu3"]
        monkeypatch.setenv(
            "CUDA_VISIBLE_DEVICES", "3"
        )  # another worker, that sees the same GPU as its only one
        with pytest.raises(TimeoutError), gpu_slot(tmp_path, [0], timeout=0.1):
            pass
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4")
        with gpu_slot(tmp_path, [0], timeout=0.1):
            pass


@pytest.mark.parametrize("preset", ["default", "tiny", "paper"])
def test_stages_and_jobs_travel(preset):
    from turnaround.flows.subjects.project import Project
    from turnaround.pipeline.photos.source import Photo

    project = Project()
    chain = project.build(project.settings(preset, ()))
    job = Job(Photo.at(Path("alice.jpg")), Path("work"), chain, project.weight_digest, Memory("alice.jpg"))
    copy = pickle.loads(pickle.dumps(job))
    assert [s.config for s in copy.stages] == [s.config for s in chain] and copy.photo == job.photo
    assert len(pickle.dumps(job)) < 20_000 and copy.weight_digest is project.weight_digest
    assert [type(stage) for stage in ordered([cls() for cls in stages.classes()])] == [
        type(stage) for stage in copy.stages
    ]


def test_the_deployment_names_parameters_that_the_flow_has():
    """What `prefect deploy` reads: the entry point exists, and its parameters are json."""
    from turnaround.flows.prefect.deployment import reconstruct_folder

    (deployment,) = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    file, name = deployment["entrypoint"].split(":")
    assert (ROOT / file).is_file() and name == reconstruct_folder.fn.__name__
    schema = reconstruct_folder.parameters.model_dump()["properties"]
    assert set(deployment["parameters"]) <= set(schema) and reconstruct_folder.parameters.required == [
        "photos"
    ]
    assert "/" not in deployment["parameters"]["work"] and deployment["work_pool"]["name"] == "turnaround"


def test_server_is_bound_to_this_machine_and_says_how_to_use_it(monkeypatch, capfd):
    from turnaround.flows.cli import app as cli
    from turnaround.flows.prefect import server as prefect_api

    bound = []
    monkeypatch.setattr(prefect_api, "serve", lambda host, port: bound.append((host, port)) or 0)
    for words in (["server"], ["server", "--host", "0.0.0.0", "--port", "4300"]):
        monkeypatch.setattr(sys, "argv", ["turnaround", *words])
        assert cli.guarded(lambda: cli.app(standalone_mode=False)) == 0
    out, err = capfd.readouterr()
    assert bound == [("127.0.0.1", 4200), ("0.0.0.0", 4300)]
    assert "export PREFECT_API_URL=http://127.0.0.1:4200/api" in out and "http://THIS_MACHINE:4300/api" in out
    assert err.count("a network that you trust") == 1 and "0.0.0.0:4300" in err


def test_the_page_asks_the_server_that_it_came_from(monkeypatch):
    """Prefect's own setting is port 4200 of the browser's machine, whatever `--host` and `--port` say."""
    from turnaround.flows.prefect import server as prefect_api

    started: list[tuple[list[str], dict[str, str]]] = []
    monkeypatch.setattr(os, "execve", lambda _, command, environment: started.append((command, environment)))
    monkeypatch.setattr(subprocess, "call", lambda command, env: 0)
    prefect_api.serve("127.0.0.1", 4311)
    command, environment = started[0]
    assert (
        command[-4:] == ["--host", "127.0.0.1", "--port", "4311"]
        and environment["PREFECT_SERVER_UI_API_URL"] == "/api"
    )
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false" and environment["DO_NOT_TRACK"] == "1"


@pytest.mark.slow
def test_a_worker_process_loads_each_model_once(tmp_path, server, monkeypatch):
    """Three photos through one worker of the process pool, every opening of a weight noted: no more than one
    photo needs."""
    from turnaround.flows.prefect.flow import run_with_prefect
    from turnaround.flows.subjects.project import Project

    (tmp_path / "sitecustomize.py").write_text(
        "import os, safetensors\nopened = safetensors.safe_open\n"
        "def noted(file, *args, **kwargs):\n"
        "    with open(os.environ['OPENED'], 'a') as log: log.write(f'{os.getpid()} "
        "{os.path.basename(file)}\\n')\n"
        "    return opened(file, *args, **kwargs)\n"
        "safetensors.safe_open = noted\n"
    )
    monkeypatch.setenv("OPENED", str(tmp_path / "opened"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT)]))
    project = Project()
    chain = project.build(project.settings("tiny", ()))
    jobs = [
        Job(photo, tmp_path / "work", chain, project.weight_digest, Memory(str(photo.image)), device="cpu")
        for photo in find_photos([ROOT / "docs" / "demo"])[:3]
    ]
    assert all(result.ok for result in run_with_prefect(jobs, "processes", 1, lambda _: None))
    times = Counter(line for line in (tmp_path / "opened").read_text().splitlines())
    assert len({line.split()[0] for line in times}) == 1 and len(times) >= 6
    assert max(times.values()) <= 2, times  # HGM's is opened once more for what its metadata say


@pytest.mark.slow
def test_a_folder_scheduled_on_a_work_pool_is_done_by_its_worker(tmp_path):
    """`turnaround server`, a process pool, `prefect deploy`, a worker, one run; with toys in the place of the
    stages."""
    from s3_server import free_port

    port = free_port()
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        f"import sys\nsys.path[:0] = [{str(TESTS)!r}, {str(ROOT)!r}]\nimport stages, toy\nfrom models "
        f"import zoo\n"
        "stages.classes = lambda: (toy.Count, toy.Share, toy.Label)\nzoo.digest = toy.WEIGHTS.__getitem__\n"
    )
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "alice.png").write_bytes(b"1" * 25)
    environment = {
        **os.environ,
        "PREFECT_HOME": str(tmp_path / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
    }
    toys = {**environment, "PYTHONPATH": str(tmp_path / "site")}
    (tmp_path / "toy.yaml").write_text("stages: {count: {offset: 2}}\n")

    def prefect(*words: str) -> str:
        command = [sys.executable, "-m", "prefect", "--no-prompt", *words]
        return subprocess.run(
            command, env=toys, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
        ).stdout

    def wait(url: str) -> None:
        for _ in range(600):
            try:
                urllib.request.urlopen(url, timeout=5).close()
                return
            except OSError:
                time.sleep(0.2)
        raise TimeoutError(url)

    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "turnaround.flows.cli.app", "server", "--port", str(port)],
            env=environment,
            cwd=ROOT,
        )
    ]
    try:
        wait(f"http://127.0.0.1:{port}/api/health")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/ui-settings", timeout=30) as answer:
            assert json.load(answer)["api_url"] == "/api"
        prefect("work-pool", "create", "turnaround", "--type", "process")
        prefect("deploy", "--all")
        worker = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "turnaround", "--run-once"]
        parameters = {
            "photos": [str(tmp_path / "photos")],
            "work": str(tmp_path / "work"),
            "config": str(tmp_path / "toy.yaml"),
        }
        words = [word for name, value in parameters.items() for word in ("-p", f"{name}={json.dumps(value)}")]
        prefect("deployment", "run", "reconstruct-folder/folder", *words)
        subprocess.run(worker, env=toys, cwd=ROOT, check=True, timeout=180, capture_output=True)
    finally:
        for process in processes:
            process.terminate()
            process.wait(30)
    assert (tmp_path / "work" / "subjects" / "alice" / "03_label" / "manifest.json").is_file()
