"""Tables beside the page: every comparison, and every alarm. They hold counts, no exam."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from mim.monitor.alarms import Alarm, Kind
from mim.monitor.watch import Look
from mim.schemas.monitored import Level
from mim.schemas.table import Column, Schema, write_whole
from mim.vocab import Maker

TEXT, NUMBER = pa.string(), pa.float64()

_MACHINE = (
    Column("maker", TEXT, "maker of the mammograph", False, tuple(Maker)),
    Column("machine", TEXT, "model and software version; empty: unknown", False),
    Column("period", TEXT, "calendar month or quarter, or the whole time", False),
)
_RATE = Column("selection_rate", NUMBER, "where the measure is a share selected")

DRIFT = Schema(
    "drift",
    key=("maker", "machine", "period", "measure", "selection_rate"),
    columns=(
        *_MACHINE,
        Column("measure", TEXT, "column of the predictions, or selected", False),
        _RATE,
        Column("exams", pa.int64(), "of the machine in the period", False),
        Column("low", NUMBER, "10th percentile; or lower end of the share's 95 % interval"),
        Column("middle", NUMBER, "median; or share selected"),
        Column("high", NUMBER, "90th percentile; or upper end of the interval"),
        Column("expected_low", NUMBER, "the same of the reference exams"),
        Column("expected_middle", NUMBER, "the same of the reference exams"),
        Column("expected_high", NUMBER, "the same of the reference exams"),
        Column("compared_with", TEXT, "which reference exams", False, tuple(Level)),
        Column("reference_exams", NUMBER, "as how many independent ones they count"),
        Column("stability_index", NUMBER, "population stability index; missing for a share"),
        Column("chance", NUMBER, "of as much where nothing has changed"),
        Column("chance_adjusted", NUMBER, "that, for all comparisons; missing: not judged"),
        Column("alarm", pa.bool_(), "whether it raises one", False),
    ),
)

ALARMS = Schema(
    "alarms",
    key=("kind", "maker", "machine", "period", "measure", "selection_rate"),
    columns=(
        Column("kind", TEXT, "what it is about", False, tuple(Kind)),
        *_MACHINE,
        Column("measure", TEXT, "column of the predictions, or selected; missing: new software"),
        _RATE,
        Column("exams", pa.int64(), "of the machine in the period", False),
        Column("what", TEXT, "what was found", False),
        Column("remedy", TEXT, "what to do", False),
    ),
)


def drift_table(looks: Sequence[Look]) -> pa.Table:
    """Every comparison."""
    rows: list[dict[str, object]] = []
    for look in looks:
        low, middle, high = look.expected
        row = asdict(look) | {
            "expected_low": low,
            "expected_middle": middle,
            "expected_high": high,
            "compared_with": str(look.level),
            "stability_index": look.index,
            "chance_adjusted": look.adjusted,
            "alarm": look.alarm,
        }
        rows.append({name: row[name] for name in DRIFT.arrow().names})
    return DRIFT.from_rows(rows)


def alarm_table(alarms: Sequence[Alarm], remedies: Mapping[Kind, str]) -> pa.Table:
    """Every alarm with its remedy."""
    return ALARMS.from_rows([asdict(a) | {"remedy": remedies[a.kind]} for a in alarms])


def write_csv(table: pa.Table, path: Path) -> None:
    """Write CSV, whole or not at all."""
    text = io.BytesIO()
    csv.write_csv(table, text)
    write_whole(path, text.getvalue())
