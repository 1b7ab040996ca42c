"""What is known of the exams that models are measured on, from a cohort's folder or any table."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.schemas.cohort import CANCERS, DECISIONS, EXAMS, READINGS, SIDES, read_about
from mim.schemas.reference import GIVEN_READINGS, GIVEN_SCORES, REFERENCE
from mim.schemas.table import Schema, TableError, read_table
from mim.tables.given import ROW, read_given
from mim.vocab import CANCERS as CANCER_OUTCOMES
from mim.vocab import NO_CANCER, Maker, Outcome


@dataclass(frozen=True)
class Reference:
    """The reference standard of a programme's exams, and its readers' judgement.

    Attributes:
        breasts: a row for each breast of an exam, or each exam where the breast is missing; the
            columns of ``REFERENCE``, ``cancer`` missing where unknown.
        readings: rows of ``GIVEN_READINGS``; none where no reading is known.
        note: what must be said wherever a figure of these exams stands.
        notices: lines for the user.
    """

    breasts: pl.DataFrame
    readings: pl.DataFrame
    note: str
    notices: tuple[str, ...]


def read_reference(path: Path, readings: Path | None) -> Reference:
    """Read a cohort's folder, or a table of ``REFERENCE`` in CSV or Parquet.

    A cohort's exams that are younger than the screening interval when its registry ends count as
    censored, those with a cancer among them.

    Args:
        path: the folder or the file.
        readings: table of ``GIVEN_READINGS``; missing: the cohort's own, if any.

    Raises:
        InputError: a table is missing or breaks its schema.
    """
    if path.is_dir():
        about = read_about(path)
        note = str(about["note"])
        end = about.get("registry_end")
        found, notices = _of_cohort(
            path,
            date.fromisoformat(end) if end else None,
            about["settings"]["outcomes"]["interval_days"],
        )
    else:
        note = ""
        found, notices = read_checked(path, REFERENCE, GIVEN_SCORES)
        found = _settled(path, found)
    said, more = _readings(path, readings)
    return Reference(found, said, note, (*notices, *more))


def read_checked(
    path: Path, schema: Schema, beside: Schema | None = None
) -> tuple[pl.DataFrame, list[str]]:
    """A table that a user gives, and notices on it; every fault of it in one error (``InputError``).

    ``beside`` is what the same file may hold too.
    """
    table = read_given(path, schema, beside)
    if table.faults:
        raise TableError("\n".join(table.faults))
    return table.rows.drop(ROW), table.notices


def _readings(path: Path, readings: Path | None) -> tuple[pl.DataFrame, list[str]]:
    if readings is not None:
        said, notices = read_checked(readings, GIVEN_READINGS)
        turns = said.drop_nulls("reading").group_by("exam", "reading")
        twice = turns.agg(pl.col("reader").n_unique()).filter(pl.col("reader") > 1)
        if twice.height:
            notices.append(
                f"{readings.name}: {twice['exam'].n_unique():,} exams have one 'reading' by two "
                "readers: whose it is counts as unknown"
            )
            doubt = twice.select("exam", "reading", doubt=True)
            said = said.join(doubt, on=["exam", "reading"], how="left", maintain_order="left")
            said = said.with_columns(
                reading=pl.when(pl.col("doubt").is_null()).then("reading")
            ).drop("doubt")
        return said, notices
    own = path / "readings.parquet"
    if path.is_dir() and own.is_file():
        names = GIVEN_READINGS.arrow().names
        return _frame(read_table(own, READINGS)).select(names), []
    return _frame(GIVEN_READINGS.from_rows([])), []


def _of_cohort(
    folder: Path, registry_end: date | None, interval_days: int
) -> tuple[pl.DataFrame, list[str]]:
    """The exams of a cohort, a row for each breast; and a notice on those too young to count."""
    exams = _frame(read_table(folder / "exams.parquet", EXAMS))
    sides = [
        exams.with_columns(
            breast=pl.lit(str(side)),
            outcome=pl.col(f"{name}_outcome"),
            cancer=pl.col(f"{name}_cancer"),
            priors=pl.col("priors").list.len(),
        )
        for side, name in SIDES.items()
    ]
    found = pl.concat(sides).drop("recalled")
    for name, schema, key in (
        ("decisions", DECISIONS, ["exam"]),
        ("cancers", CANCERS, ["exam", "breast"]),
    ):
        path = folder / f"{name}.parquet"
        rows = _frame(read_table(path, schema) if path.is_file() else schema.from_rows([]))
        found = found.join(rows, on=key, how="left", maintain_order="left")
    found = found.with_columns(young=_young(registry_end, interval_days))
    types = _frame(REFERENCE.from_rows([])).schema
    counted = found.with_columns(
        cancer=pl.when(~pl.col("young")).then("cancer"),
        outcome=pl.when("young").then(pl.lit(str(Outcome.CENSORED))).otherwise("outcome"),
    )
    told = found.filter("young", pl.col("cancer").is_not_null())
    return counted.select(pl.col(name).cast(kind) for name, kind in types.items()), _notice(told)


def _young(registry_end: date | None, interval_days: int) -> pl.Expr:
    """Whether an exam is younger than the screening interval when the registry ends.

    Of such exams cancers found by screening are known already, others and their absence not yet:
    those known would hold too many cancers. Where outcomes are given without dates, none is.
    """
    if registry_end is None:
        return pl.lit(False)
    ripe = pl.lit(registry_end - timedelta(days=interval_days))
    return (pl.col("exam_date") > ripe).fill_null(False)


def _notice(young: pl.DataFrame) -> list[str]:
    if young.is_empty():
        return []
    exams, sick = young["exam"].n_unique(), young.filter("cancer")["exam"].n_unique()
    return [
        f"{exams:,} exams of the cohort, {sick:,} with a cancer, are younger than the screening "
        "interval when the registry ends: not all of their cancers can be known, so none is counted"
    ]


def _settled(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Outcome and cancer of every row, each from the other where it is missing, and a maker."""
    if not rows["outcome"].count() and not rows["cancer"].count():
        raise TableError(
            f"{path}: neither column 'outcome' nor 'cancer' says what became of an exam; add one"
        )
    sick, healthy = (_words(CANCER_OUTCOMES), _words(NO_CANCER))
    never = [*healthy, *_words((Outcome.LATER, Outcome.CENSORED))]
    contradicted = rows.filter(
        (pl.col("cancer") & pl.col("outcome").is_in(never))
        | (~pl.col("cancer") & pl.col("outcome").is_in([*sick, str(Outcome.CENSORED)]))
    )
    if len(contradicted):
        raise TableError(
            f"{path}: column 'cancer' contradicts 'outcome' in {len(contradicted)} rows; keep one"
        )
    told = (
        pl.when(pl.col("outcome").is_in(sick))
        .then(True)
        .when(pl.col("outcome").is_in(healthy))
        .then(False)
    )
    word = (
        pl.when(pl.col("cancer"))
        .then(pl.lit(str(Outcome.CANCER)))
        .when(~pl.col("cancer"))
        .then(pl.lit(str(Outcome.NEGATIVE)))
    )
    untold = pl.col("outcome").fill_null(str(Outcome.UNKNOWN)) == str(Outcome.UNKNOWN)
    rows = rows.with_columns(
        cancer=pl.coalesce("cancer", told),
        outcome=pl.when(untold)
        .then(word.otherwise(pl.lit(str(Outcome.UNKNOWN))))
        .otherwise("outcome"),
        maker=pl.col("maker").fill_null(str(Maker.UNKNOWN)),
    )
    exams = rows.group_by("exam").agg(
        women=pl.col("woman").n_unique(), whole=pl.col("breast").is_null().any(), rows=pl.len()
    )
    if count := len(exams.filter(pl.col("women") > 1)):
        raise TableError(
            f"{path}: column 'woman' differs within {count} exams; give each one woman"
        )
    if count := len(exams.filter(pl.col("whole") & (pl.col("rows") > 1))):
        raise TableError(
            f"{path}: {count} exams have a row without a breast and others; give a row for each "
            "breast, or one for the exam"
        )
    return rows


def _words(outcomes: tuple[Outcome, ...]) -> list[str]:
    return [str(outcome) for outcome in outcomes]


def _frame(table: pa.Table) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(table))
