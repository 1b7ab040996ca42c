"""The cells of one column as values of its type; cells that are not of its kind are named.

A column that has its type already, as in Parquet, is checked as it is. No fault quotes a cell: it
may be an identifier.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, time

import polars as pl
import pyarrow as pa

from mim.schemas.registry import PLAUSIBLE
from mim.schemas.table import Column

EARLIEST = date(1900, 1, 1)
EARLIEST_BIRTH = 1880
FLAGS = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}

WORDS_FOR_MISSING = ("na", "n/a", "#n/a", "nan", "nat", "null", "none", ".", "-", "?")
LEAVE_EMPTY = "is a word or sign for a missing value; leave such cells empty"

AS_DAY = "write days as YYYY-MM-DD"
SWAPPED = f"is YYYY-DD-MM; {AS_DAY}"
DAY_FORMS = (
    (r"\d{1,2}:\d{2}", f"carries a time of day; {AS_DAY} alone"),
    (r"^\d{4}-(1[3-9]|2\d|3[01])-(0[1-9]|1[0-2])$", SWAPPED),
    (r"^\d{4}-\d{2}-\d{2}$", "is no day of the calendar; correct it"),
    (r"^(19|20)\d{6}(\.0)?$", f"is YYYYMMDD; {AS_DAY}"),
    (r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}$", f"is a day without its zeros or hyphens; {AS_DAY}"),
    (r"^\d{1,2}[./-]\d{1,2}[./-]\d{2}$", f"has a year of two digits; {AS_DAY}"),
    (
        r"^\d{5}(\.\d+)?$",
        "is a serial number of Excel; give the column the format yyyy-mm-dd and save it again",
    ),
    (r"^\d{4}([-/.]\d{1,2})?$", f"is a year or month without a day; {AS_DAY}"),
    (r"^\d{1,2}\W*[^\W\d]{3,}\W*\d{2,4}$", f"has the month as a word; {AS_DAY}"),
)
NUMBER_FORMS = (
    (r"^[+-]?\d+,\d+$", "has a decimal comma; write a decimal point"),
    (r"^[+-]?[\d.,]+ ?(%|[^\W\d]+)$", "carries a unit; write the number alone"),
)
FORMS: dict[pa.DataType, tuple[tuple[str, str], ...]] = {
    pa.date32(): DAY_FORMS,
    pa.float64(): NUMBER_FORMS,
    pa.int32(): NUMBER_FORMS,
}
"""Patterns by which cells that are not of their kind are recognised; the first that fits."""

EXPECTED = {
    pa.date32(): "a day as YYYY-MM-DD",
    pa.float64(): "a number with a decimal point",
    pa.int32(): "a whole number",
    pa.bool_(): "true or false",
}

MANY_DAYS = 60
"""So many different days, none after the 12th of its month, are a swap and no chance."""
MANY_NUMBERS = 20
"""From so many numbers on, a column is judged by all of them."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault in a column: numbers of the rows, and what is wrong and the remedy.

    No rows: the fault is the whole column's.
    """

    rows: pl.Series
    what: str


def read_cells(
    cells: pl.Series, rows: pl.Series, column: Column
) -> tuple[pl.Series | None, list[Fault]]:
    """The cells as ``column.type``, missing where empty or at fault, and the faults.

    ``rows`` are the cells' row numbers. None: the column as a whole cannot be read.
    """
    if what := _unreadable(cells, column):
        return None, [Fault(rows.clear(), what)]
    faults = []
    if not column.nullable and cells.null_count():
        what = f"is empty; fill in {column.meaning}, or remove the row"
        faults.append(Fault(rows.filter(cells.is_null()), what))
    values = _typed(cells, column.type)
    unfit = cells.is_not_null() & values.is_null()
    if unfit.any():
        faults += _named(cells.filter(unfit).cast(pl.String), rows.filter(unfit), column)
    for fits, what in _limits(values, column):
        bad = values.is_not_null() & ~fits.fill_null(True)
        if bad.any():
            faults.append(Fault(rows.filter(bad), what))
            values = _keep(values, ~bad)
    swapped = any(fault.what == SWAPPED for fault in faults)
    if not swapped and (what := _odd_as_a_whole(values, column)):
        faults.append(Fault(rows.clear(), what))
    return values, faults


def _unreadable(cells: pl.Series, column: Column) -> str | None:
    kind = cells.dtype
    if kind.is_nested() or isinstance(kind, pl.Binary | pl.Object | pl.Time | pl.Duration):
        return "is neither text nor numbers nor days; write it as text"
    broken = kind.is_float() or (isinstance(kind, pl.Decimal) and kind.scale)
    if broken and column.name.endswith(("_id", "_uid")) and cells.count():
        return "holds floating-point numbers; write it as text"
    return None


def _typed(cells: pl.Series, kind: pa.DataType) -> pl.Series:
    """The cells as ``kind``; missing where they are not of it."""
    if kind == pa.date32():
        return _days(cells)
    if kind == pa.bool_():
        if cells.dtype == pl.Boolean:
            return cells
        text = cells.cast(pl.String).str.to_lowercase()
        return text.replace_strict(FLAGS, default=None, return_dtype=pl.Boolean)
    if kind == pa.string():
        return cells.cast(pl.String)
    number = cells if cells.dtype.is_numeric() else cells.cast(pl.String)
    number = number if number.dtype.is_integer() else number.cast(pl.Float64, strict=False)
    if kind == pa.int32():
        whole = number.cast(pl.Int32, strict=False)
        return _keep(whole, whole == number)
    number = number.cast(pl.Float64)
    return _keep(number, number.is_finite())


def _days(cells: pl.Series) -> pl.Series:
    if cells.dtype == pl.Date:
        return cells
    if isinstance(cells.dtype, pl.Datetime):
        local = cells.dt.replace_time_zone(None)
        return _keep(local.dt.date(), local.dt.time() == time())
    text = cells.cast(pl.String)
    day = text.str.to_date("%Y-%m-%d", strict=False)
    return _keep(day, day.dt.to_string("%Y-%m-%d") == text)


def _keep(values: pl.Series, fits: pl.Series) -> pl.Series:
    return pl.select(pl.when(fits).then(values).alias(values.name)).to_series()


def _named(text: pl.Series, rows: pl.Series, column: Column) -> list[Fault]:
    """What cells that are not of their kind are instead."""
    faults = []

    def take(hit: pl.Series, what: str) -> None:
        nonlocal text, rows
        if hit.any():
            faults.append(Fault(rows.filter(hit), what))
            text, rows = text.filter(~hit), rows.filter(~hit)

    take(text.str.to_lowercase().is_in(WORDS_FOR_MISSING), LEAVE_EMPTY)
    if column.type == pa.date32():
        for mark in "./-":
            hit = text.str.contains(rf"^\d{{1,2}}[{mark}]\d{{1,2}}[{mark}]\d{{4}}$")
            take(hit, f"is {_day_or_month_first(text.filter(hit), mark)}; {AS_DAY}")
    for pattern, what in FORMS.get(column.type, ()):
        take(text.str.contains(pattern), what)
    take(text.is_not_null(), f"is not {EXPECTED[column.type]}; correct it")
    return faults


def _day_or_month_first(text: pl.Series, mark: str) -> str:
    """DD.MM.YYYY or MM.DD.YYYY, by a number above 12 where there is one."""
    day_first, month_first = f"DD{mark}MM{mark}YYYY", f"MM{mark}DD{mark}YYYY"
    first, second = (
        bool((text.str.extract(pattern).cast(pl.Int64) > 12).any())
        for pattern in (r"^(\d+)", r"^\d+\D(\d+)")
    )
    if first and second:
        return f"partly {day_first} and partly {month_first}"
    if first or second:
        return day_first if first else month_first
    return day_first if mark == "." else f"{day_first} or {month_first}"


def _limits(values: pl.Series, column: Column) -> Iterator[tuple[pl.Series, str]]:
    """Which of the values are possible, and what the others are."""
    remedy = "correct it, or leave the cell empty" if column.nullable else "correct it"
    if column.type == pa.date32():
        yield values >= EARLIEST, f"is before {EARLIEST}; {remedy}"
        yield values <= date.today(), f"is after today; {remedy}"
    if column.type == pa.string() and (column.nullable or column.name.endswith(("_id", "_uid"))):
        yield ~_means_missing(values), LEAVE_EMPTY
    if column.values is not None:
        allowed = pl.Series(column.values).cast(values.dtype)
        yield values.is_in(allowed.implode()), f"is none of {', '.join(column.values)}; {remedy}"
    if column.name == "birth_year":
        latest = date.today().year
        fits = values.is_between(EARLIEST_BIRTH, latest)
        yield fits, f"is no year from {EARLIEST_BIRTH} to {latest}; {remedy}"
    if column.name == "height_cm":
        yield ~values.is_between(1.0, 2.3), "looks like metres; write centimetres"
    if column.name in PLAUSIBLE:
        low, high, unit = PLAUSIBLE[column.name]
        yield values.is_between(low, high), f"is outside {low:g} to {high:g} {unit}; {remedy}"


def _means_missing(text: pl.Series) -> pl.Series:
    short = text.str.len_bytes() <= max(map(len, WORDS_FOR_MISSING))
    if not short.any():
        return short
    return short & text.str.to_lowercase().is_in(WORDS_FOR_MISSING)


def _odd_as_a_whole(values: pl.Series, column: Column) -> str | None:
    """A fault that no single cell shows."""
    if column.type == pa.date32():
        days = values.drop_nulls().unique()
        of_month = days.dt.day().unique()
        if days.len() >= MANY_DAYS and of_month.len() > 1 and not (of_month > 12).any():
            return f"has no day after the 12th of a month: day and month look swapped; {AS_DAY}"
    if column.name == "size_mm":
        sizes = values.drop_nulls()
        broken = (sizes != sizes.round()).sum()
        if sizes.len() >= MANY_NUMBERS and sizes.median() < 6 and broken > sizes.len() / 2:  # type: ignore[operator]
            return "looks like centimetres, half of it being below 6; write millimetres"
    if column.name == "percent" and values.count() >= MANY_NUMBERS and values.max() <= 1:  # type: ignore[operator]
        return "looks like shares of 1, none being above it; write per cent"
    return None
