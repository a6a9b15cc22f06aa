"""The pages: links lead somewhere, the map's rooms are there, generated tables are what the code says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documented import commands, section, spans, understand

from turnaround import stages
from turnaround.flows.show.declarations import graph_markdown
from turnaround.pipeline.errors import CallError

ROOT = Path(__file__).resolve().parents[1]
ROOMS = "pipeline|models|stages|data|flows|tests|configs"
RUN = r"turnaround |python -m (?:turnaround|benchmarks)\."  # how commands of this project begin
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = re.findall(r"\]\((?!https?://|#|mailto:)([^)#\s]+)", page.read_text())
    assert not [target for target in targets if not (page.parent / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_repository_that_a_page_names_are_there(page):
    text = re.sub(r"```diff.*?```", "", page.read_text(), flags=re.S)  # what is yet to be written
    named = re.findall(
        r"(?<![\w./-])((?:pipeline|models|stages|data|flows|tests|configs)/[\w/.-]+\.py)\b", text
    )
    assert not [name for name in named if not (ROOT / name).is_file()]


def test_every_room_of_the_map_is_there_and_every_room_is_on_the_map():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = {name.rstrip("/") for name in re.findall(rf"`((?:{ROOMS})/[a-z_/]*)`", text)}
    assert rooms and not {room for room in rooms if not (ROOT / room).is_dir()}
    folders = {
        path.parent for top in ("pipeline", "models", "flows") for path in (ROOT / top).glob("*/__init__.py")
    }
    assert not {str(folder.relative_to(ROOT)) for folder in folders} - rooms


def test_the_table_of_the_stages_is_what_they_declare():
    text = (ROOT / "docs/stages.md").read_text()
    table = re.search(r"<!-- stages:.*?-->\n(.*?)\n<!-- /stages -->", text, re.S)
    assert table is not None and table.group(1) == graph_markdown(stages.classes())


def commands_with_flags(text: str) -> list[str]:
    """Those of blocks and sentences; without flags it is the name of one."""
    lines = commands(text, r"```\w*") + spans(text, RUN)
    return [line for line in lines if re.match(RUN, line) and " --" in line]


@pytest.mark.parametrize(
    "line",
    [
        line
        for text in (
            section(ROOT / "docs/results.md", "GST"),
            (ROOT / "docs/gst.md").read_text(),
            section(ROOT / "docs/multiview.md", "Fine-tune GST on it"),
            section(ROOT / "docs/training.md", "Queue"),
        )
        for line in commands_with_flags(text)
    ],
)
def test_commands_of_gst_and_of_the_queue_are_understood(line):
    understand(line)


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("turnaround train gst --data A --out B --untrue", SystemExit),
        ("turnaround train gst --data A --out B --set loss.colour=1", CallError),
        ("python -m benchmarks.gst_gap --sedes 1", SystemExit),
    ],
)
def test_a_command_with_a_wrong_flag_is_not_understood(line, error):
    with pytest.raises(error):
        understand(line)
