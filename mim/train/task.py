"""The one LightningModule: a step, a loss, an optimiser, and scores of the validation exams."""

from collections.abc import Callable
from math import cos, isnan, pi

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mim.data.dataset import ExamBatch
from mim.evaluate.metrics import auc
from mim.model.exam import ExamModel, Logits
from mim.model.losses import cancer_loss
from mim.model.settings import ModelSettings
from mim.train.settings import TrainSettings


class CancerTask(pl.LightningModule):
    """Learns each breast's cancer from its exam and priors.

    Args:
        model: settings of the model.
        train: settings of training.
        steps: optimiser steps of the whole run; the learning rate's schedule needs them. They
            are counted by the caller, since asking Lightning's trainer for them drops the
            loader's state when a run continues.
    """

    def __init__(self, model: ModelSettings, train: TrainSettings, steps: int) -> None:
        super().__init__()
        self.model = ExamModel(model)
        self._settings = train
        self._steps = steps
        self._seen: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []

    def forward(self, batch: ExamBatch) -> Logits:
        """Log-odds of a batch."""
        logits: Logits = self.model(batch.images, batch.present, batch.months)
        return logits

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
        logits = self._step(batch, "validation")[1]
        self._seen.append((batch.exam, logits.breast.float(), batch.cancer, batch.known))

    def on_validation_epoch_end(self) -> None:
        """Area under the curve over the validation breasts, each exam counted once."""
        exam, logits, cancer, known = (
            torch.cat(part).cpu() for part in zip(*self._seen, strict=True)
        )
        self._seen.clear()
        once = torch.unique(exam, return_inverse=True)[1]
        first = torch.full((int(once.max()) + 1,), len(once)).scatter_reduce(
            0, once, torch.arange(len(once)), "amin"
        )
        counted = known[first]
        value = auc(logits[first][counted].double().numpy(), cancer[first][counted].bool().numpy())
        # One class alone has no curve; a half says as much as is known.
        self.log("validation/auc", 0.5 if isnan(value) else value, prog_bar=True)

    def _step(self, batch: ExamBatch, stage: str) -> tuple[Tensor, Logits]:
        logits = self(batch)
        loss = cancer_loss(
            logits, batch.cancer, batch.known, batch.present, self._settings.view_loss_weight
        )
        exams = len(batch.exam)
        self.log(
            f"{stage}/loss", loss, prog_bar=True, on_step=False, on_epoch=True, batch_size=exams
        )
        return loss, logits

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
