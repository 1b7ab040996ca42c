"""What is known of the exams that models are measured on, from a cohort's folder or any table."""

from dataclasses import dataclass
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

    Args:
        path: the folder or the file.
        readings: table of ``GIVEN_READINGS``; missing: the cohort's own, if any.

    Raises:
        InputError: a table is missing or breaks its schema.
    """
    if path.is_dir():
        note = str(read_about(path)["note"])
        found, notices = _of_cohort(path), list[str]()
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
        return read_checked(readings, GIVEN_READINGS)
    own = path / "readings.parquet"
    if path.is_dir() and own.is_file():
        names = GIVEN_READINGS.arrow().names
        return _frame(read_table(own, READINGS)).select(names), []
    return _frame(GIVEN_READINGS.from_rows([])), []


def _of_cohort(folder: Path) -> pl.DataFrame:
    """The exams of a cohort, a row for each breast."""
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
    types = _frame(REFERENCE.from_rows([])).schema
    return found.select(pl.col(name).cast(kind) for name, kind in types.items())


def _settled(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """Outcome and cancer of every row, each from the other where it is missing, and a maker."""
    if not rows["outcome"].count() and not rows["cancer"].count():
        raise TableError(
            f"{path}: neither column 'outcome' nor 'cancer' says what became of an exam; add one"
        )
    sick, healthy = (_words(CANCER_OUTCOMES), _words(NO_CANCER))
    contradicted = rows.filter(
        (pl.col("cancer") & pl.col("outcome").is_in(healthy))
        | (~pl.col("cancer") & pl.col("outcome").is_in(sick))
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
    rows = rows.with_columns(
        cancer=pl.coalesce("cancer", told),
        outcome=pl.coalesce("outcome", word.otherwise(pl.lit(str(Outcome.UNKNOWN)))),
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
