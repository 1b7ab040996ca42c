"""How long the training step waits for data, and what to do about it."""

from collections import deque
from time import perf_counter

import pytorch_lightning as pl

from mim.data.loader import ExamLoader
from mim.data.settings import DataSettings, Place
from mim.train.log import LOG_EVERY

MUCH = 0.2
"""Share of the time from which a remedy is named."""

LEAST_S = 10.0
"""An epoch shorter than this is not worth a remedy."""


class DataWaits(pl.Callback):
    """Logs the share of the time in which training waited for batches: ``train/waits_for_data``.

    The first batch of an epoch, for which the loader has had no time, does not count.

    Args:
        data: settings of the loader, named in the warning.
    """

    def __init__(self, data: DataSettings) -> None:
        self._data = data
        self._recent: deque[tuple[float, float]] = deque()
        self._warned = False
        self._first = (0.0, 0.0)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Share over the last logging interval."""
        now = self._clocks(trainer)
        if batch_idx == 0 or not self._recent:
            self._first = now
            self._recent = deque([now], maxlen=LOG_EVERY + 1)
            return
        self._recent.append(now)
        pl_module.log("train/waits_for_data", _share(self._recent[0], now), rank_zero_only=True)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """One warning in a run, on the process that writes."""
        last = self._recent[-1]
        self._recent.clear()
        share, seconds = _share(self._first, last), last[0] - self._first[0]
        if share > MUCH and seconds > LEAST_S and trainer.is_global_zero and not self._warned:
            self._warned = True
            print(remedy(share, self._data))

    @staticmethod
    def _clocks(trainer: pl.Trainer) -> tuple[float, float]:
        """Seconds by the clock, and seconds waited for batches."""
        loader = trainer.train_dataloader
        assert isinstance(loader, ExamLoader)
        return perf_counter(), loader.waited_s


def remedy(share: float, data: DataSettings) -> str:
    """What to change when training waits for data."""
    changes = [f"raise data.workers ({data.workers}), up to the CPU cores of each device"]
    changes.append(f"raise data.ahead ({data.ahead}) where batches take unevenly long")
    if data.augment.where is Place.cpu and data.augment.probability > 0:
        changes.append("set data.augment.where=device (cpu)")
    changes.append("keep the cache on a local disk")
    return f"training waits for data {share:.0%} of the time: {'; '.join(changes)}"


def _share(before: tuple[float, float], now: tuple[float, float]) -> float:
    """Share of the time between two readings of the clocks that was waited."""
    return (now[1] - before[1]) / max(now[0] - before[0], 1e-9)
