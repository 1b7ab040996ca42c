"""Outcomes: a test for each cell of the decision table of docs/outcomes.md.

``CASES`` are one woman each with an exam on day 0; the left breast shows the row that the case is
named after.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from made_registry import Book, Row, after, breasts_of, labels_of

from mim.cohort.labels import label_exams, last_day
from mim.cohort.settings import OutcomeSettings
from mim.vocab import FoundBy, Outcome

PAGE = Path(__file__).parent.parent / "docs" / "outcomes.md"

Breast = tuple[Outcome, bool | None]

SDC: Breast = (Outcome.SCREEN_DETECTED, True)
IC: Breast = (Outcome.INTERVAL, True)
LATER: Breast = (Outcome.LATER, False)
SOON: Breast = (Outcome.LATER, None)
RECALLED: Breast = (Outcome.RECALLED, False)
DISMISSED: Breast = (Outcome.DISMISSED, False)
NEG: Breast = (Outcome.NEGATIVE, False)
CENSORED: Breast = (Outcome.CENSORED, None)
UNK: Breast = (Outcome.UNKNOWN, None)

SCREENING, SYMPTOMS, OTHER = FoundBy
L, R = "L", "R"
YES, NO = True, False


@dataclass(frozen=True)
class Case:
    """One woman: exams by day with recall, cancers by side and day, positive readings of day 0."""

    name: str
    left: Breast
    right: Breast
    exams: dict[int | None, bool | None] = field(default_factory=lambda: {0: False})
    cancers: tuple[tuple[str | None, int], ...] = ()
    found: FoundBy | None = None
    suspected: str = ""
    cleared: str = ""
    consensus: bool | None = None
    ends: dict[str, int | None] = field(default_factory=dict)
    given: Outcome | None = None
    years: float | None = None
    until: int = 5000
    windows: dict[str, int] = field(default_factory=dict)

    def labels(self) -> Row:
        scores = dict.fromkeys(self.suspected, 2) | dict.fromkeys(self.cleared, 1)
        book = Book(
            women={"W": self.ends},
            exams={f"E{day or 0}": ("W", day) for day in self.exams},
            readings={("E0", "a", side): score for side, score in scores.items()},
            decisions={
                f"E{day or 0}": (self.consensus, recall)
                for day, recall in self.exams.items()
                if recall is not None
            },
            cancers={("W", day, side): self.found for side, day in self.cancers},
            outcomes={("E0", L): (self.given, self.years, 7.5)} if self.given else {},
        )
        until = after(self.until)
        assert until is not None
        return labels_of(book, OutcomeSettings(**self.windows, registry_date=str(until)))["E0"]


ELHAKIM = {"clear_days": 731}
RSNA = {"interval_days": 365, "clear_days": 365}
THREE_YEARS = {"interval_days": 1096}
MONTHS_39 = {"interval_days": 1187, "clear_days": 1187}

CASES = [
    Case("1 diagnosed the day before", UNK, UNK, cancers=((L, -1),)),
    Case("1 diagnosed years before, on the other side", UNK, UNK, cancers=((R, -2000),)),
    Case("1 diagnosed before, side unknown", UNK, UNK, cancers=((None, -1),)),
    Case("1 a second cancer in the same breast", UNK, UNK, cancers=((L, -900), (L, 20))),
    Case("1 a second cancer in the other breast", UNK, UNK, cancers=((R, -900), (L, 20))),
    Case("1 before what the table says", UNK, UNK, cancers=((L, -1),), given=Outcome.NEGATIVE),
    Case("2 negative", NEG, NEG, given=Outcome.NEGATIVE),
    Case("2 before a diagnosis", NEG, NEG, given=Outcome.NEGATIVE, cancers=((L, 20),)),
    Case("2 screen-detected", SDC, NEG, given=Outcome.SCREEN_DETECTED),
    Case("2 interval", IC, NEG, given=Outcome.INTERVAL),
    Case("2 cancer", (Outcome.CANCER, YES), NEG, given=Outcome.CANCER, years=0.0),
    Case("2 recalled", RECALLED, NEG, given=Outcome.RECALLED),
    Case("2 dismissed", DISMISSED, NEG, given=Outcome.DISMISSED),
    Case("2 later, years unknown", SOON, NEG, given=Outcome.LATER, years=None),
    Case("2 later, last day too soon", SOON, NEG, given=Outcome.LATER, years=364 / 365.25),
    Case("2 later, first day clear", LATER, NEG, given=Outcome.LATER, years=365 / 365.25),
    Case("2 censored", CENSORED, NEG, given=Outcome.CENSORED),
    Case("2 unknown", UNK, NEG, given=Outcome.UNKNOWN),
    Case("2 without a date", NEG, UNK, exams={None: NO}, given=Outcome.NEGATIVE),
    Case("3 no date", UNK, UNK, exams={None: YES}),
    Case("3 no date, but a cancer", UNK, UNK, exams={None: YES}, cancers=((L, 20),)),
    Case("3 no date, but another exam", UNK, UNK, exams={None: YES, 900: NO}),
    Case("4 on the day", SDC, NEG, exams={0: YES}, cancers=((L, 0),), suspected=L),
    Case("4 last day", SDC, NEG, exams={0: YES}, cancers=((L, 183),), suspected=L),
    Case("4 no decision", SDC, NEG, exams={0: None}, cancers=((L, 183),)),
    Case("4 found by screening", SDC, NEG, {0: None}, ((L, 20),), SCREENING),
    Case("4 both sides", SDC, SDC, exams={0: YES}, cancers=((L, 20), (R, 183))),
    Case("4 and interval on the other side", SDC, IC, {0: YES}, ((L, 20), (R, 184))),
    Case("4 the other side suspected too", SDC, RECALLED, {0: YES}, ((L, 20),), suspected="LR"),
    Case("4 other side without readings", SDC, RECALLED, {0: YES}, ((L, 20),)),
    Case("4 two cancers in one breast", SDC, NEG, {0: None}, ((L, 20), (L, 900))),
    Case("4 an assessment mammogram between", SDC, NEG, {0: None, 10: None}, ((L, 20),)),
    Case("4 assessed, found by screening", SDC, NEG, {0: None, 10: YES}, ((L, 20),), SCREENING),
    Case("4 assessed on the day of diagnosis", SDC, NEG, {0: None, 20: NO}, ((L, 20),)),
    Case("4 another exam at 5 months", SDC, NEG, {0: None, 152: NO}, ((L, 160),)),
    Case("4 and one of unknown side", SDC, UNK, {0: None}, ((L, 20), (None, 10))),
    Case("4 followed no longer", SDC, CENSORED, {0: None}, ((L, 20),), until=730),
    Case("4 diagnosed after the registry's date", SDC, CENSORED, {0: None}, ((L, 20),), until=10),
    Case("5 recalled, day after the window", SDC, NEG, {0: YES}, ((L, 184),), SCREENING, L),
    Case("5 no decision, last day", SDC, NEG, {0: None}, ((L, 731),), SCREENING),
    Case("5 not recalled, last day of the window", SDC, NEG, {0: NO}, ((L, 183),), SCREENING),
    Case("5 next exam the day after", SDC, NEG, {0: None, 701: NO}, ((L, 700),), SCREENING),
    Case("6 day after the window", IC, NEG, {0: YES}, ((L, 184),), suspected=L),
    Case("6 not recalled, on the day", IC, NEG, cancers=((L, 0),)),
    Case("6 not recalled, in the window", IC, NEG, cancers=((L, 183),)),
    Case("6 no decision, day after the window", IC, NEG, {0: None}, ((L, 184),)),
    Case("6 last day", IC, NEG, cancers=((L, 731),)),
    Case("6 next exam the day after", IC, NEG, {0: NO, 701: YES}, ((L, 700),)),
    Case("6 symptoms, though recalled", IC, RECALLED, {0: YES}, ((L, 20),), SYMPTOMS),
    Case("6 symptoms, no decision, last day", IC, NEG, {0: None}, ((L, 731),), SYMPTOMS),
    Case("6 found otherwise", IC, NEG, {0: None}, ((L, 20),), OTHER),
    Case("6 dismissed before", IC, NEG, cancers=((L, 300),), suspected=L, consensus=YES),
    Case("6 both sides", IC, IC, cancers=((L, 300), (R, 731))),
    Case("6 and one of unknown side", IC, UNK, cancers=((L, 300), (None, 200))),
    Case(
        "6 diagnosed after death's date", IC, CENSORED, cancers=((L, 300),), ends={"death_date": 9}
    ),
    Case("7 on the day", UNK, UNK, cancers=((None, 0),)),
    Case("7 years later", UNK, UNK, cancers=((None, 4000),)),
    Case("7 before a later cancer", UNK, UNK, cancers=((L, 800), (None, 4000))),
    Case("8 day after the interval", LATER, NEG, cancers=((L, 732),)),
    Case("8 years later, both sides", LATER, LATER, cancers=((L, 3000), (R, 4000))),
    Case("8 recalled too", LATER, NEG, {0: YES}, ((L, 732),), suspected="L", cleared="R"),
    Case("8 found at the next exam", LATER, NEG, {0: NO, 700: YES}, ((L, 710),)),
    Case("8 missed at the next exam", LATER, NEG, {0: NO, 700: NO}, ((L, 710),)),
    Case("8 next exam on the day of diagnosis", LATER, NEG, {0: NO, 700: YES}, ((L, 700),)),
    Case("8 first day clear", LATER, NEG, {0: NO, 360: NO}, ((L, 365),)),
    Case(
        "8 found by symptoms after the next exam",
        LATER,
        NEG,
        {0: NO, 700: NO},
        ((L, 710),),
        SYMPTOMS,
    ),
    Case("8 found by screening, exam lacking", LATER, NEG, {0: NO}, ((L, 700),), SCREENING),
    Case("8 next exam after the interval", LATER, NEG, {0: NO, 740: YES}, ((L, 750),)),
    Case(
        "8 the day after, followed no longer",
        LATER,
        NEG,
        cancers=((L, 732),),
        ends={"followup_end": 9},
    ),
    Case("9 last day too soon", SOON, CENSORED, {0: NO, 360: NO}, ((L, 364),), until=364),
    Case("9 next exam at 5 months", SOON, NEG, {0: NO, 152: YES}, ((L, 160),)),
    Case("9 after the window, next exam before", SOON, NEG, {0: None, 152: YES}, ((L, 184),)),
    Case("9 assessed, but symptoms", SOON, NEG, {0: None, 10: NO}, ((L, 20),), SYMPTOMS),
    Case("9 assessed, but found otherwise", SOON, NEG, {0: None, 10: NO}, ((L, 20),), OTHER),
    Case("9 found by screening, exam lacking", SOON, NEG, {0: NO}, ((L, 184),), SCREENING),
    Case("10 this breast", RECALLED, NEG, exams={0: YES}, suspected=L, cleared=R),
    Case("10 both breasts", RECALLED, RECALLED, exams={0: YES}, suspected="LR"),
    Case("10 neither breast read as positive", RECALLED, RECALLED, {0: YES}, cleared="LR"),
    Case("10 no readings", RECALLED, RECALLED, exams={0: YES}),
    Case("10 followed to the last day", RECALLED, RECALLED, exams={0: YES}, until=731),
    Case("11 this breast", DISMISSED, NEG, suspected=L, cleared=R),
    Case("11 this breast, at consensus", DISMISSED, NEG, suspected=L, consensus=YES),
    Case("11 both breasts", DISMISSED, DISMISSED, suspected="LR", consensus=NO),
    Case("11 consensus without readings", DISMISSED, DISMISSED, consensus=YES),
    Case("11 consensus, neither positive", DISMISSED, DISMISSED, cleared="LR", consensus=YES),
    Case("12 not recalled", NEG, NEG),
    Case("12 read as negative", NEG, NEG, cleared="LR", consensus=NO),
    Case("12 recalled for the other breast", NEG, RECALLED, {0: YES}, suspected=R, cleared=L),
    Case("12 no decision", NEG, NEG, exams={0: None}),
    Case("12 no decision, but suspicious", NEG, NEG, exams={0: None}, suspected=L),
    Case("12 followed to the last day", NEG, NEG, until=731),
    Case("12 the last day of the woman", NEG, NEG, ends={"followup_end": 731}),
    Case("12 died on the day after", NEG, NEG, ends={"death_date": 732}),
    Case(
        "12 an exam at the end of the interval", NEG, NEG, {0: NO, 731: NO}, ends={"death_date": 9}
    ),
    Case("12 an exam after emigration", NEG, NEG, {0: NO, 800: NO}, ends={"emigration_date": 9}),
    Case("12 an exam at 12 months", NEG, NEG, {0: NO, 365: NO}, until=365),
    Case("12 an exam at 23 months", NEG, NEG, {0: NO, 700: NO}, until=700),
    Case("12 an exam at 5 months, clear since", NEG, NEG, {0: NO, 152: NO}, until=365),
    Case(
        "12 the other breast's cancer shows it",
        NEG,
        LATER,
        cancers=((R, 732),),
        ends={"followup_end": 9},
    ),
    Case("13 followed to the day before", CENSORED, CENSORED, until=730),
    Case("13 recalled", CENSORED, CENSORED, exams={0: YES}, until=730),
    Case("13 suspicious", CENSORED, CENSORED, suspected=L, until=730),
    Case("13 died", CENSORED, CENSORED, ends={"death_date": 730}),
    Case("13 emigrated", CENSORED, CENSORED, ends={"emigration_date": 730}),
    Case(
        "13 emigrated, then died",
        CENSORED,
        CENSORED,
        ends={"emigration_date": 700, "death_date": 800},
    ),
    Case("13 the last day of the woman", CENSORED, CENSORED, ends={"followup_end": 730}),
    Case("13 before the registry's date", CENSORED, CENSORED, until=-1),
    Case(
        "13 registry's date before the woman's",
        CENSORED,
        CENSORED,
        ends={"followup_end": 800},
        until=730,
    ),
    Case("13 an exam at 5 months", CENSORED, CENSORED, {0: NO, 152: NO}, until=364),
    Case("13 an exam beyond the registry's date", CENSORED, CENSORED, {0: NO, 700: NO}, until=699),
    Case("13 an exam after the interval", CENSORED, CENSORED, {0: NO, 732: NO}, until=730),
    # Other definitions.
    Case(
        "13 Elhakim, next exam at 23 months",
        CENSORED,
        CENSORED,
        {0: NO, 700: NO},
        until=730,
        windows=ELHAKIM,
    ),
    Case("12 Elhakim, 24 months", NEG, NEG, {0: NO, 700: NO}, until=731, windows=ELHAKIM),
    Case(
        "9 Elhakim, found at the next exam",
        SOON,
        NEG,
        {0: NO, 700: YES},
        ((L, 730),),
        windows=ELHAKIM,
    ),
    Case("6 RSNA, a year", IC, NEG, cancers=((L, 365),), windows=RSNA),
    Case("8 RSNA, a year and a day", LATER, NEG, cancers=((L, 366),), windows=RSNA),
    Case("12 RSNA, followed for a year", NEG, NEG, until=365, windows=RSNA),
    Case("13 RSNA, a day less", CENSORED, CENSORED, until=364, windows=RSNA),
    Case("6 three years", IC, NEG, cancers=((L, 1096),), windows=THREE_YEARS),
    Case("8 three years and a day", LATER, NEG, cancers=((L, 1097),), windows=THREE_YEARS),
    Case("13 three years but a day", CENSORED, CENSORED, until=1095, windows=THREE_YEARS),
    Case("6 39 months", IC, NEG, cancers=((L, 1187),), windows=MONTHS_39),
    Case("12 39 months", NEG, NEG, until=1187, windows=MONTHS_39),
    Case(
        "13 39 months but a day",
        CENSORED,
        CENSORED,
        {0: NO, 1096: NO},
        until=1186,
        windows=MONTHS_39,
    ),
    Case(
        "4 a year to assess",
        SDC,
        NEG,
        {0: YES},
        ((L, 365),),
        suspected=L,
        windows={"screen_detected_days": 365},
    ),
    Case("8 clear for 7 days", LATER, NEG, {0: NO, 5: NO}, ((L, 7),), windows={"clear_days": 7}),
    Case(
        "8 clear for half a year",
        LATER,
        NEG,
        {0: NO, 152: YES},
        ((L, 160),),
        windows={"clear_days": 160},
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_decision_table(case: Case) -> None:
    assert breasts_of(case.labels()) == (case.left, case.right)


def table_of_the_page() -> dict[str, list[str]]:
    """Rows of the page's decision table, by number: holds when, outcome, label."""
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {number: [cell.strip() for cell in cells.split("|")] for number, cells in rows}


