"""What each threshold of a model means for the programme: exams selected, cancers found, recalls,
readings. The page shows it under a slider.

Everything is a count from the highest score down, of all exams at once: exams with equal scores are
selected together or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mim.evaluate.bootstrap import Bools, Floats, Ints
from mim.evaluate.charts import Axis, Line, lines_svg
from mim.evaluate.operating import groups_within
from mim.evaluate.readers import Calls
from mim.evaluate.scored import Scored
from mim.vocab import CANCERS, SELECTION_RATES, Outcome

SHARES = (*np.arange(1, 200) / 1000, *np.arange(40, 200) / 200)
"""Shares of exams at which the slider stops: by 0.1 % below 20 %, by 0.5 % above."""

CANCER_NAMES = {
    Outcome.SCREEN_DETECTED: ("Screen-detected cancers found", "screen_detected_cancers"),
    Outcome.INTERVAL: ("Interval cancers found", "interval_cancers"),
    Outcome.CANCER: ("Cancers found, unclear how", "cancers_unclear_how"),
}
"""Kinds of cancer on the page and as columns of a table."""

FIRST_RATE = SELECTION_RATES[2]
"""Where the slider stands at first: the programme's consensus (Larsen 2022)."""

READERS = 2
"""Readings of an exam in the programme."""


@dataclass(frozen=True)
class Counted:
    """Some exams of one kind, counted at every stop of the slider.

    Attributes:
        name: what they are.
        column: the same in a table.
        counts: ``[stop]``, how many of them are selected.
        total: how many there are.
        shares: ``[stop]``, the share of them that is selected; of a programme's, where exams stand
            for it by weights. NaN where there are none.
    """

    name: str
    column: str
    counts: Ints
    total: int
    shares: Floats


@dataclass(frozen=True)
class SliderData:
    """Every stop of the slider, from the fewest exams selected to all.

    Attributes:
        model: whose scores they are.
        anchor: name of the slider in the page.
        scores: ``[stop]``, an exam is selected from this score on: the lowest one selected.
        selected: all exams.
        cancers: exams with a cancer, of any and of each kind that there is.
        recalls: exams whose woman the programme recalled, and those of them known to be free of
            cancer; empty where nothing is known of recalls.
        weighted: whether shares are those of a programme.
    """

    model: str
    anchor: str
    scores: Floats
    selected: Counted
    cancers: tuple[Counted, ...]
    recalls: tuple[Counted, ...]
    weighted: bool

    @property
    def readings(self) -> tuple[Counted, Counted]:
        """Readings if two readers see the selected exams and none the others; and if one reader
        sees the others. Of the readings that the programme has, two of every exam."""
        exams, once = self.selected, self.selected.total
        shares = exams.shares
        return (
            Counted(
                "Readings if the others are read by none",
                "readings_others_by_none",
                *(READERS * exams.counts, READERS * once, shares),
            ),
            Counted(
                "Readings if the others are read by one",
                "readings_others_by_one",
                *(once + exams.counts, READERS * once, (1 + shares) / READERS),
            ),
        )

    @property
    def found(self) -> tuple[Counted, ...]:
        """What is selected: exams, cancers, recalls."""
        return (self.selected, *self.cancers, *self.recalls)

    @property
    def rows(self) -> tuple[Counted, ...]:
        """All that is counted, as the page shows it."""
        return (*self.found, *self.readings)

    def stop(self, rate: float) -> int | None:
        """The last stop that selects no more than a share of exams; None where each selects more."""
        within = np.flatnonzero(self.selected.shares <= rate * (1 + 1e-12))
        return int(within[-1]) if len(within) else None


