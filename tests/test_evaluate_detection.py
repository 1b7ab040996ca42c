"""Detection of cancers against scikit-learn, plain copies of rows, counts by hand and simulation."""

from math import floor

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import average_precision_score, roc_auc_score

from mim.errors import InputError
from mim.evaluate import ranked as ranking_module
from mim.evaluate.bootstrap import BLOCK, Bools, Floats, over_blocks
from mim.evaluate.detection import Detection, Quantity, Selection, detect, programme_shares
from mim.evaluate.figures import ANY_CANCER, OWN_RATE, STORED_THRESHOLD, Figure
from mim.evaluate.ranked import HEALTHY, UNKNOWN, Ranking
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings, PrevalenceSettings
from mim.vocab import SELECTION_RATES, Outcome

SETTINGS = BootstrapSettings(resamples=60, seed=3)
SDC, IC, NEGATIVE = (
    str(outcome) for outcome in (Outcome.SCREEN_DETECTED, Outcome.INTERVAL, Outcome.NEGATIVE)
)
OWN = [Selection(OWN_RATE, rate) for rate in SELECTION_RATES]

rows = st.lists(
    st.tuples(st.integers(0, 40), st.sampled_from([0, 0, 0, 1, 2, 3]), st.integers(0, 3)),
    min_size=2,
    max_size=60,
)


def exams(score: Floats, outcome: list[str], women: Floats | None = None) -> Scored:
    cancer = {Outcome.UNKNOWN: None, Outcome.SCREEN_DETECTED: True, Outcome.INTERVAL: True}
    found = {
        "woman": np.arange(len(score)) if women is None else women,
        "cancer": [cancer.get(Outcome(word), False) for word in outcome],
        "outcome": outcome,
        "maker": ["ge"] * len(score),
    }
    types = {"cancer": pl.Boolean, "outcome": pl.String}
    return Scored("exams", pl.DataFrame(found, schema_overrides=types), {"a": score}, 0)


def measured(table: Scored, selections: list[Selection] = OWN, **more: object) -> Detection:
    return detect(table, "a", selections, SETTINGS, **more)  # type: ignore[arg-type]


def pick(figures: list[Figure], **wanted: object) -> list[Figure]:
    return [f for f in figures if all(getattr(f, k) == v for k, v in wanted.items())]


def counted(score: Floats, kind: Floats, weight: Floats) -> tuple[Ranking, Floats]:
    """A ranking in which each row is a woman, and figures of the rows as often as they weigh."""
    found = Ranking(score, kind.astype(np.int64), np.arange(len(score)))
    once = found.ranked(weight.astype(np.uint8)[None])
    sick = range(UNKNOWN + 1, found.kinds)
    return found, np.array(
        [once.auc(sick), once.partial_auc(sick, 0.9), once.average_precision(sick)]
    )[:, 0]


@given(rows)
def test_areas_are_scikit_learns_on_copies_of_the_rows(found: list[tuple[int, int, int]]) -> None:
    score, kind, weight = (np.array(part, float) for part in zip(*found, strict=True))
    kind = np.where(kind == 1, UNKNOWN, kind)
    copies = np.repeat(np.arange(len(score)), weight.astype(int))
    copies = copies[kind[copies] != UNKNOWN]
    sick = kind[copies] > UNKNOWN
    areas = counted(score, kind, weight)[1]
    if sick.all() or not sick.any():
        assert np.isnan(areas[0])
        return
    assert areas[0] == pytest.approx(roc_auc_score(sick, score[copies]), abs=1e-9)
    assert areas[1] == pytest.approx(roc_auc_score(sick, score[copies], max_fpr=0.1), abs=1e-6)
    assert areas[2] == pytest.approx(average_precision_score(sick, score[copies]), abs=1e-9)


@given(rows)
def test_selections_are_those_of_the_long_way_on_copies(found: list[tuple[int, int, int]]) -> None:
    score, kind, weight = (np.array(part, float) for part in zip(*found, strict=True))
    copies = np.repeat(np.arange(len(score)), weight.astype(int))
    assume(len(copies))
    ranking, _ = counted(score, kind, weight)
    once = ranking.ranked(weight.astype(np.uint8)[None])
    for rate, groups in zip((0.032, 0.111, 0.4), once.within([0.032, 0.111, 0.4]), strict=True):
        chosen = plainly_selected(score[copies], rate)
        for number in range(ranking.kinds):
            wanted = (chosen & (kind[copies] == number)).sum()
            assert once.selected(groups)[number, 0] == wanted
    for threshold in (0.0, 7.5, 40.0, 41.0):
        found_now = ranking.at_least(threshold, once)[:, 0]
        assert found_now.sum() == (score[copies] >= threshold).sum()


