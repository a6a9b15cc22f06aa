"""Photos of a folder with what lies beside them."""

from __future__ import annotations

import pytest

from turnaround.pipeline.photos.source import find_photos


def test_photos_of_a_folder_come_with_their_sidecars(tmp_path):
    for name in (
        "bob.jpg",
        "bob.mask.png",
        "bob.smplx.npz",
        "bob.back.png",
        "alice.PNG",
        "notes.txt",
        ".hidden.png",
    ):
        (tmp_path / name).write_bytes(b"x")
    alice, bob = find_photos([tmp_path])
    assert (alice.name, alice.mask, alice.body) == ("alice", None, None)
    assert (bob.mask, bob.body, bob.back) == (
        tmp_path / "bob.mask.png",
        tmp_path / "bob.smplx.npz",
        tmp_path / "bob.back.png",
    )
    assert bob.load("body") == b"x" and alice.load("mask") is None
    assert (
        find_photos([tmp_path / "bob.jpg", tmp_path])[0] == bob
        and len(find_photos([tmp_path / "bob.jpg", tmp_path])) == 2
    )


def test_paths_without_a_photo_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"nobody\.jpg does not exist"):
        find_photos([tmp_path / "nobody.jpg"])
    with pytest.raises(ValueError, match="holds no photo"):
        find_photos([tmp_path])


@pytest.mark.parametrize("name", ["...jpg", "..jpg"])
def test_a_photo_whose_name_is_a_folder_of_the_system_gets_another_name(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    (photo,) = find_photos([tmp_path / name])
    assert photo.image.name == name and photo.name.strip(".") and "/" not in photo.name
