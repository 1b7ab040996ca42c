"""What a data and model card knows of a model's exams: counted, not told."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from mim.evaluate.cases import age_band
from mim.evaluate.scored import EXAM_OUTCOMES
from mim.vocab import CANCERS, Outcome, maker_name

UNKNOWN = "unknown"
MOST_LEVELS = 12
"""Levels of one fact that a card counts; the others are one more."""


@dataclass(frozen=True)
class SampleFacts:
    """Some exams, counted by what is known of them.

    Attributes:
        women: to whom they belong.
        exams: how many.
        years: first and last calendar year; missing where no day is known.
        counts: exams by level of outcome, maker, site, age and density, each with the most frequent
            level first and those of unknown level last.
        cancers: exams with a cancer.
    """

    women: int
    exams: int
    years: tuple[int, int] | None
    counts: Mapping[str, Mapping[str, int]]
    cancers: int

    @property
    def period(self) -> str | None:
        """Its years in words."""
        if self.years is None:
            return None
        first, last = self.years
        return f"{first}" if first == last else f"{first} to {last}"


@dataclass(frozen=True)
class CardFacts:
    """What the data and model card of one model is made from.

    Attributes:
        note: what must be said first, such as that the data are made up; may be empty.
        model: the model's name.
        test: the exams it is measured on.
        training: the exams that it was trained on, where they are at hand.
        run: ``run.json`` of the model; missing for scores given as a table.
        chosen_by_validation: whether its checkpoint was chosen by its validation exams.
        thresholds: selection rates and the model's scores that stand for them, from validation exams.
        unscored: test exams left out for want of a score of it, or of a model measured beside it.
        missing: sentences on what was left out or filled in when tables were joined.
        resamples: of women, behind each interval.
        versions: of the software that measured.
    """

    note: str
    model: str
    test: SampleFacts
    training: SampleFacts | None
    run: Mapping[str, Any] | None
    chosen_by_validation: bool
    thresholds: Sequence[tuple[float, float]]
    unscored: int
    missing: Sequence[str]
    resamples: int
    versions: Mapping[str, str]

    @property
    def chosen(self) -> str:
        """What validation women chose of a run, and who chose the rest."""
        fitted = (self.run or {}).get("renormalised")
        parts = {"its checkpoint": self.chosen_by_validation, "its thresholds": not fitted}
        said = " and ".join(what for what, so in parts.items() if so) or "nothing"
        if fitted:
            by = f"Exams of {maker_name(fitted['maker'])} that it was fitted to chose its thresholds."
            return f"{said}, test women only measure it. {by}"
        return f"{said}, test women only measure it."

    @property
    def updated(self) -> str:
        """What was fitted to other exams after training."""
        fitted = (self.run or {}).get("renormalised")
        if not fitted:
            return "None: scores are measured as they were given."
        parts = "Batch normalisation, thresholds" if fitted["share"] else "Thresholds"
        return (
            f"{parts} and scale were fitted to {fitted['exams']} unlabelled exams of "
            f"{maker_name(fitted['maker'])} before; nothing was changed by what is measured here."
        )


def sample_facts(rows: pl.DataFrame) -> SampleFacts:
    """Count exams.

    Args:
        rows: one for each exam or each breast of it, with the columns exam, woman, outcome and
            maker, and those of site, age_years, density and exam_date that are known.
    """
    words = [outcome.value for outcome in EXAM_OUTCOMES]
    outcome = pl.col("outcome").fill_null(Outcome.UNKNOWN.value).cast(pl.Enum(words)).min()
    others = [name for name in rows.columns if name not in {"exam", "outcome"}]
    exams = rows.group_by("exam", maintain_order=True).agg(
        outcome.cast(pl.String), *(pl.col(name).drop_nulls().first() for name in others)
    )
    counts = {"outcome": _counts(exams["outcome"]), "maker": _counts(exams["maker"], maker_name)}
    counts |= {name: _counts(exams[name]) for name in ("site", "density") if name in exams}
    if "age_years" in exams:
        counts["age"] = _counts(exams["age_years"], age_band)
    years = exams["exam_date"].dt.year().drop_nulls() if "exam_date" in exams else pl.Series([])
    sick = exams["outcome"].is_in([kind.value for kind in CANCERS]).sum()
    return SampleFacts(
        exams["woman"].n_unique(),
        len(exams),
        (int(years.min()), int(years.max())) if len(years) else None,  # type: ignore[arg-type]
        counts,
        int(sick),
    )


def _counts(levels: pl.Series, named: Callable[[Any], str] = str) -> dict[str, int]:
    """Exams by level, most first; the rarest together, then those of which it is unknown."""
    found: Counter[str] = Counter()
    for level, count in levels.value_counts().iter_rows():
        found[UNKNOWN if level is None else named(level)] += count
    unknown = found.pop(UNKNOWN, 0)
    order = sorted(found.items(), key=lambda item: (-item[1], item[0]))
    counts = dict(order[:MOST_LEVELS])
    if rest := order[MOST_LEVELS:]:
        counts[f"{len(rest)} others"] = sum(count for _, count in rest)
    return counts | ({UNKNOWN: unknown} if unknown else {})
