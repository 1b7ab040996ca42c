"""The report's sections on scale and subgroups, against what was planted in the exams."""

from collections.abc import Sequence

import numpy as np
import polars as pl
import pytest
from scipy.special import expit, logit
from scipy.stats import norm

from mim.evaluate.delong import placement_variances
from mim.evaluate.figures import ALL, Figure
from mim.evaluate.measured import AT_CUT_OF_ALL, measure
from mim.evaluate.metrics import auc
from mim.evaluate.sample import Sample
from mim.evaluate.scale import scale_of
from mim.evaluate.scale_section import scale_section
from mim.evaluate.scored import Scored
from mim.evaluate.sections import Section
from mim.evaluate.settings import EvaluateSettings, PrevalenceSettings
from mim.evaluate.subgroup_section import LevelAuc, heterogeneity, subgroup_section
from mim.vocab import Outcome

SETTINGS = EvaluateSettings(resamples=100, seed=2)
NONE = PrevalenceSettings()


def exams(
    count: int, seed: int, blind: Sequence[str] = (), shift: float = 0.0, risk: float = -2.0
) -> Scored:
    """Exams of two makers and ages; the score is the log odds of a cancer.

    Args:
        count: how many, each of a woman of her own.
        seed: of all that is drawn.
        blind: makers whose scores say nothing.
        shift: of the log odds of GE's scores.
        risk: mean log odds of a cancer.
    """
    generator = np.random.default_rng(seed)
    odds = generator.normal(risk, 1.5, count)
    cancer = generator.random(count) < expit(odds)
    maker = generator.choice(["ge", "siemens"], count)
    seen = np.where(np.isin(maker, blind), generator.normal(risk, 1.5, count), odds)
    interval = cancer & (generator.random(count) < 0.2)
    outcome = np.where(cancer, str(Outcome.SCREEN_DETECTED), str(Outcome.NEGATIVE)).astype(object)
    outcome[interval] = str(Outcome.INTERVAL)
    rows = pl.DataFrame(
        {
            "exam": [f"e{row}" for row in range(count)],
            "woman": np.arange(count),
            "cancer": cancer,
            "outcome": outcome.tolist(),
            "maker": maker,
            "age_years": generator.integers(50, 70, count),
            "invasive": pl.Series(np.where(cancer, generator.random(count) < 0.8, False)),
            "consensus": pl.Series([None] * count, dtype=pl.Boolean),
            "recalled": pl.Series([None] * count, dtype=pl.Boolean),
        }
    )
    score = expit(seen + shift * (maker == "ge"))
    return Scored("exams", rows, {"a": score}, 0)


def sample_of(found: Scored) -> Sample:
    types = {"exam": pl.String, "reader": pl.String, "score": pl.Int32, "reading": pl.Int32}
    return Sample(None, found, pl.DataFrame(schema=types), ())


def subgroup_figures(found: Scored) -> tuple[Section, list[Figure]]:
    measured = measure(sample_of(found), {}, SETTINGS)
    figures = measured.figures()
    section = subgroup_section(measured, figures)
    assert section is not None
    return section, figures


def pick(figures: Sequence[Figure], **wanted: object) -> list[Figure]:
    return [f for f in figures if all(getattr(f, key) == v for key, v in wanted.items())]


def check_tables(section: Section) -> None:
    for table in section.tables:
        assert {len(row) for row in table.rows} == {len(table.heads)}, table.about


def test_a_maker_whose_scores_say_nothing_is_found_and_the_ages_are_not() -> None:
    section, figures = subgroup_figures(exams(3000, 1, blind=["ge"]))
    check_tables(section)
    [maker] = pick(section.figures, name="auc_heterogeneity", subgroup="maker")
    [age] = pick(section.figures, name="auc_heterogeneity", subgroup="age")
    assert maker.p_adjusted < 1e-6
    assert age.p_adjusted > 0.05
    assert maker.p_adjusted >= maker.p_value
    [ge] = pick(figures, name="auc", subgroup="maker", level="ge", outcome="any cancer")
    assert ge.estimate.value == pytest.approx(0.5, abs=0.07)
    assert "maker (AUC, a)" in section.summary[0]
    assert "age" not in section.summary[0]


def test_parts_add_up_to_all_exams_and_are_cut_at_one_threshold() -> None:
    found = exams(2000, 2)
    _, figures = subgroup_figures(found)
    [whole] = [
        f
        for f in pick(figures, name="share_selected", subgroup=ALL)
        if f.selection_rate == 0.088 and f.rule == "share of these exams"
    ]
    for kind in ("maker", "age"):
        parts = pick(figures, name="share_selected", subgroup=kind, rule=AT_CUT_OF_ALL)
        assert sum(part.estimate.n for part in parts) == whole.estimate.n
        assert sum(part.estimate.cases for part in parts) == whole.estimate.cases


