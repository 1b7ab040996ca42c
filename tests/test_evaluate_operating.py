"""Thresholds: never more exams than the wanted share, ties together."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.evaluate.operating import Threshold, groups_within, threshold_at
from mim.vocab import SELECTION_RATES


def thresholds(scores: list[float]) -> list[Threshold]:
    """At every selection rate, of exams that count once each."""
    found = np.array(scores)
    return [threshold_at(found, np.ones(len(found)), rate) for rate in SELECTION_RATES]


def test_a_thousand_exams_without_ties_are_selected_to_the_exam() -> None:
    scores = [float(score) for score in np.random.default_rng(1).permutation(1000) / 1000]
    found = thresholds(scores)
    assert [t.selection_rate for t in found] == list(SELECTION_RATES)
    assert [t.selected for t in found] == [32, 58, 88, 111]
    assert [t.share_selected for t in found] == pytest.approx(list(SELECTION_RATES))
    assert [t.threshold for t in found] == pytest.approx([0.9675, 0.9415, 0.9115, 0.8885])


@given(
    st.lists(
        st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 0.5, 1.0])), min_size=1, max_size=80
    )
)
def test_never_more_than_the_share_and_never_a_group_that_would_fit(scores: list[float]) -> None:
    values = np.array(scores)
    for found in thresholds(scores):
        selected = values >= found.threshold
        assert found.selected == selected.sum()
        assert found.share_selected == selected.mean() <= found.selection_rate + 1e-12
        rest = values[~selected]
        if rest.size:
            with_next = (values >= rest.max()).sum()
            assert with_next > found.selection_rate * len(values)


def test_ties_at_the_top_select_nobody_and_the_threshold_lies_above_them() -> None:
    for found in thresholds([1.0] * 20 + [0.1] * 80):
        assert (found.selected, found.threshold > 1.0) == (0, True)


def test_the_threshold_keeps_its_distance_from_both_neighbours() -> None:
    found = thresholds([0.9, 0.7] + [0.1] * 48)[0]
    assert (found.selected, found.threshold) == (1, pytest.approx(0.8))


def test_weighted_exams_count_as_so_many() -> None:
    scores = np.array([0.9, 0.7, 0.5, 0.3])
    found = threshold_at(scores, np.array([1.0, 1.0, 8.0, 90.0]), 0.02)
    assert (found.selected, found.threshold) == (2, pytest.approx(0.6))
    assert found.share_selected == pytest.approx(0.02)


def test_thresholds_survive_json() -> None:
    found = thresholds([0.1, 0.2, 0.3])
    assert [Threshold(**t) for t in json.loads(json.dumps([asdict(t) for t in found]))] == found


@pytest.mark.parametrize("exams", [125, 1000, 2875, 122_969, 1_300_000])
@pytest.mark.parametrize("rate", SELECTION_RATES)
def test_a_whole_number_of_exams_is_not_lost_to_rounding(exams: int, rate: float) -> None:
    thousandths = round(rate * 1000)
    assert groups_within(np.arange(1.0, exams + 1), rate) == exams * thousandths // 1000
