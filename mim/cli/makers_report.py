"""What ``mim evaluate sweep=`` measures: the runs of a sweep over makers left out, side by side."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from tqdm import tqdm

from mim.cli.makers_runs import SweepRun, read_sweep, without_places
from mim.errors import InputError
from mim.evaluate.bootstrap import Estimate
from mim.evaluate.makers_draws import MakerRun
from mim.evaluate.makers_parts import Probed
from mim.evaluate.makers_report import MakersLeftOut, makers_measured, write_makers_report
from mim.evaluate.makers_table import Missing
from mim.evaluate.reference import Reference, read_reference
from mim.evaluate.report import Summary
from mim.evaluate.sample import ModelScores, scored_by, take_sample
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.folders import require_own
from mim.schemas.scores import SCORES
from mim.schemas.table import read_json, read_table
from mim.train.checkpoints import BEST
from mim.train.probe import FILE as PROBE
from mim.train.probe import probe
from mim.train.reference import reference_exams, reference_scores, reference_thresholds
from mim.train.run import score
from mim.train.scores import score_path
from mim.vocab import Split, Task

COLUMN = "run "
"""How a run's column of scores begins, so that no folder has the name of another column."""


@dataclass(frozen=True)
class Answer:
    """What was asked of one run.

    Attributes:
        run: which.
        scores: of the test exams.
        thresholds: of its validation exams; None: it has none.
        probed: how well the maker can be told from its features.
        notices: what the reader must know of it.
    """

    run: SweepRun
    scores: ModelScores
    thresholds: tuple[float, ...] | None
    probed: Probed
    notices: tuple[str, ...]


def report_on_sweep(
    sweep: Path, outcomes: Path | None, out: Path, settings: EvaluateSettings
) -> Summary:
    """Score and probe every run of a sweep where that is not done yet, and write the report.

    Args:
        sweep: folder with run folders in it.
        outcomes: a cohort's folder or a table; missing: the runs' cohort.
        out: folder of the report.
        settings: of the evaluation.

    Raises:
        InputError: there is no run, none has left out a maker of the test exams, the runs are of
            several cohorts, caches or splits, or none can be scored.
    """
    require_own(out, "metrics.json")
    runs, missing = read_sweep(sweep)
    reference = read_reference(outcomes or Path(runs[0].card.cohort), None)
    makers_measured([run.left_out for run in runs], _test_makers(reference))
    answers = []
    with tqdm(total=len(runs), desc="runs", unit="run") as bar:
        for run in runs:
            try:
                answers.append(_ask(run, reference, settings))
            except InputError as error:
                missing.append(Missing(*run.key, _why(error, run)))
            bar.update()
    if not answers:
        raise InputError(f"{sweep}: no run can be measured; the first: {missing[0].reason}")
    sample = take_sample(reference, [answer.scores for answer in answers], Split.TEST)
    measured = MakersLeftOut(
        title=f"Makers left out: {sweep.resolve().name}",
        note=_note(answers),
        sample=sample,
        runs=[
            MakerRun(answer.scores.model, *answer.run.key, answer.thresholds) for answer in answers
        ],
        parents={a.run.method: a.run.parent for a in answers if a.run.parent is not None},
        missing=missing,
        probes=[answer.probed for answer in answers],
        attrition=_attrition(runs[0].folder),
        notices=[*_notices(answers), *reference.notices, *_of_any_run(sample.notices)],
    )
    return write_makers_report(measured, out, settings)


def _test_makers(reference: Reference) -> set[str]:
    """Makers of the test exams; of all, where no split is known."""
    rows = reference.breasts
    tested = rows.filter(split=str(Split.TEST)) if rows["split"].count() else rows
    return {*tested["maker"].to_list()}


def _ask(run: SweepRun, reference: Reference, settings: EvaluateSettings) -> Answer:
    scores = _scores(_test_scores(run.folder), COLUMN + run.folder.name)
    if not scores.rows["score"].count():
        raise InputError(f"{run.folder}: it has a score of no test exam")
    notices = []
    thresholds = None
    try:
        thresholds = _thresholds(run, reference, settings)
    except InputError as error:
        why = _why(error, run)
        notices.append(f"{run.folder.name} has no thresholds: its reference exams, {why}")
    return Answer(run, scores, thresholds, _probed(run, settings), tuple(notices))


def _test_scores(run: Path) -> pa.Table:
    """Scores that are there and newer than the checkpoint, or made now."""
    path = score_path(run, Split.TEST, Task.CANCER)
    if not _is_newer(path, run):
        path = score(run, Split.TEST).get(Task.CANCER, path)
    if not path.is_file():
        raise InputError(f"{run}: has not learnt cancer; train it with tasks.cancer.learn=true")
    return read_table(path, SCORES)


def _scores(table: pa.Table, name: str) -> ModelScores:
    return ModelScores(name, pl.DataFrame(pl.from_arrow(table)).select("exam", "breast", "score"))


def _thresholds(
    run: SweepRun, reference: Reference, settings: EvaluateSettings
) -> tuple[float, ...]:
    """At the selection rates, of the run's own reference exams, as ``reference_thresholds``."""
    if run.parent is not None:
        exams = reference_exams(run.folder)
    else:
        scores = _scores(reference_scores(run.folder), "score")
        exams = scored_by(reference, scores, Split.VALIDATION)
    if exams is None:
        raise InputError("there are none with a score")
    return tuple(one.threshold for one in reference_thresholds(exams, settings.prevalence))


def _probed(run: SweepRun, settings: EvaluateSettings) -> Probed:
    """What was probed before, if that is newer than the checkpoint, or is probed now."""
    bootstrap, path = settings.bootstrap(), run.folder / PROBE
    kept = read_json(path) if _is_newer(path, run.folder) else {}
    if {name: kept.get(name) for name in asdict(bootstrap)} != asdict(bootstrap):
        try:
            kept = asdict(probe(run.folder, bootstrap))
        except InputError as error:
            unknown = Estimate(None, None, None, 0, None, 0, _why(error, run))
            return Probed(*run.key, unknown, None)
    return Probed(*run.key, Estimate(**kept["balanced_accuracy"]), kept["chance"])


def _is_newer(path: Path, run: Path) -> bool:
    """Whether a file is there and was written after the run's checkpoint."""
    checkpoint = run / "checkpoints" / BEST
    return path.is_file() and path.stat().st_mtime >= checkpoint.stat().st_mtime


def _why(error: InputError, run: SweepRun) -> str:
    """A reason for a page."""
    fitted = run.card.renormalised or {}
    of_run = (run.card.cohort, run.card.cache, *(fitted.get(name) for name in ("cohort", "cache")))
    places = [run.folder, *(Path(place) for place in of_run if place)]
    return without_places(str(error), [place.parent for place in places])


def _note(answers: Sequence[Answer]) -> str:
    """What must be said wherever a figure stands; notes on single runs are left to them."""
    own = [a.run.card.note for a in answers if a.run.parent is None]
    return own[0] if own else answers[0].run.card.note


def _attrition(run: Path) -> pa.Table | None:
    path = run / "attrition.parquet"
    return read_table(path, ATTRITION) if path.is_file() else None


def _notices(answers: Sequence[Answer]) -> Iterator[str]:
    for answer in answers:
        yield from answer.notices


def _of_any_run(notices: Sequence[str]) -> Iterator[str]:
    """Notices on runs' scores once, since all runs have scored the same exams."""
    said = (notice.partition(": ") for notice in notices)
    once = (
        f"Each run: {words}" if name.startswith(COLUMN) else name + colon + words
        for name, colon, words in said
    )
    yield from dict.fromkeys(once)
