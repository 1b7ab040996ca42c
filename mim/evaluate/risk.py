"""A risk table as arrays: what was foretold of each breast or exam, and what came."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.survival import Followed


@dataclass(frozen=True)
class Risks:
    """Breasts or exams with a risk and a known follow-up, sorted by woman and exam.

    Attributes:
        unit: "breasts" or "exams"; an exam's risk is the sum of its breasts', at most 1,
            as in ``mim.model.risk``.
        woman: ``[row]``, a number for each woman.
        maker: ``[row]``, values of ``Maker``.
        risk: ``[row, year]``, probability of a cancer within 1, 2, ... years.
        followed: until when, and whether to a cancer. Nothing counts after the last year
            modelled: a later cancer is a breast followed through all years without one.
    """

    unit: str
    woman: npt.NDArray[np.int64]
    maker: npt.NDArray[np.str_]
    risk: Floats
    followed: Followed

    def where(self, mask: Bools) -> "Risks":
        """The rows that a mask ``[row]`` keeps."""
        followed = Followed(self.followed.end[mask], self.followed.cancer[mask])
        return Risks(self.unit, self.woman[mask], self.maker[mask], self.risk[mask], followed)

    @property
    def last(self) -> Floats:
        """``[row]``, the risk by the last year modelled, by which rows are ranked."""
        return self.risk[:, -1]


def risks(table: pa.Table) -> tuple[Risks, Risks]:
    """The breasts and the exams of a table of ``mim.schemas.scores.RISK_SCORES``.

    A breast without a risk or a follow-up is left out, and an exam with such a follow-up.

    Raises:
        InputError: rows have risks of different years.
    """
    found = pl.DataFrame(pl.from_arrow(table)).filter(pl.col("risk").is_not_null())
    found = found.sort("woman", "exam", "breast").with_columns(
        pl.col("years_to_cancer", "years_followed").fill_nan(None)
    )
    years = found["risk"].list.len().unique().to_list()
    if len(years) > 1:
        raise InputError("risk scores: rows have risks of different years; write the scores again")
    risk = found["risk"].explode().drop_nulls().to_numpy().reshape(len(found), *(years or [1]))
    last = float(risk.shape[1])
    cancer = (found["years_to_cancer"] < last).fill_null(False).to_numpy()
    end = found.select(pl.coalesce("years_to_cancer", "years_followed").clip(0.0, last))
    breasts = Risks(
        "breasts",
        found["woman"].rank("dense").cast(pl.Int64).to_numpy(),
        found["maker"].to_numpy().astype(np.str_),
        risk.astype(np.float64),
        Followed(end.to_series().cast(pl.Float64).fill_null(np.nan).to_numpy(), cancer),
    )
    exams = _exams(breasts, found["exam"].to_numpy())
    return _with_follow_up(breasts), _with_follow_up(exams)


def _exams(breasts: Risks, exam: npt.NDArray[np.object_]) -> Risks:
    """Breasts joined by their exam: the earliest end of either, and what it was."""
    first = np.flatnonzero(np.append(True, exam[1:] != exam[:-1])[: len(exam)])
    if not len(first):
        return Risks("exams", breasts.woman, breasts.maker, breasts.risk, breasts.followed)
    place = np.repeat(np.arange(len(first)), np.diff(np.append(first, len(exam))))
    ends = breasts.followed.end
    end = np.minimum.reduceat(ends, first)  # NaN where either is
    ending = breasts.followed.cancer & (ends == end[place])
    return Risks(
        "exams",
        breasts.woman[first],
        breasts.maker[first],
        np.minimum(np.add.reduceat(breasts.risk, first, axis=0), 1.0),
        Followed(end, np.logical_or.reduceat(ending, first)),
    )


def _with_follow_up(rows: Risks) -> Risks:
    return rows.where(~np.isnan(rows.followed.end))
