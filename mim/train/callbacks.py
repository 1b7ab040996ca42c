"""What watches a run; the only importer of wandb."""

from collections.abc import Mapping
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.callbacks import LearningRateMonitor, ModelCheckpoint, TQDMProgressBar
from pytorch_lightning.loggers import CSVLogger, Logger, WandbLogger

from mim.train.settings import WandbMode

METRIC = "validation/auc"
"""What the best checkpoint is chosen by."""


def watchers(folder: Path) -> list[pl.Callback]:
    """Progress bar, learning rate in the log, and two checkpoints in ``folder``.

    ``best.ckpt`` is the best epoch by ``METRIC``, ``last.ckpt`` the last whole one. They are two
    callbacks, since Lightning's ``save_last`` only follows the best.
    """
    best = ModelCheckpoint(folder, "best", METRIC, mode="max", enable_version_counter=False)
    last = ModelCheckpoint(
        folder, "last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    return [TQDMProgressBar(), LearningRateMonitor("step"), best, last]


def loggers(run: Path, mode: WandbMode, settings: Mapping[str, object]) -> list[Logger]:
    """A CSV log in the run folder always; wandb beside it, offline unless told otherwise.

    wandb gets the settings and curves of the run, never a path, a table or a pseudonym.
    """
    found: list[Logger] = [CSVLogger(run, name="", version="log")]
    if mode is not WandbMode.off:
        wandb = WandbLogger(
            save_dir=run, project="mim", name=run.name, offline=mode is WandbMode.offline
        )
        wandb.log_hyperparams(dict(settings))
        found.append(wandb)
    return found
