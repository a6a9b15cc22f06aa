"""The first minutes: `init`, `doctor`, completion in the shell, errors that tell the next command, systems
without symbolic links."""

from __future__ import annotations

import dataclasses
import errno
import functools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import toy
import yaml

import turnaround.flows.subjects.project
from turnaround.flows.cli.app import app, guarded
from turnaround.flows.show import doctor
from turnaround.flows.subjects.project import Project
from turnaround.models.refinement.config import RefinementConfig

ROOT = Path(__file__).resolve().parents[3]
TURNAROUND = Path(sys.executable).with_name("turnaround")


@pytest.fixture(autouse=True)
def _elsewhere(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def toys(monkeypatch):
    made = functools.partial(Project, lambda: (toy.Count, toy.Share, toy.Label), toy.WEIGHTS.__getitem__)
    monkeypatch.setattr(turnaround.flows.subjects.project, "Project", made)


def turn(*arguments: object) -> int:
    words = [str(a) for a in arguments]
    return guarded(lambda: app(words, standalone_mode=False))


# ---------------------------------------------------------------------------------------------- init


@pytest.mark.parametrize("preset", ["default", "tiny"])
def test_init_names_every_setting_and_changes_none(preset, capsys):
    assert turn("init", "mine.yaml", "--config", preset) == 0
    assert "Use it with: turnaround run PHOTO --config mine.yaml" in capsys.readouterr().out
    expected = Project().settings(preset, []).dump()
    assert Project().settings("mine.yaml", []).dump() == expected
    text = Path("mine.yaml").read_text()
    everything = re.sub(r"^( *)# (?=[a-z_]+:)", r"\1", text[text.index("extends:") :], flags=re.MULTILINE)
    Path("all.yaml").write_text(everything)
    assert Project().settings("all.yaml", []).dump() == expected
    written = yaml.safe_load(everything)
    assert {k: set(v) for k, v in written["stages"].items()} == {
        k: set(v) for k, v in expected["stages"].items()
    }
    assert len(re.findall(r"^ *## ", text, re.MULTILINE)) >= sum(map(len, expected["stages"].values()))


def test_one_line_uncommented_is_one_setting_changed():
    turn("init")
    file = Path("turnaround.yaml")
    text = file.read_text()
    file.write_text(text.replace("      # iterations: 45", "      iterations: 9", 1))
    inside = Project().settings(str(file), []).stages["refine"].fit  # type: ignore[attr-defined]
    assert inside == RefinementConfig(iterations=9)
    file.write_text(text.replace("    # size: 1024", "    size: 320", 1))
    stages = Project().settings(str(file), []).dump()["stages"]
    assert stages["prepare"]["size"] == 320
    assert {k: v for k, v in stages.items() if k != "prepare"} == {
        k: v for k, v in Project().settings("default", []).dump()["stages"].items() if k != "prepare"
    }


def test_init_leaves_what_is_there(capsys):
    Path("mine.yaml").write_text("precious")
    assert turn("init", "mine.yaml") == 2
    assert "exists already" in capsys.readouterr().err and Path("mine.yaml").read_text() == "precious"
    assert turn("init", "mine.txt") == 2
    assert turn("init", "nowhere/mine.yaml") == 2
    assert "cannot be written" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------- doctor


def test_doctor_finds_this_machine_fit_for_the_default_preset(capsys):
    assert turn("doctor", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert (
        found["ok"]
        and not found["problems"]
        and found["machine"]["python_supported"]
        and found["machine"]["locks"]
    )
    assert {w["state"] for w in found["preset"]["weights"]} == {"present"}
    assert all(w["licence"] and w["source"] for w in found["weights"])
    assert found["disk"]["links"] == "symbolic links" and not list(Path().iterdir())


def test_doctor_names_what_a_preset_lacks_with_licence_and_remedy(capsys):
    assert turn("doctor", "--config", "paper") == 1
    said = capsys.readouterr().out
    assert (
        "SMPLX_NEUTRAL.npz is not there (stages estimate," in said
        and "SMPL-X Model License" in said
        and "register at" in said
    )
    assert turn("doctor", "--config", "papre") == 2
    assert "did you mean 'paper'" in capsys.readouterr().err


def test_doctor_calls_trainable_weights_optional_until_a_preset_uses_them(monkeypatch, tmp_path, capsys):
    from turnaround.models import zoo

    networks = [name for name, weight in zoo.WEIGHTS.items() if weight.trainable]
    assert networks == ["back_view_vae", "back_view_unet", "back_view_controlnet"]
    for name in networks:
        monkeypatch.setitem(
            zoo.WEIGHTS, name, dataclasses.replace(zoo.WEIGHTS[name], file=f"nosuch_{name}.safetensors")
        )
    found = doctor.examine(tmp_path)
    assert found["ok"] and {
        w["name"]: w["state"] for w in found["weights"] if w["name"] in networks
    } == dict.fromkeys(networks, "optional")
    said = doctor.render(found, as_json=False)
    assert (
        "turnaround train back-view-vae" in said
        and "without it: the view from behind without diffusion" in said
    )
    found = doctor.examine(tmp_path, overrides=("stages.back_view.refiner=embedded",))
    assert not found["ok"] and len(found["problems"]) == 3
    assert all(
        f"{name} is not there (stages back_view" in problem
        for name, problem in zip(networks, found["problems"], strict=True)
    )
    assert "turnaround train back-view-vae" in found["problems"][0]


def test_doctor_tells_of_changed_weights_full_disks_and_missing_libraries(monkeypatch, tmp_path, capsys):
    from turnaround.models import zoo

    monkeypatch.setattr(zoo, "pins", lambda: {"matting": "0" * 64})
    monkeypatch.setattr(doctor, "_LEAST_DISK", 1e9)
    monkeypatch.setattr(doctor, "_LIBRARIES", {"libnosuch.so.9": "libnosuch9"})
    assert turn("doctor") == 1
    said = capsys.readouterr().out
    for part in (
        "git checkout -- models/weights",
        "turnaround gc",
        "apt-get install libnosuch9",
        "in the way:",
    ):
        assert part in said
    Path("file").write_text("in the way")
    assert turn("doctor", "--work", "file") == 1
    assert "CANNOT BE WRITTEN" in capsys.readouterr().out


# ---------------------------------------------------------------------------------------------- completion


def completed(shell: str, line: str) -> list[str]:
    """What the shell is offered at the end of a line."""
    words = line.split(" ")
    names = {
        "bash": {
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            "_TURNAROUND_COMPLETE": "complete_bash",
        },
        "zsh": {"_TYPER_COMPLETE_ARGS": line, "_TURNAROUND_COMPLETE": "complete_zsh"},
        "fish": {
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "_TURNAROUND_COMPLETE": "complete_fish",
        },
    }
    done = subprocess.run(
        [TURNAROUND], env=os.environ | names[shell], capture_output=True, text=True, timeout=60
    )
    return re.findall(r"[\w./-]+", done.stdout) if shell == "zsh" else done.stdout.split()


@pytest.fixture
def people():
    for name in ("alice", "alan", "bob"):
        folder = Path("work/subjects") / name
        (folder / "05_back_view").mkdir(parents=True)
        (folder / "subject.json").write_text("{}")
        (folder / "05_back_view/refined.png").write_bytes(b"")
    (Path("other/subjects/carol")).mkdir(parents=True)
    Path("other/subjects/carol/subject.json").write_text("{}")


@pytest.mark.skipif(not TURNAROUND.exists(), reason="the command is not installed beside this Python")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("turnaround status al", ["alan", "alice"]),
        ("turnaround status --work other c", ["carol"]),
        ("turnaround why bob/back", ["bob/back_view"]),
        ("turnaround rerun fu", ["fuse"]),
        ("turnaround rerun fuse -s b", ["bob"]),
        ("turnaround run x.jpg --until m", ["mesh"]),
        ("turnaround run x.jpg --config ti", ["tiny"]),
        ("turnaround override bob/back_view/r", ["bob/back_view/refined.png"]),
    ],
)
def test_bash_completes_subjects_stages_and_presets(line, expected, people):
    assert completed("bash", line) == expected


