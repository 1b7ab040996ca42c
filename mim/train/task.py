"""The one LightningModule: a step, a loss, an optimiser, and scores of the validation exams."""

from collections.abc import Callable
from math import cos, isnan, pi

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mim.data.dataset import ExamBatch
from mim.evaluate.metrics import auc
from mim.model.exam import ExamModel, Outputs
from mim.model.settings import ModelSettings, TaskSettings
from mim.train.losses import task_losses
from mim.train.settings import TrainSettings


class ExamTask(pl.LightningModule):
    """Learns the tasks that are on from exams and their priors.

    Args:
        model: settings of the model.
        tasks: which tasks, and how.
        train: settings of training.
        steps: optimiser steps of the whole run; the learning rate's schedule needs them. They
            are counted by the caller, since asking Lightning's trainer for them drops the
            loader's state when a run continues.
    """

    def __init__(
        self, model: ModelSettings, tasks: TaskSettings, train: TrainSettings, steps: int
    ) -> None:
        super().__init__()
        self.model = ExamModel(model, tasks)
        self._tasks = tasks
        self._settings = train
        self._steps = steps
        self._seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def forward(self, batch: ExamBatch) -> Outputs:
        """What each task says of a batch."""
        outputs: Outputs = self.model(batch.images, batch.present, batch.months)
        return outputs

    def on_train_batch_start(self, batch: ExamBatch, _: int) -> None:
        """Dropout depends on (seed, step) alone, so a run that continues ends the same.

        The state at the start of the epoch would not do: how many numbers Lightning and the loader
        draw before the first batch is not the same when a run continues.
        """
        torch.manual_seed(self._settings.seed * 1_000_003 + self.global_step)

    def training_step(self, batch: ExamBatch, _: int) -> Tensor:
        """Loss of a training batch."""
        return self._step(batch, "train")[0]

    def validation_step(self, batch: ExamBatch, _: int) -> None:
        """Keeps the validation exams' scores until the epoch ends."""
        outputs = self._step(batch, "validation")[1]
        if outputs.cancer is not None:
            self._seen.append((batch.exam, outputs.cancer.breast.float(), batch.labels.cancer))

    def on_validation_epoch_end(self) -> None:
        """Area under the curve over the validation breasts, each exam counted once."""
        if not self._seen:
            return
        exam, logits, cancer = (torch.cat(part).cpu() for part in zip(*self._seen, strict=True))
        self._seen.clear()
        once = torch.unique(exam, return_inverse=True)[1]
        first = torch.full((int(once.max()) + 1,), len(once)).scatter_reduce(
            0, once, torch.arange(len(once)), "amin"
        )
        counted = ~cancer[first].isnan()
        value = auc(logits[first][counted].double().numpy(), cancer[first][counted].bool().numpy())
        # One class alone has no curve; a half says as much as is known.
        self.log("validation/auc", 0.5 if isnan(value) else value, prog_bar=True)

    def _step(self, batch: ExamBatch, stage: str) -> tuple[Tensor, Outputs]:
        outputs = self(batch)
        losses = task_losses(outputs, batch.labels, batch.present[:, 0], self._tasks)
        loss = torch.stack(list(losses.values())).sum()
        exams = len(batch.exam)
        self.log(
            f"{stage}/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=exams
        )
        return loss, outputs

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW; no weight decay on biases, norms and embeddings; warm-up, then half a cosine."""
        decayed: list[Tensor] = []
        others: list[Tensor] = []
        for name, parameter in self.named_parameters():
            plain = parameter.ndim < 2 or name.startswith("model.fusion.tokens.")
            (others if plain else decayed).append(parameter)
        groups = [
            {"params": decayed, "weight_decay": self._settings.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW(groups, lr=self._settings.learning_rate)
        shape = warmup_and_cosine(self._steps, self._settings.warmup_share)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, shape)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def warmup_and_cosine(steps: int, warmup_share: float) -> Callable[[int], float]:
    """Share of the highest learning rate at each step: a straight rise, then half a cosine."""
    warmup = max(1, round(steps * warmup_share))

    def share(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + cos(pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return share
