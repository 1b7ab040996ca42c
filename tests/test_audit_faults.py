"""Each fault, planted in a cohort that has none, is named, alone, with its examples."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import pytest
from made_cohort import MadeCohort, audited, exam_row, fitting, image_rows, made_cohort, with_fault

from mim.audit.meanings import MEANINGS
from mim.schemas.audit import FINDINGS
from mim.schemas.table import read_table
from mim.vocab import Severity


def change(exam: str, **values: object) -> Callable[[MadeCohort], object]:
    return lambda made: made.exam(exam).update(values)


def prior(exam: str, *names: str, months: float | None = None) -> Callable[[MadeCohort], object]:
    """Give an exam these priors, described rightly unless months are given."""

    def fault(made: MadeCohort) -> None:
        row = made.exam(exam)
        rows = [made.exam(name) for name in names]
        gaps = [(row["exam_date"] - other["exam_date"]).days / 30.4375 for other in rows]
        row["priors"] = list(names)
        row["months_before"] = gaps if months is None else [months] * len(names)
        row["prior_makers"] = [other["maker"] for other in rows]

    return fault


def too_near(made: MadeCohort) -> None:
    made.exam("w0a")["exam_date"] = made.exam("w0b")["exam_date"] - timedelta(days=150)
    prior("w0b", "w0a")(made)


def third_exam(made: MadeCohort, days: int) -> None:
    """An exam w0c, so many days before w0a."""
    made.settings["priors"]["most"] = 2
    day = made.exam("w0a")["exam_date"] - timedelta(days=days)
    row = exam_row("w0c", "w0", day)
    made.exams.append(row)
    made.images += image_rows(row)


def not_newest_first(made: MadeCohort) -> None:
    third_exam(made, 700)
    prior("w0b", "w0c", "w0a")(made)


def too_near_each_other(made: MadeCohort) -> None:
    third_exam(made, 150)
    prior("w0b", "w0a", "w0c")(made)


def after_diagnosis(made: MadeCohort) -> None:
    """The cancer of w4b was found before it: the exam w4a, its prior, knows that."""
    made.exam("w4a")["left_years_to_cancer"] = 1.5
    made.exam("w4b").update(left_years_to_cancer=None)


def prior_after_diagnosis(made: MadeCohort) -> None:
    made.exam("w4a")["exam_date"] += timedelta(days=300)
    prior("w4b", "w4a")(made)
    row = exam_row("w4c", "w4", made.exam("w4a")["exam_date"] - timedelta(days=600))
    row |= {"left_outcome": "later cancer", "left_years_to_cancer": 1.5, "site": "South"}
    made.exam("w4a")["left_years_to_cancer"] = None
    made.exam("w4b")["left_years_to_cancer"] = None
    made.exams.append(row)
    made.images += image_rows(row)


def no_dates(made: MadeCohort) -> None:
    for row in made.exams:
        row |= {"exam_date": None, "priors": [], "months_before": [], "prior_makers": []}


def image_again(exam: str) -> Callable[[MadeCohort], object]:
    """The first image of w0a takes the place of the first one of another exam."""

    def fault(made: MadeCohort) -> None:
        next(row for row in made.images if row["exam"] == exam)["image"] = "w0a-L-CC"

    return fault


def repeated_exam(made: MadeCohort) -> None:
    made.exams.append(dict(made.exam("w0a")))


def lost_image(made: MadeCohort) -> None:
    made.attrition = fitting(made)
    made.images.pop()


def stand_ins_uncounted(made: MadeCohort) -> None:
    made.settings["stand_ins"]["synthetic_2d"] = True
    made.attrition = fitting(made)
    made.attrition[1]["reason"] = "synthetic 2D"


def without_images(made: MadeCohort) -> None:
    made.images = [row for row in made.images if row["exam"] != "w0a"]


def of_no_exam(made: MadeCohort) -> None:
    made.images.append(made.images[0] | {"image": "lost", "exam": "nowhere"})


def view_twice(made: MadeCohort) -> None:
    made.images.append(made.images[0] | {"image": "second"})


def image_twice(made: MadeCohort) -> None:
    made.images[1]["image"] = made.images[0]["image"]


def folds(made: MadeCohort) -> None:
    for number, row in enumerate(made.exams):
        row["fold"] = 1 + number // 2 % 4
    made.exam("w0b")["fold"] = 2


def empty_split(made: MadeCohort) -> None:
    for row in made.exams:
        if row["split"] == "validation":
            row |= {"left_outcome": "negative", "left_cancer": False}


FAULTS: list[tuple[str, Callable[[MadeCohort], object], set[str]]] = [
    ("woman in two splits", change("w0b", split="test"), {"w0"}),
    ("woman in two folds", folds, {"w0"}),
    ("exam twice", repeated_exam, {"w0a"}),
    ("view twice", view_twice, {"w0a"}),
    ("image in two splits", image_again("w3a"), {"w0a-L-CC"}),
    ("image of two women", image_again("w1a"), {"w0a-L-CC"}),
    ("image in two exams", image_again("w0b"), {"w0a-L-CC"}),
    ("image twice", image_twice, {"w0a-L-CC"}),
    ("prior lists of unequal length", change("w0b", months_before=[]), {"w0b"}),
    ("prior is the exam itself", prior("w0a", "w0a"), {"w0a w0a"}),
    ("prior not in the cohort", change("w0b", priors=["gone"]), {"w0b gone"}),
    ("prior of another woman", prior("w1b", "w0a"), {"w1b w0a"}),
    ("prior not earlier", prior("w0a", "w0b"), {"w0a w0b"}),
    ("prior not earlier", change("w0a", exam_date=None), {"w0b w0a"}),
    ("prior too near", too_near, {"w0b w0a"}),
    ("prior too near", too_near_each_other, {"w0b w0c"}),
    ("priors not newest first", not_newest_first, {"w0b w0a"}),
    ("months to prior wrong", prior("w0b", "w0a", months=23.0), {"w0b w0a"}),
    ("months to prior wrong", change("w0b", months_before=[float("nan")]), {"w0b w0a"}),
    ("maker of prior wrong", change("w0b", prior_makers=["ge"]), {"w0b w0a"}),
    ("too many priors", lambda made: made.settings["priors"].update(most=0), set()),
    ("no dates to find priors by", no_dates, set()),
    ("label against outcome", change("w0a", right_cancer=None), {"w0a"}),
    ("label against outcome", change("w0a", right_outcome="censored"), {"w0a"}),
    ("label against outcome", change("w4b", left_cancer=False), {"w4b"}),
    ("label against outcome", change("w4a", left_years_to_cancer=None), {"w4a"}),
    ("negative years", change("w0a", left_years_followed=-0.1), {"w0a"}),
    ("negative years", change("w4b", left_years_to_cancer=-0.1), {"w4b"}),
    ("exam after a diagnosis", after_diagnosis, {"w4b"}),
    ("attrition does not add up", lost_image, set()),
    ("attrition does not add up", stand_ins_uncounted, set()),
    ("attrition does not add up", lambda made: setattr(made, "attrition", []), set()),
    ("exam without images", without_images, {"w0a"}),
    ("image of no exam", of_no_exam, {"lost"}),
    ("split without cancers or without others", empty_split, set()),
]


def test_a_cohort_without_faults_has_no_findings(tmp_path: Path) -> None:
    assert audited(made_cohort(), tmp_path) == (0, [])


@pytest.mark.parametrize(("check", "fault", "examples"), FAULTS)
def test_a_fault_is_named_alone(
    check: str, fault: Callable[[MadeCohort], object], examples: set[str], tmp_path: Path
) -> None:
    problems, findings = audited(with_fault(fault), tmp_path)
    assert {row["check"] for row in findings} == {check}
    if examples:
        assert {name for row in findings for name in row["examples"]} == examples
    severity = MEANINGS[check].severity
    assert problems == (len(findings) if severity == Severity.PROBLEM else 0)
    assert findings == read_table(tmp_path / "audit/findings.parquet", FINDINGS).to_pylist()


def test_a_prior_after_a_diagnosis_is_named_beside_the_exams_after_it(tmp_path: Path) -> None:
    _, findings = audited(with_fault(prior_after_diagnosis), tmp_path)
    found = {row["check"]: row["examples"] for row in findings}
    assert found["prior after a diagnosis"] == ["w4b w4a"]
    assert set(found["exam after a diagnosis"]) == {"w4a", "w4b"}


def test_a_cancer_counted_by_two_exams_is_a_warning(tmp_path: Path) -> None:
    again = change("w4a", left_outcome="interval cancer", left_cancer=True)
    problems, findings = audited(with_fault(again), tmp_path)
    found = {row["check"]: row["examples"] for row in findings}
    assert (problems, found) == (0, {"cancer counted by two exams": ["w4"]})


def test_years_known_whole_do_not_accuse_an_exam_of_the_same_year(tmp_path: Path) -> None:
    """Collections say 0, 1, 2 ... years; an exam 150 days after such a 0 may be before it."""
    made = made_cohort()
    for row in made.exams:
        if row.get("left_years_to_cancer") is not None:
            row["left_years_to_cancer"] = float(int(row["left_years_to_cancer"]))
    made.exam("w4a")["left_years_to_cancer"] = 1.0
    assert audited(made, tmp_path) == (0, [])
    made.exam("w4a")["left_years_to_cancer"] = 0.0
    made.exam("w4a").update(left_outcome="screen-detected cancer", left_cancer=True)
    _, findings = audited(made, tmp_path)
    assert "exam after a diagnosis" in {row["check"] for row in findings}


def test_examples_are_as_many_as_asked_for_and_all_are_counted(tmp_path: Path) -> None:
    made = made_cohort()
    for row in made.exams[:50:2]:
        row["right_cancer"] = True
    _, [finding] = audited(made, tmp_path)
    assert (finding["count"], len(finding["examples"])) == (24, 20)


def test_dates_all_equal_with_priors_are_a_problem_too(tmp_path: Path) -> None:
    made = made_cohort()
    for row in made.exams:
        row["exam_date"] = date(2000, 1, 1)
    _, findings = audited(made, tmp_path)
    assert {"no dates to find priors by", "prior not earlier"} <= {r["check"] for r in findings}