@pytest.mark.skipif(not TURNAROUND.exists(), reason="the command is not installed beside this Python")
def test_zsh_and_fish_complete_too(people):
    assert {"alan", "alice"} <= set(completed("zsh", "turnaround status al"))
    assert "fuse" in completed("fish", "turnaround rerun fu")
    for shell in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [TURNAROUND],
            env=os.environ | {"_TURNAROUND_COMPLETE": f"source_{shell}"},
            capture_output=True,
            text=True,
        )
        assert "_TURNAROUND_COMPLETE" in done.stdout, done.stderr


def test_completion_imports_nothing_heavy():
    imports = "import sys, turnaround.flows.cli.app, turnaround.flows.cli.completion as c"
    code = f"{imports}; c.stages(''), c.presets(''); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "pydantic", "prefect", "yaml", "rich"} & set(done.stdout.split())


# ---------------------------------------------------------------------------------------------- other systems


def test_without_symbolic_links_everything_works(monkeypatch, toys, capsys):
    """As on Windows without developer mode, or on a disk that has none."""

    def impossible(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", impossible)
    for name, content in (("alice", b"1" * 25), ("bob", b"2" * 35)):
        Path(f"{name}.png").write_bytes(content)
    assert turn("run", "alice.png", "bob.png", "--direct") == 0
    assert not any(path.is_symlink() for path in Path("work").rglob("*"))
    assert sorted(p.name for p in Path("work/subjects/bob").iterdir() if p.is_file()) == [
        "01_count.link",
        "02_share.link",
        "03_label.link",
        "subject.json",
    ]
    toy.calls.clear()
    assert turn("rerun", "share", "-s", "bob", "--set", "stages.share.divisor=5") == 0
    assert turn("gc") == 0
    assert turn("run", "alice.png", "--direct") == 0 and turn("inspect", "bob", "--verify") == 0
    assert toy.calls == ["share", "label"]
    capsys.readouterr()
    turn("status", "--long")
    assert capsys.readouterr().out.count("FRESH") == 6
    assert turn("doctor") == 0
    assert "text files (no symbolic links here)" in capsys.readouterr().out


def test_links_written_elsewhere_with_backslashes_or_symlinks_are_followed(toys, monkeypatch):
    """A work folder that was begun with links goes on without, and back."""
    Path("alice.png").write_bytes(b"1" * 25)
    assert turn("run", "alice.png", "--direct") == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "symlink", lambda *_, **__: (_ for _ in ()).throw(NotImplementedError()))
        assert turn("rerun", "share", "--set", "stages.share.divisor=5") == 0
    toy.calls.clear()
    assert turn("rerun", "share", "--set", "stages.share.divisor=6") == 0
    names = sorted(p.name for p in Path("work/subjects/alice").iterdir())
    assert names == ["01_count", "02_share", "03_label", "subject.json"], (
        "one link a stage, of the kind that is possible now"
    )


def test_files_are_utf_8_whatever_the_system_s_own_encoding_is():
    """On Windows it is not UTF-8; the C locale stands for that here."""
    Path("mine.yaml").write_text(
        "extends: default\n# größer\nstages:\n  share: {divisor: 5}\n", encoding="utf-8"
    )
    Path("x.png").write_bytes(b"1" * 25)
    Path("list.txt").write_text("# größe\nx.png\n", encoding="utf-8")
    code = "import locale, sys; sys.exit(locale.getencoding() == 'UTF-8')"
    ours = os.environ | {
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "utf-8",
    }
    assert subprocess.run([sys.executable, "-c", code], env=ours).returncode == 0
    command = [sys.executable, ROOT / "tests/support/toy_cli.py"]
    for words in (["run", "@list.txt", "--direct", "--config", "mine.yaml"], ["status", "--long"]):
        done = subprocess.run(
            [*command, *words],
            env=ours,
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="surrogateescape",
        )
        assert done.returncode == 0, done.stderr
    assert done.stdout.count("FRESH") == 3
    assert (
        json.loads(next(Path("work/subjects").glob("*/02_share/manifest.json")).read_text())["config"][
            "divisor"
        ]
        == 5
    )
