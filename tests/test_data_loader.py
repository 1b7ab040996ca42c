"""Batches that threads make ready are those of one thread, and nobody writes into one in use."""

import multiprocessing
import pickle
import threading
import time
from contextlib import suppress
from itertools import islice

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from mim.data.cache import Cache
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamDataset
from mim.data.exams import Exams
from mim.data.loader import Buffers, ExamLoader
from mim.data.sampler import CaseSampler, EveryExam
from mim.data.settings import AugmentSettings, DataSettings
from mim.errors import InputError
from mim.model.settings import TaskSettings


@pytest.fixture(scope="module")
def dataset(cohort, cache):
    opened = Cache(cache)
    everyone = Exams(cohort, opened)
    return ExamDataset(np.arange(12), everyone, opened, 2, AugmentSettings(), drop_priors=0.5)


def loader(dataset, workers=2, ahead=2, epoch=0):
    cases = np.arange(len(dataset)) % 5 == 0
    sampler = CaseSampler(cases, batch_size=3, cases_per_batch=1, seed=1)
    sampler.set_epoch(epoch)
    return ExamLoader(dataset, sampler, workers, ahead)


def same(one, other) -> bool:
    first, second = ((*batch[:3], *batch.labels, batch.exam) for batch in (one, other))
    parts = zip(first, second, strict=True)
    return all(np.array_equal(a.numpy(), b.numpy(), a.is_floating_point()) for a, b in parts)


@pytest.mark.parametrize(("workers", "ahead"), [(0, 2), (1, 0), (3, 4)])
def test_threads_make_the_batches_of_one(dataset, workers, ahead):
    wanted = [dataset[draws] for draws in loader(dataset).sampler]
    found = list(loader(dataset, workers, ahead))
    assert len(found) == len(loader(dataset)) == len(wanted)
    assert all(map(same, found, wanted))


def test_a_batch_in_use_is_never_overwritten_and_a_free_one_is_used_again(dataset):
    wanted = [dataset[draws] for draws in loader(dataset).sampler]
    passing = loader(dataset)
    held = list(passing)
    assert len({batch.images.data_ptr() for batch in held}) == len(held)
    list(passing)
    assert all(map(same, held, wanted))
    view = held[0].images[1:, 0].numpy()[0]
    copied, held = view.copy(), None
    list(passing)
    np.testing.assert_array_equal(view, copied)
    passing = loader(dataset, ahead=1)
    places = [batch.images.data_ptr() for batch in passing]
    assert len(set(places)) <= 3


def test_memory_goes_back_when_the_last_tensor_or_array_is_gone():
    buffers = Buffers()
    tensor = torch.from_numpy(buffers.take((2, 3)))
    place = tensor.data_ptr()
    part = tensor.view(-1)[4:].numpy()
    del tensor
    assert buffers.take((2, 3)).ctypes.data != place
    del part
    free = [buffers.take((5,)), buffers.take((6,))]
    assert place in [array.ctypes.data for array in free]


@pytest.mark.parametrize("taken", [0, 2, 4])
def test_a_loader_goes_on_where_another_stood(dataset, taken):
    whole, first, second = (loader(dataset, epoch=3) for _ in range(3))
    for _ in islice(first, taken):
        pass
    state = first.state_dict()
    second.load_state_dict(state)
    iter(second)  # Lightning asks for more than one pass before it begins one
    wanted, found = list(whole)[taken:], list(second)
    assert len(found) == len(wanted)
    assert all(map(same, found, wanted))
    assert len(list(second)) == len(second), "the pass after it is a whole one"


def test_a_state_of_another_epoch_or_size(dataset):
    first, second = loader(dataset), loader(dataset, epoch=1)
    list(first)
    second.load_state_dict(first.state_dict())
    assert len(list(second)) == len(second), "the epoch is over; the next one begins"
    with pytest.raises(InputError, match="number of devices"):
        first.load_state_dict(first.state_dict() | {"batches": 99})


