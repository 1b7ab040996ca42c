"""Batches made ready by threads, ahead of the training step."""

import weakref
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from math import prod
from time import perf_counter

import blosc2
import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mim.data.dataset import ExamBatch, ExamDataset
from mim.data.sampler import CaseSampler, Draw, EveryExam
from mim.errors import InputError

Images = NDArray[np.uint16]
Job = Callable[[], None]
Pending = tuple[ExamBatch, list[Future[None]]]


class ExamLoader:
    """Batches of a dataset in the order of a sampler, each decoded by threads into one buffer.

    Decoding and augmenting leave Python to the others, so threads serve as well as processes, and
    nothing is copied between them. Each pass starts its threads and ends them; in a process that
    was forked, or given the loader by pickle, a pass works as well.

    A pass begins when its first batch is asked for, at the sampler's epoch of that moment. After
    ``load_state_dict`` the first pass leaves out the batches already taken, if it is of the same
    epoch: Lightning keeps the state in its checkpoints.

    Args:
        dataset: what batches are made of.
        sampler: which exams make up each.
        workers: threads; 0 reads in the thread that asks.
        ahead: batches that are begun before they are asked for.

    Attributes:
        waited_s: seconds that whoever asked has waited for batches.
    """

    batch_sampler = None
    """Lightning looks for one beside a sampler; ours draws whole batches itself."""

    def __init__(
        self, dataset: ExamDataset, sampler: CaseSampler | EveryExam, workers: int, ahead: int
    ) -> None:
        self.dataset = dataset
        self.sampler = sampler
        self.waited_s = 0.0
        self._workers = workers
        self._ahead = ahead
        self._buffers = Buffers()
        self._epoch = 0
        self._taken = 0
        self._resumes = False

    def __len__(self) -> int:
        return len(self.sampler)

    def state_dict(self) -> dict[str, int]:
        """How far the pass has come: its epoch, the batches taken, and how many it has."""
        return {"epoch": self._epoch, "taken": self._taken, "batches": len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another loader of the same data stood.

        Raises:
            InputError: an epoch had another number of batches there.
        """
        if state["batches"] != len(self):
            raise InputError(
                f"the run was stopped in an epoch of {state['batches']} batches, which now has "
                f"{len(self)}; continue with the same data and number of devices"
            )
        self._epoch, self._taken, self._resumes = state["epoch"], state["taken"], True

    def __iter__(self) -> Iterator[ExamBatch]:
        goes_on = self._resumes and self._epoch == self.sampler.epoch
        self._taken = self._taken if goes_on else 0
        self._epoch, self._resumes = self.sampler.epoch, False
        with _threads(self._workers) as run:
            started = perf_counter()
            draws = islice(self.sampler, self._taken, None)
            begun = (self._begin(batch, run) for batch in draws)
            waiting = deque(islice(begun, self._ahead if self._workers else 0))
            while True:
                waiting.extend(islice(begun, 1))
                if not waiting:
                    return
                for job in waiting[0][1]:
                    job.result()
                self._taken += 1
                self.waited_s += perf_counter() - started
                # Nothing here holds the batch any more while the other side has it.
                yield waiting.popleft()[0]
                started = perf_counter()

    def _begin(self, draws: list[Draw], run: Callable[[Job], Future[None]]) -> Pending:
        images = self._buffers.take(self.dataset.shape(len(draws)))
        batch, jobs = self.dataset.begin(draws, images)
        return batch, [run(job) for job in jobs]


@contextmanager
def _threads(workers: int) -> Iterator[Callable[[Job], Future[None]]]:
    """What runs jobs, in threads that end with the context; jobs not begun by then never are."""
    if not workers:
        yield _at_once
        return
    blosc2.set_releasegil(True)
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    pool = ThreadPoolExecutor(workers, "loader")
    try:
        yield pool.submit
    finally:
        pool.shutdown(cancel_futures=True)
        cv2.setNumThreads(before)


def _at_once(job: Job) -> Future[None]:
    done: Future[None] = Future()
    job()
    done.set_result(None)
    return done


class Buffers:
    """Memory of batches, used again once no tensor or array refers to it any more.

    Memory that is new costs a page fault for every 4 kB. With CUDA it is pinned, which costs more,
    and a copy to the device that was begun is waited for.
    """

    def __init__(self) -> None:
        self._free: deque[tuple[Images, torch.cuda.Event | None]] = deque()

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()

    def take(self, shape: tuple[int, ...]) -> Images:
        """An array of a shape; what it holds is not said."""
        size = prod(shape)
        memory, copied = self._large_enough(size)
        if copied is not None:
            copied.synchronize()
        # Tensors and arrays made of it hold this one view, and no other object does.
        images = memory[:size].reshape(shape)
        weakref.finalize(images, self._give_back, memory).atexit = False
        return images

    def _large_enough(self, size: int) -> tuple[Images, torch.cuda.Event | None]:
        while self._free:
            memory, copied = self._free.popleft()
            if len(memory) >= size:
                return memory, copied
        if torch.cuda.is_available():
            return torch.empty(size, dtype=torch.uint16, pin_memory=True).numpy(), None
        return np.empty(size, np.uint16), None

    def _give_back(self, memory: Images) -> None:
        copied = None
        if torch.cuda.is_available():
            copied = torch.cuda.Event()  # type: ignore[no-untyped-call]
            copied.record()
        self._free.append((memory, copied))
