"""A run, from its settings to its scores. Read ``fit`` first: it is the recipe card.

``run.json`` says what the run is; ``checkpoints/`` holds ``best.ckpt`` and ``last.ckpt``; then
there are ``log/metrics.csv``, ``tensorboard/``, ``inputs.png``, ``samples.png``, ``saliency.png``,
``attrition.parquet`` and ``scores/``. A run that was killed goes on from ``last.ckpt``, to the same
end as one left alone.
"""

import os
import sys
import warnings
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from numpy.typing import NDArray

from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.image.greys import GreyStandard
from mim.model.exam import ExamScorer
from mim.model.settings import Domain, EncoderSettings, ModelSettings, Norm, TaskSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.folders import held
from mim.schemas.saved_settings import read_settings
from mim.schemas.table import read_table, write_table
from mim.train.callbacks import end_tracking, loggers, track_picture, track_tables, watchers
from mim.train.card import RunCard, check_free, make_card, write_card
from mim.train.checkpoints import LAST, read_checkpoint
from mim.train.interrupts import interruptible
from mim.train.labels import count_all_labels, learnt_outputs, require_learnt
from mim.train.log import LOG_EVERY
from mim.train.metric import LAST_EPOCH
from mim.train.pictures import write_inputs, write_samples
from mim.train.ranks import wait_for_all
from mim.train.saliency import write_saliency
from mim.train.scores import score_path, score_tables
from mim.train.settings import Accelerator, Precision, TrainSettings
from mim.train.start import start_from
from mim.train.task import ExamTask
from mim.vocab import Split, Task

PRECISION = {
    Precision.float32: "32-true",
    Precision.bfloat16: "bf16-mixed",
    Precision.float16: "16-mixed",
}


def fit(
    cohort: Path,
    cache: Path,
    out: Path,
    data: DataSettings,
    tasks: TaskSettings,
    model: ModelSettings,
    train: TrainSettings,
) -> None:
    """Train a model and score its validation exams; the test exams are not touched.

    Raises:
        InputError: this machine lacks the devices; cohort and cache do not fit, a task has no labels,
            the weights to start from do not fit, ``out`` holds another run, or another process
            writes it; weights are no numbers any more.
        KeyboardInterrupt: training was stopped by Ctrl-C or SIGTERM.
    """
    _require_devices(train)
    if train.threads:
        torch.set_num_threads(train.threads)
    pl.seed_everything(train.seed, verbose=False)
    exams = ExamData(cohort, cache, data, tasks, train.seed)
    labels = count_all_labels(exams, tasks)
    learnt = learnt_outputs(labels, tasks)
    require_learnt(cohort, learnt, tasks)
    task = ExamTask(model, tasks, train, learnt)
    report = list(task.model.encoder.report)
    start = None
    if train.start_from is not None:
        found = start_from(task.model, model.encoder.name, Path(train.start_from))
        report += found.lines()
        start = asdict(found)
    if learnt_on := exams.greys.learnt_on:
        women, images = learnt_on["women"], learnt_on["images"]
        report.append(f"grey levels of makers: learnt on {images} images of {women} women")
    report += _untaught(model.encoder, train)
    report += without_another_maker(exams.everyone.makers[exams.training.rows], data, model, train)
    card = make_card(cohort, exams, data, tasks, model, train, labels, start)
    check_free(out, card)
    last = out / "checkpoints" / LAST
    trainer = make_trainer(out, task.metric, train, data, card.public())
    if not len(exams.dataset(Split.VALIDATION)):
        report.append(_without_validation(trainer, task.metric))
    with held(out) if trainer.is_global_zero else nullcontext():
        if trainer.is_global_zero:
            _begin(out, card, exams, report)
            write_inputs(exams, out / "inputs.png")
            write_samples(exams, data.augment, train.seed, out / "samples.png")
            for name in ("inputs.png", "samples.png"):
                track_picture(trainer.loggers, out / name, 0)
        with interruptible():
            trainer.fit(task, exams, ckpt_path=last if last.exists() else None, weights_only=True)
        _end(out, trainer, exams)


