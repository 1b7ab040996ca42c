"""Marks against planted boxes: counted by hand, and one by one."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mim.errors import InputError
from mim.evaluate.localisation import (
    FALSE_MARKS,
    Located,
    afroc_statistic,
    froc_curve,
    froc_statistic,
    localisation_figures,
    locate,
    location_statistic,
)
from mim.evaluate.settings import BootstrapSettings
from mim.schemas.cohort import IMAGES, LESIONS
from mim.schemas.marks import MARKS
from mim.schemas.table import Schema
from mim.vocab import SELECTION_RATES

Row = dict[str, Any]
SPACING_MM = 0.1


def table(schema: Schema, rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(schema.from_rows(rows)))


class Study:
    """Exams with two views of each breast: ``image(exam, breast, view)`` names them."""

    def __init__(self) -> None:
        self.breasts: list[Row] = []
        self.images: list[Row] = []
        self.lesions: list[Row] = []
        self.marks: list[Row] = []

    def exam(self, exam: str, cancer: dict[str, bool | None], score: float | None) -> None:
        """An exam of a woman of its own name's first letter."""
        for breast in "LR":
            about = {"woman": exam[0], "exam": exam, "breast": breast, "score": score}
            self.breasts.append(about | {"cancer": cancer.get(breast, False)})
            for view in ("CC", "MLO"):
                place = {"exam": exam, "laterality": breast, "view": view}
                name = {"image": f"{exam} {breast} {view}"}
                self.images.append(name | place | {"spacing_mm": SPACING_MM, "maker": "ge"})

    def box(self, image: str, x: float, y: float, malignant: bool | None = True) -> None:
        """A box of 10 x 20 pixels."""
        exam, breast, view = image.split()
        place = {"image": image, "exam": exam, "laterality": breast, "view": view, "x": x, "y": y}
        self.lesions.append(place | {"width": 10.0, "height": 20.0, "malignant": malignant})

    def mark(self, image: str, x: float, y: float, score: float) -> None:
        self.marks.append({"image": image, "x": x, "y": y, "score": score})

    def located(self, tolerance_mm: float = 0.0) -> Located:
        types = {"woman": pl.String, "exam": pl.String, "breast": pl.String}
        types |= {"score": pl.Float64, "cancer": pl.Boolean}
        return locate(
            pl.DataFrame(self.breasts, schema=types),
            table(IMAGES, self.images),
            table(LESIONS, self.lesions),
            table(MARKS, self.marks),
            tolerance_mm,
        )


def ones(found: Located) -> np.ndarray:
    return np.ones(len(found.woman))


def planted() -> Study:
    """Four exams. Left breasts of A and B have a cancer with boxes; one of C has one without.

    A: highest mark in its place; a false mark on the MLO, which has a box too, and one on the right.
    B: highest mark out of its place, on a view without a box; the second highest in it.
    C: a mark on a cancer without a box. D: benign box, marked; a mark on the other breast of which
    nothing is known.
    """
    study = Study()
    study.exam("A", {"L": True}, 0.9)
    study.exam("B", {"L": True}, 0.5)
    study.exam("C", {"L": True}, 0.8)
    study.exam("D", {"R": None}, 0.7)
    study.box("A L CC", 100, 100)
    study.box("A L MLO", 200, 200)
    study.box("B L CC", 50, 50)
    study.box("D L CC", 50, 50, malignant=False)
    for image, x, y, score in (
        ("A L CC", 105, 105, 8),
        ("A L MLO", 100, 200, 4),
        ("A R CC", 105, 105, 5),
        ("B L CC", 60, 70, 6),
        ("B L MLO", 9, 9, 7),
        ("C L CC", 1, 1, 9),
        ("D L CC", 55, 55, 3),
        ("D R CC", 55, 55, 9),
    ):
        study.mark(image, x, y, score)
    return study