def test_no_difference_is_seldom_called_one() -> None:
    called = 0
    for seed in range(12):
        section, _ = subgroup_figures(exams(500, 100 + seed))
        called += any((f.p_adjusted or 1) < 0.05 for f in section.figures)
    assert called <= 2


def test_heterogeneity_is_cochrans_q_with_two_spreads() -> None:
    # Two alike levels: Q is the squared difference over its variance, twice 0.04/50 + 0.02/200.
    alike = [LevelAuc(auc, 0.04, 0.02, 50, 200) for auc in (0.8, 0.7)]
    spread, p_value = heterogeneity(alike)
    assert spread == pytest.approx(0.01 / (2 * (0.04 / 50 + 0.02 / 200)))
    assert p_value == pytest.approx(2 * norm.sf(np.sqrt(spread)))
    assert np.isnan(heterogeneity([alike[0], LevelAuc(np.nan, np.nan, np.nan, 0, 9)])[1])
    assert np.isnan(heterogeneity([LevelAuc(1.0, 0.0, 0.0, 5, 9)] * 2)[1])


@pytest.mark.parametrize(
    ("cancers", "others"),
    [((100, 5, 5, 5), (300,) * 4), ((60, 20, 10, 5, 3, 2), (200,) * 6), ((100, 30), (1000, 15))],
)
def test_levels_with_few_rows_are_seldom_called_different(
    cancers: tuple[int, ...], others: tuple[int, ...]
) -> None:
    generator = np.random.default_rng(13)
    called = 0
    for _ in range(150):
        levels = []
        for sick, healthy in zip(cancers, others, strict=True):
            score = np.append(generator.normal(1.8, 1, sick), generator.normal(0, 1, healthy))
            cancer = np.arange(len(score)) < sick
            spread = placement_variances(score, cancer)
            levels.append(LevelAuc(auc(score, cancer), *spread, sick, healthy))
        called += heterogeneity(levels)[1] < 0.05
    assert called <= 0.11 * 150


def test_without_parts_there_is_no_section() -> None:
    found = exams(200, 3)
    plain = found.rows.select("exam", "woman", "cancer", "outcome", "consensus", "recalled")
    rows = plain.with_columns(maker=pl.lit("ge"))
    measured = measure(sample_of(Scored("exams", rows, found.scores, 0)), {}, SETTINGS)
    assert subgroup_section(measured, measured.figures()) is None


def scale_figures(
    reference: Scored, found: Scored, settings: EvaluateSettings = SETTINGS
) -> Section:
    scale = scale_of(reference, settings.prevalence)
    assert scale is not None
    section = scale_section(found, {"a": scale}, settings)
    assert section is not None
    check_tables(section)
    return section


def test_exams_like_the_reference_fall_into_tenths_and_probabilities_hold() -> None:
    section = scale_figures(exams(6000, 4), exams(6000, 5))
    shares = pick(section.figures, name="scale_share", outcome=ALL)
    assert [share.of for share in shares] == [f"exam score {k}" for k in range(1, 11)]
    for share in shares:
        assert share.estimate.value == pytest.approx(0.1, abs=0.015)
        assert share.closed is not None
    assert sum(share.estimate.value for share in shares) == pytest.approx(1)
    rates = [f.estimate.value for f in pick(section.figures, name="cancers_per_1000")]
    assert rates == sorted(rates)
    # The reference too is a draw, of which the intervals know nothing.
    for name in ("expected_over_observed", "calibration_slope"):
        [figure] = pick(section.figures, name=name, maker=ALL)
        assert figure.estimate.value == pytest.approx(1, abs=0.12)
    assert len(section.pictures) == 1


def test_a_shifted_makers_scores_are_read_by_their_own_tenths() -> None:
    reference, found = exams(6000, 6, shift=1.5), exams(6000, 7, shift=1.5)
    scale = scale_of(reference, NONE)
    assert scale is not None
    machines = [None] * len(found.score)
    read = scale.read(found.score, found.rows["maker"].to_list(), machines)
    for maker in ("ge", "siemens"):
        assert (read.score_10[found.maker == maker] == 10).mean() == pytest.approx(0.1, abs=0.02)
    assert (scale.level("ge", None).thresholds > np.array(scale.whole.thresholds)).all()
    section = scale_figures(reference, found)
    for maker in ("ge", "siemens"):
        [ratio] = pick(section.figures, name="expected_over_observed", level=maker)
        assert ratio.estimate.low < 1 < ratio.estimate.high


def test_scores_of_1_to_10_have_tenths_and_no_probability() -> None:
    found = exams(3000, 8)
    tenths = np.ceil(10 * found.score.argsort().argsort() / len(found.score)).clip(1, 10)
    shelf = Scored("exams", found.rows, {"a": tenths}, 0)
    section = scale_figures(shelf, shelf)
    assert not pick(section.figures, name="expected_over_observed")
    assert any("gives no probability" in words for words in section.words)
    assert section.pictures == []