def _require_devices(train: TrainSettings) -> None:
    """Refuse what Lightning would answer with a traceback, or by waiting for ever."""
    found = torch.accelerator.device_count()
    on_gpu = train.accelerator is Accelerator.gpu or (
        found and train.accelerator is not Accelerator.cpu
    )
    if on_gpu and not found:
        raise InputError("train.accelerator: no GPU here; set train.accelerator=cpu")
    if on_gpu and train.devices > found:
        raise InputError(
            f"train.devices: expected at most {found}, the GPUs here, got {train.devices}"
        )
    if train.nodes > 1 and not (SLURMEnvironment.detect() or "MASTER_ADDR" in os.environ):
        raise InputError(
            f"train.nodes: {train.nodes} machines need one job over all of them; start it by srun"
        )


def _untaught(encoder: EncoderSettings, train: TrainSettings) -> list[str]:
    """A remark on settings that keep what is random."""
    if encoder.weights or encoder.pretrained or train.start_from:
        return []
    remedy = "give model.encoder.weights or train.start_from"
    if encoder.frozen:
        return [f"model.encoder.frozen=true without weights keeps the encoder random; {remedy}"]
    if encoder.norm is Norm.frozen:
        return [f"model.encoder.norm=frozen without weights normalises nothing; {remedy}"]
    return []


def without_another_maker(
    makers: NDArray[np.int64], data: DataSettings, model: ModelSettings, train: TrainSettings
) -> list[str]:
    """A remark on methods that compare makers, where the training exams ``[exam]`` are of one."""
    methods = {
        "model.domain.method": model.domain.method is not Domain.none,
        "train.group_dro": train.group_dro > 0,
        "data.balance_makers": data.balance_makers,
    }
    on = [key for key, is_on in methods.items() if is_on]
    if not on or len(np.unique(makers)) > 1:
        return []
    return [f"the training exams are of one maker: nothing to compare for {', '.join(on)}"]


