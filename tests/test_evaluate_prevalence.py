"""Weighted exams are the programme's: by rates, and by what is planted in a simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import brier_score_loss

from mim.errors import InputError
from mim.evaluate.prevalence import kind_factors, known_weights, prevalence_weights
from mim.evaluate.settings import PrevalenceSettings
from mim.vocab import Outcome

KINDS = [kind.value for kind in Outcome]
SCREENED = [Outcome.SCREEN_DETECTED.value, Outcome.CANCER.value]


@given(
    st.lists(st.sampled_from(KINDS), max_size=200),
    st.floats(0.1, 400),
    st.floats(0.1, 400),
)
def test_weighted_shares_are_the_programmes_rates(kinds, screen_detected, interval) -> None:
    needed = [Outcome.SCREEN_DETECTED.value, Outcome.INTERVAL.value, Outcome.NEGATIVE.value]
    outcome = np.array(kinds + needed)
    weights = prevalence_weights(outcome, PrevalenceSettings(screen_detected, interval))
    assert weights.sum() == pytest.approx(len(outcome))
    share = weights / len(outcome)
    assert share[np.isin(outcome, SCREENED)].sum() == pytest.approx(screen_detected / 1000)
    assert share[outcome == Outcome.INTERVAL].sum() == pytest.approx(interval / 1000)


def test_unknown_outcomes_weigh_as_much_as_negative_ones() -> None:
    outcome = np.array(
        [Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.NEGATIVE, Outcome.UNKNOWN]
    )
    factors = kind_factors(outcome, PrevalenceSettings(6, 2))
    assert factors[Outcome.UNKNOWN] == factors[Outcome.NEGATIVE] == factors[Outcome.CENSORED]
    assert factors[Outcome.UNKNOWN] == pytest.approx(0.992 / 0.5)
    assert set(factors) == set(KINDS)


@given(st.lists(st.sampled_from(KINDS), max_size=200), st.floats(0.1, 400), st.floats(0.1, 400))
def test_known_exams_stand_for_the_programme_by_themselves(
    kinds, screen_detected, interval
) -> None:
    needed = [Outcome.SCREEN_DETECTED.value, Outcome.INTERVAL.value, Outcome.NEGATIVE.value]
    outcome = np.array(kinds + needed)
    known = ~np.isin(outcome, [Outcome.UNKNOWN.value, Outcome.CENSORED.value])
    weights = known_weights(outcome, known, PrevalenceSettings(screen_detected, interval))
    assert (weights[~known] == 0).all()
    assert weights.sum() == pytest.approx(known.sum())
    share = weights / known.sum()
    assert share[np.isin(outcome, SCREENED)].sum() == pytest.approx(screen_detected / 1000)
    assert share[outcome == Outcome.INTERVAL].sum() == pytest.approx(interval / 1000)
    assert known_weights(outcome, known, PrevalenceSettings()).tolist() == known.tolist()


def test_where_no_way_of_finding_is_known_a_cancer_stands_for_both_kinds() -> None:
    outcome = np.array([Outcome.CANCER] * 3 + [Outcome.NEGATIVE] * 7)
    weights = prevalence_weights(outcome, PrevalenceSettings(6, 2))
    assert weights[:3].sum() / weights.sum() == pytest.approx(0.008)


def test_without_rates_every_exam_counts_once() -> None:
    assert (prevalence_weights(np.array(KINDS), PrevalenceSettings()) == 1).all()


@pytest.mark.parametrize(
    ("kinds", "rates", "words"),
    [
        (KINDS, (6, None), r"interval_per_1000: must be given with prevalence\.screen_detected"),
        (KINDS, (None, 2), r"screen_detected_per_1000: must be given with prevalence\.interval"),
        (KINDS, (-1, 2), "expected 0 to 1000, got -1"),
        (KINDS, (600, 400), "below 1000"),
        (KINDS, (0, 0), "above 0"),
        (["screen-detected cancer", "negative"], (6, 2), "hold no interval cancer"),
        (["interval cancer", "negative"], (6, 2), "hold no screen-detected cancer"),
        (["cancer", "cancer"], (6, 2), "hold no exam without cancer"),
    ],
)
def test_what_cannot_be_weighted_is_said(kinds, rates, words) -> None:
    with pytest.raises(InputError, match=words):
        kind_factors(np.array(kinds), PrevalenceSettings(*rates))


def test_an_enriched_sample_gives_the_programmes_brier_score() -> None:
    """100,000 exams at 8 in 1,000; a sample of all cancers and one in twenty of the others."""
    random = np.random.default_rng(3)
    outcome = random.choice(
        [Outcome.SCREEN_DETECTED.value, Outcome.INTERVAL.value, Outcome.NEGATIVE.value],
        100_000,
        p=[0.006, 0.002, 0.992],
    )
    cancer = outcome != Outcome.NEGATIVE.value
    chance = random.beta(np.where(cancer, 2.0, 0.2), 10.0)
    kept = cancer | (random.random(len(cancer)) < 0.05)
    rates = PrevalenceSettings(
        *(
            1000 * (outcome == kind.value).mean()
            for kind in (Outcome.SCREEN_DETECTED, Outcome.INTERVAL)
        )
    )
    weights = prevalence_weights(outcome[kept], rates)
    whole = brier_score_loss(cancer, chance)
    sample = brier_score_loss(cancer[kept], chance[kept], sample_weight=weights)
    assert sample == pytest.approx(whole, rel=0.02)
    assert brier_score_loss(cancer[kept], chance[kept]) > 3 * whole
