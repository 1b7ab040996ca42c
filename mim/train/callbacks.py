"""What watches a run; the only importer of wandb."""

import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import wandb
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.loggers import Logger, WandbLogger

from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.evaluate.tasks import LOWER_IS_BETTER
from mim.train.checkpoints import Average, Checkpoints
from mim.train.log import RunLog
from mim.train.metric import LAST_EPOCH
from mim.train.settings import TrainSettings, WandbMode
from mim.train.waits import DataWaits


def watchers(
    folder: Path, metric: str, train: TrainSettings, data: DataSettings, bar: bool
) -> list[pl.Callback]:
    """Progress bar, or a line an epoch; waits for data; the average of weights; checkpoints.

    The average comes before the checkpoints that keep it.

    Args:
        folder: of the checkpoints.
        metric: what the best one is chosen by.
        train: settings of training.
        data: settings of the loader.
        bar: whether anyone sees a progress bar.
    """
    checkpoints = Checkpoints(
        folder,
        None if metric == LAST_EPOCH else f"validation/{metric}",
        metric in LOWER_IS_BETTER,
        train.patience,
        train.checkpoint_steps,
    )
    average = [Average(train.ema)] if train.ema else []
    return [Bar() if bar else EpochLines(), DataWaits(data), *average, checkpoints]


class Bar(TQDMProgressBar):
    """Lightning's progress bar without the version of its logger."""

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Figures beside the bar."""
        return {k: v for k, v in super().get_metrics(trainer, pl_module).items() if k != "v_num"}


class EpochLines(pl.Callback):
    """A line for each epoch, for the log of a batch job."""

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the epoch's figures."""
        if trainer.is_global_zero:
            shown = sorted(trainer.progress_bar_metrics.items())
            figures = ", ".join(f"{name} {float(value):.3f}" for name, value in shown)
            print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {figures}")


def loggers(run: Path, mode: WandbMode, step: int, config: Mapping[str, Any]) -> list[Logger]:
    """The run's own log always; wandb beside it, offline unless told otherwise.

    Args:
        run: the run folder.
        mode: of wandb.
        step: the step from which the run goes on.
        config: what wandb is told of the run: no path, no name of a machine.

    Raises:
        InputError: wandb cannot be reached, or does not know who this is.
    """
    found: list[Logger] = [RunLog(run, step)]
    if mode is not WandbMode.off:
        found.append(_wandb(run, run.name, mode, "train", config))
    return found


def track_report(
    report: Path, run: str, mode: WandbMode, figures: Mapping[str, float | None]
) -> None:
    """Give wandb a report's summary and its figures as a table, beside the run it is of.

    Not its page: that holds pictures of exams, which stay where images are kept.

    Args:
        report: the report's folder; wandb keeps its own files in it.
        run: the run's name.
        mode: of wandb.
        figures: by name; a missing one is left out.

    Raises:
        InputError: as ``loggers``.
    """
    if mode is WandbMode.off:
        return
    logger = _wandb(report, run, mode, "evaluate", {})
    known = {name: value for name, value in figures.items() if value is not None}
    logger.experiment.summary.update(known)
    track_tables([logger], [report / "metrics.csv"])
    end_tracking([logger])


def _wandb(
    folder: Path, name: str, mode: WandbMode, job: str, config: Mapping[str, Any]
) -> WandbLogger:
    # Neither the console, nor the machine, nor the code's whereabouts are wandb's business.
    private = wandb.Settings(
        console="off",
        disable_code=True,
        disable_git=True,
        host="mim",
        x_disable_meta=True,
        x_disable_machine_info=True,
        # Its account of a run, thirty lines long, ends with a folder that is deleted.
        silent=mode is WandbMode.offline,
    )
    logger = WandbLogger(
        save_dir=folder,
        project="mim",
        name=name,
        group=name,
        job_type=job,
        offline=mode is WandbMode.offline,
        settings=private,
    )
    try:
        logger.log_hyperparams(dict(config))
    except wandb.errors.Error as error:
        raise InputError(
            f"train.wandb: {str(error).rstrip('.')}; or set train.wandb=offline"
        ) from error
    return logger


def track_picture(found: Sequence[Logger], path: Path, step: int) -> None:
    """Show a picture of the run folder in every tracker, under its name."""
    for logger in found:
        if isinstance(logger, RunLog):
            logger.log_picture(path.stem, path, step)
        elif isinstance(logger, WandbLogger):
            logger.log_image(path.stem, [str(path)])


def track_tables(found: Sequence[Logger], paths: Iterable[Path]) -> None:
    """Give wandb files, such as score tables; women and exams by their pseudonyms.

    As files: wandb's own tables note where this machine keeps what it has not yet sent.
    """
    for logger in found:
        if isinstance(logger, WandbLogger):
            folder = Path(logger.experiment.dir)
            for path in paths:
                copied = shutil.copy(path, folder / path.name)
                logger.experiment.save(str(copied), base_path=str(folder), policy="end")


def end_tracking(found: Sequence[Logger]) -> None:
    """Write what wandb still holds back, so that another run in this process begins anew.

    What it noted for its own makers, which names places of this machine, is deleted.
    """
    tracked = [logger.experiment for logger in found if isinstance(logger, WandbLogger)]
    folders = [Path(experiment.dir).parent for experiment in tracked]
    for experiment in tracked:
        experiment.finish()
    if tracked:
        # Its service goes on writing after the end of a run: seen in 1 of 40.
        wandb.teardown()
    for folder in folders:
        shutil.rmtree(folder / "logs", ignore_errors=True)