def plainly_selected(score: Floats, rate: float) -> Bools:
    """The rule of the docs, the long way: add tied groups from the top while they fit."""
    most = floor(rate * len(score) + 1e-9)
    chosen = np.zeros(len(score), dtype=np.bool_)
    for value in sorted(set(score), reverse=True):
        if (score >= value).sum() > most:
            break
        chosen = score >= value
    return chosen


def test_neighbours_may_share_a_group_and_no_figure_of_cancers_feels_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(5)
    kind = np.where(generator.random(5000) < 0.02, 2, HEALTHY)
    score = generator.normal(size=5000) + kind / 2
    alone = counted(score, kind, np.ones(5000))
    monkeypatch.setattr(ranking_module, "MOST_GROUPS", 60)
    joined = counted(score, kind, np.ones(5000))
    assert joined[0].groups < 400 < alone[0].groups
    np.testing.assert_allclose(joined[1], alone[1], atol=1e-12)


def test_joined_groups_are_small_in_rows_where_scores_are_rounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(9)
    score = np.round(generator.beta(1, 300, size=20_000), 4)
    monkeypatch.setattr(ranking_module, "MOST_GROUPS", 100)
    ranking = Ranking(score, np.zeros(20_000, np.int64), np.arange(20_000))
    sizes = np.diff(ranking.once().upto[:, :, 0].sum(axis=0))
    assert sizes.max() < 200 + np.unique(score, return_counts=True)[1].max()


def test_auc_leaves_unknown_labels_out() -> None:
    outcome = [NEGATIVE, IC, str(Outcome.UNKNOWN), SDC]
    figures = measured(exams(np.array([0.3, 0.2, 0.99, 0.9]), outcome)).figures()
    [every] = pick(figures, name="auc", outcome=ANY_CANCER)
    assert (every.estimate.value, every.estimate.n, every.estimate.cases) == (0.5, 3, 2)
    [interval] = pick(figures, name="auc", outcome=IC)
    assert (interval.estimate.value, interval.estimate.n) == (0.0, 2)


def test_sensitivity_at_each_rate_by_hand() -> None:
    # 1,000 exams, score falls with rank; cancers at ranks that straddle each cut.
    score = np.linspace(1, 0, 1000)
    outcome = [NEGATIVE] * 1000
    for rank in (0, 31, 32, 57, 58, 87, 88, 110, 111, 999):
        outcome[rank] = SDC
    for rank in (5, 100):
        outcome[rank] = IC
    figures = measured(exams(score, outcome)).figures()
    for kind, found in (
        (SDC, [0.2, 0.4, 0.6, 0.8]),
        (IC, [0.5, 0.5, 0.5, 1.0]),
        (ANY_CANCER, [3 / 12, 5 / 12, 7 / 12, 10 / 12]),
    ):
        chosen = pick(figures, name="sensitivity", outcome=kind)
        assert [f.selection_rate for f in chosen] == list(SELECTION_RATES)
        assert [f.estimate.value for f in chosen] == pytest.approx(found)
    shares = pick(figures, name="share_selected")
    assert [f.estimate.cases for f in shares] == [32, 58, 88, 111]
    specificities = pick(figures, name="specificity")
    false = [32 - 3, 58 - 5, 88 - 7, 111 - 10]
    assert [f.estimate.value for f in specificities] == pytest.approx([1 - n / 988 for n in false])
    found_of_1000 = pick(figures, name="cancers_per_1000_selected")
    assert found_of_1000[0].estimate.value == pytest.approx(1000 * 3 / 32)


def test_exams_of_unknown_outcome_take_up_places_of_the_selection() -> None:
    outcome = [str(Outcome.UNKNOWN)] * 3 + [SDC] * 5 + [NEGATIVE] * 92
    figures = measured(exams(np.linspace(1, 0, 100), outcome)).figures()
    found = pick(figures, name="sensitivity", outcome=ANY_CANCER)
    assert [f.estimate.value for f in found] == pytest.approx([0, 2 / 5, 5 / 5, 5 / 5])