def test_marks_counted_by_hand() -> None:
    found = planted().located()
    assert found.boxed.tolist() == [True, False] + [True, False] + [False] * 4
    assert found.located.tolist() == [True] + [False] * 7
    # A L: both views have a box. B L: the CC alone. C L: none. D R: not known to be free of cancer.
    assert found.images.tolist() == [2, 2, 1, 2, 0, 2, 2, 0]
    assert sorted(found.false_marks.score) == [3, 4, 5]
    assert sorted(found.boxes.score) == [-np.inf, 6, 8]
    assert found.cancers.score.tolist() == [8, 6]
    assert found.in_place[[0, 2]].tolist() == [8, 6]
    false, sensitivity = froc_curve(found.cancers, found)
    # Scores 8 and 6 are in place; 5, 4 and 3 are false, on 11 images.
    assert false == pytest.approx([0, 0, 0, 1 / 11, 2 / 11, 3 / 11])
    assert sensitivity == pytest.approx([0, 1 / 2, 1, 1, 1, 1])
    assert froc_curve(found.boxes, found)[1] == pytest.approx(
        [0, 1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3]
    )
    assert froc_statistic(found.boxes, found)(ones(found)) == pytest.approx([2 / 3] * 5)
    # Highest marks on breasts free of cancer: A R 5, D L 3, and three without any.
    assert afroc_statistic(found)(ones(found)) == pytest.approx(1)


def test_selection_counted_by_hand() -> None:
    """Of 100 exams by score: cancers at ranks 1, 2, 4, 8 and 50, of which 1, 4 and 50 are located."""
    study = Study()
    for rank in range(1, 101):
        exam = f"{chr(200 + rank)}"
        sick = rank in (1, 2, 4, 8, 50)
        study.exam(exam, {"L": sick}, 1 - rank / 1000)
        if sick:
            study.box(f"{exam} L CC", 10, 10)
            study.mark(f"{exam} L CC", 12 if rank in (1, 4, 50) else 0, 12, 1)
    found = study.located()
    located, *at_rates = location_statistic(found)(ones(found))
    assert located == pytest.approx(3 / 5)
    # 3, 5, 8 and 11 exams are selected.
    assert at_rates[0::2] == pytest.approx([1 / 2, 2 / 3, 2 / 4, 2 / 4])
    assert at_rates[1::2] == pytest.approx([1 / 5, 2 / 5, 2 / 5, 2 / 5])
    figures = localisation_figures(found, "model", BootstrapSettings(50, 1))
    assert [f.estimate.value for f in figures[: len(at_rates) + 1]] == pytest.approx(
        [located, *at_rates]
    )
    assert [f.selection_rate for f in figures[1:9:2]] == list(SELECTION_RATES)
    assert len({(f.name, f.of, f.selection_rate) for f in figures}) == len(figures)
    assert {(f.estimate.n, f.estimate.cases, f.estimate.women) for f in figures} == {(200, 5, 100)}


def test_an_exam_is_selected_by_its_higher_breast_and_counts_once() -> None:
    """10 exams, of one breast but the first, whose cancer is in the breast with the lower score.

    At a rate of 11.1 % one exam is selected. Of 11 breasts, not both of the first would be.
    """
    study = Study()
    for number in range(10):
        study.exam(chr(200 + number), {"L": number == 0}, 0.5 - number / 100)
    study.breasts[0]["score"], study.breasts[1]["score"] = None, 0.9
    del study.breasts[3::2]
    image = f"{chr(200)} L CC"
    study.box(image, 10, 10)
    study.mark(image, 12, 12, 1)
    found = study.located()
    assert found.score[:4] == pytest.approx([0.9, 0.9, 0.49, 0.48])
    *_, among, located = location_statistic(found)(ones(found))
    assert (among, located) == (1, 1)
    assert np.isnan(location_statistic(found)(ones(found))[-4])
    twice = np.where(found.woman == found.woman[-1], 3.0, 1.0)
    # 12 exams, of which 8.8 % is one.
    assert location_statistic(found)(twice)[-4:].tolist() == [1, 1, 1, 1]


