"""Score tables: what is refused, and how breasts make an exam."""

import numpy as np
import pyarrow as pa
import pytest

from mim.errors import InputError
from mim.evaluate.scored import breasts, checked, exams
from mim.schemas.scores import SCORES
from mim.vocab import Outcome

SDC, IC, CANCER = "screen-detected cancer", "interval cancer", "cancer"
NEG, REC, DIS = "negative", "recalled without cancer", "dismissed at consensus"
LATER, CEN, UNK = "later cancer", "censored", "unknown"


def breast(exam: str = "e", side: str = "L", **changed: object) -> dict[str, object]:
    return {
        "woman": "w",
        "exam": exam,
        "breast": side,
        "score": 0.5,
        "cancer": False,
        "outcome": NEG,
        "maker": "ge",
        "split": "test",
        "priors": 0,
    } | changed


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([breast(), breast()], "'exam' and 'breast' name 2 rows more than once; keep one"),
        ([breast(score=1.2)], "'score' lies outside 0 to 1 in 1 rows; scale"),
        ([breast(score=-0.1)], "'score' lies outside 0 to 1"),
        ([breast(score=float("inf"))], "'score' lies outside 0 to 1"),
        ([breast(outcome="benign")], "'outcome' holds 'benign'; allowed: screen-detected"),
        ([breast(maker="GE")], "'maker' holds 'GE'; allowed: siemens"),
        ([breast(side="B")], "'breast' holds 'B'; allowed: L, R"),
        ([breast(woman=None)], "'woman' has missing values; fill"),
        ([breast(), breast(side="R", woman="v")], "'woman' differs within 1 exams; give"),
        ([breast(cancer=True)], "'cancer' contradicts 'outcome' in 1 rows; derive"),
        ([breast(cancer=False, outcome=IC)], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=False, outcome="cancer")], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=True, outcome=LATER)], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=True, outcome=REC)], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=True, outcome=DIS)], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=True, outcome=CEN)], "'cancer' contradicts 'outcome'"),
        ([breast(cancer=False, outcome=CEN)], "'cancer' contradicts 'outcome'"),
        ([], "no rows; give"),
    ],
)
def test_a_table_that_cannot_be_measured_is_refused(
    rows: list[dict[str, object]], message: str
) -> None:
    names = SCORES.arrow().names
    columns = {name: [row[name] for row in rows] for name in names}
    table = pa.table(
        {name: pa.array(columns[name], SCORES.arrow().field(name).type) for name in names}
    )
    with pytest.raises(InputError, match=message) as error:
        checked(table)
    assert "\n" not in str(error.value)


def test_a_missing_column_and_a_wrong_type_are_named() -> None:
    table = SCORES.from_rows([breast()])
    with pytest.raises(InputError, match="column 'score' is missing"):
        checked(table.drop_columns("score"))
    place = table.column_names.index("score")
    with pytest.raises(InputError, match="column 'score' does not convert to double"):
        checked(table.set_column(place, "score", pa.array(["high"])))


@pytest.mark.parametrize(
    ("left", "right", "exam"),
    [
        # Either breast's cancer is the exam's; the exam is healthy only if both are known to be.
        ((0.2, False, NEG), (0.7, False, NEG), (0.7, True, False, NEG)),
        ((0.2, True, SDC), (0.7, False, NEG), (0.7, True, True, SDC)),
        ((0.2, True, IC), (0.1, True, SDC), (0.2, True, True, SDC)),
        ((0.2, True, IC), (0.1, None, UNK), (0.2, True, True, IC)),
        ((0.2, False, NEG), (0.1, None, UNK), (0.2, False, False, UNK)),
        ((0.2, None, UNK), (0.1, None, UNK), (0.2, False, False, UNK)),
        ((0.2, True, CANCER), (0.1, True, IC), (0.2, True, True, IC)),
        ((0.2, True, CANCER), (0.1, None, UNK), (0.2, True, True, CANCER)),
        ((0.2, None, CEN), (0.1, None, UNK), (0.2, False, False, UNK)),
        ((0.2, None, CEN), (0.1, False, LATER), (0.2, False, False, CEN)),
        ((0.2, None, LATER), (0.1, False, REC), (0.2, False, False, LATER)),
        ((0.2, False, LATER), (0.1, False, NEG), (0.2, True, False, LATER)),
        ((0.2, False, DIS), (0.1, False, REC), (0.2, True, False, REC)),
        ((0.2, False, NEG), (0.1, False, DIS), (0.2, True, False, DIS)),
        # A breast without a view leaves the exam to the other one, its cancer stays the exam's.
        ((None, True, SDC), (0.1, False, NEG), (0.1, True, True, SDC)),
        ((float("nan"), False, NEG), (0.1, False, NEG), (0.1, True, False, NEG)),
    ],
)
def test_two_breasts_make_an_exam(
    left: tuple[float | None, bool | None, str],
    right: tuple[float | None, bool | None, str],
    exam: tuple[float, bool, bool, str],
) -> None:
    rows = [
        breast(side=side, score=s, cancer=c, outcome=o)
        for side, (s, c, o) in (("L", left), ("R", right))
    ]
    found = exams(checked(SCORES.from_rows(rows)))
    row = (found.score[0], found.known[0], found.cancer[0], found.outcome[0])
    assert (len(found.score), row) == (1, exam)


@pytest.mark.parametrize("outcome", [o.value for o in Outcome])
def test_every_outcome_is_an_exams(outcome: str) -> None:
    cancer = {SDC: True, IC: True, CANCER: True, NEG: False, REC: False, DIS: False}.get(outcome)
    rows = [breast(side=side, cancer=cancer, outcome=outcome) for side in "LR"]
    found = exams(checked(SCORES.from_rows(rows)))
    assert (found.outcome[0], found.known[0]) == (outcome, cancer is not None)


def test_breasts_and_exams_without_a_score_are_left_out_and_counted() -> None:
    rows = checked(
        SCORES.from_rows(
            [
                breast("a"),
                breast("a", "R", score=None),
                breast("b", score=None),
                breast("b", "R", score=float("nan")),
            ]
        )
    )
    assert (len(breasts(rows).score), breasts(rows).unscored) == (1, 3)
    assert (len(exams(rows).score), exams(rows).unscored) == (1, 1)


def test_the_order_of_the_table_changes_nothing() -> None:
    rows = [
        breast(f"e{place}", side, woman=f"w{place % 7}", score=place / 20)
        for place in range(20)
        for side in "LR"
    ]
    one = breasts(checked(SCORES.from_rows(rows)))
    other = breasts(checked(SCORES.from_rows(rows[::-1])))
    np.testing.assert_array_equal(one.woman, other.woman)
    np.testing.assert_array_equal(one.score, other.score)
    assert len(set(one.woman)) == 7
