"""Which exams make up each batch, for any seed, epoch and number of ranks.

A rank is one of the processes that train together, each on batches of its own.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import distributed


class Draw(NamedTuple):
    """One exam of a batch: its place in the dataset, the seed of its augmentation, and its weight.

    The weight is 1 over how often exams of its kind, cases or others, come in an epoch: by it an
    epoch has cases in the share in which the training exams have them.
    """

    exam: int
    seed: int
    weight: float = 1.0


class Ranks(NamedTuple):
    """This process's number among all that train together, from 0, and how many they are."""

    rank: int
    world: int

    @classmethod
    def now(cls) -> "Ranks":
        """As torch.distributed has it; 0 of 1 where it was not started."""
        if distributed.is_available() and distributed.is_initialized():
            return cls(distributed.get_rank(), distributed.get_world_size())
        return cls(0, 1)


class CaseSampler:
    """Batches in which cases, such as exams with cancer, are never missing.

    An epoch shows every exam once, in an order of its own, over the batches of all ranks. Exams and
    cases are spread evenly, so that batches differ by one exam at most; where there are fewer cases
    than ``cases_per_batch`` for each batch, cases come again; a batch has room for one other exam
    at least. Only where ranks have more batches than there are exams do others come again too.
    Nothing but (seed, epoch, number of ranks) decides, so a run that continues draws what it would
    have drawn.

    Args:
        is_case: bool [exam].
        batch_size: exams in a batch of one rank, at most.
        cases_per_batch: at least.
        seed: of the whole run.
        ranks: None looks them up when asked, since training starts processes late.
    """

    def __init__(
        self,
        is_case: NDArray[np.bool_],
        batch_size: int,
        cases_per_batch: int,
        seed: int,
        ranks: Ranks | None = None,
    ) -> None:
        self._cases = np.flatnonzero(is_case)
        self._others = np.flatnonzero(~np.asarray(is_case, bool))
        self._least = min(cases_per_batch, batch_size - 1) if len(self._cases) else 0
        self._batch_size = batch_size
        self._seed = seed
        self._ranks = ranks
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self.epoch = epoch

    def batches(self, world: int) -> int:
        """Batches of each of ``world`` ranks in one epoch."""
        all_once = (len(self._cases) + len(self._others)) / self._batch_size
        of_others = len(self._others) / (self._batch_size - self._least)
        return ceil(ceil(max(all_once, of_others)) / world)

    def __len__(self) -> int:
        return self.batches((self._ranks or Ranks.now()).world)

    def __iter__(self) -> Iterator[list[Draw]]:
        rank, world = self._ranks or Ranks.now()
        count = self.batches(world) * world
        random = np.random.default_rng([self._seed, self.epoch])
        least = self._least if len(self._others) else max(1, self._least)
        cases = _again(random, self._cases, max(len(self._cases), least * count))
        others = _again(random, self._others, max(len(self._others), count - len(cases)))
        seeds = random.integers(2**31, size=(count, self._batch_size))
        # Cases are dealt out one by one; others fill each batch up to its share of all exams.
        ends = np.arange(1, count + 1)
        dealt = len(cases) // count * ends + np.minimum(ends, len(cases) % count)
        of_case, of_other = (
            len(kind) / max(1, len(drawn))
            for kind, drawn in ((self._cases, cases), (self._others, others))
        )
        whole = len(cases) + len(others)
        filled = whole // count * ends + np.minimum(ends, whole % count) - dealt
        for batch in range(rank, count, world):
            start = filled[batch - 1] if batch else 0
            here, there = cases[batch::count].tolist(), others[start : filled[batch]].tolist()
            weights = [of_case] * len(here) + [of_other] * len(there)
            drawn = zip([*here, *there], seeds[batch].tolist(), weights, strict=False)
            yield [Draw(*one) for one in drawn]


def _again(random: np.random.Generator, exams: NDArray[np.int64], wanted: int) -> NDArray[np.int64]:
    """Exams in random order, over and over until there are as many as wanted."""
    if not len(exams):
        return exams
    rounds = [random.permutation(exams) for _ in range(ceil(wanted / len(exams)))]
    return np.concatenate([exams[:0], *rounds])[:wanted]


class EveryExam:
    """Batches of all exams in order, dealt out over the ranks.

    Each rank gets as many batches as the others, or ranks would wait for each other for ever: where
    they do not come out even, the first batches come again. Who counts, counts each exam once.
    """

    epoch = 0
    """Every pass is the same."""

    def __init__(self, exams: int, batch_size: int, ranks: Ranks | None = None) -> None:
        self._exams = exams
        self._batch_size = batch_size
        self._ranks = ranks

    def __len__(self) -> int:
        return ceil(self._exams / self._batch_size / (self._ranks or Ranks.now()).world)

    def __iter__(self) -> Iterator[list[Draw]]:
        rank, world = self._ranks or Ranks.now()
        count = ceil(self._exams / self._batch_size)
        for batch in range(rank, len(self) * world, world):
            start = batch % count * self._batch_size
            end = min(start + self._batch_size, self._exams)
            yield [Draw(exam, exam) for exam in range(start, end)]
