"""Which exams make up each batch, for any seed, epoch and number of ranks.

A rank is one of the processes that train together, each on batches of its own.
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import distributed

Exams = NDArray[np.int64]

CASES_STREAM, OTHERS_STREAM = 81, 82
"""What is drawn of makers' exams, beside the seed."""


class Draw(NamedTuple):
    """One exam of a batch: its place in the dataset, the seed of its augmentation, and its weight.

    The weight is 1 over how often exams of its kind come in an epoch: by it an epoch has each kind in
    the share in which the training exams have it. Kinds are cases and others, of each maker where
    makers are balanced.
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

    With makers, an epoch has as many draws as without, and each maker as many as any other or one
    more, among the cases and among the others. Rare makers' exams come again; those of frequent ones
    come in turns, each once before one comes again, over as many epochs as it takes.

    Args:
        is_case: bool [exam].
        batch_size: exams in a batch of one rank, at most.
        cases_per_batch: at least.
        seed: of the whole run.
        ranks: None looks them up when asked, since training starts processes late.
        makers: int64 [exam], to be balanced; None leaves them as they are.
    """

    def __init__(
        self,
        is_case: NDArray[np.bool_],
        batch_size: int,
        cases_per_batch: int,
        seed: int,
        ranks: Ranks | None = None,
        makers: Exams | None = None,
    ) -> None:
        self._cases = np.flatnonzero(is_case)
        self._others = np.flatnonzero(~np.asarray(is_case, bool))
        self._least = min(cases_per_batch, batch_size - 1) if len(self._cases) else 0
        self._batch_size = batch_size
        self._seed = seed
        self._ranks = ranks
        self._makers = makers
        self._exams = len(is_case)
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
        wanted = max(len(self._cases), least * count)
        cases = self._draw(random, self._cases, wanted, CASES_STREAM)
        wanted = max(len(self._others), count - len(cases))
        others = self._draw(random, self._others, wanted, OTHERS_STREAM)
        seeds = random.integers(2**31, size=(count, self._batch_size))
        # Cases are dealt out one by one; others fill each batch up to its share of all exams.
        ends = np.arange(1, count + 1)
        dealt = len(cases) // count * ends + np.minimum(ends, len(cases) % count)
        weight = self._weights(len(cases), len(others))
        whole = len(cases) + len(others)
        filled = whole // count * ends + np.minimum(ends, whole % count) - dealt
        for batch in range(rank, count, world):
            start = filled[batch - 1] if batch else 0
            here, there = cases[batch::count].tolist(), others[start : filled[batch]].tolist()
            exams = [*here, *there]
            drawn = zip(exams, seeds[batch].tolist(), weight[exams].tolist(), strict=False)
            yield [Draw(*one) for one in drawn]

    def _draw(self, random: np.random.Generator, exams: Exams, wanted: int, stream: int) -> Exams:
        """As many of some exams as wanted, in random order."""
        if self._makers is None or not len(exams):
            return _again(random, exams, wanted)
        groups = self._groups(exams)
        seeds = self._seed, stream
        return random.permutation(_in_turns(groups, wanted, self.epoch, seeds))

    def _groups(self, exams: Exams) -> list[Exams]:
        """Exams by maker, where makers are balanced; else all together."""
        if self._makers is None:
            return [exams]
        makers = self._makers[exams]
        return [exams[makers == maker] for maker in np.unique(makers)]

    def _weights(self, cases: int, others: int) -> NDArray[np.float64]:
        """Weight of each exam, by how many cases and others an epoch draws."""
        weights = np.ones(self._exams)
        for exams, drawn in ((self._cases, cases), (self._others, others)):
            groups = self._groups(exams)
            for group in groups:
                weights[group] = len(group) / max(1.0, drawn / len(groups))
        return weights


def _again(random: np.random.Generator, exams: Exams, wanted: int) -> Exams:
    """Exams in random order, over and over until there are as many as wanted."""
    if not len(exams):
        return exams
    rounds = [random.permutation(exams) for _ in range(ceil(wanted / len(exams)))]
    return np.concatenate([exams[:0], *rounds])[:wanted]


def _in_turns(groups: list[Exams], wanted: int, epoch: int, seeds: tuple[int, int]) -> Exams:
    """One epoch's draws of a round in which group after group gives its next exam.

    A group gives each of its exams once, in an order that is new each time, before it begins again.
    The round goes on from epoch to epoch, so that in many epochs, too, groups and the exams of one
    group differ by one draw at most; where it stands is known without going through it.

    Args:
        groups: exams, none without any.
        wanted: draws, at least as many as groups.
        epoch: from 0.
        seeds: the order's, beside group and time.
    """
    turns = np.arange(epoch * wanted, (epoch + 1) * wanted)
    drawn = []
    for place, exams in enumerate(groups):
        own = turns[turns % len(groups) == place] // len(groups)
        before, start = divmod(int(own[0]), len(exams))
        orders = [
            np.random.default_rng([place, time, *seeds]).permutation(exams)
            for time in range(before, int(own[-1]) // len(exams) + 1)
        ]
        drawn.append(np.concatenate(orders)[start : start + len(own)])
    return np.concatenate(drawn)


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
