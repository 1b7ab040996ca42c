"""``run.json``: what a run is made of, in words that outlive it."""

import platform
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mim import __version__
from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.errors import InputError
from mim.model.settings import ModelSettings, TaskSettings
from mim.schemas.cohort import read_about
from mim.schemas.table import read_json, write_json
from mim.train.settings import TrainSettings

PACKAGES = ("torch", "torchvision", "pytorch-lightning", "timm", "numpy", "albumentations")


@dataclass
class RunCard:
    """Everything a run depends on.

    ``settings`` holds data, tasks, model and train; ``recipe`` the recipe's fields; ``priors`` how
    priors were found; ``stand_ins`` which images may stand in for a missing view; ``training``
    counts of what was learnt from; ``note`` what must be said wherever a figure of this run stands.
    """

    cohort: str
    cache: str
    note: str
    settings: dict[str, Any]
    recipe: dict[str, Any]
    fingerprint: str
    priors: dict[str, Any]
    stand_ins: dict[str, bool]
    training: dict[str, Any]
    versions: dict[str, str]

    @classmethod
    def read(cls, run: Path) -> "RunCard":
        """The card of a run folder; ``InputError`` where there is none."""
        if not (run / "run.json").is_file():
            raise InputError(f"{run}: no run.json here; expected a folder that 'mim train' wrote")
        try:
            return cls(**read_json(run / "run.json"))
        except TypeError:
            raise InputError(
                f"{run / 'run.json'}: written by another version of mim; train again"
            ) from None

    def best_weights(self, run: Path) -> Mapping[str, Tensor]:
        """Weights of the best checkpoint."""
        path = run / "checkpoints" / "best.ckpt"
        if not path.is_file():
            raise InputError(f"{path}: no such file; the run has no whole epoch yet, train it on")
        weights: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)[
            "state_dict"
        ]
        return weights

    def require_recipe(self, fingerprint: str) -> None:
        """Refuse images of another recipe than the run was trained on."""
        if fingerprint != self.fingerprint:
            raise InputError(
                f"{self.cache}: recipe {fingerprint}, but the run was trained on "
                f"{self.fingerprint}; use the cache it was trained on"
            )


def make_card(
    cohort: Path,
    exams: ExamData,
    data: DataSettings,
    tasks: TaskSettings,
    model: ModelSettings,
    train: TrainSettings,
) -> RunCard:
    """The card of a run about to start."""
    # The file's name tells which weights; its folder is nobody's business.
    weights = model.encoder.weights and Path(model.encoder.weights).name
    encoder = replace(model.encoder, weights=weights)
    start = train.start_from and Path(train.start_from).name
    return RunCard(
        cohort=str(cohort.resolve()),
        cache=str(exams.cache.folder.resolve()),
        note=str(read_about(cohort)["note"]),
        settings={
            "data": asdict(data),
            "tasks": asdict(tasks),
            "model": asdict(replace(model, encoder=encoder)),
            "train": asdict(replace(train, start_from=start)),
        },
        recipe=asdict(exams.cache.recipe),
        fingerprint=exams.cache.fingerprint,
        priors=exams.priors,
        stand_ins=exams.stand_ins,
        training=_counts(exams),
        versions={"mim": __version__, "python": platform.python_version()}
        | {name: version(name) for name in PACKAGES},
    )


def claim(out: Path, card: RunCard) -> None:
    """Take a folder for a run, or go on with the same run. A run without an epoch is none.

    Raises:
        InputError: the folder holds a run of other settings or data.
    """
    path = out / "run.json"
    if path.exists() and (out / "checkpoints" / "last.ckpt").exists():
        found = RunCard.read(out)
        differing = [key for key, value in asdict(card).items() if getattr(found, key) != value]
        if differing:
            raise InputError(
                f"{out}: holds a run with other {', '.join(differing)}; choose another out"
            )
    write_json(path, asdict(card))


def _counts(exams: ExamData) -> dict[str, Any]:
    trained = exams.training_exams
    breasts = [cancer for exam in trained for cancer in exam.cancer if cancer is not None]
    return {
        "women": len({exam.woman for exam in trained}),
        "exams": len(trained),
        "exams_with_prior": sum(bool(exam.priors) for exam in trained),
        "breasts": len(breasts),
        "cancers": sum(breasts),
        "exams_by_maker": dict(Counter(exam.maker for exam in trained)),
    }
