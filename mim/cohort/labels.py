"""Outcomes: what became of each breast after each exam, by the decision table in docs/outcomes.md.

The numbers in the comments are the rows of that table. The windows are settings; the sources of
the definitions (screen-detected after recall, interval cancer within the screening interval, Larsen
2022, doi 10.1007/s00330-022-08909-x) stand in that page, with what others do.

All that a row asks about the woman (cancers, follow-up) is made once for each woman, all that it
asks about the exam once for each exam, so a national registry takes seconds.
"""

from datetime import date

import polars as pl

from mim.cohort.registry import Registry
from mim.cohort.settings import OutcomeSettings
from mim.schemas.cohort import SIDES
from mim.vocab import BREASTS, CANCERS, DAYS_PER_YEAR, NO_CANCER, FoundBy, Laterality, Outcome

SUSPICIOUS = 2
"""Score from which a reading is positive."""


def label_exams(registry: Registry, settings: OutcomeSettings) -> pl.DataFrame:
    """Outcome of both breasts of every exam of the registry, whether it has images or not.

    Exams of a woman on one day must have been merged before; where they were not, each is
    labelled as if it stood alone.

    Returns one row per exam, in the registry's order: ``exam_id``, ``recalled`` (missing: unknown),
    ``after_diagnosis``, and for left and right ``_outcome`` (a value of ``Outcome``), ``_cancer``
    (missing: unknown), ``_years_to_cancer`` (from the exam to the breast's first cancer; missing:
    none known) and ``_years_followed`` (from the exam to the end of follow-up; missing: unknown).
    """
    women = _women(registry, last_day(registry, settings.registry_date))
    exams = (
        registry.exams.select("exam_id", "woman_id", "exam_date")
        .join(women, on="woman_id", how="left", maintain_order="left")
        .pipe(_with_next_exam)
        .join(registry.decisions, on="exam_id", how="left", maintain_order="left")
        .join(_suspicious(registry), on="exam_id", how="left", maintain_order="left")
    )
    for side in BREASTS:
        exams = exams.join(_given(registry, side), "exam_id", "left", maintain_order="left")
    exams = exams.with_columns(
        after_diagnosis=(pl.col("first_diagnosis") < pl.col("exam_date")).fill_null(False),
        followed=_days_until("followed_until").clip(lower_bound=0),
        left_days=_days_until("left_diagnosis"),
        right_days=_days_until("right_diagnosis"),
        left_suspicious=pl.col("left_suspicious").fill_null(False),
        right_suspicious=pl.col("right_suspicious").fill_null(False),
    ).select(
        "exam_id",
        "recalled",
        "after_diagnosis",
        "followed",
        "^(left|right)_(days|given.*)$",
        left_outcome=_outcome("left", settings),
        right_outcome=_outcome("right", settings),
    )
    exams = exams.with_columns(years for side in SIDES.values() for years in _years(side))
    return exams.select(
        "exam_id",
        "recalled",
        "after_diagnosis",
        "left_outcome",
        "right_outcome",
        *(_cancer(side, settings).alias(f"{side}_cancer") for side in SIDES.values()),
        "^(left|right)_years_(to_cancer|followed)$",
    )


def last_day(registry: Registry, given: str | None = None) -> date | None:
    """The registry's date: up to it, cancers are known. None where no table has a day.

    ``given`` (YYYY-MM-DD), else the latest diagnosis or end of follow-up, else the latest exam.
    """
    if given is not None:
        return date.fromisoformat(given)
    days = pl.concat([registry.cancers["diagnosis_date"], registry.women["followup_end"]])
    latest = days.max() or registry.exams["exam_date"].max()
    assert latest is None or isinstance(latest, date)
    return latest


def _women(registry: Registry, last: date | None) -> pl.DataFrame:
    """For each woman examined: a number, her first cancers, and the end of her follow-up.

    Columns ``woman``, ``first_diagnosis`` (in any breast), ``side_unknown`` (of any of them),
    ``left_diagnosis``, ``left_found_by`` (of the first one on the left), the same on the right, and
    ``followed_until``. An exam or a diagnosis shows that she was followed until then.
    """
    cancers = registry.cancers.sort("diagnosis_date")
    first = [
        pl.col(column).filter(breast=side.value).first().alias(f"{SIDES[side]}_{name}")
        for side in BREASTS
        for column, name in (("diagnosis_date", "diagnosis"), ("found_by", "found_by"))
    ]
    diagnosed = cancers.group_by("woman_id").agg(
        pl.col("diagnosis_date").first().alias("first_diagnosis"),
        pl.col("diagnosis_date").last().alias("last_diagnosis"),
        pl.col("breast").is_null().any().alias("side_unknown"),
        *first,
    )
    known = registry.women.select("woman_id", "followup_end", "emigration_date", "death_date")
    end = pl.lit(last, pl.Date)
    lost = pl.min_horizontal(pl.col("followup_end").fill_null(end), "emigration_date", "death_date")
    until = pl.min_horizontal(pl.max_horizontal(lost, "last_exam", "last_diagnosis"), end)
    return (
        registry.exams.group_by("woman_id")
        .agg(last_exam=pl.col("exam_date").max())
        .with_row_index("woman")
        .join(diagnosed, on="woman_id", how="left")
        .join(known, on="woman_id", how="left")
        .with_columns(followed_until=until)
        .drop("last_exam", "last_diagnosis", *known.columns[1:])
    )