def test_a_figure_has_an_interval_by_woman() -> None:
    """20 women with a cancer, half of them located, and 20 without: the interval is a binomial's."""
    study = Study()
    for number in range(40):
        exam = chr(200 + number)
        study.exam(exam, {"L": number < 20}, number / 100)
        if number < 20:
            study.box(f"{exam} L CC", 10, 10)
            study.mark(f"{exam} L CC", 12 if number < 10 else 0, 12, 1)
    figures = localisation_figures(study.located(), None, BootstrapSettings(500, 1))
    located = figures[0].estimate
    assert located.value == pytest.approx(0.5)
    assert located.low == pytest.approx(0.28, abs=0.05)
    assert located.high == pytest.approx(0.72, abs=0.05)
    # Wilson's formula worked out for 10 of 20, and below for 0 of 20.
    assert figures[0].closed is not None
    assert (figures[0].closed.low, figures[0].closed.high) == pytest.approx(
        (0.29930, 0.70070), abs=1e-5
    )
    # Of 40 exams the four highest are selected at 11.1 %, and none of them has a cancer.
    assert [figure.closed for figure in figures[7:8]] == [None]
    among_all = figures[8].closed
    assert among_all is not None
    assert (among_all.low, among_all.high) == pytest.approx((0, 0.16113), abs=1e-5)
    assert {figure.closed for figure in figures[9:]} == {None}


@pytest.mark.parametrize(
    ("x", "y", "tolerance_mm", "inside"),
    [
        (100, 100, 0, True),
        (110, 120, 0, True),
        (99.9, 110, 0, False),
        (105, 120.1, 0, False),
        # 3 columns and 4 rows off the corner are 0.5 mm.
        (113, 124, 0.5001, True),
        (113, 124, 0.4999, False),
        (97, 96, 0.5001, True),
        (97, 96, 0.4999, False),
    ],
)
def test_a_mark_is_in_its_place_within_the_box_or_the_tolerance(
    x: float, y: float, tolerance_mm: float, inside: bool
) -> None:
    study = Study()
    study.exam("A", {"L": True}, 0.9)
    study.box("A L CC", 100, 100)
    study.mark("A L CC", x, y, 1)
    found = study.located(tolerance_mm)
    assert found.located.tolist() == [inside, False]
    assert found.false_marks.score.size == (not inside)


def test_without_spacing_there_is_no_tolerance() -> None:
    study = Study()
    study.exam("A", {"L": True}, 0.9)
    study.box("A L CC", 100, 100)
    for row in study.images:
        row["spacing_mm"] = None
    study.mark("A L CC", 99, 110, 1)
    assert not study.located(5).located.any()
    study.mark("A L CC", 101, 110, 2)
    assert study.located(5).located.tolist() == [True, False]


def test_of_equal_highest_marks_all_must_be_in_place() -> None:
    study = Study()
    study.exam("A", {"L": True}, 0.9)
    study.box("A L CC", 100, 100)
    study.mark("A L CC", 105, 105, 1)
    study.mark("A L CC", 106, 105, 1)
    assert study.located().located.tolist() == [True, False]
    study.mark("A L MLO", 105, 105, 1)
    assert study.located().located.tolist() == [False, False]


def test_equal_marks_are_taken_together_and_never_more_than_the_false_ones_wanted() -> None:
    """8 images: 1 false mark is 0.125 per image. A tie of a true and a false mark is both or none."""
    study = Study()
    study.exam("A", {"L": True, "R": True}, 0.9)
    study.exam("B", {}, 0.8)
    for image in ("A L CC", "A L MLO", "A R CC", "A R MLO"):
        study.box(image, 10, 10)
    study.mark("A L CC", 11, 11, 5)
    study.mark("B L CC", 11, 11, 5)
    study.mark("A R CC", 11, 11, 3)
    study.mark("B R CC", 11, 11, 3)
    found = study.located()
    assert found.images.sum() == 8
    at = dict(zip(FALSE_MARKS, froc_statistic(found.cancers, found)(ones(found)), strict=True))
    assert at == {0.125: 0.5, 0.25: 1, 0.5: 1, 1.0: 1, 2.0: 1}
    heavier = np.where(found.woman == found.woman[-1], 3.0, 1.0)
    # B drawn three times: 16 images, and 3 false marks each time.
    at = dict(zip(FALSE_MARKS, froc_statistic(found.cancers, found)(heavier), strict=True))
    assert at[0.125] == 0
    assert at[0.25] == 0.5


def test_exams_without_score_and_images_of_others_are_left_out() -> None:
    study = planted()
    before = study.located()
    study.exam("E", {"L": True}, None)
    study.box("E L CC", 5, 5)
    study.mark("E L CC", 0, 0, 99)
    study.mark("stranger", 0, 0, 99)
    after = study.located()
    assert after.located.tolist() == before.located.tolist()
    assert sorted(after.false_marks.score) == sorted(before.false_marks.score)
    study.marks = study.marks[-2:]
    with pytest.raises(InputError, match="none lies on an image of these exams; name images"):
        study.located()


