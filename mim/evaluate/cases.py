"""The exams that a model is most wrong about: cancers that score low, and the healthy that score high."""

import base64
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from mim.evaluate.bootstrap import Bools, Floats
from mim.evaluate.scored import Scored
from mim.evaluate.subgroups import AGE_BANDS, AGES
from mim.vocab import CANCERS, NO_CANCER, Laterality, maker_name

FALSE_ALARM = "false alarm"
SIDES = {Laterality.LEFT.value: "left", Laterality.RIGHT.value: "right"}


@dataclass(frozen=True)
class Case:
    """An exam that a model is wrong about. What is unknown is missing.

    Attributes:
        kind: the outcome of a missed cancer, or "false alarm".
        exam: its pseudonym.
        score: of the exam.
        higher_than: share of all exams that score lower, 0 to 1.
        outcome: what became of the exam.
        maker: of its images.
        site: screening unit.
        density: BI-RADS.
        age: band of the woman's age, in words.
        priors: number of earlier exams.
        breast: side of the breast with the cancer, "both" of both; of a false alarm the one that
            scores higher.
        breast_score: of that breast, the higher one of both.
    """

    kind: str
    exam: str
    score: float
    higher_than: float
    outcome: str
    maker: str
    site: str | None
    density: str | None
    age: str | None
    priors: int | None
    breast: str | None
    breast_score: float | None

    @property
    def facts(self) -> list[tuple[str, str]]:
        """What is known of it, in words, the most important first."""
        known: list[tuple[str, str | None]] = [
            ("Outcome", self.outcome),
            ("Score", f"{self.score:.4g}, higher than {100 * self.higher_than:.1f} % of exams"),
            (
                "Higher breast" if self.kind == FALSE_ALARM else "Breast with cancer",
                self.breast and f"{self.breast}, score {self.breast_score:.4g}",
            ),
            ("Maker", maker_name(self.maker)),
            ("Site", self.site),
            ("Density", self.density),
            ("Age", self.age),
            ("Priors", None if self.priors is None else f"{self.priors}"),
        ]
        return [(name, words) for name, words in known if words]


def most_wrong(exams: Scored, breasts: Scored | None, most: int = 6) -> list[Case]:
    """The cancers of each kind with the lowest scores, then the false alarms with the highest.

    A false alarm is an exam known to be free of cancer at the end of its follow-up; one before a
    later cancer is none. Exams of equal score come by their pseudonym, so the choice is always the
    same.

    Args:
        exams: scores of the first model are judged.
        breasts: of the same model, to say which breast is meant.
        most: cases of each kind.
    """
    score = exams.score
    names = exams.rows["exam"].to_numpy().astype(np.str_)
    lower = np.searchsorted(np.sort(score), score, side="left") / max(len(score), 1)
    free = exams.known & ~exams.cancer & np.isin(exams.outcome, [str(word) for word in NO_CANCER])
    chosen: list[tuple[str, int]] = []
    for kind in CANCERS:
        missed = _first(exams.cancer & (exams.outcome == kind), score, names, most)
        chosen += [(str(kind), row) for row in missed]
    chosen += [(FALSE_ALARM, row) for row in _first(free, -score, names, most)]
    sides = {} if breasts is None else _sides(breasts, [names[row] for _, row in chosen])
    return [_case(exams, kind, row, float(lower[row]), sides) for kind, row in chosen]


def show_cases(cases: Sequence[Case], pictures: Mapping[str, bytes]) -> list[dict[str, object]]:
    """What the template of cases shows: for each kind its heading and cases with their pictures.

    Args:
        cases: of one model.
        pictures: JPEG or PNG by the exam's pseudonym; a case may have none.
    """
    kinds = dict.fromkeys(case.kind for case in cases)
    return [
        {
            "heading": _heading(kind),
            "cases": [
                (case, _address(pictures[case.exam]) if case.exam in pictures else None)
                for case in cases
                if case.kind == kind
            ],
        }
        for kind in kinds
    ]


def _first(rows: Bools, by: Floats, names: np.ndarray, most: int) -> list[int]:
    """Places of the rows that come first by a number, then by name."""
    places = np.flatnonzero(rows)
    order = np.lexsort((names[places], by[places]))
    return [int(place) for place in places[order[:most]]]


def _sides(breasts: Scored, exams: Sequence[str]) -> dict[str, pl.DataFrame]:
    """The breasts of some exams with their scores, by exam."""
    rows = breasts.rows.with_columns(
        score=pl.Series(breasts.score), sick=pl.Series(breasts.cancer)
    ).filter(pl.col("exam").is_in([str(exam) for exam in exams]))
    return {str(exam): part for [exam], part in rows.group_by("exam")}


def _case(
    exams: Scored, kind: str, row: int, lower: float, sides: Mapping[str, pl.DataFrame]
) -> Case:
    facts = exams.rows.row(row, named=True)
    breast, breast_score = _breast(sides.get(facts["exam"]), kind)
    age = facts.get("age_years")
    return Case(
        kind,
        facts["exam"],
        float(exams.score[row]),
        lower,
        facts["outcome"],
        facts["maker"],
        facts.get("site"),
        facts.get("density"),
        None if age is None else age_band(age),
        facts.get("priors"),
        breast,
        breast_score,
    )


def _breast(rows: pl.DataFrame | None, kind: str) -> tuple[str | None, float | None]:
    """The breast that a case is about, and its score."""
    if rows is None:
        return None, None
    meant = rows.sort("score", "breast", descending=[True, False])
    meant = meant.head(1) if kind == FALSE_ALARM else meant.filter("sick")
    if meant.is_empty():
        return None, None
    words = "both" if len(meant) > 1 else SIDES[meant["breast"][0]]
    return words, float(meant["score"][0])


def age_band(age: int) -> str:
    """The band of an age: an age in years says more of a woman than a page must."""
    return f"{AGE_BANDS[bisect_left(AGES, age)]} years"


def _heading(kind: str) -> str:
    if kind == FALSE_ALARM:
        return "Free of cancer, with the highest scores"
    unclear = ", unclear how found" if kind == CANCERS[-1] else ""
    return f"{kind.capitalize()}s{unclear}, with the lowest scores"


def _address(picture: bytes) -> str:
    """The picture as the address of an ``img`` element."""
    kind = "png" if picture.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64," + base64.b64encode(picture).decode("ascii")
