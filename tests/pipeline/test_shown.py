"""Names for people: nothing that a terminal acts upon, and command lines that a shell reads as they were."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnaround.pipeline.shown import as_argument, command_line, shown

ODD = [
    b"\xff\xfe",
    b"a\nb",
    b"it's",
    b"a\\b",
    b"\x1b[31m",
    b"-x",
    b"",
    b'a b$(x)`y`"z"',
    "é".encode(),
    b"\xff0",
]
NAMES = st.one_of(st.sampled_from(ODD), st.binary(max_size=20).map(lambda data: data.replace(b"\0", b"_")))


@given(NAMES)
def test_what_is_shown_can_be_printed(name):
    text = shown(os.fsdecode(name))
    assert text.isprintable() and text.encode() is not None
    assert text == os.fsdecode(name) or not os.fsdecode(name).isprintable()


@settings(max_examples=25, deadline=None)
@given(st.lists(NAMES, min_size=1, max_size=8))
def test_a_shell_reads_the_words_that_were_written(names):
    line = command_line(["printf", "%s\\0", *map(os.fsdecode, names)])
    assert line.isprintable()
    read = subprocess.run(["bash", "-c", line], capture_output=True, check=True).stdout
    assert read == b"\0".join(names) + b"\0"


@pytest.mark.parametrize("name", ["-x.png", "--help.png", "@list.png", "x.png", "a/-x.png"])
def test_a_path_is_no_option(name):
    assert Path(as_argument(Path(name))) == Path(name) and as_argument(Path(name))[0] not in "-@"
