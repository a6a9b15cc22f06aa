"""Names of subjects: each file name gives one that every file system takes, unique, and the same again."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnaround.pipeline.photos.naming import LONGEST, NAMES_FILE, Wanted, assign, fold, is_plain, of_shard

# file names of a Linux file system: any bytes but / and 0, 1 to 251 of them before the suffix
STEMS = st.one_of(
    st.binary(min_size=1, max_size=251).map(lambda data: data.replace(b"/", b"_").replace(b"\0", b"_")),
    st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60).map(
        str.encode
    ),
    st.sampled_from([b"names.json", b"NAMES.JSON", b"-x", b"--", b" .", b"\\", b"a\\b", b"\n", b"\xff"]),
    st.sampled_from([b"x" * 251, "é".encode() * 125]),
)
PATHS = st.lists(st.tuples(STEMS, st.sampled_from([b".jpg", b".png"])), min_size=1, max_size=6, unique=True)


def wanted(paths: list[tuple[bytes, bytes]]) -> list[Wanted]:
    return [Wanted(Path(os.fsdecode(b"/photos/" + stem + suffix))) for stem, suffix in paths]


@given(PATHS, st.booleans())
def test_any_names_give_folders_that_differ_whatever_the_file_system(paths, people):
    items = wanted(paths) + ([Wanted(item.image, 1) for item in wanted(paths)] if people else [])
    names = assign(items, {})
    assert len({fold(name) for name in names.values()}) == len(items)
    for name in names.values():
        assert is_plain(name) and 0 < len(name.encode()) <= LONGEST and fold(name) != NAMES_FILE
        assert name[0] not in "-. " and name[-1] not in ". " and not {"/", "\\", "\n", "\0"} & set(name)
        assert of_shard(name, (1, 1))


@given(PATHS)
def test_names_do_not_depend_on_the_order_and_are_kept(paths):
    items = wanted(paths)
    names = assign(items, {})
    assert assign(items[::-1], {}) == names
    known = {item.key: name for item, name in names.items()}
    assert all(assign([item], known) == {item: names[item]} for item in items), "a part names as the whole"


def test_spellings_that_some_file_system_takes_for_one_are_told_apart():
    spellings = ["é", "É", unicodedata.normalize("NFD", "é"), unicodedata.normalize("NFD", "É")]
    names = assign([Wanted(Path(f"/p/{name}.jpg")) for name in spellings], {})
    assert len({fold(name) for name in names.values()}) == 4


def test_a_fitting_name_is_left_alone():
    for stem in ("alice", "Ana-María 2", "x.y", "[1]", "100%", "#2", "人物", "x" * LONGEST):
        assert list(assign([Wanted(Path(f"/p/{stem}.jpg"))], {}).values()) == [stem]


@pytest.mark.parametrize(
    ("stem", "name"),
    [
        ("names.json", "names-json"),
        ("--help", "help"),
        (" x ", "x"),
        (".y", "y"),
        ("-", "photo"),
        ("a\\b\nc", "a-b-c"),
    ],
)
def test_what_cannot_be_is_replaced_readably(stem, name):
    assert list(assign([Wanted(Path(f"/p/{stem}.jpg"))], {}).values()) == [name]


def test_a_remembered_name_that_cannot_be_is_not_used():
    for name in ("a\\b", "x" * 249, "\udcff", NAMES_FILE, ".x", ""):
        assert not is_plain(name)