def test_prevalence_brings_probabilities_of_enriched_exams_to_the_programmes() -> None:
    rates = PrevalenceSettings(20.0, 5.0)
    settings = EvaluateSettings(resamples=100, seed=2, prevalence=rates)
    section = scale_figures(exams(4000, 9, risk=-1), exams(4000, 10, risk=-1), settings)
    expected = pick(section.figures, name="expected")
    assert len(expected) == 10
    # Ten groups of equal weight: their mean is the programme's share of exams with a cancer.
    assert np.mean([f.estimate.value for f in expected]) == pytest.approx(0.025, rel=0.15)
    [ratio] = pick(section.figures, name="expected_over_observed", maker=ALL)
    assert ratio.estimate.low < 1 < ratio.estimate.high
    assert ratio.closed is None


def forgotten(found: Scored, share: float, seed: int) -> Scored:
    """Exams of which a share of those without a cancer has an unknown outcome."""
    gone = ~found.cancer & (np.random.default_rng(seed).random(len(found.score)) < share)
    rows = found.rows.with_columns(
        cancer=pl.Series(found.cancer).set(pl.Series(gone), None),
        outcome=pl.Series(np.where(gone, str(Outcome.UNKNOWN), found.outcome).tolist()),
    )
    return Scored("exams", rows, found.scores, 0)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6])
def test_unknown_outcomes_of_enriched_exams_change_no_rate(share: float) -> None:
    """All cancers of a programme, one in ten of its other exams, and a part of these not known."""
    programme, other = exams(60_000, 13, risk=-5), exams(60_000, 14, risk=-5)
    rates = PrevalenceSettings(
        *(
            1000 * float((programme.outcome == kind).mean())
            for kind in (Outcome.SCREEN_DETECTED, Outcome.INTERVAL)
        )
    )

    def enriched(found: Scored, seed: int) -> Scored:
        kept = found.cancer | (np.random.default_rng(seed).random(len(found.score)) < 0.1)
        return forgotten(found.where(kept), share, seed)

    settings = EvaluateSettings(resamples=10, seed=2, prevalence=rates)
    section = scale_figures(enriched(other, 15), enriched(programme, 16), settings)
    [ratio] = pick(section.figures, name="expected_over_observed", maker=ALL)
    assert ratio.estimate.value == pytest.approx(1, abs=0.08)
    scale = scale_of(enriched(other, 15), rates)
    assert scale is not None
    truth = scale.read(programme.score, programme.rows["maker"].to_list(), [None] * 60_000)
    for k in (9, 10):
        [found] = pick(section.figures, name="cancers_per_1000", of=f"exam score {k}")
        rate = 1000 * programme.cancer[truth.score_10 == k].mean()
        assert found.estimate.value == pytest.approx(rate, rel=0.1)
    expected = [f.estimate.value for f in pick(section.figures, name="expected")]
    assert np.mean(expected) == pytest.approx(programme.cancer.mean(), rel=0.1)


def test_a_mean_probability_has_an_interval_without_cancers() -> None:
    found = exams(3000, 18, risk=-6)
    section = scale_figures(exams(6000, 17, risk=-4), found)
    expected, observed = (pick(section.figures, name=name) for name in ("expected", "observed"))
    assert observed[0].estimate.low is None
    assert all(f.estimate.low < f.estimate.value < f.estimate.high for f in expected)


@pytest.mark.parametrize("each", [150, 1000])
def test_a_probability_of_as_many_cancers_as_others_is_as_high_as_the_programmes(
    each: int,
) -> None:
    many = exams(40 * each, 20, risk=-3)
    sick, healthy = np.flatnonzero(many.cancer)[:each], np.flatnonzero(~many.cancer)[:each]
    kept = np.zeros(len(many.score), np.bool_)
    kept[[*sick, *healthy]] = True
    rates = PrevalenceSettings(6.1, 1.7)
    settings = EvaluateSettings(resamples=40, seed=2, prevalence=rates)
    found = many.where(kept)
    [ratio] = pick(
        scale_figures(found, found, settings).figures, name="expected_over_observed", maker=ALL
    )
    assert ratio.estimate.value == pytest.approx(1, abs=0.03)
    alike = scale_of(found, NONE)
    rare = scale_of(found, rates)
    assert alike is not None
    assert rare is not None
    assert rare.slope == pytest.approx(alike.slope, rel=0.35)


def test_no_scale_no_section() -> None:
    assert scale_section(exams(100, 11), {}, SETTINGS) is None


def test_the_planted_score_is_a_log_odds() -> None:
    found = exams(20_000, 12)
    odds = logit(found.score)
    high = odds > 0
    assert found.cancer[high].mean() == pytest.approx(expit(odds[high]).mean(), abs=0.03)
