"""A run, from its settings to its scores. Read ``fit`` first: it is the recipe card.

``run.json`` says what the run is; ``checkpoints/`` holds ``best.ckpt`` and ``last.ckpt``; then
there are ``log/metrics.csv``, ``inputs.png``, ``attrition.parquet`` and ``scores/``. A run that
was killed goes on from its last whole epoch, to the same end as one left alone.
"""

import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch

from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.model.settings import ModelSettings, TaskSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.settings import read_settings
from mim.schemas.table import read_table, write_table
from mim.train.callbacks import loggers, watchers
from mim.train.card import RunCard, claim, make_card
from mim.train.pictures import write_inputs
from mim.train.scores import score_table
from mim.train.settings import Accelerator, Precision, TrainSettings
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
        InputError: cohort and cache do not fit, or ``out`` holds another run.
    """
    if train.threads:
        torch.set_num_threads(train.threads)
    pl.seed_everything(train.seed, verbose=False)
    exams = ExamData(cohort, cache, data, train.seed)
    card = make_card(cohort, exams, data, tasks, model, train)
    task = ExamTask(model, tasks, train, train.epochs * exams.steps_per_epoch)
    claim(out, card)
    trainer = make_trainer(out, train, card.settings)
    write_inputs(exams, out / "inputs.png")
    write_table(
        read_table(exams.cache.folder / "attrition.parquet", ATTRITION), out / "attrition.parquet"
    )
    if not len(exams.dataset(Split.VALIDATION)):
        print("no validation exams: the best checkpoint is chosen by the training exams")
    last = out / "checkpoints" / "last.ckpt"
    trainer.fit(task, exams, ckpt_path=last if last.exists() else None, weights_only=True)
    score(out, Split.VALIDATION)


def make_trainer(out: Path, train: TrainSettings, settings: dict[str, object]) -> pl.Trainer:
    """Lightning's trainer with everything that watches the run."""
    bar = sys.stdout.isatty()
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    return pl.Trainer(
        default_root_dir=out,
        accelerator=train.accelerator.value,
        devices=1,
        precision=PRECISION[train.precision],  # type: ignore[arg-type]
        max_epochs=train.epochs,
        callbacks=watchers(out / "checkpoints", bar),
        logger=loggers(out, train.wandb, settings),
        gradient_clip_val=1.0,
        num_sanity_val_steps=0,
        log_every_n_steps=10,
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
    model = replace(model, encoder=replace(model.encoder, weights=None, pretrained=False))
    tasks = read_settings(TaskSettings, card.settings["tasks"])
    task = ExamTask(model, tasks, TrainSettings(), steps=1)
    task.load_state_dict(card.best_weights(run))
    return task.eval(), card


def score(run: Path, split: Split) -> Path:
    """Score every exam of a split with a run's best checkpoint, where the run was trained.

    Returns the path of the score table, ``scores/<split>-cancer.parquet`` in the run folder.
    """
    task, card = load_task(run)
    data = read_settings(DataSettings, card.settings["data"])
    exams = ExamData(Path(card.cohort), Path(card.cache), data, seed=0)
    card.require_recipe(exams.cache.fingerprint)
    path = run / "scores" / f"{split}-{Task.CANCER}.parquet"
    on_cpu = card.settings["train"]["accelerator"] == Accelerator.cpu
    device = torch.device("cuda" if torch.cuda.is_available() and not on_cpu else "cpu")
    write_table(score_table(task.model.to(device), exams, split), path)
    return path
