"""Thresholds: never more exams than the wanted share, ties together, validation exams only."""

import json
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.errors import InputError
from mim.evaluate.operating import Threshold, groups_within, selection_thresholds
from mim.schemas.scores import SCORES
from mim.vocab import SELECTION_RATES


def one_breast_exams(scores: list[float | None], split: str = "validation") -> pa.Table:
    return SCORES.from_rows(
        [
            {
                "woman": f"w{place}",
                "exam": f"{split}{place}",
                "breast": "L",
                "score": score,
                "cancer": None,
                "outcome": "unknown",
                "maker": "ge",
                "split": split,
                "priors": 0,
            }
            for place, score in enumerate(scores)
        ]
    )


def test_a_thousand_exams_without_ties_are_selected_to_the_exam() -> None:
    scores = [float(score) for score in np.random.default_rng(1).permutation(1000) / 1000]
    found = selection_thresholds(one_breast_exams(scores))
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
    for found in selection_thresholds(one_breast_exams(scores)):
        selected = values >= found.threshold
        assert found.selected == selected.sum()
        assert found.share_selected == selected.mean() <= found.selection_rate + 1e-12
        rest = values[~selected]
        if rest.size:
            with_next = (values >= rest.max()).sum()
            assert with_next > found.selection_rate * len(values)


def test_ties_at_the_top_select_nobody_and_the_threshold_lies_above_them() -> None:
    for found in selection_thresholds(one_breast_exams([1.0] * 20 + [0.1] * 80)):
        assert (found.selected, found.threshold > 1.0) == (0, True)


def test_the_threshold_keeps_its_distance_from_both_neighbours() -> None:
    found = selection_thresholds(one_breast_exams([0.9, 0.7] + [0.1] * 48))[0]
    assert (found.selected, found.threshold) == (1, pytest.approx(0.8))


def test_the_exam_counts_once_with_its_higher_breast() -> None:
    left, right = one_breast_exams([0.2] * 50), one_breast_exams([0.9] + [0.1] * 49)
    right = right.set_column(2, SCORES.arrow().field("breast"), pa.array(["R"] * 50))
    found = selection_thresholds(pa.concat_tables([left, right]))[0]
    assert (found.exams, found.selected) == (50, 1)
    assert found.threshold == pytest.approx(0.55)


def test_only_validation_exams_with_a_score_count() -> None:
    table = pa.concat_tables(
        [
            one_breast_exams([0.5 + place / 1000 for place in range(100)] + [None]),
            one_breast_exams([0.99] * 300, "test"),
            one_breast_exams([0.99] * 300, "train"),
        ]
    )
    found = selection_thresholds(table)[-1]
    assert (found.exams, found.selected) == (100, 11)
    assert found.threshold < 0.6


def test_without_validation_exams_the_message_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"split 'validation'.*larger share"):
        selection_thresholds(one_breast_exams([0.5], "test"))


def test_thresholds_survive_json() -> None:
    found = selection_thresholds(one_breast_exams([0.1, 0.2, 0.3]))
    assert [Threshold(**t) for t in json.loads(json.dumps([asdict(t) for t in found]))] == found


@pytest.mark.parametrize("exams", [125, 1000, 2875, 122_969, 1_300_000])
@pytest.mark.parametrize("rate", SELECTION_RATES)
def test_a_whole_number_of_exams_is_not_lost_to_rounding(exams: int, rate: float) -> None:
    thousandths = round(rate * 1000)
    assert groups_within(np.arange(1.0, exams + 1), rate) == exams * thousandths // 1000
