"""Checks of composed values that types cannot make: ranges, relations and paths.

All are quick and come before anything heavy is imported.
"""

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from math import inf
from pathlib import Path

from mim.audit.settings import AuditSettings
from mim.cohort.settings import OutcomeSettings, PriorSettings, SplitSettings
from mim.config.commands import (
    AdaptCommand,
    AuditCommand,
    CacheCommand,
    CohortCommand,
    Command,
    EvaluateCommand,
    ExportCommand,
    IndexCommand,
    MonitorCommand,
    OrderCommand,
    PredictCommand,
    PseudonymiseCommand,
    ReceiveCommand,
    RenormaliseCommand,
    TrainCommand,
)
from mim.config.relations import relations
from mim.data.settings import AugmentSettings, CacheSettings, DataSettings
from mim.errors import InputError
from mim.evaluate.settings import (
    BootstrapSettings,
    EvaluateSettings,
    PrevalenceSettings,
    RuleOutSettings,
)
from mim.image.settings import RecipeSettings
from mim.ingest.settings import IndexSettings
from mim.model.settings import (
    CancerSettings,
    DensitySettings,
    DomainSettings,
    EncoderSettings,
    FusionSettings,
    PatchSettings,
    QualitySettings,
    RiskSettings,
)
from mim.monitor.settings import MonitorSettings
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.synthetic.settings import ProgrammeSettings
from mim.train.settings import RenormaliseSettings, TrainSettings
from mim.workers.settings import SlurmSettings, WorkersSettings

SEEDS = (0, 2**32 - 1)
SHARE = (0, 1)
DAYS = 36_525
"""A hundred years: no window is longer."""

LIMITS: dict[type, dict[str, tuple[float, float]]] = {
    ProgrammeSettings: {
        "women": (1, 10_000_000),
        "rounds": (1, 20),
        "seed": SEEDS,
        "shrink": (1, 32),
        "cancer_share": SHARE,
        "lookalike_share": SHARE,
        "maker_gap": (0, 3),
        "workers": (0, inf),
    },
    WorkersSettings: {"workers": (0, inf)},
    SlurmSettings: {
        "jobs": (0, inf),
        "cores": (1, inf),
        "memory_gb": (1, inf),
        "hours": (0.1, inf),
    },
    IndexSettings: {"pictures": (0, 100)},
    PseudonymiseSettings: {"shift_days": (0, 3650)},
    OutcomeSettings: {
        "screen_detected_days": (0, DAYS),
        "interval_days": (1, DAYS),
        "clear_days": (0, DAYS),
    },
    PriorSettings: {"most": (0, 100), "least_gap_months": (0, 1200), "same_exam_days": (0, 90)},
    SplitSettings: {
        "validation": SHARE,
        "test": SHARE,
        "salt": SEEDS,
        "best_of": (1, 1000),
        "folds": (0, 100),
        "fold": (1, 100),
    },
    AuditSettings: {"least_correlation": SHARE, "examples": (0, inf)},
    RecipeSettings: {"height": (32, inf), "width": (32, inf)},
    CacheSettings: {"images_per_shard": (1, inf)},
    DataSettings: {
        "batch_size": (1, inf),
        "cases_per_batch": (0, inf),
        "priors": (0, 100),
        "drop_priors": SHARE,
        "workers": (0, 256),
        "ahead": (1, 64),
    },
    AugmentSettings: {
        "probability": SHARE,
        "rotation_degrees": (0, 80),
        "shift": SHARE,
        "scale": (0, 0.9),
        "brightness": SHARE,
        "contrast": SHARE,
        "curve": (0, 0.5),
        "tone": SHARE,
        "sharpness": (0, 10),
        "amplitude": SHARE,
        "noise": SHARE,
        "blur": (0, 100),
        "resolution": (0, 0.9),
        "cutout": SHARE,
        "maker_jitter": SHARE,
        "swap_sides": SHARE,
    },
    EncoderSettings: {"mixstyle": SHARE, "reduce": (1, 16)},
    PatchSettings: {"count": (0, 64), "size": (32, inf)},
    FusionSettings: {
        "width": (1, inf),
        "layers": (0, inf),
        "heads": (1, inf),
        "dropout": (0, 0.99),
    },
    DomainSettings: {"weight": (0, inf), "begin": (0, 0.99)},
    CancerSettings: {
        "weight": (0, inf),
        "focal_gamma": (0, 10),
        "smoothing": (0, 0.9),
        "view_weight": (0, inf),
    },
    RiskSettings: {"weight": (0, inf), "years": (1, 20)},
    DensitySettings: {"weight": (0, inf), "percent_weight": (0, inf)},
    QualitySettings: {"weight": (0, inf), "landmark_weight": (0, inf)},
    TrainSettings: {
        "seed": SEEDS,
        "epochs": (1, inf),
        "learning_rate": (1e-12, 10),
        "weight_decay": (0, inf),
        "layer_decay": (0.01, 1),
        "warmup_share": SHARE,
        "accumulate": (1, inf),
        "clip": (0, inf),
        "ema": (0, 0.999999),
        "group_dro": (0, 10),
        "patience": (0, inf),
        "checkpoint_steps": (0, inf),
        "devices": (1, 1024),
        "nodes": (1, 4096),
        "threads": (0, inf),
    },
    RenormaliseSettings: {"share": SHARE},
    BootstrapSettings: {"resamples": (1, inf), "seed": SEEDS},
    EvaluateSettings: {"margin": (0, 1)},
    PrevalenceSettings: {"screen_detected_per_1000": (0, 500), "interval_per_1000": (0, 500)},
    MonitorSettings: {"least_exams": (10, inf)},
    RuleOutSettings: {"missed_at_most": (0, 1), "confidence": (0.5, 1)},
}
"""Lowest and highest allowed value of a field."""

