"""Score tables checked and turned into arrays, one row per breast or one per exam."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats
from mim.schemas.scores import SCORES
from mim.vocab import CANCERS, NO_CANCER, Outcome

SCORE = "score"
"""Column of the only model's scores."""

EXAM_OUTCOMES = (*CANCERS, Outcome.UNKNOWN, Outcome.CENSORED, Outcome.LATER, *NO_CANCER)
"""An exam is called by the first of these that either of its breasts has; so the word agrees with
the exam's label: cancers first, then what keeps it from being free of cancer, then the rest."""


@dataclass(frozen=True)
class Scored:
    """Breasts or exams that have a score of every model.

    Rows are sorted by woman and exam, so that the order of the table changes no figure.

    Attributes:
        unit: "breasts" or "exams".
        rows: what is known of them: at least woman, cancer, outcome and maker.
        scores: ``[row]`` of each model, by its name; higher is more suspicious.
        unscored: breasts or exams left out for want of a score.
    """

    unit: str
    rows: pl.DataFrame
    scores: dict[str, Floats]
    unscored: int

    @cached_property
    def woman(self) -> npt.NDArray[np.int64]:
        """``[row]``, a number for each woman."""
        return self.rows["woman"].rank("dense").cast(pl.Int64).to_numpy()

    @property
    def score(self) -> Floats:
        """``[row]``, the score of the first model."""
        return next(iter(self.scores.values()))

    @cached_property
    def known(self) -> Bools:
        """``[row]``, whether it is known if there is a cancer."""
        return self.rows["cancer"].is_not_null().to_numpy()

    @cached_property
    def cancer(self) -> Bools:
        """``[row]``, whether there is one; False where unknown."""
        return self.rows["cancer"].fill_null(False).to_numpy()

    @cached_property
    def outcome(self) -> npt.NDArray[np.str_]:
        """``[row]``, values of ``Outcome``."""
        return self.rows["outcome"].to_numpy().astype(np.str_)

    @cached_property
    def maker(self) -> npt.NDArray[np.str_]:
        """``[row]``, values of ``Maker``."""
        return self.rows["maker"].to_numpy().astype(np.str_)

    def machines(self) -> pl.Series:
        """``[row]``, model and software version of the mammograph; missing where unknown."""
        if "machine" in self.rows:
            return self.rows["machine"]
        return pl.Series("machine", [None] * len(self.rows), pl.String)

    def where(self, mask: Bools) -> "Scored":
        """The rows that a mask ``[row]`` keeps."""
        kept = {model: score[mask] for model, score in self.scores.items()}
        return Scored(self.unit, self.rows.filter(pl.Series(mask)), kept, self.unscored)

    def only(self, model: str) -> "Scored":
        """The same rows with the scores of one model."""
        return Scored(self.unit, self.rows, {model: self.scores[model]}, self.unscored)


def checked(table: pa.Table) -> pl.DataFrame:
    """A score table that can be measured. A score of NaN counts as missing.

    Raises:
        InputError: a column is missing or of another type, a (exam, breast) stands twice, a score
            lies outside 0 to 1, a word is not of the vocabulary, or the columns contradict.
    """
    columns = {}
    for field in SCORES.arrow():
        if field.name not in table.column_names:
            raise InputError(f"scores: column '{field.name}' is missing; write the scores again")
        try:
            columns[field.name] = table[field.name].cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"scores: column '{field.name}' does not convert to {field.type}; write it as such"
            ) from error
    rows = pl.DataFrame(pl.from_arrow(pa.table(columns)))
    rows = rows.with_columns(pl.col("score").fill_nan(None))
    for fault in _faults(rows):
        raise InputError(f"scores: {fault}")
    return rows.sort("woman", "exam", "breast")


def breasts(rows: pl.DataFrame, models: Sequence[str] = (SCORE,)) -> Scored:
    """One row per breast with a score in the column of every model."""
    return _scored(rows, "breasts", models)


def exams(rows: pl.DataFrame, models: Sequence[str] = (SCORE,)) -> Scored:
    """One row per exam with a score in the column of every model: the higher one of its breasts'.

    An exam has a cancer if either breast has; it has none if both are known to have none. Its
    outcome is the first in ``EXAM_OUTCOMES`` of its breasts'.
    """
    words = [outcome.value for outcome in EXAM_OUTCOMES]
    highest = {*models, "invasive", "size_mm", "grade", "consensus", "recalled"}
    joined = rows.group_by("exam", maintain_order=True).agg(
        (pl.col(name).max() if name in highest else pl.col(name).first())
        for name in rows.columns
        if name not in {"exam", "breast", "cancer", "outcome"}
    )
    judged = rows.group_by("exam", maintain_order=True).agg(
        pl.col("cancer").any(ignore_nulls=False),
        pl.col("outcome").cast(pl.Enum(words)).min().cast(pl.String),
    )
    return _scored(pl.concat([joined, judged.drop("exam")], how="horizontal"), "exams", models)


def _scored(rows: pl.DataFrame, unit: str, models: Sequence[str]) -> Scored:
    kept = rows.filter(pl.all_horizontal(pl.col(name).is_not_null() for name in models))
    scores = {name: kept[name].to_numpy() for name in models}
    return Scored(unit, kept.drop(models), scores, len(rows) - len(kept))


def _faults(rows: pl.DataFrame) -> Iterator[str]:
    if rows.is_empty():
        yield "no rows; give a table with one row per breast of an exam"
    for column in SCORES.columns:
        if not column.nullable and rows[column.name].has_nulls():
            yield f"column '{column.name}' has missing values; fill them or drop the rows"
        if column.values is not None:
            strange = rows.filter(~pl.col(column.name).is_in([str(v) for v in column.values]))
            if len(strange):
                yield (
                    f"column '{column.name}' holds {strange[column.name][0]!r}; "
                    f"allowed: {', '.join(column.values)}"
                )
    if count := int(rows.select("exam", "breast").is_duplicated().sum()):
        yield f"columns 'exam' and 'breast' name {count} rows more than once; keep one row for each"
    if count := len(rows.filter(~pl.col("score").is_between(0, 1))):
        yield f"column 'score' lies outside 0 to 1 in {count} rows; scale the scores to 0 to 1"
    if count := len(
        rows.group_by("exam").agg(pl.col("woman").n_unique()).filter(pl.col("woman") > 1)
    ):
        yield f"column 'woman' differs within {count} exams; give each exam one woman"
    against = (pl.col("cancer") & _is_one_of(*NO_CANCER, Outcome.LATER, Outcome.CENSORED)) | (
        ~pl.col("cancer") & _is_one_of(*CANCERS, Outcome.CENSORED)
    )
    if count := len(rows.filter(against)):
        yield f"column 'cancer' contradicts 'outcome' in {count} rows; derive both from one rule"


def _is_one_of(*outcomes: Outcome) -> pl.Expr:
    return pl.col("outcome").is_in([outcome.value for outcome in outcomes])
