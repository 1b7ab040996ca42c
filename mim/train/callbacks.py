"""What watches a run; the only importer of wandb."""

from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
import wandb
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from mim.train.settings import WandbMode

METRIC = "validation/auc"
"""What the best checkpoint is chosen by."""


def watchers(folder: Path, bar: bool) -> list[pl.Callback]:
    """Progress bar, or a line an epoch; learning rate in the log, and two checkpoints in ``folder``.

    ``best.ckpt`` is the best epoch by ``METRIC``, ``last.ckpt`` the last whole one. They are two
    callbacks, since Lightning's ``save_last`` only follows the best.
    """
    best = ModelCheckpoint(folder, "best", METRIC, mode="max", enable_version_counter=False)
    last = ModelCheckpoint(
        folder, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    progress = Bar() if bar else EpochLines()
    return [progress, LearningRateMonitor("step"), best, last]


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
        figures = [f"{k} {float(v):.3f}" for k, v in sorted(trainer.progress_bar_metrics.items())]
        print(f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}: {', '.join(figures)}")


def loggers(run: Path, mode: WandbMode, settings: Mapping[str, object]) -> list[Logger]:
    """A CSV log in the run folder always; wandb beside it, offline unless told otherwise.

    wandb gets the settings and curves of the run, never a path, a table or a pseudonym.
    """
    found: list[Logger] = [CSVLogger(run, name="", version="log")]
    if mode is not WandbMode.off:
        # Neither the console, nor the machine, nor the code's whereabouts are wandb's business.
        private = wandb.Settings(
            console="off",
            disable_code=True,
            disable_git=True,
            x_disable_meta=True,
            x_disable_machine_info=True,
        )
        logger = WandbLogger(
            save_dir=run,
            project="mim",
            name=run.name,
            offline=mode is WandbMode.offline,
            settings=private,
        )
        logger.log_hyperparams(dict(settings))
        found.append(logger)
    return found