def test_a_cancer_that_a_later_exam_found_is_neither_looked_for_nor_false() -> None:
    """B's left breast had none by its label, but a box shows where it was to be seen."""
    study = Study()
    study.exam("A", {"L": True}, 0.9)
    study.exam("B", {}, 0.8)
    for image, score in (("A L CC", 1), ("B L CC", 2)):
        study.box(image, 10, 10)
        study.mark(image, 12, 12, score)
    study.mark("B L CC", 99, 99, 3)
    found = study.located()
    assert found.boxed.tolist() == [True, False, False, False]
    assert found.free.tolist() == [False, True, False, True]
    assert found.false_marks.score.tolist() == [3]
    assert afroc_statistic(found)(ones(found)) == 1


def test_what_is_not_there_is_not_defined() -> None:
    study = Study()
    study.exam("A", {}, 0.9)
    study.mark("A L CC", 1, 1, 1)
    figures = localisation_figures(study.located(), None, BootstrapSettings(20, 1))
    assert {figure.estimate.value for figure in figures} == {None}
    assert {figure.estimate.reason for figure in figures} == {"no cases"}


def test_exams_whose_images_nobody_marked_count_for_selection_alone() -> None:
    """Nine exams more, of which no image was looked at: 11.1 % of 13 exams is one, not none."""
    study = planted()
    before = study.located()
    for number in range(9):
        study.exam(chr(200 + number), {}, number / 100)
        del study.images[-4:]
    after = study.located()
    assert location_statistic(before)(ones(before))[-1] == 0
    assert location_statistic(after)(ones(after))[-1] == 1 / 2
    assert after.free.sum() == before.free.sum() == 4
    assert after.images.sum() == before.images.sum()
    lower = [mark | {"score": -1.0} for mark in study.marks if mark["image"] == "A L CC"]
    study.marks += [lower[0] | {"image": f"{exam} R CC"} for exam in "AC"]
    assert afroc_statistic(study.located())(ones(after)) == 1


IMAGES_OF = [f"{b} {v}" for b, v in product("LR", ("CC", "MLO"))]
SPOTS = st.sampled_from([5.0, 9.5, 10.0, 15.0, 20.0, 30.0, 31.0])
EXAMS = st.lists(
    st.fixed_dictionaries(
        {
            "woman": st.sampled_from("ABC"),
            "score": st.sampled_from([None, 0.1, 0.5, 0.8, 0.9]),
            "cancer": st.fixed_dictionaries(
                {side: st.sampled_from([True, True, False, None]) for side in "LR"}
            ),
            "boxes": st.sets(st.tuples(st.sampled_from(IMAGES_OF), SPOTS), max_size=3),
            "malignant": st.sampled_from([True, True, False, None]),
            "marks": st.lists(
                st.tuples(st.sampled_from(IMAGES_OF), SPOTS, SPOTS, st.integers(0, 3)), max_size=5
            ),
        }
    ),
    min_size=1,
    max_size=7,
)


def written(exams: list[Row]) -> Study:
    study = Study()
    for number, about in enumerate(exams):
        exam = f"{about['woman']}{number}"
        study.exam(exam, about["cancer"], about["score"])
        for image, x in sorted(about["boxes"]):
            study.box(f"{exam} {image}", x, 10, about["malignant"])
        for image, x, y, score in about["marks"]:
            study.mark(f"{exam} {image}", x, y, score)
    return study


def hit(mark: Row, box: Row) -> bool:
    x, y = mark["x"] - box["x"], mark["y"] - box["y"]
    return box["image"] == mark["image"] and 0 <= x <= 10 and 0 <= y <= 20


def best(marks: list[Row]) -> int:
    """Score of the highest mark; -1 where there is none."""
    return max((mark["score"] for mark in marks), default=-1)


