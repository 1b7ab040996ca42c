"""Values that are each allowed but cannot stand together."""

from collections.abc import Iterator
from dataclasses import fields
from datetime import date

from mim.cohort.settings import OutcomeSettings, SplitSettings
from mim.config.commands import EvaluateCommand, RenormaliseCommand
from mim.data.settings import AugmentSettings, DataSettings
from mim.evaluate.settings import PrevalenceSettings, ScoredPart
from mim.model.settings import (
    CancerSettings,
    DensitySettings,
    DomainSettings,
    EncoderSettings,
    FusionSettings,
    QualitySettings,
    RiskSettings,
    TaskSettings,
)
from mim.vocab import Maker
from mim.workers.settings import Executor, SlurmSettings, WorkersSettings


def relations(settings: object) -> Iterator[tuple[str, str]]:
    """Values that are each allowed but cannot stand together."""
    match settings:
        case OutcomeSettings() | SplitSettings() | PrevalenceSettings():
            yield from _programme_relations(settings)
        case DataSettings(batch_size=size, cases_per_batch=cases) if cases > size:
            yield "cases_per_batch", f"expected at most batch_size {size}, got {cases}"
        case DataSettings(batch_size=1, augment=AugmentSettings(amplitude=share)) if share:
            yield "augment.amplitude", f"expected 0 in batches of one exam, got {share:g}"
        case DataSettings(leave_out_maker=str(maker)) if maker not in [*Maker]:
            yield "leave_out_maker", f"expected one of {', '.join(Maker)}, got {maker}"
        case FusionSettings() | EncoderSettings() | DomainSettings() | TaskSettings():
            yield from _model_relations(settings)
        case RenormaliseCommand(maker=maker) if maker not in [*Maker]:
            yield "maker", f"expected one of {', '.join(Maker)}, got {maker}"
        case (
            CancerSettings(learn=True, weight=0)
            | RiskSettings(learn=True, weight=0)
            | DensitySettings(learn=True, weight=0)
            | QualitySettings(learn=True, weight=0)
        ):
            yield "weight", "0 teaches the task nothing; set learn=false instead"
        case WorkersSettings():
            yield from _workers_relations(settings)
        case EvaluateCommand(sweep=str()):
            yield from _sweep_relations(settings)


def _sweep_relations(settings: EvaluateCommand) -> Iterator[tuple[str, str]]:
    given = {name: getattr(settings, name) for name in ("run", "scores", "readings", "compare")}
    for name in (name for name, value in given.items() if value):
        yield name, "cannot stand together with sweep"
    if settings.split is not ScoredPart.test:
        yield "split", f"a sweep is measured on test exams, not on {settings.split.value}"


def _workers_relations(settings: WorkersSettings) -> Iterator[tuple[str, str]]:
    match settings:
        case WorkersSettings(executor=Executor.dask, scheduler=None, slurm=SlurmSettings(jobs=0)):
            yield "scheduler", "executor=dask needs scheduler=ADDRESS or slurm.jobs=NUMBER"
        case WorkersSettings(executor=Executor.local, scheduler=str()):
            yield "scheduler", "an address needs executor=dask"
        case WorkersSettings(executor=Executor.local, slurm=SlurmSettings(jobs=jobs)) if jobs:
            yield "slurm.jobs", "needs executor=dask"
        case WorkersSettings(scheduler=str(), slurm=SlurmSettings(jobs=jobs)) if jobs:
            yield "scheduler", "an address and slurm.jobs cannot both be given"


def _model_relations(
    settings: FusionSettings | EncoderSettings | DomainSettings | TaskSettings,
) -> Iterator[tuple[str, str]]:
    match settings:
        case FusionSettings(width=width, heads=heads) if width % heads:
            yield "width", f"expected a multiple of heads {heads}, got {width}"
        case EncoderSettings(weights=str(), pretrained=True):
            yield "pretrained", "cannot stand together with weights"
        case EncoderSettings(frozen=True, mixstyle=share) if share:
            yield "mixstyle", f"expected 0 in a frozen encoder, got {share:g}"
        case DomainSettings(hold_encoder=True, begin=0):
            yield (
                "hold_encoder",
                "expected begin above 0; model.encoder.frozen=true holds it all along",
            )
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