FOLDERS: dict[type, tuple[str, ...]] = {
    OrderCommand: ("registry", "index"),
    ReceiveCommand: ("order", "index"),
    PseudonymiseCommand: ("source", "registry"),
    IndexCommand: ("source",),
    CohortCommand: ("index", "registry"),
    AuditCommand: ("cohort", "cache"),
    AdaptCommand: ("source",),
    CacheCommand: ("cohort",),
    TrainCommand: ("cohort", "cache"),
    EvaluateCommand: ("run", "sweep"),
    RenormaliseCommand: ("run", "cohort", "cache"),
    ExportCommand: ("run",),
    PredictCommand: ("bundle", "source"),
    MonitorCommand: ("bundle", "predictions"),
}
"""Fields that name a folder which must be there, where they are given."""

FILES: dict[type, tuple[str, ...]] = {
    IndexSettings: ("overrides", "key_file"),
    PredictCommand: ("overrides",),
    EvaluateCommand: ("scores", "readings"),
    EncoderSettings: ("weights",),
}
"""Fields that name a file which must be there, where they are given."""


PATHS: dict[str, dict[type, tuple[str, ...]]] = {
    "folder": FOLDERS,
    "file": FILES,
    "file or folder": {TrainSettings: ("start_from",), EvaluateCommand: ("outcomes",)},
}
"""What must be there, where it is given."""


def check(command: Command) -> None:
    """Refuse values of a command that cannot work.

    Raises:
        InputError: names the key and what was expected.
    """
    groups = list(_groups("", command))
    for prefix, settings in groups:
        for name, (low, high) in _limits(settings):
            if (value := getattr(settings, name)) is not None:
                _check_limits(prefix + name, value, low, high)
    for prefix, settings in groups:
        for name, problem in relations(settings):
            raise InputError(f"{prefix}{name}: {problem}")
        _check_paths(prefix, settings)
    if command.out is not None:
        _check_writable(command.out)
        _check_apart(command)
    _check_together(command)


def _check_paths(prefix: str, settings: object) -> None:
    for kind, named in PATHS.items():
        for name in named.get(type(settings), ()):
            given = getattr(settings, name)
            for path in given if isinstance(given, list) else [given]:
                if path is not None:
                    _check_exists(prefix + name, path, kind)


def _groups(prefix: str, settings: object) -> Iterator[tuple[str, object]]:
    """A command and every group of keys in it, each with what stands before its keys."""
    if is_dataclass(settings) and not isinstance(settings, type):
        yield prefix, settings
        for field in fields(settings):
            yield from _groups(f"{prefix}{field.name}.", getattr(settings, field.name))


def _limits(settings: object) -> Iterator[tuple[str, tuple[float, float]]]:
    for owner in type(settings).__mro__:
        yield from LIMITS.get(owner, {}).items()


def _check_limits(key: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        wanted = f"{low} or more" if high == inf else f"{low} to {high}"
        raise InputError(f"{key}: expected {wanted}, got {value}")


def _check_exists(key: str, name: str, kind: str) -> None:
    path = Path(name)
    if not name or not path.exists():
        raise InputError(f"{key}: no such {kind}: {name or '(empty)'}")
    if kind != "file or folder" and path.is_dir() != (kind == "folder"):
        raise InputError(f"{key}: expected a {kind}, but this is none: {name}")


def _check_apart(command: Command) -> None:
    """Refuse to write among what is read, where a table could take the place of another."""
    out = Path(str(command.out)).resolve()
    for name in FOLDERS.get(type(command), ()):
        given = getattr(command, name)
        for path in given if isinstance(given, list) else [given]:
            if path is not None and Path(path).resolve() == out:
                raise InputError(f"out: expected another folder than {name}, got {command.out}")


def _check_together(command: Command) -> None:
    """Refuse a cohort without its cache, and a cache without its cohort."""
    match command:
        case RenormaliseCommand(cohort=str(), cache=None):
            raise InputError("cache: must be given beside cohort")
        case RenormaliseCommand(cohort=None, cache=str()):
            raise InputError("cohort: must be given beside cache")


def _check_writable(out: str) -> None:
    if not out:
        raise InputError("out: expected a folder, got an empty name")
    place = next(path for path in (Path(out), *Path(out).absolute().parents) if path.exists())
    if not place.is_dir():
        raise InputError(f"out: expected a folder, but {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"out: no right to write in {place}")
