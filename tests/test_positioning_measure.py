"""Measures against drawings whose millimetres and degrees are known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mim.positioning.measure import CHEST_WALL, Measures, measure

CC, MLO, OTHER_CC, OTHER_MLO = range(4)
NOTHING = np.full((4, 3, 2), np.nan)


def exam(**places: list[list[float]]) -> np.ndarray:
    """Points of an exam: [nipple, upper, lower] in the views of the left breast that are given."""
    points = NOTHING.copy()
    for view, found in places.items():
        points[{"cc": CC, "mlo": MLO}[view], : len(found)] = found
    return points


def measured(points: np.ndarray, spacing: float = 0.1, hidden: tuple[int, int] | None = None):
    visible = np.ones((4, 3), bool)
    if hidden is not None:
        visible[hidden] = False
    return measure(points, visible, np.full(4, spacing))


def test_a_drawn_right_angled_muscle_gives_its_own_figures() -> None:
    # A muscle from (300, 0) down to the chest wall at (0, 400): 3, 4, 5.
    # From its middle (150, 200) 100 pixels at right angles lead to a nipple at (230, 260).
    found = measured(exam(mlo=[[230, 260], [300, 0], [0, 400]], cc=[[109.5, 200]]))
    assert found.posterior_nipple_line_mm[MLO] == pytest.approx(10)
    assert found.posterior_nipple_line_mm[CC] == pytest.approx(11)
    assert found.line_difference_mm[:2] == pytest.approx([-1, -1])
    assert found.line_above_pectoral_end_mm[MLO] == pytest.approx(25)
    assert found.pectoral_length_mm[MLO] == pytest.approx(50)
    assert found.pectoral_angle_degrees[MLO] == pytest.approx(np.degrees(np.arctan2(3, 4)))
    assert found.pectoral_below_nipple_mm[MLO] == pytest.approx(14)


def test_a_line_that_passes_below_a_short_muscle_ends_at_the_chest_wall() -> None:
    # 45 degrees; the line from the nipple runs up and left, to the edge of the image at row 200.
    found = measured(exam(mlo=[[99.5, 300], [99.5, 0], [-0.5, 100]]), spacing=1.0)
    assert found.posterior_nipple_line_mm[MLO] == pytest.approx(100 * np.sqrt(2))
    assert found.line_above_pectoral_end_mm[MLO] == pytest.approx(-50 * np.sqrt(2))
    assert found.pectoral_below_nipple_mm[MLO] == pytest.approx(-200)


def test_what_is_missing_leaves_out_only_what_needs_it() -> None:
    both = exam(mlo=[[230, 260], [300, 0], [0, 400]], cc=[[109.5, 200]])

    def known(found: Measures, view: int) -> set[str]:
        return {name for name, values in found._asdict().items() if not np.isnan(values[view])}

    whole = set(Measures._fields)
    assert known(measured(both), MLO) == whole
    assert known(measured(both), CC) == {"posterior_nipple_line_mm", "line_difference_mm"}
    assert known(measured(both), OTHER_MLO) == set()
    assert known(measured(both, hidden=(MLO, 0)), MLO) == {
        "pectoral_angle_degrees",
        "pectoral_length_mm",
    }
    assert known(measured(both, hidden=(MLO, 2)), MLO) == set()
    assert known(measured(both, hidden=(CC, 0)), MLO) == whole - {"line_difference_mm"}
    assert known(measured(both, spacing=np.nan), MLO) == {"pectoral_angle_degrees"}


places = st.tuples(
    st.floats(150, 400), st.floats(100, 600), st.floats(60, 140), st.floats(300, 700)
)


@given(places, st.floats(0.05, 0.5), st.floats(-50, 50), st.floats(-0.3, 0.3))
@settings(max_examples=40)
def test_moving_the_scene_changes_nothing_and_spacing_scales(place, spacing, shift, turn) -> None:
    x, y, upper, lower = place
    drawn = exam(mlo=[[x, y], [upper, 0], [0, lower]])
    found = measured(drawn)
    down = measured(drawn + np.array([0, shift]))
    for name in Measures._fields:
        one, other = getattr(found, name)[MLO], getattr(down, name)[MLO]
        np.testing.assert_allclose(other, one, rtol=1e-9, atol=1e-9)
        if name.endswith("_mm"):
            scaled = getattr(measured(drawn, spacing), name)[MLO]
            np.testing.assert_allclose(scaled, one * spacing / 0.1, rtol=1e-9, atol=1e-9)
    # Turned about any point: lengths stay, and the muscle's angle turns with it.
    far = drawn + np.array([5000, 0])  # no chest wall comes between
    c, s = np.cos(turn), np.sin(turn)
    turned = measured(far @ np.array([[c, s], [-s, c]]) + np.array([2000, 0]))
    away = measured(far)
    for name in ("posterior_nipple_line_mm", "pectoral_length_mm", "line_above_pectoral_end_mm"):
        np.testing.assert_allclose(getattr(turned, name)[MLO], getattr(away, name)[MLO], atol=1e-6)
    angles = away.pectoral_angle_degrees[MLO] - turned.pectoral_angle_degrees[MLO]
    np.testing.assert_allclose(abs(angles), np.degrees(abs(turn)), atol=1e-6)


@given(places)
@settings(max_examples=40)
def test_the_line_is_the_shortest_way_to_the_muscle_or_stops_at_the_edge(place) -> None:
    x, y, upper, lower = place
    found = measured(exam(mlo=[[x, y], [upper, 0], [CHEST_WALL, lower]]), spacing=1.0)
    line, above = found.posterior_nipple_line_mm[MLO], found.line_above_pectoral_end_mm[MLO]
    along = np.linspace(-1, 3, 40_001)[:, None]
    muscle = np.array([upper, 0]) + along * np.array([CHEST_WALL - upper, lower])
    away = np.linalg.norm(muscle - [x, y], axis=1)
    assert line <= away.min() + 1e-3
    if above > 0:
        assert line == pytest.approx(away.min(), abs=0.05)
    else:  # on the edge: a right-angled triangle over the way to the chest wall
        assert line >= x - CHEST_WALL - 1e-9
