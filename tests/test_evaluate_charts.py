"""Pictures: where points lie, counts of bars, ticks, and names that must not become markup."""

import re
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from mim.evaluate.axes import MOST_POINTS, Axis, thinned
from mim.evaluate.bootstrap import Estimate
from mim.evaluate.charts import (
    ACROSS,
    LEFT,
    TOP,
    UP,
    Calibrated,
    Curve,
    Line,
    Scores,
    calibration_svg,
    histogram_svg,
    lines_svg,
    roc_svg,
)
from mim.evaluate.forest import MARGIN, PLOT, ForestGroup, ForestRow, forest_svg
from mim.evaluate.metrics import roc_curve
from mim.evaluate.sections import Cell

EVIL = '<script>alert("1")</script>&'


def parsed(svg: str) -> ET.Element:
    """Of one or several pictures; fails where markup is broken."""
    return ET.fromstring(f"<page>{svg}</page>")


def words(svg: str) -> list[str]:
    return [
        element.text or "" for element in parsed(svg).iter() if element.tag in ("text", "title")
    ]


def points_of(svg: str, name: str) -> np.ndarray:
    """Corners of the curve of a name, in the picture's units."""
    [path] = [p for p in parsed(svg).iter("path") if p.findtext("title") == name]
    return np.array(re.findall(r"([\d.]+) ([\d.]+)", path.get("d", "")), float)


def cell(value: float | None, low: float | None = None, high: float | None = None) -> Cell:
    reason = None if low is not None else "no interval: needs 5 women with and 5 without"
    return Cell(Estimate(value, low, high, 100, 10, 90, reason))


# ---- axes ---------------------------------------------------------------------------------------


@given(
    st.lists(st.floats(-1e7, 1e7).map(lambda v: round(v, 4)), min_size=1, max_size=5), st.booleans()
)
def test_an_axis_holds_its_values_and_has_few_even_round_ticks(values, percent):
    axis = Axis.around("score", np.array(values), percent)
    near = 1e-9 * max(1, max(values) - min(values))
    assert axis.low <= min(values) + near
    assert axis.high >= max(values) - near
    ticks = axis.ticks
    assert 3 <= len(ticks) <= 9
    places = np.array([place for place, _ in ticks])
    assert places[0] >= 0
    assert places[-1] <= 1
    assert np.ptp(np.diff(places)) < 1e-6
    said = [float(word.rstrip("%").replace(",", "")) / (100 if percent else 1) for _, word in ticks]
    assert said == pytest.approx(axis.low + places * (axis.high - axis.low), rel=1e-9, abs=1e-9)
    digits = f"{said[1] - said[0]:.6e}"
    assert float(digits.partition("e")[0]) in (1, 2, 5)


def test_known_axes():
    assert [word for _, word in Axis("", 0, 1).ticks] == ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [word for _, word in Axis("", 0, 0.05, percent=True).ticks] == [
        f"{n}%" for n in range(6)
    ]
    scores = Axis.around("", np.array([1.0, 10.0, np.nan, np.inf]))
    assert (scores.low, scores.high) == (0, 10)
    assert [word for _, word in scores.ticks] == ["0", "2", "4", "6", "8", "10"]
    nothing = Axis.around("", np.empty(0))
    assert (nothing.low, nothing.high) == (0, 1)


def test_a_thinned_curve_is_the_curve():
    """Every point left out lies within two pixels of one that is kept."""
    generator = np.random.default_rng(3)
    cancer = np.arange(60_000) < 400
    scores = generator.normal(size=60_000) + 2 * cancer
    across, up = (part * 400 for part in roc_curve(scores, cancer))
    kept = thinned(across, up)
    assert len(kept) <= MOST_POINTS
    assert {0, len(across) - 1} <= set(kept.tolist())
    near = cKDTree(np.stack([across[kept], up[kept]], 1))
    assert near.query(np.stack([across, up], 1))[0].max() < 2


# ---- curves -------------------------------------------------------------------------------------


def test_points_of_a_roc_curve_lie_where_they_should():
    curve = Curve("ge", np.array([0, 0.25, 1]), np.array([0, 0.5, 1]), 1)
    found = points_of(roc_svg([curve], "ROC"), "ge")
    assert found.tolist() == pytest.approx(
        np.array([[LEFT, TOP + UP], [LEFT + ACROSS / 4, TOP + UP / 2], [LEFT + ACROSS, TOP]]),
        abs=0.06,
    )
    assert roc_svg([Curve("none", np.empty(0), np.empty(0), 2)], "ROC").count("<title>") == 0


