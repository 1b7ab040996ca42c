"""The report of a run: its test women scored, beside what the run folder holds."""

from pathlib import Path

from mim.evaluate.report import Summary, write_report
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.folders import require_own
from mim.schemas.scores import OF_TASK
from mim.schemas.table import read_table
from mim.train.card import RunCard
from mim.train.run import score, validation_thresholds
from mim.vocab import Split, Task


def report_run(run: Path, out: Path, settings: EvaluateSettings) -> Summary:
    """Score the run's test women and write the report; thresholds come from its validation women.

    Raises:
        InputError: the folder is no run, or its test women cannot be measured.
    """
    require_own(out, "metrics.json")
    tables = {
        task: read_table(path, OF_TASK[task]) for task, path in score(run, Split.TEST).items()
    }
    attrition, sheet = run / "attrition.parquet", run / "inputs.png"
    return write_report(
        tables,
        out,
        settings,
        title=run.resolve().name,
        note=RunCard.read(run).note,
        attrition=read_table(attrition, ATTRITION) if attrition.is_file() else None,
        contact_sheet=sheet if sheet.is_file() else None,
        thresholds=validation_thresholds(run) if Task.CANCER in tables else [],
    )