def test_the_page_and_the_cases_say_the_same() -> None:
    rows = table_of_the_page()
    assert list(rows) == [str(number) for number in range(1, len(rows) + 1)]
    assert {case.name.split()[0] for case in CASES} == set(rows)
    assert len({case.name for case in CASES}) == len(CASES)
    words = {True: "true", False: "false", None: "missing"}
    for case in CASES:
        _, outcome, label = rows[case.name.split()[0]]
        if outcome != "as it says, with its years":
            assert (outcome.split(";")[0], label) == (case.left[0].value, words[case.left[1]])


def test_years_of_each_breast() -> None:
    """By date; missing where unknown; as the table says, where it does."""
    year = 365.25
    row = Case("", SDC, NEG, {0: YES}, ((L, 20), (R, 3000)), until=4000).labels()
    assert (row["left_years_to_cancer"], row["right_years_to_cancer"]) == (20 / year, 3000 / year)
    assert row["left_years_followed"] == row["right_years_followed"] == 4000 / year
    row = Case("", SDC, UNK, {0: YES}, ((L, 20), (None, 3000))).labels()
    assert (row["right_years_to_cancer"], row["right_years_followed"]) == (None, None)
    row = Case("", UNK, UNK, cancers=((R, -1), (L, 20)), given=Outcome.LATER, years=2.5).labels()
    assert [row[f"left_years_{end}"] for end in ("to_cancer", "followed")] == [None, None]
    row = Case("", NEG, NEG, cancers=((L, 20),), given=Outcome.LATER, years=2.5).labels()
    assert (row["left_years_to_cancer"], row["left_years_followed"]) == (2.5, 7.5)
    assert Case("", CENSORED, CENSORED, until=-1).labels()["left_years_followed"] == 0


