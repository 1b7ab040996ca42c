"""The one LightningModule: a step, the losses, an optimiser, and scores of the validation exams."""

from math import ceil
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from mim.data.amplitude import mix_amplitudes
from mim.data.augment_device import change_batch
from mim.data.datamodule import ExamData
from mim.data.dataset import ExamBatch
from mim.evaluate.tasks import task_metrics
from mim.model.domain import MakerDomain, breast_kinds
from mim.model.exam import ExamModel, Outputs, exam_scores, score_names
from mim.model.norms import hold
from mim.model.seen import has_view
from mim.model.settings import Domain, ModelSettings, TaskSettings
from mim.schemas.learnt import Learnt
from mim.train.group_dro import MakerWeights, maker_losses
from mim.train.losses import task_losses
from mim.train.metric import chosen_metric
from mim.train.optimizer import OF_ADVERSARY, make_optimizer
from mim.train.scores import BatchScores
from mim.train.settings import TrainSettings
from mim.train.start import ENCODER
from mim.vocab import Maker

MEANS = {"on_step": False, "on_epoch": True, "sync_dist": True}
"""How figures that are means over an epoch are logged."""


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
        self._domain = model.domain
        self.domain = (
            None
            if model.domain.method is Domain.none
            else MakerDomain(model.domain, 2 * model.fusion.width)
        )
        self.maker_weights = MakerWeights(train.group_dro) if train.group_dro else None
        self._steps = 1
        self._tasks = tasks
        self._settings = train
        self._learnt = learnt
        self.metric = chosen_metric(tasks, train, learnt)
        """What the best checkpoint is chosen by."""
        self._scores = BatchScores(score_names(tasks))

    def setup(self, stage: str) -> None:
        """Whose exams are trained on."""
        if self.maker_weights is not None:
            data = self._data()
            makers = data.everyone.makers[data.training.rows]
            self.maker_weights.begin(torch.from_numpy(makers))

    def forward(self, batch: ExamBatch) -> Outputs:
        """What each task says of a batch."""
        outputs: Outputs = self.model(batch.images, batch.present, batch.months)
        return outputs

    def on_after_batch_transfer(self, batch: ExamBatch, dataloader_idx: int) -> ExamBatch:
        """Augmentation that the loader left to the device, or that takes a whole batch."""
        images = batch.images
        if batch.changes is not None:
            images = change_batch(images, batch.present, batch.changes)
        if batch.amplitude is not None:
            images = mix_amplitudes(images, batch.present, batch.amplitude)
        return batch._replace(images=images, changes=None, amplitude=None)

    def on_train_batch_start(self, batch: ExamBatch, batch_idx: int) -> None:
        """Dropout depends on the place in the run alone, so a run that continues ends the same.

        The state at the start of the epoch would not do: how many numbers Lightning and the loader
        draw before the first batch is not the same when a run continues.
        """
        _set_seed(self._settings.seed, self.current_epoch, batch_idx, self.global_rank)
        if self._domain.hold_encoder and self._in_second_stage():
            hold([self.model.encoder])

    def training_step(self, batch: ExamBatch, batch_idx: int) -> Tensor:
        """Loss of a training batch."""
        # The highest is that of what stands behind the encoder.
        groups = self.trainer.optimizers[0].param_groups
        rate = max(group["lr"] for group in groups if OF_ADVERSARY not in group)
        self.log("train/learning_rate", rate, rank_zero_only=True)
        outputs = self(batch)
        loss = self._losses(batch, outputs, "train")
        if self.maker_weights is not None:
            loss = self._loss_of_makers(self.maker_weights, batch, outputs)
        if self.domain is not None and self._in_second_stage():
            loss = loss + self._domain_loss(self.domain, batch, outputs)
        return loss

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
        data = self._data()
        tables = self._scores.tables(
            self._tasks.learnt(), data.everyone, data.cache.recipe, self._learnt
        )
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
        how = MEANS | {"batch_size": len(batch.exam)}
        self.log_dict(logged, **how)  # type: ignore[arg-type]
        self.log(f"{stage}/loss", loss, prog_bar=True, **how)  # type: ignore[arg-type]
        return loss

    def _loss_of_makers(self, makers: MakerWeights, batch: ExamBatch, outputs: Outputs) -> Tensor:
        """The makers' losses by weights that follow them; the weights are in the log."""
        loss: Tensor = makers(*maker_losses(outputs, batch, self._tasks))
        weights = zip(Maker, makers.weights(), makers.trained.tolist(), strict=True)
        logged = {f"train/maker_weight/{name}": value for name, value, known in weights if known}
        self.log_dict(logged, batch_size=len(batch.exam), **MEANS)  # type: ignore[arg-type]
        return loss

    def _domain_loss(self, domain: MakerDomain, batch: ExamBatch, outputs: Outputs) -> Tensor:
        labels = batch.labels
        kinds = breast_kinds(
            labels.cancer,
            labels.years_to_cancer,
            labels.years_followed,
            labels.density,
            self._tasks,
        )
        seen = has_view(batch.present[:, 0])
        said = domain(outputs.features, seen, batch.maker, kinds, self._progress())
        logged = {"train/domain/loss": said.loss, "train/domain/accuracy": said.accuracy}
        known = {name: value for name, value in logged.items() if value is not None}
        self.log_dict(known, batch_size=len(batch.exam), **MEANS)  # type: ignore[arg-type]
        loss: Tensor = said.loss
        return loss

    def _in_second_stage(self) -> bool:
        return self._progress() >= self._domain.begin

    def _progress(self) -> float:
        """Share of the run's steps that is done; known from the checkpoint of a run that goes on."""
        return self.global_step / self._steps

    def _data(self) -> ExamData:
        data = self.trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(data, ExamData)
        return data

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The optimiser and its schedule over the steps of the whole run.

        They are counted here, since Lightning's own count drops the loader's state when a run
        continues; and not before, since only now the number of processes is known.
        """
        steps = ceil(self._data().steps_per_epoch / self._settings.accumulate)
        self._steps = steps * self._settings.epochs
        adversary = None if self.domain is None else self.domain.adversary
        return make_optimizer(self.model, self._settings, self._steps, adversary)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Say whose weights these are, to who starts from them."""
        checkpoint[ENCODER] = self._encoder


def _set_seed(*numbers: int) -> None:
    torch.manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))