@dataclass
class Copies:
    """What the figures are made of, with a row for each time that a woman was drawn."""

    exams: list[float] = field(default_factory=list)
    cancers: list[tuple[float, bool, int]] = field(default_factory=list)
    """Score of the exam, whether it is located, best mark in its place."""
    boxes: list[int] = field(default_factory=list)
    free: list[int] = field(default_factory=list)
    false: list[int] = field(default_factory=list)
    images: int = 0

    def add(self, study: Study, breast: Row) -> None:
        start = f"{breast['exam']} {breast['breast']} "
        marks, images, malignant = (
            [row for row in rows if row["image"].startswith(start)]
            for rows in (study.marks, study.images, study.lesions)
        )
        malignant = [box for box in malignant if box["malignant"]]
        right = [mark for mark in marks if any(hit(mark, box) for box in malignant)]
        if breast["breast"] == "L":
            self.exams.append(breast["score"])
        if breast["cancer"] is False and not malignant:
            self.free.append(best(marks))
        if breast["cancer"] and malignant:
            top = [mark for mark in marks if mark["score"] == best(marks)]
            located = bool(top) and all(mark in right for mark in top)
            self.cancers.append((breast["score"], located, best(right)))
            self.boxes += [best([m for m in marks if hit(m, box)]) for box in malignant]
        for image in (row["image"] for row in images):
            if breast["cancer"] is False or image in [box["image"] for box in malignant]:
                self.images += 1
                on_it = [mark for mark in marks if mark["image"] == image]
                self.false += [mark["score"] for mark in on_it if mark not in right]

    def selected(self, rate: float) -> list[bool]:
        """Of the cancers in selected exams, whether they are located."""
        most = rate * len(self.exams) + 1e-9
        cuts = [cut for cut in self.exams if sum(score >= cut for score in self.exams) <= most]
        return [located for score, located, _ in self.cancers if cuts and score >= min(cuts)]

    def froc(self, targets: list[int]) -> list[float]:
        shares = []
        for most in FALSE_MARKS:
            cuts = (0, 1, 2, 3, 4)  # 4: no mark is taken
            few = [c for c in cuts if sum(f >= c for f in self.false) <= most * self.images + 1e-9]
            shares.append(max(sum(t >= cut for t in targets) / len(targets) for cut in few))
        return shares


def one_by_one(study: Study, times: dict[str, int]) -> dict[str, list[float]]:
    """The figures with rows copied as often as their woman was drawn; no arrays, no weights."""
    copies = Copies()
    for row in study.breasts:
        for _ in range(times[row["woman"]] if row["score"] is not None else 0):
            copies.add(study, row)
    cancers = copies.cancers
    if not cancers:
        return {"location": [np.nan] * 9}
    location = [sum(located for _, located, _ in cancers) / len(cancers)]
    for rate in SELECTION_RATES:
        those = copies.selected(rate)
        location.append(sum(those) / len(those) if those else np.nan)
        location.append(sum(those) / len(cancers))
    in_place = [score for *_, score in cancers]
    found = {
        "location": location,
        "froc": copies.froc(in_place),
        "boxes": copies.froc(copies.boxes),
    }
    if copies.free:
        truth = [True] * len(cancers) + [False] * len(copies.free)
        found["afroc"] = [roc_auc_score(truth, in_place + copies.free)]
    return found


@settings(max_examples=60)
@given(EXAMS, st.fixed_dictionaries({woman: st.integers(0, 3) for woman in "ABC"}))
def test_figures_as_one_by_one(exams: list[Row], times: dict[str, int]) -> None:
    study = written(exams)
    scored = {row["exam"] for row in study.breasts if row["score"] is not None}
    if not any(mark["image"].split()[0] in scored for mark in study.marks):
        with pytest.raises(InputError):
            study.located()
        return
    found = study.located()
    names = sorted({row["woman"] for row in study.breasts if row["score"] is not None})
    weights = np.array([float(times[names[woman - 1]]) for woman in found.woman])
    statistics: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "location": location_statistic(found),
        "froc": froc_statistic(found.cancers, found),
        "boxes": froc_statistic(found.boxes, found),
        "afroc": afroc_statistic(found),
    }
    for name, expected in one_by_one(study, times).items():
        assert statistics[name](weights) == pytest.approx(expected, nan_ok=True), name
    if found.boxed.any() and found.images.sum():
        false, sensitivity = froc_curve(found.cancers, found)
        assert (np.diff(false) >= 0).all()
        assert (np.diff(sensitivity) >= 0).all()
        for most, value in zip(
            FALSE_MARKS, froc_statistic(found.cancers, found)(ones(found)), strict=True
        ):
            assert value == pytest.approx(sensitivity[false <= most + 1e-9].max())
