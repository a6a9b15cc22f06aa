"""People made while a network trains: an endless stream of singles or views from worker processes, the same
for a seed.

Works without the wardrobe, in clothes of the helper meshes. Nothing is written to disk.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Literal

import numpy as np

from turnaround.data.clothes.wardrobe import Split
from turnaround.data.people import TEST_SEED, sample_person
from turnaround.data.sets.singles import single
from turnaround.data.sets.views import ViewOptions, figure_for_views, seen
from turnaround.pipeline.errors import CallError

POSES_A_PERSON = 5  # singles of one dressed person, as in a singles set
Example = dict[str, np.ndarray]


@dataclass(frozen=True)
class PeopleStream:
    """Iterable over examples in the order of their seeds, whatever the number of workers.

    A singles stream yields what `data.singles.single` returns, a views stream what a views file holds.
    """

    kind: Literal["singles", "views"]
    seed: int  # of the first person
    split: Split = "train"
    size: int = 192  # pixels
    workers: int = 2  # processes; 0 works in this one
    ahead: int = 4  # people that each worker may be ahead of the reader
    people: int | None = None  # how many, None for as many as the split has seeds

    def __post_init__(self) -> None:
        if (self.seed >= TEST_SEED) != (self.split == "test"):
            raise CallError(
                f"seed {self.seed} is not one of split {self.split!r}: test people have seeds from "
                f"{TEST_SEED}, the others below"
            )
        if self.workers < 0 or self.ahead < 1:
            raise CallError(f"workers={self.workers}, ahead={self.ahead}: expected at least 0 and 1")

    def __iter__(self) -> Iterator[Example]:
        last = self.seed + self.people if self.people is not None else 2 * TEST_SEED
        seeds = range(self.seed, min(last, TEST_SEED) if self.split == "train" else last)
        make = partial(_singles if self.kind == "singles" else _views, split=self.split, size=self.size)
        for examples in map(make, seeds) if self.workers == 0 else self._made_ahead(make, seeds):
            yield from examples

    def _made_ahead(self, make: partial[list[Example]], seeds: range) -> Iterator[list[Example]]:
        os.environ.setdefault(
            "OMP_NUM_THREADS", "1"
        )  # inherited by the processes, each of which uses one core
        pool = ProcessPoolExecutor(
            self.workers, mp_context=get_context("spawn")
        )  # forking a process that has threads may hang
        waiting: deque[Future[list[Example]]] = deque()
        try:
            for seed in seeds:
                waiting.append(pool.submit(make, seed))
                if len(waiting) >= self.workers * self.ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _singles(seed: int, split: Split, size: int) -> list[Example]:
    person = sample_person(seed, split, variety="full")
    return [single(person, index, size) for index in range(POSES_A_PERSON)]


def _views(seed: int, split: Split, size: int) -> list[Example]:
    options = ViewOptions(size=size)
    return [seen(figure_for_views(seed, split), options, {"seed": seed, "split": split})]