def test_lines_of_any_unit_lie_on_their_axes():
    per_image, found = np.array([0.5, 1.0, 2.0]), np.array([0.4, np.nan, 0.8])
    line = Line("FROC", per_image, found, 1)
    axes = Axis("marks per image", 0, 2), Axis("found", 0, 1, percent=True)
    [first, last] = points_of(lines_svg([line], *axes, "FROC"), "FROC")
    assert first == pytest.approx([LEFT + ACROSS / 4, TOP + UP * 0.6], abs=0.06)
    assert last == pytest.approx([LEFT + ACROSS, TOP + UP * 0.2], abs=0.06)


def test_steps_keep_each_value_up_to_the_next_point():
    line = Line("missed", np.array([0, 0.5, 1]), np.array([0, 0, 1]), 1, steps=True)
    svg = lines_svg([line], Axis("out", 0, 1), Axis("missed", 0, 1), "rule-out")
    [path] = [p.get("d") for p in parsed(svg).iter("path") if p.findtext("title") == "missed"]
    bottom = f"{TOP + UP:.1f}"
    assert path == (
        f"M{LEFT:.1f} {bottom}H{LEFT + ACROSS / 2:.1f}V{bottom}H{LEFT + ACROSS:.1f}V{TOP:.1f}"
    )


def test_several_lines_are_named_below_and_a_band_lies_around_one():
    ones = np.array([0.0, 1.0])
    band = Line("a", ones, ones, 1, low=ones * 0.5, high=ones)
    guide = Line("bound", ones, ones * 0.1, 0)
    svg = lines_svg([band], Axis("x", 0, 1), Axis("y", 0, 1), "s", [guide], mark=0.25)
    assert words(svg).count("a") == words(svg).count("bound") == 2, "title and legend"
    [polygon] = parsed(svg).iter("polygon")
    corners = [tuple(map(float, p.split(","))) for p in polygon.get("points", "").split()]
    assert corners[1] == pytest.approx((LEFT + ACROSS, TOP + UP / 2), abs=0.06)
    assert corners[2] == pytest.approx((LEFT + ACROSS, TOP), abs=0.06)
    [mark] = [line for line in parsed(svg).iter("line") if line.get("class") == "mark"]
    assert float(mark.get("x1", "")) == pytest.approx(LEFT + ACROSS / 4, abs=0.06)


def test_calibration_lies_on_the_diagonal_where_it_agrees():
    same = Estimate(0.02, 0.01, 0.03, 100, 2, 100)
    svg = calibration_svg([Calibrated("fifth", same, same)], "expected", "observed", "s")
    [point] = parsed(svg).iter("circle")
    across = (float(point.get("cx", "")) - LEFT) / ACROSS
    assert across == pytest.approx((TOP + UP - float(point.get("cy", ""))) / UP, abs=0.001)
    assert across == pytest.approx(0.02 / 0.03, abs=0.001)
    assert "1.0%" in words(svg)


# ---- histograms ---------------------------------------------------------------------------------


def bars(svg: str) -> list[tuple[float, float, int]]:
    """Low end, high end and count of each bar."""
    told = [word for word in words(svg) if ", score " in word]
    found = [re.search(r"score (\S+) to (\S+): (\d+)", word) for word in told]
    return [(float(m[1]), float(m[2]), int(m[3])) for m in found if m]


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(1).normal(-300, 1000, 500),
        np.random.default_rng(2).beta(1, 9, 500),
        np.random.default_rng(3).normal(0, 1e-4, 500),
        np.full(7, 3.0),
        np.array([0.0, 1.0, 1.0]),
    ],
)
def test_every_score_of_any_scale_is_in_a_bar(scores):
    found = bars(histogram_svg([Scores("negative", scores, 0)], "h"))
    assert sum(count for *_, count in found) == len(scores)
    assert found[0][0] <= scores.min() + 1e-9
    assert found[-1][1] >= scores.max() - 1e-9
    edges = [low for low, *_ in found] + [found[-1][1]]
    if len(scores) > 10:
        assert [count for *_, count in found] == np.histogram(scores, edges)[0].tolist()


