"""What a report on a run is made of: its scores, its card, and pictures of exams."""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.evaluate.localisation_section import read_localisation
from mim.evaluate.material import Draw, Looked, Material
from mim.evaluate.sample import LONGEST_NAME, ModelScores
from mim.evaluate.scored import Scored
from mim.schemas.cohort import ATTRITION
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_json, read_table
from mim.train.callbacks import track_report
from mim.train.card import RunCard
from mim.train.cases import case_pictures
from mim.train.marks import exams_to_mark, marks_of_run
from mim.train.metric import LAST_EPOCH
from mim.train.reference import reference_exams, reference_scores
from mim.train.run import score
from mim.train.settings import WandbMode
from mim.vocab import Split


def run_material(run: Path, split: Split) -> Material:
    """A run's scores of a split, made now, with what its folder holds.

    Raises:
        InputError: the folder is no run, or its exams cannot be scored.
    """
    attrition, sheet = run / "attrition.parquet", run / "inputs.png"
    return Material(
        title=run.resolve().name,
        note=RunCard.read(run).note,
        split=str(split),
        tables={task: read_table(path, OF_TASK[task]) for task, path in score(run, split).items()},
        attrition=read_table(attrition, ATTRITION) if attrition.is_file() else None,
        contact_sheet=sheet if sheet.is_file() else None,
        run=read_json(run / "run.json"),
        chosen_by_validation=RunCard.read(run).settings["train"]["metric"] != LAST_EPOCH,
    )


def cohort_of(run: Path) -> Path:
    """The folder of the cohort that a run was trained on."""
    return Path(RunCard.read(run).cohort)


def scores_of_run(run: Path, given: pa.Table) -> ModelScores:
    """What a run says of the exams of a split and of its validation exams, under its folder's name.

    Of a run that was fitted to a maker ``fitted_exams`` take the place of the latter.
    """
    fitted = RunCard.read(run).renormalised is not None
    tables = [given] if fitted else [given, reference_scores(run)]
    rows = pl.DataFrame(pl.from_arrow(pa.concat_tables(tables)))
    names = ["exam", "breast", "score"]
    return ModelScores(_name(run), rows.select(names).unique(names, maintain_order=True))


def fitted_exams(run: Path) -> dict[str, Scored]:
    """The exams by which a run's scores are read, by its name; none unless it was fitted to a maker."""
    if RunCard.read(run).renormalised is None:
        return {}
    exams = reference_exams(run)
    return {} if exams is None else {_name(run): replace(exams, scores={_name(run): exams.score})}


def _name(run: Path) -> str:
    return run.resolve().name[:LONGEST_NAME]


def draw_exams(run: Path) -> Draw:
    """Draws exams with what raises the run's score."""
    return partial(case_pictures, run)


def looked_at(run: Path, split: Split) -> Looked | None:
    """Where a run looks on the exams of a split; None where the cohort holds no lesion of one."""
    found = read_localisation(cohort_of(run))
    exams = exams_to_mark(run, split) if found else []
    if found is None or not exams:
        return None
    images, lesions = found
    marks = pl.DataFrame(pl.from_arrow(marks_of_run(run, split)))
    return Looked(images.filter(pl.col("exam").is_in(exams)), lesions, marks)


def track(run: Path, report: Path, figures: Mapping[str, float | None]) -> None:
    """Give the run's tracker a report's page and headlines."""
    mode = WandbMode(RunCard.read(run).settings["train"]["wandb"])
    track_report(report, run.resolve().name, mode, figures)
