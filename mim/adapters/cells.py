"""Cells of published tables, which are text, as mim's words and numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import polars as pl

from mim.errors import InputError
from mim.vocab import BREASTS, Laterality, View

SIDES = {
    "l": Laterality.LEFT.value,
    "left": Laterality.LEFT.value,
    "r": Laterality.RIGHT.value,
    "right": Laterality.RIGHT.value,
}


def side(column: str) -> pl.Expr:
    """L or R, however it is spelt; missing where the cell is neither."""
    cell = pl.col(column).str.to_lowercase()
    return cell.replace_strict(SIDES, default=None, return_dtype=pl.String)


def view(column: str) -> pl.Expr:
    """The projection, whatever its case; missing where it is none of ``mim.vocab.View``."""
    words = {word.value.upper(): word.value for word in View}
    cell = pl.col(column).str.to_uppercase()
    return cell.replace_strict(words, default=None, return_dtype=pl.String)


def number(column: str) -> pl.Expr:
    """The number in the cell, as 1 or 1.0; missing where it is none."""
    return pl.col(column).cast(pl.Float64, strict=False)


def density(column: str, letters: Sequence[str]) -> pl.Expr:
    """BI-RADS density a to d of cells that hold one of ``letters``, least dense first; 1.0 is 1."""
    words = dict(zip(letters, "abcd", strict=True))
    return (
        pl.col(column)
        .str.strip_suffix(".0")
        .replace_strict(words, default=None, return_dtype=pl.String)
    )


def require_filled(
    rows: pl.DataFrame,
    columns: Sequence[str],
    table: Path,
    published: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Stop at a table in which rows cannot be told apart (``InputError``).

    ``published``: what the table calls columns whose words were translated.
    """
    for column in columns:
        if count := rows[column].null_count():
            fault = "holds no value as published" if column in published else "is empty"
            raise InputError(
                f"{table}: column '{published.get(column, column)}' {fault} in {count} rows; "
                "download it again"
            )


def one_row_each(
    rows: pl.DataFrame, key: Sequence[str], table: Path, notices: list[str]
) -> pl.DataFrame:
    """The rows without those that repeat another throughout; adds a notice of how many there were.

    Raises:
        InputError: rows of one key differ.
    """
    kept = rows.unique(maintain_order=True)
    if count := rows.height - kept.height:
        notices.append(f"{count} rows of {table.name} repeat another and are left out")
    if count := kept.select(pl.struct(key).is_duplicated().sum()).item():
        raise InputError(
            f"{table}: {count} rows share their {' and '.join(key)} but differ; "
            "keep the right one of each, or download it again"
        )
    return kept


def of_both_breasts(rows: pl.DataFrame) -> pl.DataFrame:
    """Each row twice, with ``breast`` L and R."""
    breasts = pl.DataFrame({"breast": [breast.value for breast in BREASTS]})
    return rows.join(breasts, how="cross")