def test_stored_thresholds_are_applied_as_they_are_each_row_by_its_own() -> None:
    table = exams(np.array([0.9, 0.8, 0.7, 0.6]), [IC, NEGATIVE, SDC, NEGATIVE])
    one = Selection(STORED_THRESHOLD, 0.032, 0.8)
    own = Selection(STORED_THRESHOLD, 0.058, np.array([0.95, 0.9, 0.7, 0.6]))
    figures = pick(measured(table, [one, own]).figures(), name="sensitivity")
    values = [f.estimate.value for f in figures]
    assert values == [0.5, 0.0, 1.0, 0.5, 1.0, 0.0]
    [share] = pick(measured(table, [own]).figures(), name="share_selected")
    assert share.estimate.value == 0.5


def test_every_resample_is_the_figure_of_its_rows_copied() -> None:
    generator = np.random.default_rng(1)
    women = np.sort(generator.integers(0, 40, 120))
    outcome = generator.choice(
        [NEGATIVE, SDC, IC, str(Outcome.UNKNOWN)], 120, p=[0.6, 0.2, 0.1, 0.1]
    )
    score = np.round(generator.normal(size=120) + (outcome == SDC), 1)
    table = exams(score, outcome.tolist(), women)
    found = measured(table)
    names, number = np.unique(women, return_inverse=True)
    times = np.concatenate([*over_blocks(np.asarray, len(names), resamples=60, seed=3)])
    for drawn, figures in zip(times[: BLOCK + 2], found.replicates.drawn, strict=False):
        copies = np.repeat(np.arange(120), drawn[number])
        sick = np.isin(outcome[copies], [SDC, IC])
        known = outcome[copies] != str(Outcome.UNKNOWN)
        of = dict(zip(found.quantities, figures, strict=True))
        auc = roc_auc_score(sick[known], score[copies][known])
        assert of[Quantity("auc", ANY_CANCER)] == pytest.approx(auc, abs=1e-9)
        chosen = plainly_selected(score[copies], OWN[3].rate)
        wanted = (chosen & (outcome[copies] == IC)).sum() / (outcome[copies] == IC).sum()
        assert of[Quantity("sensitivity", IC, OWN[3])] == pytest.approx(wanted)
        wanted = (chosen & known & ~sick).sum() / (known & ~sick).sum()
        assert of[Quantity("specificity", ANY_CANCER, OWN[3])] == pytest.approx(1 - wanted)


def test_two_models_of_the_same_women_share_the_draws() -> None:
    generator = np.random.default_rng(2)
    score = generator.normal(size=200)
    table = exams(score, generator.choice([NEGATIVE, SDC], 200).tolist())
    twins = Scored("exams", table.rows, {"a": score, "b": np.exp(score)}, 0)
    a, b = (detect(twins, model, OWN, SETTINGS) for model in "ab")
    np.testing.assert_array_equal(a.replicates.drawn, b.replicates.drawn)


@pytest.mark.parametrize("unknown", [0.0, 0.5])
def test_enriched_exams_give_the_programmes_figures(unknown: float) -> None:
    """A programme of known figures, and a sample of it with each cancer, few others, half untold."""
    generator = np.random.default_rng(6)
    outcome = generator.choice([NEGATIVE, SDC, IC], 60_000, p=[0.97, 0.02, 0.01]).astype(object)
    score = generator.normal(size=60_000) + 2 * (outcome == SDC) + 0.7 * (outcome == IC)
    kept = (outcome != NEGATIVE) | (generator.random(60_000) < 0.1)
    rates = PrevalenceSettings(*(1000 * (outcome == kind).mean() for kind in (SDC, IC)))
    whole = measured(exams(score, outcome.tolist())).figures()
    untold = (outcome == NEGATIVE) & (generator.random(60_000) < unknown)
    told = np.where(untold, str(Outcome.UNKNOWN), outcome)
    sample = exams(score[kept], told[kept].tolist())
    weighed = measured(sample, weighing=programme_shares(sample, rates)).figures()
    plain = measured(sample).figures()
    nearness = {"sensitivity": 0.02, "cancers_per_1000_selected": 30, "specificity": 0.01}
    for name, near in nearness.items():
        for mine, truth, naive in zip(
            *(pick(some, name=name) for some in (weighed, whole, plain)), strict=True
        ):
            assert abs(mine.estimate.value - truth.estimate.value) < near
            if name == "cancers_per_1000_selected":
                assert abs(naive.estimate.value - truth.estimate.value) > 2 * near
    [area] = pick(weighed, name="average_precision", outcome=ANY_CANCER)
    [truth] = pick(whole, name="average_precision", outcome=ANY_CANCER)
    assert area.estimate.low < truth.estimate.value < area.estimate.high


