"""Kill the command line at every step that touches the disk, or at random times, and run it again.

    python tests/support/faults.py FOLDER every [NAME...]    toy stages; each rename, sync, link, folder,
                                                             deletion and half of each write
    python tests/support/faults.py FOLDER random 100         toy stages, at random times
    python tests/support/faults.py FOLDER once STEP PHOTO    a run of the real stages (`tiny`), which dies at
                                                             this step; 0: it lives

After each kill the same command runs undisturbed, and the work folder must hold what it holds had nobody been
killed. Prints a summary as json. Each run is a fork of this process, which has imported everything, so that
kills hit the work. Of the real stages each run is a process of its own, whose memory lies elsewhere each time
(tests/flows/runs/test_reproducible.py).
"""

from __future__ import annotations

import builtins
import functools
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import toy
from typer.main import get_command

import turnaround.flows.runs.execute
import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.subjects.project import Project

STEPS = ("fsync", "rename", "replace", "symlink", "mkdir", "unlink", "remove", "rmdir", "write")


def turn(*words: object) -> int:
    """One command, in this process."""
    toys = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    turnaround.flows.subjects.project.Project = toys  # type: ignore[misc]
    # torch would make each fork slow
    turnaround.flows.runs.execute.lend_device = lambda stage, wanted: nullcontext("cpu")
    return guarded(lambda: command()([str(word) for word in words], standalone_mode=False))


@functools.cache
def command() -> Any:
    """The command line, built once."""
    return get_command(app)


