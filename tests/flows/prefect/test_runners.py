"""How many photos are worked on at a time where nobody says it."""

import pytest

from turnaround.flows.prefect import runners


@pytest.mark.parametrize(
    ("subjects", "cores", "memory", "workers"),
    [
        (20, 1, 64.0, 1),
        (20, 2, 64.0, 2),
        (1, 8, 64.0, 1),
        (20, 64, 64.0, 4),
        (20, 8, 5.9, 2),
        (20, 8, 0.5, 1),
        (0, 8, 64.0, 1),
    ],
)
def test_one_for_each_core_and_each_two_gib_at_most_four(monkeypatch, subjects, cores, memory, workers):
    monkeypatch.setattr(runners, "_cores", lambda: cores)
    monkeypatch.setattr(runners, "_free_memory", lambda: memory)
    assert runners.default_workers(subjects) == workers


def test_this_machine_tells_its_memory():
    assert 0 < runners._free_memory() < 2**20


def test_a_machine_that_does_not_tell_has_room_for_one_photo(monkeypatch):
    def refuse(*_: object) -> str:
        raise OSError("no such file")

    monkeypatch.setattr(runners.Path, "read_text", refuse)
    assert runners.default_workers(20) == 1
