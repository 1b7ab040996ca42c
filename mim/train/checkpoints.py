"""Checkpoints of a run, the weights that are kept, and when to stop."""

from math import inf, isnan
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint, WeightAveraging
from torch import Tensor

from mim.errors import InputError

BEST = "best.ckpt"
LAST = "last.ckpt"

WARM_UP = 10.0
"""The average of n steps forgets no slower than (1 + n) / (WARM_UP + n)."""


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint of a run holds; its tensors are read when they are used.

    Raises:
        InputError: it is damaged.
    """
    try:
        held: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, UnpicklingError, EOFError) as error:
        raise InputError(
            f"{path}: no checkpoint, or cut short; train again, into another out"
        ) from error
    return held


class Checkpoints(Checkpoint):
    """Writes ``best.ckpt`` and ``last.ckpt``, and ends a run that gets no better.

    Among equal epochs the later one is the best: of few cases, an early epoch easily has an AUC that
    none can beat. An epoch without a figure is worse than any other. Files are written under another
    name beside their own, so that a killed run finds whole ones; Lightning's own callback writes them
    in the folder of temporary files and copies them where that is another disk.

    Args:
        folder: where they are kept.
        metric: name in the log, the same every epoch; None: the last epoch is the best.
        lower_is_better: whether the metric shrinks as a model gets better.
        patience: epochs without a better metric after which the run ends; 0: never.
        every: optimiser steps between checkpoints within an epoch; 0: none.

    Raises:
        InputError: when it would keep weights that are no numbers.
    """

    def __init__(
        self, folder: Path, metric: str | None, lower_is_better: bool, patience: int, every: int
    ) -> None:
        self._folder = folder
        self._metric = metric
        self._sign = -1.0 if lower_is_better else 1.0
        self._patience = patience
        self._every = every
        self._best = -inf
        self._stale = 0
        self._kept_step = 0

    def state_dict(self) -> dict[str, Any]:
        """The best figure so far, and epochs since."""
        return {"best": self._best, "stale": self._stale}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self._best, self._stale = state_dict["best"], state_dict["stale"]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """A run that had ended is not trained further."""
        self._kept_step = trainer.global_step
        self._stop_if_stale(trainer)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Within an epoch ``last.ckpt`` alone; at its end the whole epoch is kept anyway."""
        step = trainer.global_step
        ends = batch_idx + 1 == trainer.num_training_batches
        if self._every and step % self._every == 0 and step > self._kept_step and not ends:
            self._kept_step = step
            self._write(trainer, LAST)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge the epoch, and keep it."""
        figure = self._figure(trainer)
        # An epoch without a figure tells nothing of getting better or not.
        self._stale = 0 if figure > self._best else self._stale + (figure > -inf)
        is_best = figure >= self._best
        self._best = max(figure, self._best)
        self._kept_step = trainer.global_step
        # In this order: a run killed between the two does the epoch again, and finds it best again.
        if is_best:
            self._write(trainer, BEST)
        self._write(trainer, LAST)
        self._stop_if_stale(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say so where nothing could be chosen by."""
        if self._best == -inf and trainer.is_global_zero:
            print(f"no epoch has a figure of {self._metric}: {BEST} is the last epoch")

    def _figure(self, trainer: pl.Trainer) -> float:
        """Higher for better epochs."""
        if self._metric is None:
            return float(trainer.current_epoch)
        figure = self._sign * float(trainer.callback_metrics[self._metric])
        return -inf if isnan(figure) else figure

    def _stop_if_stale(self, trainer: pl.Trainer) -> None:
        if self._patience and self._stale >= self._patience:
            trainer.should_stop = True
            if trainer.is_global_zero:
                print(f"stopped: {self._metric} got no better for {self._stale} epochs")

    def _write(self, trainer: pl.Trainer, name: str) -> None:
        # Statistics of normalisation too: in float16 they overflow before a weight does.
        if not all(
            part.isfinite().all() for part in trainer.lightning_module.state_dict().values()
        ):
            raise InputError(
                f"epoch {trainer.current_epoch + 1}: weights are no numbers any more; lower "
                "train.learning_rate, set train.clip, or change train.precision, and choose another out"
            )
        unfinished = self._folder / f".{name}.unfinished"
        trainer.save_checkpoint(unfinished)
        if trainer.is_global_zero:
            unfinished.replace(self._folder / name)


class Average(WeightAveraging):
    """A moving average of weights and buffers, which is validated and kept in the checkpoints.

    It begins as a mean of the first steps and reaches ``decay`` by and by, so that a short run is not
    an average of what the weights were before they learnt anything.
    """

    def __init__(self, decay: float) -> None:
        def average(kept: list[Tensor], current: list[Tensor], steps: Tensor | int) -> None:
            share = max(1.0 - decay, 1.0 - (1.0 + float(steps)) / (WARM_UP + float(steps)))
            for mean, value in zip(kept, current, strict=True):
                # Counters, such as that of batches seen, have no mean.
                mean.lerp_(value, share) if mean.is_floating_point() else mean.copy_(value)

        super().__init__(multi_avg_fn=average)

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Keep the average where the model will be; it has not been moved there yet."""
        self._device = trainer.strategy.root_device
        super().setup(trainer, pl_module, stage)