class _Half:
    """A file of which a write is cut in the middle when its step comes."""

    def __init__(self, stream: Any, step: Callable[[str], bool]) -> None:
        self._stream, self._step = stream, step

    def write(self, data: Any) -> int:
        if self._step("half a write"):
            self._stream.write(data[: len(data) // 2])
            self._stream.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return self._stream.write(data)

    def __enter__(self) -> _Half:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def instrument(root: Path, target: int, seen: list[str]) -> None:
    """Count every step below `root` in this process and die before number `target` (1 is the first; 0
    lives)."""

    def step(name: str) -> bool:
        seen.append(name)
        return len(seen) == target

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if step(name):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **named)

        return call

    for name in STEPS:
        setattr(os, name, counted(name, getattr(os, name)))
    plain = io.open

    def opened(file: Any, mode: str = "r", *arguments: Any, **named: Any) -> Any:
        stream = plain(file, mode, *arguments, **named)
        below = isinstance(file, str | os.PathLike) and str(root) in os.path.abspath(file)
        return _Half(stream, step) if below and set(mode) & set("wax") else stream

    io.open = builtins.open = opened  # type: ignore[assignment]


def forked(work: Callable[[], int], kill_after: float | None = None) -> int:
    """The exit code of `work` in a fork, or minus the signal that ended it; killed after a time where one is
    given."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            quiet = os.open(os.devnull, os.O_WRONLY)
            os.dup2(quiet, 1)
            os.dup2(quiet, 2)
            code = work()
        finally:
            os._exit(code)
    if kill_after is not None:
        time.sleep(kill_after)
        os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def state(work: Path) -> dict[str, str]:
    """Everything in a work folder that matters: bytes of all artifacts, what manifests say of them, links,
    memories."""
    found = {}
    for path in sorted(p for part in ("cache", "subjects") for p in (work / part).rglob("*")):
        name = path.relative_to(work).as_posix()
        if path.name.startswith(
            "."
        ):  # links and files on their way to their names; nothing reads them and gc deletes them
            continue
        if path.is_symlink():
            found[name] = os.readlink(path)
        elif path.name == "manifest.json":
            manifest = json.loads(path.read_text())
            kept = {
                key: manifest[key]
                for key in ("key", "stage", "version", "config", "inputs", "weights", "outputs")
            }
            found[name] = json.dumps(kept, sort_keys=True)
        elif path.is_file() and path.name != "digests.txt":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


class Scenario:
    """Commands over one work folder: `before` prepares it, the last one is killed."""

    def __init__(self, name: str, folder: Path, before: list[list[str]], killed: list[str]) -> None:
        self.name, self.folder, self.killed = name, folder, [*killed, "--work", str(folder / "work")]
        folder.mkdir(parents=True)
        for who, times in (("alice", 5), ("bob", 6)):
            (folder / f"{who}.png").write_bytes(who.encode() * times)
        time.sleep(1.1)  # digests of photos are remembered from now on
        for words in before:
            if words[0] == "damage":
                victim = next((folder / "work/cache/share").glob("*/quotient.json"))
                victim.write_bytes(b"?" * victim.stat().st_size)
            else:
                forked(lambda words=words: turn(*words, "--work", folder / "work"))
        if (folder / "work").is_dir():
            shutil.copytree(folder / "work", folder / "template", symlinks=True)
        self.code = forked(lambda: turn(*self.killed))
        self.wanted = state(folder / "work")

    def reset(self) -> None:
        """The work folder as it was before the command."""
        shutil.rmtree(self.folder / "work", ignore_errors=True)
        if (self.folder / "template").is_dir():
            shutil.copytree(self.folder / "template", self.folder / "work", symlinks=True)

    def mended(self) -> str:
        """What is wrong after the same command ran again; empty where nothing is."""
        code = forked(lambda: turn(*self.killed))
        if code not in (self.code, 0):
            return f"exit code {code}"
        got = state(self.folder / "work")
        return ", ".join(
            sorted(name for name in {*got, *self.wanted} if got.get(name) != self.wanted.get(name))
        )


def scenarios(folder: Path, names: list[str]) -> Iterator[Scenario]:
    """A first run, a rerun with other settings, a run and a repair after damage, and a cleaning."""
    set_ = ["--set", "stages.share.divisor=2"]
    for name, before, killed in (
        ("run", [], ["run", "PHOTO", "--direct"]),
        ("rerun", [["run", "PHOTO", "--direct"]], ["rerun", "share", *set_]),
        ("verify", [["run", "PHOTO", "--direct"], ["damage"]], ["verify"]),
        (
            "mend",
            [["run", "PHOTO", "--direct"], ["damage"]],
            ["run", "PHOTO", "--direct", "--set", "stages.label.weights=runes"],
        ),
        ("gc", [["run", "PHOTO", "--direct"], ["rerun", "share", *set_]], ["gc"]),
    ):
        if names and name not in names:
            continue
        photo = str(folder / name / "alice.png")
        filled = [[photo if word == "PHOTO" else word for word in words] for words in [*before, killed]]
        yield Scenario(name, folder / name, filled[:-1], filled[-1])


def warm(folder: Path) -> None:
    """Run everything once in this process, so that the forks import nothing."""
    folder.mkdir(parents=True)
    (folder / "eve.png").write_bytes(b"eve")
    standard, errors = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = io.StringIO()
    try:
        for words in (["run", folder / "eve.png", "--direct"], ["verify"], ["gc"], ["rerun", "share"]):
            turn(*words, "--work", folder / "work")
    finally:
        sys.stdout, sys.stderr = standard, errors


def every(folder: Path, names: list[str]) -> dict[str, Any]:
    """Kill each scenario, or those of these names, before each of its steps."""
    summary: dict[str, Any] = {}
    for scenario in scenarios(folder, names):
        steps: list[str] = []
        target, wrong = 0, []
        while True:
            target += 1
            scenario.reset()
            log = folder / "steps.json"

            def killed(target: int = target, scenario: Scenario = scenario, log: Path = log) -> int:
                instrument(scenario.folder / "work", target, seen := [])
                code = turn(*scenario.killed)
                with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), "w") as stream:
                    json.dump(seen, stream)
                return code

            code = forked(killed)
            if code != -signal.SIGKILL:
                steps = json.loads(log.read_text())
                break
            problem = scenario.mended()
            wrong += [f"step {target}: {problem}"] if problem else []
        kinds = {kind: steps.count(kind) for kind in sorted(set(steps))}
        summary[scenario.name] = {"kills": target - 1, "wrong": wrong, "steps": kinds, "code": code}
    return summary


def at_random(folder: Path, kills: int, seed: int = 0) -> dict[str, Any]:
    """Kill a run of two subjects with larger files at random times between its start and its end."""
    chance = random.Random(seed)
    photos = [str(folder / "first/alice.png"), str(folder / "first/bob.png")]
    scenario = Scenario(
        "run", folder / "first", [], ["run", *photos, "--direct", "--set", "stages.count.pause=0.005"]
    )
    scenario.reset()
    started = time.perf_counter()
    forked(lambda: turn(*scenario.killed))
    seconds = time.perf_counter() - started
    wrong, tries, hit, partial = [], 0, 0, 0
    while hit < kills and tries < 10 * kills:
        tries += 1
        scenario.reset()
        hit += (
            forked(lambda: turn(*scenario.killed), chance.uniform(0, seconds)) == -signal.SIGKILL
        )  # else it had ended before
        runs = len(list((folder / "first/work/cache").glob("*/*/manifest.json")))
        partial += 0 < runs < 6
        problem = scenario.mended()
        wrong += [f"try {tries}: {problem}"] if problem else []
    return {
        "kills": hit,
        "wrong": wrong,
        "tries": tries,
        "in the middle": partial,
        "seconds a run": round(seconds, 3),
    }


def once(folder: Path, target: int, photo: Path) -> int:
    """The exit code of one run of the real stages in FOLDER, in this process, which dies before step `target`
    of it."""
    instrument(folder, target, [])
    words = ["run", str(photo), "--config", "tiny", "--direct", "--work", str(folder)]
    return guarded(lambda: command()(words, standalone_mode=False))


if __name__ == "__main__":
    place, mode = Path(sys.argv[1]).resolve(), sys.argv[2]
    if mode == "once":
        sys.exit(once(place, int(sys.argv[3]), Path(sys.argv[4])))
    warm(place / "warm")
    found = every(place, sys.argv[3:]) if mode == "every" else at_random(place, int(sys.argv[3]))
    print(json.dumps(found, indent=1))
