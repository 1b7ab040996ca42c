"""What ``mim evaluate`` measures: a run on its test women, score tables, or both side by side."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate.card_facts import SampleFacts, sample_facts
from mim.evaluate.material import Material
from mim.evaluate.reference import Reference, read_reference
from mim.evaluate.report import Summary, write_report
from mim.evaluate.sample import ModelScores, Sample, read_models, take_sample
from mim.evaluate.scale import scale_of
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.folders import require_own
from mim.schemas.score_scale import ScoreScale
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_json, read_table
from mim.train.callbacks import track_report
from mim.train.card import RunCard
from mim.train.cases import case_pictures
from mim.train.run import score, validation_scores
from mim.train.settings import WandbMode
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
        models = [_scores_of_run(given.run, material.tables[Task.CANCER]), *models]
    if models:
        reference = _reference(given)
        if given.run and Task.CANCER in material.tables:
            material = replace(material, draw=partial(case_pictures, given.run))
        material = _with_models(material, reference, models, given.split, notices, settings)
    summary = write_report(material, out, settings)
    if given.run:
        mode = WandbMode(RunCard.read(given.run).settings["train"]["wandb"])
        track_report(out, given.run.resolve().name, mode, summary.tracked())
    return summary


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
        run=read_json(run / "run.json"),
    )


def _scores_of_run(run: Path, given: pa.Table) -> ModelScores:
    """What a run says of the exams of a split and of the validation exams, under its folder's name."""
    rows = pl.DataFrame(pl.from_arrow(pa.concat_tables([given, validation_scores(run)])))
    names = ["exam", "breast", "score"]
    return ModelScores(run.resolve().name, rows.select(names).unique(names, maintain_order=True))


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
        training=_training(reference) if material.run else None,
        notices=(*notices, *reference.notices, *sample.notices),
    )


def _validation(reference: Reference, models: list[ModelScores]) -> Sample | None:
    """The validation exams that every model scored; none where there are none."""
    try:
        return take_sample(reference, models, Split.VALIDATION)
    except InputError:
        return None


def _training(reference: Reference) -> SampleFacts | None:
    """The exams of a cohort that a run was trained on."""
    rows = reference.breasts.filter(split=str(Split.TRAIN))
    return sample_facts(rows) if len(rows) else None
