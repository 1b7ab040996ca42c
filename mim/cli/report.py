"""What ``mim evaluate`` measures: a run on its test women, score tables, or both side by side.

Score tables need no PyTorch: what asks a run stands in ``mim.cli.run_material``.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from mim.errors import InputError
from mim.evaluate.card_facts import SampleFacts, sample_facts
from mim.evaluate.material import Material
from mim.evaluate.prevalence import where_known
from mim.evaluate.reference import Reference, read_reference
from mim.evaluate.report import Summary, write_report
from mim.evaluate.sample import ModelScores, read_models, scored_by, take_sample
from mim.evaluate.scale import scale_of
from mim.evaluate.scored import Scored
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.folders import require_own
from mim.schemas.score_scale import ScoreScale
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
        compare: whether the models whose scores the cohort holds are measured too.
    """

    run: Path | None = None
    scores: tuple[Path, ...] = ()
    outcomes: Path | None = None
    readings: Path | None = None
    split: Split = Split.TEST
    compare: bool = False


def report(given: Given, out: Path, settings: EvaluateSettings) -> Summary:
    """Measure what was given and write the report.

    Thresholds come from the validation exams, where there are any.

    Raises:
        InputError: neither a run nor score tables are given, or they cannot be measured.
    """
    require_own(out, "metrics.json")
    if given.run is not None:
        return _report_on_run(given, given.run, out, settings)
    if not given.scores:
        raise InputError("run: give a run, or scores=[FILE] with one or more score tables")
    outcomes = given.outcomes or given.scores[0]
    models, notices = read_models([*given.scores, *_held(outcomes, given.compare)])
    if given.outcomes is None and len(models) > len(given.scores):
        raise InputError(
            f"outcomes: {outcomes} is taken for the outcomes too, and a table of several models "
            "cannot be; give the outcomes in a table of their own"
        )
    reference = read_reference(outcomes, given.readings)
    material = Material("Score tables", reference.note, str(given.split), notices=notices)
    return write_report(
        with_models(material, reference, models, given.split, settings), out, settings
    )


def _report_on_run(given: Given, run: Path, out: Path, settings: EvaluateSettings) -> Summary:
    from mim.cli.run_material import (
        cohort_of,
        draw_exams,
        fitted_exams,
        looked_at,
        run_material,
        scores_of_run,
        track,
    )

    outcomes = given.outcomes or cohort_of(run)
    models, notices = read_models([*given.scores, *_held(outcomes, given.compare)])
    material = run_material(run, given.split)
    if Task.CANCER in material.tables:
        models = [scores_of_run(run, material.tables[Task.CANCER]), *models]
        looked = looked_at(run, given.split)
        material = replace(
            material, draw=draw_exams(run), looked=looked, validation=fitted_exams(run)
        )
    if models:
        reference = read_reference(outcomes, given.readings)
        training = _training(reference) if given.outcomes is None else None
        material = replace(material, notices=notices, training=training)
        material = with_models(material, reference, models, given.split, settings)
    summary = write_report(material, out, settings)
    track(run, out, summary.tracked())
    return summary


def with_models(
    material: Material,
    reference: Reference,
    models: list[ModelScores],
    split: Split,
    settings: EvaluateSettings,
) -> Material:
    """The material with the models' scores, and their scales from each one's validation exams.

    Exams that it holds for a model already take the place of these.
    """
    sample = take_sample(reference, models, split)
    validation: dict[str, Scored] = {}
    scales: dict[str, ScoreScale] = {}
    notices = [*material.notices, *reference.notices, *sample.notices]
    for model in models if split is not Split.VALIDATION else []:
        held = material.validation.get(model.model)
        exams = held or scored_by(reference, model, Split.VALIDATION)
        if exams is None:
            notices.append(f"{model.model} has scored no validation exam: it has no thresholds")
            continue
        validation[model.model] = exams
        try:
            scale = scale_of(exams, where_known(exams.known, settings.prevalence))
            scales |= {model.model: scale} if scale else {}
        except InputError as error:
            notices.append(f"{model.model} has no thresholds: its validation exams, {error}")
    return replace(
        material, sample=sample, validation=validation, scales=scales, notices=tuple(notices)
    )


def _held(outcomes: Path, compare: bool) -> list[Path]:
    """The scores of other models that a cohort holds, where they are asked for."""
    path = outcomes / "scores.parquet"
    if compare and not path.is_file():
        raise InputError(
            f"compare: {outcomes} holds no scores of other models; give them to 'mim cohort' in the "
            "registry's table 'scores'"
        )
    if path.is_file() and not compare:
        print(f"{path} holds scores of other models; compare=true measures them on the same exams")
    return [path] if compare else []


def _training(reference: Reference) -> SampleFacts | None:
    """The exams of a cohort that a run was trained on."""
    rows = reference.breasts.filter(split=str(Split.TRAIN))
    return sample_facts(rows) if len(rows) else None