def slider_data(
    exams: Scored,
    recalled: Calls | None = None,
    weights: Floats | None = None,
    *,
    shares: Sequence[float] = SHARES,
    anchor: str = "slider",
) -> SliderData:
    """Count exams, cancers and recalls at thresholds of the first model.

    Args:
        exams: at least one.
        recalled: which women the programme recalled, of the same exams.
        weights: ``[exam]``, how much each counts among the programme's; missing: all alike.
        shares: of exams, 0 to 1, at which the slider stops: at the lowest score that selects no
            more than the share. Stops that select the same exams are one.
        anchor: name of the slider in the page, its own for each model.
    """
    weight = np.ones(len(exams.score)) if weights is None else weights
    values, group = np.unique(-exams.score, return_inverse=True)
    cumulative = np.cumsum(np.bincount(group, weight, len(values)).astype(np.float64))
    stops = np.unique([groups_within(cumulative, share) for share in (*shares, 1.0)])
    stops = stops[stops > 0]

    def counted(name: str, column: str, rows: Bools) -> Counted:
        number = np.cumsum(np.bincount(group[rows], minlength=len(values)))
        weighed = np.cumsum(np.bincount(group[rows], weight[rows], len(values)))
        nothing = np.full(len(stops), np.nan)
        shares = weighed[stops - 1] / weighed[-1] if weighed[-1] > 0 else nothing
        return Counted(name, column, number[stops - 1], int(rows.sum()), shares)

    return SliderData(
        next(iter(exams.scores)),
        anchor,
        -values[stops - 1],
        counted("Exams selected", "exams", np.ones(len(exams.score), np.bool_)),
        tuple(counted(*its) for its in _cancers(exams)),
        tuple(counted(*its) for its in _recalls(exams, recalled)),
        weights is not None,
    )


def slider_rows(data: SliderData) -> list[dict[str, object]]:
    """Every stop as a row of a table: counts of what is selected, and shares of all there are.

    The last stop of a model selects all, so its counts are how many there are.
    """
    return [
        {"model": data.model, "score": float(score)}
        | {f"{row.column}_selected": int(row.counts[stop]) for row in data.found}
        | {row.column: int(row.counts[stop]) for row in data.readings}
        | {f"share_of_{row.column}": _number(row.shares[stop]) for row in data.rows}
        for stop, score in enumerate(data.scores)
    ]


def _number(share: float) -> float | None:
    return None if np.isnan(share) else float(share)


def _cancers(exams: Scored) -> list[tuple[str, str, Bools]]:
    kinds = [(*CANCER_NAMES[kind], exams.cancer & (exams.outcome == kind)) for kind in CANCERS]
    return [("Cancers found", "cancers", exams.cancer), *(its for its in kinds if its[-1].any())]


def _recalls(exams: Scored, recalled: Calls | None) -> list[tuple[str, str, Bools]]:
    if recalled is None:
        return []
    positive = recalled.known & recalled.positive
    free = positive & exams.known & ~exams.cancer
    return [
        ("The programme's recalls among them", "recalls", positive),
        ("Recalls without cancer among them", "recalls_without_cancer", free),
    ]


def slider_view(data: SliderData) -> dict[str, object]:
    """What the template of the slider shows, every cell of it in words.

    A page with JavaScript has all of ``texts``; the rows at the named rates stand there for pages
    without, and on paper.
    """
    at = data.stop(FIRST_RATE)
    first = 0 if at is None else at
    rates = [(rate, data.stop(rate)) for rate in SELECTION_RATES]
    cells = [
        [(_count(row, stop), _share(row.shares[stop])) for row in data.rows]
        for stop in range(len(data.scores))
    ]
    said = [_sentence(data, stop) for stop in range(len(data.scores))]
    return {
        "anchor": data.anchor,
        "model": data.model,
        "weighted": data.weighted,
        "names": [row.name for row in data.rows],
        "first": first,
        "last": len(data.scores) - 1,
        "cells": cells[first],
        "said": said[first],
        "rates": [
            (_share(rate), stop, None if stop is None else cells[stop]) for rate, stop in rates
        ],
        "picture": _picture(data, first),
        "texts": {
            "cells": [[word for pair in row for word in pair] for row in cells],
            "said": said,
            "shares": [round(float(share), 6) for share in data.selected.shares],
        },
    }


def _sentence(data: SliderData, stop: int) -> str:
    cancer = data.cancers[0]
    return (
        f"Exams are selected from a score of {data.scores[stop]:.4g} on: "
        f"{_share(data.selected.shares[stop])} of exams, with "
        f"{_count(cancer, stop)} cancers."
    )


def _count(row: Counted, stop: int) -> str:
    return f"{row.counts[stop]:,} of {row.total:,}"


def _share(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.1f} %"


def _picture(data: SliderData, first: int) -> Markup:
    """Cancers found against exams selected."""
    shares = np.append(0, data.selected.shares)
    lines = [
        Line(row.name, shares, np.append(0, row.shares), series, steps=True)
        for series, row in enumerate(data.cancers)
    ]
    return lines_svg(
        lines,
        Axis("exams selected", 0, 1, percent=True),
        Axis("cancers found", 0, 1, percent=True),
        "Share of cancers found against share of exams selected; the line stands where the slider is.",
        mark=float(data.selected.shares[first]),
    )