def test_recall_and_diagnosis_before_the_exam_stand_beside_the_outcomes() -> None:
    book = Book(
        exams={"a": ("W", 0), "b": ("W", 800), "c": ("W", 3000), "d": ("W", None)},
        decisions={"a": (None, True), "c": (None, False)},
        cancers={("W", 800, "L"): None},
    )
    found = labels_of(book, OutcomeSettings())
    assert [found[exam]["recalled"] for exam in "abcd"] == [True, None, False, None]
    assert [found[exam]["after_diagnosis"] for exam in "abcd"] == [False, False, True, False]


@pytest.mark.parametrize(
    ("book", "given", "day"),
    [
        (Book(exams={"a": ("W", 9)}), "2001-02-03", 399),
        (Book(exams={"a": ("W", 9)}, cancers={("X", 5, None): None}), None, 5),
        (Book(women={"W": {"followup_end": 7}}, cancers={("X", 5, L): None}), None, 7),
        (Book(women={"W": {"death_date": 90}}, exams={"a": ("W", 9), "b": ("V", 3)}), None, 9),
        (Book(exams={"a": ("W", None)}), None, None),
        (Book(), None, None),
    ],
)
def test_registry_date(book: Book, given: str | None, day: int | None) -> None:
    assert last_day(book.registry(), given) == after(day)


def test_a_registry_without_any_date_says_nothing() -> None:
    found = labels_of(Book(exams={"a": ("W", None)}), OutcomeSettings())["a"]
    assert breasts_of(found) == (UNK, UNK)
    assert label_exams(Book().registry(), OutcomeSettings()).is_empty()