def test_parts_of_enriched_exams_add_up_to_the_programme() -> None:
    generator = np.random.default_rng(8)
    outcome = generator.choice([NEGATIVE, SDC, IC], 4000, p=[0.7, 0.2, 0.1])
    table = exams(generator.normal(size=4000) + (outcome == SDC), outcome.tolist())
    whole = measured(table, weighing=programme_shares(table, PrevalenceSettings(6.1, 1.7)))
    cut = whole.cut(0.088)
    share = {}
    for half in (0, 1):
        part = table.where(np.arange(4000) % 2 == half)
        fixed = Selection(STORED_THRESHOLD, 0.088, cut)
        [found] = pick(
            measured(part, [fixed], weighing=whole.factors()).figures(), name="share_selected"
        )
        share[half] = found.estimate.value
    assert np.mean([*share.values()]) == pytest.approx(0.088, abs=0.004)


def test_a_prevalence_without_its_kind_of_cancer_is_refused() -> None:
    table = exams(np.arange(4.0), [NEGATIVE, NEGATIVE, SDC, SDC])
    with pytest.raises(InputError, match="prevalence"):
        programme_shares(table, PrevalenceSettings(6.1, 1.7))
    assert programme_shares(table, PrevalenceSettings()) is None


@pytest.mark.parametrize("outcome", [[NEGATIVE] * 6, [SDC] * 6, [str(Outcome.UNKNOWN)] * 6, []])
def test_one_class_or_none_has_reasons_and_no_warning(outcome: list[str]) -> None:
    found = measured(exams(np.arange(float(len(outcome))), outcome))
    for figure in found.figures():
        assert figure.estimate.low is None
        assert figure.estimate.reason


def test_one_woman_has_values_and_no_interval() -> None:
    table = exams(np.array([0.1, 0.9]), [NEGATIVE, SDC], np.zeros(2))
    [area] = pick(measured(table).figures(), name="auc", outcome=ANY_CANCER)
    assert (area.estimate.value, area.estimate.women, area.estimate.low) == (1.0, 1, None)


def coverage(samples: int, cancers: int, resamples: int) -> dict[str, tuple[int, int]]:
    """How often intervals hold the truth: of two exams a woman, scores alike within her."""
    generator = np.random.default_rng(11)
    truth_auc, held = 0.8, {"auc": 0, "sensitivity": 0, "DeLong": 0, "Wilson": 0}
    shift = np.sqrt(2) * norm.ppf(truth_auc)
    threshold = 1.6
    truth_sens = float(norm.sf(threshold - shift))
    for _ in range(samples):
        women = cancers * 6
        of = np.repeat(np.arange(women), 2)
        outcome = np.where((of < cancers) & (np.arange(2 * women) % 2 == 0), SDC, NEGATIVE)
        noise = np.sqrt(0.5) * (generator.normal(size=women)[of] + generator.normal(size=2 * women))
        score = noise + shift * (outcome == SDC)
        fixed = Selection(STORED_THRESHOLD, 0.088, threshold)
        settings = BootstrapSettings(resamples, int(generator.integers(2**31)))
        figures = detect(exams(score, outcome.tolist(), of), "a", [fixed], settings).figures()
        for name, truth, closed in (
            ("auc", truth_auc, "DeLong"),
            ("sensitivity", truth_sens, "Wilson"),
        ):
            [figure] = pick(figures, name=name, outcome=ANY_CANCER)
            held[name] += figure.estimate.low <= truth <= figure.estimate.high
            held[closed] += figure.closed.low <= truth <= figure.closed.high
    return {name: (count, samples) for name, count in held.items()}


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    for name, (count, of) in coverage(60, cancers=40, resamples=120).items():
        assert count >= 0.85 * of, name


@pytest.mark.slow
def test_intervals_hold_the_truth_in_93_to_97_of_100_at_100_cancers() -> None:
    for name, (count, of) in coverage(1000, cancers=100, resamples=400).items():
        assert 0.93 <= count / of <= 0.97, (name, count)
