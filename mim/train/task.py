"""The one LightningModule: a step, the losses, an optimiser, and scores of the validation exams."""

from math import ceil
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mim.data.augment_device import change_batch
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.evaluate.tasks import task_metrics
from mim.model.exam import ExamModel, Outputs, exam_scores, score_names
from mim.model.settings import ModelSettings, TaskSettings
from mim.schemas.learnt import Learnt
from mim.train.losses import task_losses
from mim.train.metric import chosen_metric
from mim.train.optimizer import make_optimizer
from mim.train.scores import BatchScores
from mim.train.settings import TrainSettings
from mim.train.start import ENCODER


class ExamTask(pl.LightningModule):
    """Learns the tasks that are on from exams and their priors.

    Args:
        model: settings of the model.
        tasks: which tasks, and how.
        train: settings of training.
        learnt: which outputs the labels teach; the others are in no metric.

    Raises:
        InputError: the tasks have no metric of the name in ``train.metric``.
    """

    def __init__(
        self, model: ModelSettings, tasks: TaskSettings, train: TrainSettings, learnt: Learnt
    ) -> None:
        super().__init__()
        self.model = ExamModel(model, tasks)
        self._encoder = model.encoder.name
        self._tasks = tasks
        self._settings = train
        self._learnt = learnt
        self.metric = chosen_metric(tasks, train, learnt)
        """What the best checkpoint is chosen by."""
        self._scores = BatchScores(score_names(tasks))

    def forward(self, batch: ExamBatch) -> Outputs:
        """What each task says of a batch."""
        outputs: Outputs = self.model(batch.images, batch.present, batch.months)
        return outputs

    def on_after_batch_transfer(self, batch: ExamBatch, dataloader_idx: int) -> ExamBatch:
        """Augmentation that the loader left to the device."""
        if batch.changes is None:
            return batch
        images = change_batch(batch.images, batch.present, batch.changes)
        return batch._replace(images=images, changes=None)

    def on_train_batch_start(self, batch: ExamBatch, batch_idx: int) -> None:
        """Dropout depends on the place in the run alone, so a run that continues ends the same.

        The state at the start of the epoch would not do: how many numbers Lightning and the loader
        draw before the first batch is not the same when a run continues.
        """
        _set_seed(self._settings.seed, self.current_epoch, batch_idx, self.global_rank)

    def training_step(self, batch: ExamBatch, batch_idx: int) -> Tensor:
        """Loss of a training batch."""
        # The last group has the highest learning rate: what stands behind the encoder.
        rate = max(group["lr"] for group in self.trainer.optimizers[0].param_groups)
        self.log("train/learning_rate", rate, rank_zero_only=True)
        return self._losses(batch, self(batch), "train")

    def on_validation_batch_start(
        self, batch: ExamBatch, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """The same random state in every epoch, wherever training has come to."""
        _set_seed(self._settings.seed, batch_idx, self.global_rank)

    def validation_step(self, batch: ExamBatch, _: int) -> None:
        """Keeps the validation exams' scores until the epoch ends."""
        outputs = self(batch)
        self._losses(batch, outputs, "validation")
        self._scores.add(batch, exam_scores(outputs, batch.present[:, 0]))

    def on_validation_epoch_end(self) -> None:
        """Metrics of the validation exams of all processes, each exam counted once."""
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ExamData)
        tables = self._scores.tables(self._tasks.learnt(), data, self._learnt)
        for task, table in tables.items():
            for name, value in task_metrics(task, table).items():
                metric = f"{task}/{name}"
                self.log(f"validation/{metric}", float(value), prog_bar=metric == self.metric)

    def _losses(self, batch: ExamBatch, outputs: Outputs, stage: str) -> Tensor:
        """Sum of the tasks' losses, each of them in the log."""
        now = batch.present[:, 0]
        losses = task_losses(outputs, batch.labels, now, batch.weight, self._tasks)
        loss = torch.stack(list(losses.values())).sum()
        logged = {f"{stage}/{task}/loss": value for task, value in losses.items()}
        how = {
            "on_step": False,
            "on_epoch": True,
            "batch_size": len(batch.exam),
            "sync_dist": True,
        }
        self.log_dict(logged, **how)  # type: ignore[arg-type]
        self.log(f"{stage}/loss", loss, prog_bar=True, **how)  # type: ignore[arg-type]
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule over the steps of the whole run.

        They are counted here, since Lightning's own count drops the loader's state when a run
        continues; and not before, since only now the number of processes is known.
        """
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ExamData)
        steps = ceil(data.steps_per_epoch / self._settings.accumulate) * self._settings.epochs
        return make_optimizer(self.model, self._settings, steps)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say whose weights these are, to who starts from them."""
        checkpoint[ENCODER] = self._encoder


def _set_seed(*numbers: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
