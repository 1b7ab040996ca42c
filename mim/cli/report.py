"""What ``mim evaluate`` measures: a run on its test women, score tables, or both side by side."""

from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from mim.errors import InputError
from mim.evaluate.reference import Reference, read_reference
from mim.evaluate.report import Material, Summary, write_report
from mim.evaluate.sample import ModelScores, Sample, read_models, take_sample
from mim.evaluate.scale import scale_of
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.folders import require_own
from mim.schemas.score_scale import ScoreScale
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_table
from mim.train.card import RunCard
from mim.train.run import score
from mim.vocab import Split, Task


@dataclass(frozen=True)
class Given:
    """What a user gave.

    Attributes:
        run: a run's folder.
        scores: score tables.
        outcomes: a cohort's folder or a table; missing: the run's cohort, or the first score table.
        readings: a table; missing: the cohort's.
        split: the part of the exams to measure.
    """

    run: Path | None = None
    scores: tuple[Path, ...] = ()
    outcomes: Path | None = None
    readings: Path | None = None
    split: Split = Split.TEST


def report(given: Given, out: Path, settings: EvaluateSettings) -> Summary:
    """Measure what was given and write the report.

    Thresholds come from the validation exams, where there are any.

    Raises:
        InputError: neither a run nor score tables are given, or they cannot be measured.
    """
    require_own(out, "metrics.json")
    if given.run is None and not given.scores:
        raise InputError("run: give a run, or scores=[FILE] with one or more score tables")
    material = _of_run(given) if given.run else Material("Score tables", "", str(given.split))
    models, notices = read_models(given.scores)
    if given.run and Task.CANCER in material.tables:
        models = [*_scores_of_run(given.run, (given.split, Split.VALIDATION)), *models]
    if models:
        reference = _reference(given)
        material = _with_models(material, reference, models, given.split, notices, settings)
    return write_report(material, out, settings)


def _of_run(given: Given) -> Material:
    run = given.run
    assert run is not None
    attrition, sheet = run / "attrition.parquet", run / "inputs.png"
    return Material(
        title=run.resolve().name,
        note=RunCard.read(run).note,
        split=str(given.split),
        tables={
            task: read_table(path, OF_TASK[task]) for task, path in score(run, given.split).items()
        },
        attrition=read_table(attrition, ATTRITION) if attrition.is_file() else None,
        contact_sheet=sheet if sheet.is_file() else None,
    )


def _scores_of_run(run: Path, splits: tuple[Split, ...]) -> list[ModelScores]:
    """What a run says of the exams of some splits, under its folder's name."""
    rows = [
        pl.DataFrame(
            pl.from_arrow(read_table(score(run, split)[Task.CANCER], OF_TASK[Task.CANCER]))
        )
        for split in dict.fromkeys(splits)
    ]
    return [ModelScores(run.resolve().name, pl.concat(rows).select("exam", "breast", "score"))]


def _reference(given: Given) -> Reference:
    if given.outcomes is not None:
        return read_reference(given.outcomes, given.readings)
    cohort = Path(RunCard.read(given.run).cohort) if given.run else given.scores[0]
    return read_reference(cohort, given.readings)


def _with_models(
    material: Material,
    reference: Reference,
    models: list[ModelScores],
    split: Split,
    notices: list[str],
    settings: EvaluateSettings,
) -> Material:
    sample = take_sample(reference, models, split)
    validation = _validation(reference, models) if split is not Split.VALIDATION else None
    scales: dict[str, ScoreScale] = {}
    if validation is not None:
        for model in validation.models:
            scale = scale_of(validation.exams.only(model), settings.prevalence)
            scales |= {model: scale} if scale else {}
    return replace(
        material,
        note=material.note or reference.note,
        sample=sample,
        validation=validation,
        scales=scales,
        notices=(*notices, *reference.notices, *sample.notices),
    )


def _validation(reference: Reference, models: list[ModelScores]) -> Sample | None:
    """The validation exams that every model scored; none where there are none."""
    try:
        return take_sample(reference, models, Split.VALIDATION)
    except InputError:
        return None