def test_whole_scores_have_a_bar_each():
    scores = np.random.default_rng(5).integers(1, 11, 300)
    svg = histogram_svg(
        [Scores("a", scores.astype(float), 0), Scores("b", np.array([10.0]), 1)], "h"
    )
    found = bars(svg)
    assert [(low + high) / 2 for low, high, _ in found[:10]] == list(range(1, 11))
    assert [count for *_, count in found[:10]] == [(scores == s).sum() for s in range(1, 11)]
    assert [count for *_, count in found[10:]] == [0] * 9 + [1]


# ---- forest -------------------------------------------------------------------------------------


def forest(names: list[str], models: list[str]) -> str:
    whole = ForestRow("All exams", "300 exams", [cell(0.5, 0.4, 0.6)] * len(models))
    rows = [
        ForestRow(name, "100 exams, 5 with cancer", [cell(0.75, 0.5, 1.0)] * len(models))
        for name in names
    ]
    one = ForestRow("rare", "31 exams", [cell(None), cell(0.0)][: len(models)])
    groups = [ForestGroup("Maker", rows), ForestGroup("Site", [one])]
    return forest_svg(whole, groups, models, "AUC", "AUC by part.")


def test_marks_and_whiskers_of_a_forest_lie_on_the_common_axis():
    svg = forest(["ge"], ["mim", "other"])
    pictures = [*parsed(svg)]
    assert [p.get("aria-label") for p in pictures] == [
        "AUC by part.",
        "AUC by part. Maker",
        "AUC by part. Site",
    ]
    [mark] = pictures[1].iter("circle")
    assert float(mark.get("cx", "")) == pytest.approx(MARGIN + 0.75 * (PLOT - MARGIN), abs=0.06)
    [square] = pictures[1].iter("rect")
    assert float(square.get("x", "")) + 3.5 == pytest.approx(float(mark.get("cx", "")), abs=0.06)
    whiskers = [p.get("d", "") for p in pictures[1].iter("path") if p.get("class") == "line s2"]
    numbers = [[float(n) for n in re.findall(r"[\d.]+", w)] for w in whiskers]
    middle, right = MARGIN + (PLOT - MARGIN) / 2, float(PLOT)
    ends = [(n[0], n[2]) for n in numbers if n[0] != n[-1] and len(n) == 3]
    assert (pytest.approx(middle, abs=0.06), pytest.approx(right, abs=0.06)) in ends
    said = words(svg)
    assert said.count("0.750 (0.500 to 1.000)") == 4, "title and text of both models"
    assert "no interval: needs 5 women with and 5 without" in said
    assert said.count("mim") == said.count("other") == 1


def test_a_long_name_is_cut_and_kept_in_full_for_who_asks():
    name = "A screening unit whose name is as long as the whole line"
    said = words(forest([name], ["mim"]))
    assert name in said
    assert any(word.endswith("…") and name.startswith(word[:-1]) for word in said)
    assert "mim" not in said, "one model needs no key"


# ---- names --------------------------------------------------------------------------------------


def test_no_name_becomes_markup():
    ones = np.array([0.0, 1.0])
    axis = Axis(EVIL, 0, 1)
    same = Estimate(0.02, 0.01, 0.03, 100, 2, 100)
    made = [
        roc_svg([Curve(EVIL, ones, ones, 0)], EVIL),
        lines_svg([Line(EVIL, ones, ones, 0)], axis, axis, EVIL, [Line(EVIL, ones, ones, 0)]),
        calibration_svg([Calibrated(EVIL, same, same)], EVIL, EVIL, EVIL),
        histogram_svg([Scores(EVIL, ones, 0)], EVIL, EVIL),
        forest_svg(
            ForestRow(EVIL, EVIL, [cell(0.5, 0.4, 0.6)] * 2),
            [ForestGroup(EVIL, [ForestRow(EVIL, EVIL, [cell(0.5, 0.4, 0.6), cell(None)])])],
            [EVIL, EVIL],
            EVIL,
            EVIL,
        ),
    ]
    for svg in made:
        assert "<script" not in svg
        assert not [*parsed(svg).iter("script")]
        assert any(EVIL in word for word in words(svg))
