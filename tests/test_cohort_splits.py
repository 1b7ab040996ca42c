"""Splits: shares, stability, refusals."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mim.cohort.settings import SplitSettings
from mim.cohort.splits import check_shares, split_of
from mim.errors import InputError
from mim.vocab import Split

WOMEN = [f"woman {n}" for n in range(20_000)]


def test_shares_are_met() -> None:
    counts = Counter(split_of(woman, SplitSettings(validation=0.15, test=0.25)) for woman in WOMEN)
    # Five standard deviations of a binomial share of 20,000.
    assert counts[Split.TEST] / len(WOMEN) == pytest.approx(0.25, abs=0.016)
    assert counts[Split.VALIDATION] / len(WOMEN) == pytest.approx(0.15, abs=0.013)


def test_splits_are_those_of_earlier_versions() -> None:
    """A change of the hash would mix test women into training; so it must be seen."""
    splits = "".join(split_of(woman, SplitSettings())[:2] for woman in WOMEN[:12])
    assert splits == "trtetetrtrtrtrtrtrtrtrte"


@given(st.text(), st.floats(0, 0.5), st.floats(0, 0.25), st.floats(0, 0.25))
def test_a_larger_share_takes_no_woman_out(
    woman: str, test: float, validation: float, more: float
) -> None:
    """Enlarging validation leaves every test and validation woman where she is."""
    was = split_of(woman, SplitSettings(validation=validation, test=test))
    now = split_of(woman, SplitSettings(validation=validation + more, test=test))
    assert now == was or (was, now) == (Split.TRAIN, Split.VALIDATION)


@pytest.mark.parametrize(("validation", "test"), [(-0.1, 0.2), (0.2, -0.1), (0.5, 0.5)])
def test_shares_that_leave_nothing_are_refused(validation: float, test: float) -> None:
    with pytest.raises(InputError, match="sum below 1"):
        check_shares(SplitSettings(validation=validation, test=test))
