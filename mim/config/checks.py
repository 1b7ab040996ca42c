"""Checks of composed values that types cannot make: ranges, relations and paths.

All are quick and come before anything heavy is imported.
"""

import os
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from datetime import date
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
    OrderCommand,
    PredictCommand,
    PseudonymiseCommand,
    ReceiveCommand,
    TrainCommand,
)
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
    EncoderSettings,
    FusionSettings,
    PatchSettings,
    QualitySettings,
    RiskSettings,
    TaskSettings,
)
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.synthetic.settings import ProgrammeSettings
from mim.train.settings import TrainSettings
from mim.vocab import Maker
from mim.workers.settings import Executor, SlurmSettings, WorkersSettings

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
        "noise": SHARE,
        "blur": (0, 100),
        "resolution": (0, 0.9),
        "cutout": SHARE,
        "maker_jitter": SHARE,
        "swap_sides": SHARE,
    },
    EncoderSettings: {"reduce": (1, 16)},
    PatchSettings: {"count": (0, 64), "size": (32, inf)},
    FusionSettings: {
        "width": (1, inf),
        "layers": (0, inf),
        "heads": (1, inf),
        "dropout": (0, 0.99),
    },
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
        "patience": (0, inf),
        "checkpoint_steps": (0, inf),
        "devices": (1, 1024),
        "nodes": (1, 4096),
        "threads": (0, inf),
    },
    BootstrapSettings: {"resamples": (1, inf), "seed": SEEDS},
    EvaluateSettings: {"margin": (0, 1)},
    PrevalenceSettings: {"screen_detected_per_1000": (0, 500), "interval_per_1000": (0, 500)},
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
    EvaluateCommand: ("run",),
    ExportCommand: ("run",),
    PredictCommand: ("bundle", "source"),
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
        for name, problem in _relations(settings):
            raise InputError(f"{prefix}{name}: {problem}")
        _check_paths(prefix, settings)
    if command.out is not None:
        _check_writable(command.out)
        _check_apart(command)


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


def _relations(settings: object) -> Iterator[tuple[str, str]]:
    """Values that are each allowed but cannot stand together."""
    match settings:
        case OutcomeSettings() | SplitSettings() | PrevalenceSettings():
            yield from _programme_relations(settings)
        case DataSettings(batch_size=size, cases_per_batch=cases) if cases > size:
            yield "cases_per_batch", f"expected at most batch_size {size}, got {cases}"
        case DataSettings(leave_out_maker=str(maker)) if maker not in [*Maker]:
            yield "leave_out_maker", f"expected one of {', '.join(Maker)}, got {maker}"
        case FusionSettings() | EncoderSettings() | TaskSettings():
            yield from _model_relations(settings)
        case (
            CancerSettings(learn=True, weight=0)
            | RiskSettings(learn=True, weight=0)
            | DensitySettings(learn=True, weight=0)
            | QualitySettings(learn=True, weight=0)
        ):
            yield "weight", "0 teaches the task nothing; set learn=false instead"
        case WorkersSettings(executor=Executor.dask, scheduler=None, slurm=SlurmSettings(jobs=0)):
            yield "scheduler", "executor=dask needs scheduler=ADDRESS or slurm.jobs=NUMBER"
        case WorkersSettings(executor=Executor.local, scheduler=str()):
            yield "scheduler", "an address needs executor=dask"
        case WorkersSettings(executor=Executor.local, slurm=SlurmSettings(jobs=jobs)) if jobs:
            yield "slurm.jobs", "needs executor=dask"
        case WorkersSettings(scheduler=str(), slurm=SlurmSettings(jobs=jobs)) if jobs:
            yield "scheduler", "an address and slurm.jobs cannot both be given"


def _model_relations(
    settings: FusionSettings | EncoderSettings | TaskSettings,
) -> Iterator[tuple[str, str]]:
    match settings:
        case FusionSettings(width=width, heads=heads) if width % heads:
            yield "width", f"expected a multiple of heads {heads}, got {width}"
        case EncoderSettings(weights=str(), pretrained=True):
            yield "pretrained", "cannot stand together with weights"
        case TaskSettings() if not settings.learnt():
            yield "cancer.learn", "every task is off; turn one on"


def _programme_relations(
    settings: OutcomeSettings | SplitSettings | PrevalenceSettings,
) -> Iterator[tuple[str, str]]:
    match settings:
        case OutcomeSettings():
            yield from _outcome_relations(settings)
        case SplitSettings():
            yield from _split_relations(settings)
        case PrevalenceSettings():
            yield from _prevalence_relations(settings)


def _prevalence_relations(settings: PrevalenceSettings) -> Iterator[tuple[str, str]]:
    rates = {name: getattr(settings, name) for name in (f.name for f in fields(settings))}
    missing = [name for name, rate in rates.items() if rate is None]
    if len(missing) == 1:
        [given] = rates.keys() - set(missing)
        yield missing[0], f"must be given beside {given}"


def _outcome_relations(settings: OutcomeSettings) -> Iterator[tuple[str, str]]:
    match settings:
        case OutcomeSettings(screen_detected_days=found, interval_days=days) if days <= found:
            yield "interval_days", f"expected more than screen_detected_days {found}, got {days}"
        case OutcomeSettings(clear_days=clear, interval_days=days) if clear > days:
            yield "clear_days", f"expected at most interval_days {days}, got {clear}"
        case OutcomeSettings(registry_date=str(day)) if not _is_day(day):
            yield "registry_date", f"expected a day as YYYY-MM-DD, got {day}"
        case OutcomeSettings(registry_date=str(day)) if date.fromisoformat(day) > date.today():
            yield "registry_date", f"expected a day up to today, got {day}"


def _split_relations(settings: SplitSettings) -> Iterator[tuple[str, str]]:
    match settings:
        case SplitSettings(validation=validation, test=test) if validation + test >= 1:
            yield "validation", f"{validation} with test {test} leaves no women for training"
        case SplitSettings(folds=1):
            yield "folds", "expected 0 for none, or 2 or more"
        case SplitSettings(folds=folds, fold=fold) if folds and fold > folds:
            yield "fold", f"expected at most folds {folds}, got {fold}"
        case SplitSettings() if len(ways := _ways(settings)) > 1:
            yield ways[1], f"cannot stand together with {ways[0]}"
        case SplitSettings(from_registry=True, best_of=tried) if tried > 1:
            yield "best_of", "cannot stand together with from_registry"
        case SplitSettings(held_out_maker=str(maker)) if maker not in [*Maker]:
            yield "held_out_maker", f"expected one of {', '.join(Maker)}, got {maker}"
        case SplitSettings(held_out_from=str(day)) if not _is_day(day):
            yield "held_out_from", f"expected a day as YYYY-MM-DD, got {day}"


def _ways(settings: SplitSettings) -> list[str]:
    """The keys given that each decide who is tested."""
    given = ("folds", "held_out_maker", "held_out_site", "held_out_from", "from_registry")
    return [name for name in given if getattr(settings, name)]


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


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
        if (path := getattr(command, name)) is not None and Path(path).resolve() == out:
            raise InputError(f"out: expected another folder than {name}, got {command.out}")


def _check_writable(out: str) -> None:
    if not out:
        raise InputError("out: expected a folder, got an empty name")
    place = next(path for path in (Path(out), *Path(out).absolute().parents) if path.exists())
    if not place.is_dir():
        raise InputError(f"out: expected a folder, but {place} is a file")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"out: no right to write in {place}")