def make_trainer(
    out: Path, metric: str, train: TrainSettings, data: DataSettings, config: Mapping[str, Any]
) -> pl.Trainer:
    """Lightning's trainer with everything that watches the run.

    Args:
        out: the run folder.
        metric: what chooses the best checkpoint.
        train: settings of training.
        data: settings of the loader.
        config: what trackers are told of the run.
    """
    bar = sys.stdout.isatty()
    warnings.filterwarnings("ignore", message=".*You have overridden `on_after_batch_transfer`.*")
    warnings.filterwarnings("ignore", message=".*smaller than the logging interval.*")
    several = train.devices * train.nodes > 1
    return pl.Trainer(
        default_root_dir=out,
        accelerator=train.accelerator.value,
        devices=train.devices,
        num_nodes=train.nodes,
        # A batch may have no label of a task, whose head then has no gradient on that device.
        strategy="ddp_find_unused_parameters_true" if several else "auto",
        # Lightning's own way to requeue keeps checkpoints of its own; ours are enough.
        plugins=[SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else None,
        precision=PRECISION[train.precision],  # type: ignore[arg-type]
        max_epochs=train.epochs,
        accumulate_grad_batches=train.accumulate,
        gradient_clip_val=train.clip or None,
        callbacks=watchers(out / "checkpoints", metric, train, data, bar),
        logger=loggers(out, train.wandb, _steps_done(out / "checkpoints" / LAST), config),
        num_sanity_val_steps=0,
        log_every_n_steps=LOG_EVERY,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=bar,
    )


def load_task(run: Path) -> tuple[ExamTask, RunCard]:
    """The best checkpoint of a run in evaluation mode, and the run's card.

    Raises:
        InputError: the folder holds no run, or one without a checkpoint.
    """
    card = RunCard.read(run)
    model = read_settings(ModelSettings, card.settings["model"])
    model = replace(
        model, encoder=replace(model.encoder, weights=None, pretrained=False, compile=False)
    )
    tasks = read_settings(TaskSettings, card.settings["tasks"])
    task = ExamTask(model, tasks, TrainSettings(), card.learnt)
    task.model.load_state_dict(card.best_weights(run))
    return task.eval(), card


def score(run: Path, split: Split) -> dict[Task, Path]:
    """Score every exam of a split with a run's best checkpoint, where the run was trained.

    Returns the path of each task's score table, ``scores/<split>-<task>.parquet`` in the run folder.
    """
    task, card = load_task(run)
    exams = data_of(run, card)
    if split is Split.TEST and not len(exams.dataset(split)):
        raise InputError(
            f"{run}: its cohort has no test exams; raise splits.test of 'mim cohort' and train again"
        )
    return _write_scores(run, split, _score(task, card, exams, split))


def data_of(run: Path, card: RunCard, data: DataSettings | None = None) -> ExamData:
    """The data that a run was trained on, where it was trained.

    Args:
        run: the run's folder.
        card: its card.
        data: settings to load it by; missing: the run's.

    Raises:
        InputError: cohort or cache are gone, or are others now.
    """
    for name in ("cohort", "cache"):
        if not Path(getattr(card, name)).is_dir():
            raise InputError(
                f"{run / 'run.json'}: its {name} is {getattr(card, name)}, which is not there; put "
                "it back, or give its new place in run.json"
            )
    data = data or read_settings(DataSettings, card.settings["data"])
    tasks = read_settings(TaskSettings, card.settings["tasks"])
    greys = GreyStandard.from_json(card.greys, run / "run.json")
    exams = ExamData(Path(card.cohort), Path(card.cache), data, tasks, seed=0, greys=greys)
    card.require_recipe(exams.cache.fingerprint)
    card.require_women(run, exams.everyone)
    return exams


def _begin(out: Path, card: RunCard, exams: ExamData, report: list[str]) -> None:
    """What a run folder holds before training."""
    for line in report:
        print(line)
    write_card(out, card)
    attrition = read_table(exams.cache.folder / "attrition.parquet", ATTRITION)
    write_table(attrition, out / "attrition.parquet")


def _without_validation(trainer: pl.Trainer, metric: str) -> str:
    """What takes the place of validation exams; nothing where no figure is wanted of them."""
    if metric != LAST_EPOCH:
        return "no validation exams: the best checkpoint is chosen by the training exams"
    trainer.limit_val_batches = 0
    return "no validation exams: the last epoch is kept"


def _end(out: Path, trainer: pl.Trainer, exams: ExamData) -> None:
    """Scores of the validation exams by the best checkpoint, and where it looked; in every tracker."""
    task, card = load_task(out)
    tables = _score(task, card, exams, Split.VALIDATION)
    if trainer.is_global_zero:
        paths = _write_scores(out, Split.VALIDATION, tables)
        first = next(iter(tables))
        picture = out / "saliency.png"
        write_saliency(task.model, exams, first, tables[first], picture)
        if picture.exists():
            track_picture(trainer.loggers, picture, trainer.global_step)
        track_tables(trainer.loggers, paths.values())
        end_tracking(trainer.loggers)
    wait_for_all()


def _score(task: ExamTask, card: RunCard, exams: ExamData, split: Split) -> dict[Task, pa.Table]:
    scorer = ExamScorer(task.model.to(scoring_device(card)))
    return score_tables(scorer, exams, split, card.learnt)


def scoring_device(card: RunCard) -> torch.device:
    """Where a run's model scores: a GPU, if one is here and the run did not ask for the CPU."""
    on_cpu = card.settings["train"]["accelerator"] == Accelerator.cpu
    return torch.device("cuda" if torch.cuda.is_available() and not on_cpu else "cpu")


def _write_scores(run: Path, split: Split, tables: Mapping[Task, pa.Table]) -> dict[Task, Path]:
    paths = {task: score_path(run, split, task) for task in tables}
    for task, path in paths.items():
        write_table(tables[task], path)
    return paths


def _steps_done(last: Path) -> int:
    """Optimiser steps of a run that goes on; 0 of a new one."""
    if not last.exists():
        return 0
    steps: int = read_checkpoint(last)["global_step"]
    return steps
