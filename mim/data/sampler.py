"""Which exams make up each batch, for any seed and epoch."""

from collections.abc import Iterator, Sequence
from itertools import islice
from math import ceil
from typing import NamedTuple

import numpy as np
from torch.utils.data import Sampler


class Draw(NamedTuple):
    """One exam of a batch: its place in the dataset, and the seed of its augmentation."""

    exam: int
    seed: int


class CaseSampler(Sampler[list[Draw]]):
    """Batches in which cases, exams with cancer, are never missing.

    An epoch shows every exam once, in an order of its own. Cases are spread evenly over the
    batches; where there are fewer than ``cases_per_batch`` for each batch, cases come again;
    a batch has room for one other exam at least.
    Nothing but (seed, epoch) decides, so a run that continues draws what it would have drawn.
    """

    def __init__(
        self, is_case: Sequence[bool], batch_size: int, cases_per_batch: int, seed: int
    ) -> None:
        self._cases = np.flatnonzero(is_case)
        self._others = np.flatnonzero(~np.asarray(is_case, bool))
        self._least = min(cases_per_batch, batch_size - 1) if len(self._cases) else 0
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        all_once = ceil((len(self._cases) + len(self._others)) / self._batch_size)
        room_for_others = self._batch_size - self._least
        return max(all_once, ceil(len(self._others) / room_for_others))

    def __iter__(self) -> Iterator[list[Draw]]:
        random = np.random.default_rng([self._seed, self._epoch])
        batches: list[list[int]] = [[] for _ in range(len(self))]
        wanted = max(len(self._cases), self._least * len(batches))
        cases: list[int] = []
        while len(cases) < wanted:
            cases.extend(random.permutation(self._cases).tolist())
        for place, exam in enumerate(cases[:wanted]):
            batches[place % len(batches)].append(exam)
        others = iter(random.permutation(self._others).tolist())
        for batch in batches:
            batch.extend(islice(others, self._batch_size - len(batch)))
        seeds = random.integers(2**31, size=(len(batches), self._batch_size))
        for batch, batch_seeds in zip(batches, seeds, strict=True):
            yield [Draw(e, int(s)) for e, s in zip(batch, batch_seeds, strict=False)]


class EveryExam(Sampler[list[Draw]]):
    """Batches of all exams in order, once each."""

    def __init__(self, exams: int, batch_size: int) -> None:
        self._exams = exams
        self._batch_size = batch_size

    def __len__(self) -> int:
        return ceil(self._exams / self._batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        for start in range(0, self._exams, self._batch_size):
            end = min(start + self._batch_size, self._exams)
            yield [Draw(exam, exam) for exam in range(start, end)]
