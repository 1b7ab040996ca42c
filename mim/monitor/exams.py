"""Exams that a bundle has scored, as the watch needs them: no name of a woman, study or image."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats
from mim.monitor.settings import Period
from mim.schemas.monitored import MEASURES, SCORE, MonitorReference
from mim.schemas.scores import PREDICTIONS
from mim.schemas.table import read_json, read_table
from mim.vocab import Maker, Reason


@dataclass(frozen=True)
class Bundle:
    """What the watch reads of ``bundle.json``: a checksum, the note, and the reference exams."""

    checksum: str
    note: str
    reference: MonitorReference


@dataclass(frozen=True)
class Watched:
    """Scored exams as arrays ``[exam]``, in the order of their days.

    Attributes:
        day: Study Date.
        period: as "2024-03" or "2024 Q1".
        maker: values of ``Maker``.
        machine: model and software version; empty: unknown.
        measures: values of ``mim.schemas.monitored.MEASURES``; NaN: unknown.
        selected: ``[exam, rate]``, by the thresholds of maker and software.
    """

    day: npt.NDArray[np.datetime64]
    period: npt.NDArray[np.str_]
    maker: npt.NDArray[np.str_]
    machine: npt.NDArray[np.str_]
    measures: dict[str, Floats]
    selected: Bools

    def __len__(self) -> int:
        return len(self.day)

    def where(self, mask: Bools) -> "Watched":
        """The exams that a mask ``[exam]`` keeps."""
        return Watched(
            self.day[mask],
            self.period[mask],
            self.maker[mask],
            self.machine[mask],
            {name: values[mask] for name, values in self.measures.items()},
            self.selected[mask],
        )


@dataclass(frozen=True)
class Counts:
    """Rows of the predictions, and why some are not watched."""

    rows: int
    twice: int
    repeats: int
    unscored: int
    undated: int
    watched: int


def read_bundle(folder: Path) -> Bundle:
    """What a bundle's exams were like.

    Raises:
        InputError: the folder holds no bundle, or one that has no reference.
    """
    about = read_json(folder / "bundle.json")
    if "reference" not in about:
        raise InputError(
            f"{folder}: its bundle.json has no 'reference'; it was written by an older mim: export "
            "the run again, and predict again"
        )
    if about["reference"] is None:
        raise InputError(
            f"{folder}: holds no reference to compare with, for it has cancer scores of too few "
            "validation exams, or exams it was fitted to; train on a cohort with 50 of them or more, "
            "or fit to more, and export again"
        )
    reference = MonitorReference.from_json(about["reference"])
    return Bundle(about["checksum"], about["note"], reference)


def read_exams(folders: Sequence[Path], bundle: Bundle, period: Period) -> tuple[Watched, Counts]:
    """The exams that ``mim predict`` scored with a bundle, each once.

    A study that stands in several folders, as a prior does, counts as in the first of them where it
    has a score.

    Raises:
        InputError: there is no folder, or one holds no predictions, another bundle's, or some of two
            runs; or none has a scored exam with a date.
    """
    if not folders:
        raise InputError("predictions: expected a folder or more that mim predict wrote, got none")
    rows: dict[str, dict[str, Any]] = {}
    count = 0
    for folder in folders:
        for row in _predictions(folder, bundle).to_pylist():
            first = rows.setdefault(row["study_uid"], row)
            if first[SCORE] is None and row[SCORE] is not None:
                rows[row["study_uid"]] = row
            count += 1
    repeats = sum(row["reason"] == Reason.REPEATED_EXAM for row in rows.values())
    scored = [row for row in rows.values() if row[SCORE] is not None]
    dated = [row for row in scored if row["exam_date"] is not None]
    if not dated:
        raise InputError(
            f"predictions: no exam of {', '.join(map(str, folders))} has a score and a date; "
            "give folders that mim predict wrote"
        )
    counts = Counts(
        rows=count,
        twice=count - len(rows),
        repeats=repeats,
        unscored=len(rows) - repeats - len(scored),
        undated=len(scored) - len(dated),
        watched=len(dated),
    )
    dated.sort(key=lambda row: (row["exam_date"], row["study_uid"]))
    return _watched(dated, bundle.reference.selection_rates, period), counts


def _predictions(folder: Path, bundle: Bundle) -> pa.Table:
    about = read_json(folder / "predictions.json")
    if about.get("model", {}).get("checksum") != bundle.checksum:
        raise InputError(
            f"{folder}: its exams were scored by another bundle, or another export of it; give the "
            "bundle that scored them, or run mim predict again"
        )
    table = read_table(folder / "predictions.parquet", PREDICTIONS)
    said = [[exam["study_uid"], exam[SCORE]] for exam in about.get("exams", [])]
    if said != [[row["study_uid"], row[SCORE]] for row in table.to_pylist()]:
        raise InputError(
            f"{folder}: its predictions.json and predictions.parquet are of two runs of mim predict, "
            "one of them cut short; run it again"
        )
    return table


def _watched(rows: list[dict[str, Any]], rates: Sequence[float], period: Period) -> Watched:
    selected = [[rate in (row["selected_at"] or ()) for rate in rates] for row in rows]
    return Watched(
        day=np.array([row["exam_date"] for row in rows], "datetime64[D]"),
        period=np.array([period_of(row["exam_date"], period) for row in rows]),
        maker=np.array([row["maker"] or str(Maker.UNKNOWN) for row in rows]),
        machine=np.array([row["machine"] or "" for row in rows]),
        measures={name: np.array([row[name] for row in rows], np.float64) for name in MEASURES},
        selected=np.array(selected, np.bool_).reshape(len(rows), len(rates)),
    )


def period_of(day: date, period: Period) -> str:
    """The calendar month or quarter of a day, in words that sort by time."""
    if period is Period.month:
        return f"{day.year}-{day.month:02}"
    return f"{day.year} Q{(day.month + 2) // 3}"


def periods_between(first: date, last: date, period: Period) -> list[str]:
    """Every period from that of one day to that of another."""
    months = range(12 * first.year + first.month - 1, 12 * last.year + last.month)
    days = (date(month // 12, month % 12 + 1, 1) for month in months)
    return [*dict.fromkeys(period_of(day, period) for day in days)]
