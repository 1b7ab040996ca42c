"""The cases that a model is most wrong about: planted ones, their order, and what the page shows."""

import base64

import jinja2
import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.evaluate.cases import FALSE_ALARM, age_band, most_wrong, show_cases
from mim.evaluate.scored import Scored, breasts, exams
from mim.vocab import Outcome

JPEG = b"\xff\xd8\xff\xe0 a picture"
PNG = b"\x89PNG\r\n\x1a\n a picture"


def table(rows: list[tuple[str, str, str, float, str]], **more: list) -> pl.DataFrame:
    """Breasts: exam, side, outcome, score, maker."""
    exam, side, outcome, score, maker = zip(*rows, strict=True)
    sick = {"screen-detected cancer", "interval cancer", "cancer"}
    unknown = {"unknown", "censored"}
    return pl.DataFrame(
        {
            "woman": [f"w-{name}" for name in exam],
            "exam": exam,
            "breast": side,
            "outcome": outcome,
            "cancer": [None if o in unknown else o in sick for o in outcome],
            "maker": maker,
            "score": score,
            **more,
        }
    )


PLANTED = table(
    [
        ("a", "L", "negative", 0.9, "ge"),
        ("a", "R", "negative", 0.1, "ge"),
        ("b", "L", "screen-detected cancer", 0.05, "siemens"),
        ("b", "R", "negative", 0.2, "siemens"),
        ("c", "L", "interval cancer", 0.3, "ge"),
        ("c", "R", "interval cancer", 0.4, "ge"),
        ("d", "L", "later cancer", 0.99, "ge"),
        ("d", "R", "negative", 0.0, "ge"),
        ("e", "L", "unknown", 0.95, "ge"),
        ("e", "R", "negative", 0.0, "ge"),
        ("f", "L", "recalled without cancer", 0.6, "hologic"),
        ("f", "R", "negative", 0.6, "hologic"),
        ("g", "L", "screen-detected cancer", 0.8, "ge"),
        ("g", "R", "negative", 0.8, "ge"),
    ]
)


def test_planted_cases_are_found_in_their_order():
    found = most_wrong(exams(PLANTED), breasts(PLANTED), most=2)
    assert [(case.kind, case.exam) for case in found] == [
        ("screen-detected cancer", "b"),
        ("screen-detected cancer", "g"),
        ("interval cancer", "c"),
        (FALSE_ALARM, "a"),
        (FALSE_ALARM, "f"),
    ], "neither an exam before a later cancer nor one of unknown outcome is a false alarm"
    first = found[0]
    assert (first.score, first.breast, first.breast_score) == (0.2, "left", 0.05)
    assert first.higher_than == 0, "no exam scores lower"
    assert (found[2].breast, found[2].breast_score) == ("both", 0.4)
    assert (found[3].breast, found[3].breast_score) == ("left", 0.9)
    assert found[3].higher_than == pytest.approx(4 / 7), "b, c, f and g score lower"
    assert found[4].breast == "left", "of equal scores"


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.integers(1, 8))
def test_no_case_left_out_is_worse_and_the_order_of_rows_changes_nothing(seed, most):
    generator = np.random.default_rng(seed)
    outcomes = ["negative", "screen-detected cancer", "interval cancer", "dismissed at consensus"]
    rows = [
        (f"e{n:02}", side, str(generator.choice(outcomes)), float(generator.integers(0, 5)), "ge")
        for n in range(20)
        for side in "LR"
    ]
    by_exam = exams(table(rows))
    found = most_wrong(by_exam, None, most)
    ranks = dict(zip(by_exam.rows["exam"], by_exam.score, strict=True))
    outcome = dict(zip(by_exam.rows["exam"], by_exam.rows["outcome"], strict=True))
    for kind in ("screen-detected cancer", "interval cancer", FALSE_ALARM):
        alike = [
            exam
            for exam, word in outcome.items()
            if word == kind or (kind == FALSE_ALARM and "cancer" not in word.replace("ed at", ""))
        ]
        sign = -1 if kind == FALSE_ALARM else 1
        wanted = sorted(alike, key=lambda exam: (sign * ranks[exam], exam))[:most]
        assert [case.exam for case in found if case.kind == kind] == wanted
    shuffled = [rows[place] for place in generator.permutation(len(rows))]
    assert most_wrong(exams(table(shuffled)), None, most) == found


def test_facts_are_those_that_are_known():
    bare = most_wrong(exams(PLANTED), None)[0]
    assert [name for name, _ in bare.facts] == ["Outcome", "Score", "Maker"]
    more = {"site": ["Ålesund"] * 14, "density": ["c"] * 14, "age_years": [52] * 14}
    rows = PLANTED.with_columns(**{k: pl.Series(v) for k, v in more.items()}, priors=pl.lit(0))
    case = most_wrong(exams(rows), breasts(rows))[0]
    assert dict(case.facts) == {
        "Outcome": "screen-detected cancer",
        "Score": "0.2, higher than 0.0 % of exams",
        "Breast with cancer": "left, score 0.05",
        "Maker": "Siemens",
        "Site": "Ålesund",
        "Density": "c",
        "Age": "50 to 54 years",
        "Priors": "0",
    }


def test_an_age_is_told_as_a_band():
    assert [age_band(age) for age in (31, 49, 50, 69, 70, 95)] == [
        *("to 49 years", "to 49 years", "50 to 54 years", "65 to 69 years"),
        *("from 70 years", "from 70 years"),
    ]


def test_without_wrong_cases_there_are_none():
    rows = table([("a", "L", "unknown", 0.5, "ge")])
    assert most_wrong(exams(rows), breasts(rows)) == []
    empty = Scored("exams", exams(rows).rows.clear(), {"score": np.empty(0)}, 0)
    assert most_wrong(empty, None) == []
    assert "No cancer of known kind" in page([])


def page(cases: list[dict[str, object]]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("cases.html.j2").render(cases=cases)


def test_the_page_shows_pictures_that_are_there_and_escapes_names():
    rows = PLANTED.with_columns(
        exam=pl.col("exam").replace("b", "<script>b"), site=pl.lit("<script>site")
    )
    found = most_wrong(exams(rows), breasts(rows))
    text = page(show_cases(found, {"<script>b": JPEG, "a": PNG, "nobody's": JPEG}))
    assert "<script" not in text
    assert text.count("&lt;script&gt;b") == 1
    assert text.count("<img") == 2
    assert f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}" in text
    assert f"data:image/png;base64,{base64.b64encode(PNG).decode()}" in text
    assert text.count("<article") == len(found)
    for heading in (
        "Screen-detected cancers, with the lowest scores",
        "Interval cancers, with the lowest scores",
        "Free of cancer, with the highest scores",
    ):
        assert f"<h3>{heading}</h3>" in text
    of_unclear = most_wrong(exams(table([("a", "L", str(Outcome.CANCER), 0.5, "ge")])), None)
    assert "Cancers, unclear how found, with the lowest" in page(show_cases(of_unclear, {}))