def _with_next_exam(exams: pl.DataFrame) -> pl.DataFrame:
    """Exams with ``next_exam``: days to the woman's next day with an exam, with images or not."""
    days = exams.select("woman", "exam_date").drop_nulls().unique().sort("woman", "exam_date")
    hers = pl.col("woman") == pl.col("woman").shift(-1)
    gap = (pl.col("exam_date").shift(-1) - pl.col("exam_date")).dt.total_days()
    days = days.with_columns(next_exam=pl.when(hers).then(gap))
    return exams.join(days, ["woman", "exam_date"], "left", maintain_order="left")


def _suspicious(registry: Registry) -> pl.DataFrame:
    """For each exam with a positive reading, which breasts have one."""
    positive = registry.readings.filter(pl.col("score") >= SUSPICIOUS)
    return positive.group_by("exam_id").agg(
        (pl.col("breast") == side.value).any().alias(f"{SIDES[side]}_suspicious")
        for side in BREASTS
    )


def _given(registry: Registry, side: Laterality) -> pl.DataFrame:
    """What the registry's table of outcomes says of one breast."""
    name = f"{SIDES[side]}_given"
    return registry.outcomes.filter(breast=side.value).select(
        "exam_id",
        pl.col("outcome").alias(name),
        pl.col("years_to_cancer").alias(f"{name}_years_to_cancer"),
        pl.col("years_followed").alias(f"{name}_years_followed"),
    )


def _days_until(day: str) -> pl.Expr:
    return (pl.col(day) - pl.col("exam_date")).dt.total_days()


def _outcome(side: str, settings: OutcomeSettings) -> pl.Expr:
    """The first row of the decision table that holds; a comparison with a missing value does not."""
    days, found_by = pl.col(f"{side}_days"), pl.col(f"{side}_found_by")
    next_exam, followed = pl.col("next_exam"), pl.col("followed")
    by_screening = found_by.eq_missing(pl.lit(FoundBy.SCREENING.value))
    perhaps_recalled = pl.col("recalled").fill_null(True)
    soon = days <= settings.screen_detected_days
    its_own = (days <= settings.interval_days) & (next_exam.is_null() | (next_exam > days))
    enough = (followed >= settings.interval_days) | (
        (followed >= next_exam) & (followed >= settings.clear_days)
    )
    suspicious = pl.col(f"{side}_suspicious")
    neither = ~(pl.col("left_suspicious") | pl.col("right_suspicious"))
    recalled = pl.col("recalled") & (suspicious | neither)
    dismissed = ~pl.col("recalled") & (suspicious | (neither & pl.col("consensus")))
    rows: list[tuple[pl.Expr, Outcome | pl.Expr]] = [
        (pl.col("after_diagnosis"), Outcome.UNKNOWN),  # 1
        (pl.col(f"{side}_given").is_not_null(), pl.col(f"{side}_given")),  # 2
        (pl.col("exam_date").is_null(), Outcome.UNKNOWN),  # 3
        (
            soon & perhaps_recalled & (by_screening | found_by.is_null()),
            Outcome.SCREEN_DETECTED,
        ),  # 4
        (its_own & by_screening & (perhaps_recalled | soon), Outcome.SCREEN_DETECTED),  # 5
        (its_own & ~by_screening, Outcome.INTERVAL),  # 6
        (pl.col("side_unknown"), Outcome.UNKNOWN),  # 7
        (days.is_not_null(), Outcome.LATER),  # 8 and 9
        (enough & recalled, Outcome.RECALLED),  # 10
        (enough & dismissed, Outcome.DISMISSED),  # 11
        (enough, Outcome.NEGATIVE),  # 12
    ]
    decided = _word(Outcome.CENSORED)  # 13
    for holds, outcome in reversed(rows):
        word = _word(outcome) if isinstance(outcome, Outcome) else outcome
        decided = pl.when(holds).then(word).otherwise(decided)
    return decided


def _word(outcome: Outcome) -> pl.Expr:
    return pl.lit(outcome.value)


def _years(side: str) -> list[pl.Expr]:
    """Years to cancer and of follow-up; none of an unknown outcome, lest it pass for no cancer."""
    outcome, given = pl.col(f"{side}_outcome"), f"{side}_given"
    as_given = pl.col(given).is_not_null() & ~pl.col("after_diagnosis")
    known = outcome != Outcome.UNKNOWN.value
    return [
        pl.when(as_given)
        .then(f"{given}_{name}")
        .when(known)
        .then(pl.col(days) / DAYS_PER_YEAR)
        .alias(f"{side}_{name}")
        for name, days in (("years_to_cancer", f"{side}_days"), ("years_followed", "followed"))
    ]


def _cancer(side: str, settings: OutcomeSettings) -> pl.Expr:
    """Whether the breast had a cancer, from its outcome and, for a later cancer, its years."""
    outcome = pl.col(f"{side}_outcome")
    days = (pl.col(f"{side}_years_to_cancer") * DAYS_PER_YEAR).round()
    clear = (outcome == Outcome.LATER.value) & (days >= settings.clear_days)
    return (
        pl.when(outcome.is_in([word.value for word in CANCERS]))
        .then(pl.lit(True))
        .when(outcome.is_in([word.value for word in NO_CANCER]) | clear)
        .then(pl.lit(False))
    )