def test_a_damaged_image_is_named_and_threads_end(cohort, cache, tmp_path):
    class Damaged(Cache):
        def read(self, image, pixels=None):
            raise InputError(f"shard-x.blosc2: the image {image} is damaged")

    opened = Damaged(cache)
    everyone = Exams(cohort, opened)
    damaged = ExamDataset(np.arange(len(everyone)), everyone, opened, 2)
    for workers in (0, 2):
        with pytest.raises(InputError, match=r"shard-x.blosc2: the image [0-9a-f]{20} is damaged"):
            list(ExamLoader(damaged, EveryExam(len(damaged), 4), workers, 2))
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_threads_end_with_a_pass_that_nobody_finishes(dataset):
    batches = iter(loader(dataset))
    next(batches)
    assert [t for t in threading.enumerate() if t.name.startswith("loader")]
    del batches
    assert not [t for t in threading.enumerate() if t.name.startswith("loader")]


def test_only_who_waits_is_counted(dataset):
    quick = loader(dataset)
    for _ in quick:
        time.sleep(0.02)
    assert 0 < quick.waited_s < 0.02 * len(quick)


def test_another_process_gets_the_same(dataset):
    """By pickle, as a process that is started anew gets it, and in one that is forked."""
    wanted = list(loader(dataset))
    begun = loader(dataset)
    assert all(map(same, pickle.loads(pickle.dumps(begun)), wanted))
    list(begun)
    queue = multiprocessing.get_context("fork").Queue()

    def read() -> None:
        # As PyTorch's own workers do: threads of its pool are not there in a forked process.
        torch.set_num_threads(1)
        queue.put([int(batch.images.long().sum()) for batch in begun])

    child = multiprocessing.get_context("fork").Process(target=read)
    child.start()
    assert queue.get(timeout=120) == [int(batch.images.long().sum()) for batch in wanted]
    child.join()


class Recorder(pl.LightningModule):
    """Notes what it is given; dies at a step."""

    def __init__(self, dies_at=None) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.dies_at = dies_at
        self.seen = []

    def training_step(self, batch, _):
        if self.global_step == self.dies_at:
            raise KeyboardInterrupt
        self.seen.append((self.current_epoch, int(batch.images.long().sum())))
        return self.weight * 1.0

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def test_lightning_goes_on_in_the_middle_of_an_epoch(cohort, cache, tmp_path):
    """Three batches an epoch; checkpoints after every one. Batches are those of a run left alone."""

    def run(out, dies_at=None, ckpt_path=None):
        data = ExamData(cohort, cache, DataSettings(batch_size=4), TaskSettings(), seed=1)
        assert data.steps_per_epoch == 3
        keep = pl.callbacks.ModelCheckpoint(
            tmp_path / out, "{step}", save_top_k=-1, every_n_train_steps=1
        )
        trainer = pl.Trainer(
            max_epochs=3,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            callbacks=[keep],
        )
        module = Recorder(dies_at)
        with suppress(KeyboardInterrupt, SystemExit):
            trainer.fit(module, data.train_dataloader(), ckpt_path=ckpt_path, weights_only=True)
        return module.seen

    alone = run("alone")
    assert len(set(alone)) == 9
    for step in (1, 3, 5):
        killed = run(f"killed-{step}", dies_at=step)
        last = tmp_path / f"killed-{step}" / f"step={step}.ckpt"
        assert killed + run(f"again-{step}", ckpt_path=last) == alone


@pytest.mark.gpu
def test_pinned_memory_is_not_written_to_while_it_is_copied(dataset):
    wanted = [dataset[draws].images for draws in loader(dataset).sampler]
    passing = loader(dataset, ahead=3)
    assert next(iter(passing)).images.is_pinned()
    found = [batch.images.to("cuda", non_blocking=True) for batch in passing]
    assert all(torch.equal(one.cpu(), other) for one, other in zip(found, wanted, strict=True))
