"""Every rule fires alone; the page that explains the rules shows the very table."""

import re
from pathlib import Path

import numpy as np
import pytest

from mim.positioning.columns import positioning_columns
from mim.positioning.measure import Measures
from mim.positioning.rules import ASKED, GRADES, RULES, SOURCES, Grades, Rule, grade
from mim.schemas.scores import POSITIONING
from mim.vocab import SCREENING_VIEWS, VIEW_SLOTS, Criterion, Landmark, Quality

PAGE = Path(__file__).parent.parent / "docs" / "positioning.md"


def graded(values: dict[str, float]) -> Grades:
    """Grades of four views that all have the same values."""
    measures = Measures(*(np.full(4, values.get(name, np.nan)) for name in Measures._fields))
    visible, criteria = (
        np.tile([values.get(name, np.nan) for name in names], (4, 1))
        for names in (Landmark, Criterion)
    )
    return grade(measures, visible, criteria)


def outside(rule: Rule) -> list[float]:
    """Values just beyond the limits."""
    found = [rule.least - 0.001, rule.most + 0.001]
    if str(rule.subject) not in Measures._fields:  # a probability
        found = [value for value in found if 0 <= value <= 1]
    return [value for value in found if np.isfinite(value)]


FULFILLED = {rule.subject: rule.least for rule in RULES}


def test_an_image_that_breaks_nothing_is_perfect() -> None:
    for values in (FULFILLED, {rule.subject: rule.most for rule in RULES}):
        found = graded(values)
        assert found.grade.tolist() == [0] * 4
        assert (found.judged == ASKED).all()


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.subject))
def test_every_rule_fires_alone_and_allows_its_worst_grade(rule: Rule) -> None:
    for beyond in outside(rule):
        found = graded(FULFILLED | {rule.subject: beyond})
        for slot, (_, view) in enumerate(VIEW_SLOTS):
            fired = [other for other, hit in zip(RULES, found.broken[slot], strict=True) if hit]
            assert fired == ([rule] if view in rule.views else [])
            assert GRADES[found.grade[slot]] == (rule.worst if fired else Quality.PERFECT)


def test_a_rule_without_its_input_is_not_judged_and_lowers_nothing() -> None:
    for rule in RULES:
        known = {name: value for name, value in FULFILLED.items() if name != rule.subject}
        found = graded(known)
        assert found.grade.tolist() == [0] * 4
        assert not found.judged[:, RULES.index(rule)].any()
    assert graded({}).grade.tolist() == [-1] * 4


def test_the_worst_of_several_broken_rules_counts() -> None:
    found = graded(FULFILLED | {Criterion.SKIN_FOLD: 1.0, Criterion.BLURRED: 0.9})
    assert {GRADES[number] for number in found.grade} == {Quality.INADEQUATE}


def test_the_muscle_above_the_nipple_alone_makes_no_image_worse_than_good() -> None:
    short = {"pectoral_below_nipple_mm": -80.0, Criterion.PECTORAL_TO_NIPPLE: 0.0}
    assert {GRADES[number] for number in graded(FULFILLED | short).grade} == {
        Quality.PERFECT,  # CC
        Quality.GOOD,
    }


def test_columns_are_the_schemas_with_reasons_and_what_was_not_judged() -> None:
    points = np.full((2, 4, 3, 2), np.nan)
    visible, criteria = np.full((2, 4, 3), np.nan), np.full((2, 4, 7), np.nan)
    points[1, 1] = [[230, 260], [300, 0], [0, 400]]  # a left MLO of 14 mm below the nipple
    visible[1, 1] = [0.9, 0.8, 0.7]
    criteria[1, 1] = [0.9, 0.9, 0.9, 0.1, 0.6, 0.1, np.nan]
    columns = positioning_columns(points, visible, criteria, np.full((2, 4), 0.1))
    assert {name: column.type for name, column in columns.items()} == {
        column.name: column.type for column in POSITIONING
    }
    rows = [
        dict(zip(columns, row, strict=True))
        for row in zip(*(c.to_pylist() for c in columns.values()), strict=True)
    ]
    assert len(rows) == 8
    assert rows[5]["grade"] == "G"
    assert rows[5]["grade_reasons"] == ["a fold of skin lies over the breast"]
    assert rows[5]["rules_not_judged"] == ["symmetric", "line_difference_mm"]
    assert rows[5]["pectoral_below_nipple_mm"] == pytest.approx(14)
    assert all(value is None for row in rows[:5] + rows[6:] for value in row.values())


def test_the_page_shows_every_rule_with_limit_grade_and_source() -> None:
    lines = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    shown = {
        cells[0].strip("` "): cells[1:]
        for cells in (re.split(r"\s*\|\s*", line)[1:-1] for line in lines)
    }
    for rule in RULES:
        views, limit, worst, reason, source, own = shown.pop(str(rule.subject))
        assert views == ("both" if rule.views == SCREENING_VIEWS else "MLO")
        assert limit == words(rule)
        assert worst == rule.worst
        assert reason == rule.reason
        assert source == rule.source
        assert source.split(":")[0] in SOURCES
        assert own == (rule.own or "-")
    assert shown == {}


def words(rule: Rule) -> str:
    if np.isinf(rule.most):
        return f"at least {rule.least:g}"
    if rule.most == 1:
        return f"probability at least {rule.least:g}"
    return (
        f"probability at most {rule.most:g}"
        if rule.least == 0
        else f"{rule.least:g} to {rule.most:g}"
    )
