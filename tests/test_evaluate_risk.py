"""Calibration of risks and their part of the report, against other code and planted truths."""

import warnings

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression
from sksurv.nonparametric import CensoringDistributionEstimator, kaplan_meier_estimator
from sksurv.util import Surv

from mim.evaluate.bootstrap import Floats
from mim.evaluate.figures import Figure, find
from mim.evaluate.risk_calibration import calibration_slope, ratio_intervals, share_intervals
from mim.evaluate.risk_section import risk_section
from mim.evaluate.sections import Cell, Section
from mim.evaluate.settings import BootstrapSettings
from mim.evaluate.survival import Followed, kaplan_meier
from mim.schemas.scores import RISK_SCORES

YEAR = 4


def drawn(rows: int, seed: int, slope: float = 1.0) -> tuple[Floats, Followed]:
    """Risks within four years, and times to cancer with the log odds ``slope`` times as far apart.

    The time is even over eight years, so that half of the follow-up ends before the fourth.
    """
    generator = np.random.default_rng(seed)
    told = generator.normal(-2, 1, rows)
    comes = generator.random(rows) < expit(slope * told)
    years = np.where(comes, generator.uniform(0, YEAR, rows), YEAR + 1)
    censored = generator.uniform(0, 2 * YEAR, rows)
    return expit(told), Followed(np.minimum(years, censored), years < censored)


def test_the_slope_is_scikit_learns_with_scikit_survivals_weights() -> None:
    risk, followed = drawn(3000, 1, slope=0.7)
    truth = Surv.from_arrays(followed.cancer, followed.end)
    censoring = CensoringDistributionEstimator().fit(truth)
    weights = np.zeros(len(risk))
    came, free = followed.cancer & (followed.end < YEAR), followed.end >= YEAR
    weights[came] = 1 / censoring.predict_proba(followed.end[came])
    weights[free] = 1 / censoring.predict_proba([YEAR - 1e-6])
    known = came | free
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000)
    fitted.fit(logit(risk[known])[:, None], came[known], sample_weight=weights[known])
    ours = calibration_slope(risk, followed, YEAR)(np.ones(len(risk)))
    assert ours == pytest.approx(fitted.coef_[0], abs=1e-4)


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.5])
def test_a_planted_slope_is_found_under_censoring(slope: float) -> None:
    risk, followed = drawn(100_000, 2, slope)
    found = calibration_slope(risk, followed, YEAR)(np.ones(len(risk)))
    assert found == pytest.approx([slope], abs=0.03)


def test_a_weight_is_that_many_copies_of_the_row_for_the_slope() -> None:
    risk, followed = drawn(400, 3)
    weight = np.random.default_rng(4).poisson(1, 400)
    times = np.repeat(np.arange(400), weight)
    copies = Followed(followed.end[times], followed.cancer[times])
    weighted = calibration_slope(risk, followed, YEAR)(weight.astype(float))
    copied = calibration_slope(risk[times], copies, YEAR)(np.ones(len(times)))
    assert weighted == pytest.approx(copied, abs=1e-3)


def test_no_slope_where_nothing_bends_or_all_is_parted() -> None:
    def slope(risk: list[float], end: list[float], cancer: list[bool]) -> float:
        followed = Followed(np.array(end), np.array(cancer))
        return float(calibration_slope(np.array(risk), followed, 2)(np.ones(len(risk)))[0])

    mixed = [True, False, True, False], [1.0, 3.0, 1.5, 3.0]
    assert np.isnan(slope([0.1] * 4, mixed[1], mixed[0])), "equal risks"
    assert np.isnan(slope([0.4, 0.1, 0.5, 0.2], mixed[1], mixed[0])), "parted"
    assert np.isnan(slope([0.4, 0.1], [3.0, 3.0], [False, False])), "no cancer"
    assert np.isnan(slope([0.4, 0.1], [1.0, 1.5], [True, False])), "nobody followed that long"
    assert np.isfinite(slope([0.0, 0.3, 1.0, 0.5, 0.1], [1, 3, 1, 3, 3], [1, 0, 1, 0, 0]))


def test_a_resample_without_one_free_of_cancer_has_no_slope_and_no_warning() -> None:
    """Rounding may put the sum of its uneven weights above that of its cancers."""
    risk, followed = drawn(400, 9)
    slope = calibration_slope(risk, followed, YEAR)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for seed in range(20):
            weights = np.random.default_rng(seed).poisson(1, 400).astype(float)
            assert np.isnan(slope(weights * (followed.end < YEAR)))


def test_intervals_of_shares_are_scikit_survivals() -> None:
    _, followed = drawn(300, 5)
    times, _, ends = kaplan_meier_estimator(followed.cancer, followed.end, conf_type="log-log")
    years = np.array([1.0, 2.5, 4.0])
    place = np.searchsorted(times, years) - 1
    ours = share_intervals(followed, years)
    np.testing.assert_allclose([i.low for i in ours if i], 1 - ends[1][place], rtol=1e-6)
    np.testing.assert_allclose([i.high for i in ours if i], 1 - ends[0][place], rtol=1e-6)


def test_the_interval_of_a_ratio_has_its_closed_form_without_censoring() -> None:
    """Of a share p of n, the logarithm has the variance (1 - p) / (n p)."""
    end, cancer = np.r_[np.linspace(0.1, 1.9, 20), np.full(180, 2.0)], np.arange(200) < 20
    [found] = ratio_intervals(np.array([0.15]), Followed(end, cancer), np.array([2.0]))
    assert found is not None
    wide = np.exp(1.959964 * np.sqrt(0.9 / 20))
    assert (found.low, found.high) == pytest.approx((1.5 / wide, 1.5 * wide), rel=1e-6)


def test_closed_forms_hold_the_truth_as_often_as_they_say() -> None:
    """Rows that know nothing of each other, about 100 cancers; expected shares that are true."""
    generator, truth = np.random.default_rng(6), 1 - np.exp(-0.025 * YEAR)
    held = np.zeros(2)
    for _ in range(1000):
        years, censored = generator.exponential(40, 1200), generator.uniform(1, 8, 1200)
        followed = Followed(np.minimum(years, censored), years < censored)
        year = np.array([float(YEAR)])
        [share] = share_intervals(followed, year)
        [ratio] = ratio_intervals(np.array([truth]), followed, year)
        assert share is not None
        assert ratio is not None
        held += [share.low < truth < share.high, ratio.low < 1 < ratio.high]
    assert (held >= 930).all()
    assert (held <= 970).all()


def test_no_closed_form_without_cancers_or_follow_up() -> None:
    followed = Followed(np.array([0.5, 1.5, 2.5]), np.array([False, True, True]))
    found = share_intervals(followed, np.array([1.0, 2.0, 3.0]))
    assert [interval is None for interval in found] == [True, False, True]
    assert [i is None for i in ratio_intervals(np.ones(2), followed, np.array([1.0, 3.0]))] == [
        True,
        True,
    ]


def made(
    ends: list[float], cancers: list[bool], risks: list[list[float]], women: int | None = None
) -> pa.Table:
    """One exam of one breast for each end, of as many women unless told."""
    return RISK_SCORES.from_rows(
        [
            {
                "woman": f"w{place % (women or len(ends)):05}",
                "exam": f"e{place:05}",
                "breast": "L",
                "maker": ("siemens", "ge")[place % 2],
                "split": "test",
                "priors": 0,
                "risk": list(risk),
                "years_to_cancer": end if cancer else None,
                "years_followed": end,
            }
            for place, (end, cancer, risk) in enumerate(zip(ends, cancers, risks, strict=True))
        ]
    )


def measured(table: pa.Table) -> Section:
    """The section of a table; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return risk_section(table, BootstrapSettings(resamples=30))


RISING = [[0.1 * p / 20, 0.2 * p / 20, 0.3 * p / 20] for p in range(1, 21)]
EDGES = {
    "nothing": ([], [], []),
    "one woman": ([1.5, 2.5], [True, False], RISING[:2], 1),
    "no cancer": ([3.0] * 20, [False] * 20, RISING),
    "only cancers": ([0.5, 1.5, 2.5, 2.75] * 5, [True] * 20, RISING),
    "censored before a year": ([0.5] * 20, [True, False] * 10, RISING),
    "no cancer in the first year": ([1.5, 3.0] * 10, [True, False] * 10, RISING),
    "equal risks": ([1.5, 3.0] * 10, [True, False] * 10, [[0.1, 0.2, 0.3]] * 20),
    "equal ends": ([1.5] * 20, [True, False] * 10, RISING),
    "risks of 0 and 1": ([0.5, 3.0] * 10, [True, False] * 10, [[0.0] * 3, [1.0] * 3] * 10),
    "one year": ([0.5, 1.0] * 10, [True, False] * 10, [risk[:1] for risk in RISING]),
}


@pytest.mark.parametrize("edge", EDGES)
def test_a_figure_that_is_missing_has_its_reason_and_nothing_fails(edge: str) -> None:
    section = measured(made(*EDGES[edge]))
    for figure in section.figures:
        estimate = figure.estimate
        assert estimate.value is None or np.isfinite(estimate.value)
        if estimate.value is None or estimate.low is None:
            assert estimate.reason
    names = {figure.name for figure in section.figures}
    assert {"c_index", "expected", "observed", "auc", "brier", "scaled_brier"} <= names
    for table in section.tables:
        assert all(len(row) == len(table.heads) for row in table.rows)


def reason(section: Section, name: str, of: str | None) -> str | None:
    return find(section.figures, name, unit="breasts", of=of).reason


def test_reasons_say_what_is_missing() -> None:
    short = measured(made(*EDGES["censored before a year"]))
    assert reason(short, "auc", "within 1 year") == "nobody was followed that long"
    assert not [f for f in short.figures if f.name == "calibration_slope"]
    late = measured(made(*EDGES["no cancer in the first year"]))
    for name in ("auc", "scaled_brier"):
        assert reason(late, name, "within 1 year") == "no cases"
    assert reason(late, "auc", "within 2 years") is None
    none = measured(made(*EDGES["no cancer"]))
    assert reason(none, "c_index", None) == "no cases"
    assert reason(none, "calibration_slope", "within 3 years") == "no cases"


def test_the_integrated_score_looks_for_cancers_of_its_years() -> None:
    """Nobody is followed for three years, so the score ends with the second."""
    section = measured(made([0.5, 1.5, 2.5, 2.75] * 5, [True, True, True, False] * 5, RISING))
    [whole] = [f for f in section.figures if f.name == "integrated_brier" and f.unit == "breasts"]
    assert (whole.of, whole.estimate.cases) == ("years 1 to 2", 10)


@pytest.fixture(scope="module")
def two_makers() -> Section:
    """Risks that are true on one maker, and twice too far apart in log odds on the other."""
    told, followed = drawn(4000, 7)
    risk = np.where(np.arange(4000) % 2, expit(2 * logit(told)), told)
    by_year = [[value * y / YEAR for y in range(1, YEAR + 1)] for value in risk.tolist()]
    return measured(made(followed.end.tolist(), followed.cancer.tolist(), by_year))


def of_maker(section: Section, name: str, maker: str) -> Figure:
    [found] = [
        f
        for f in section.figures
        if (f.name, f.maker, f.unit, f.of) == (name, maker, "breasts", "within 4 years")
    ]
    return found


def test_each_maker_shows_its_own_calibration(two_makers: Section) -> None:
    assert of_maker(two_makers, "calibration_slope", "siemens").estimate.value == pytest.approx(
        1, abs=0.15
    )
    assert of_maker(two_makers, "calibration_slope", "ge").estimate.value == pytest.approx(
        0.5, abs=0.1
    )
    true, false = (
        of_maker(two_makers, "expected_over_observed", maker) for maker in ("siemens", "ge")
    )
    assert true.closed is not None
    assert true.closed.low < 1 < true.closed.high
    assert false.closed is not None
    assert false.closed.high < 0.8
    assert false.estimate.high is not None
    assert false.estimate.high < 0.8
    [table] = [table for table in two_makers.tables if table.about.startswith("Calibration")]
    assert [row[0] for row in table.rows] == ["All makers", "Siemens", "GE"]
    shown = [cell.value for cell in table.rows[1] if isinstance(cell, Cell)]
    assert shown[0] == f"{true.estimate.value:.2f}"


def test_tables_show_the_figures_of_each_year(two_makers: Section) -> None:
    [table] = [t for t in two_makers.tables if t.about.startswith("Breasts: AUC")]
    assert [row[0] for row in table.rows] == [
        "within 1 year",
        *(f"within {year} years" for year in (2, 3, 4)),
        "mean of years 1 to 4",
    ]
    scores = [
        find(two_makers.figures, "brier", unit="breasts", of=str(row[0])).value
        for row in table.rows[:-1]
    ]
    whole = find(two_makers.figures, "integrated_brier", unit="breasts").value
    assert whole == pytest.approx(np.trapezoid(scores) / 3)


def test_closed_forms_stand_beside_the_bootstrap(two_makers: Section) -> None:
    closed = {f.name for f in two_makers.figures if f.closed is not None}
    assert closed == {"observed", "expected_over_observed"}
    fifths = [f for f in two_makers.figures if f.of is not None and "fifth" in f.of]
    for figure in fifths[1::2]:
        assert figure.closed is not None
        assert figure.estimate.high is not None
        assert figure.closed.high == pytest.approx(figure.estimate.high, rel=0.25)
    for figure in two_makers.figures:
        if figure.closed is not None and figure.estimate.value is not None:
            assert figure.closed.low <= figure.estimate.value <= figure.closed.high


def test_shares_and_ratios_of_closed_forms_agree_with_the_figures() -> None:
    risk, followed = drawn(500, 8)
    year = np.array([float(YEAR)])
    [share] = kaplan_meier(followed, year)(np.ones(500))
    [ratio] = ratio_intervals(np.array([risk.mean()]), followed, year)
    assert ratio is not None
    assert np.sqrt(ratio.low * ratio.high) == pytest.approx(risk.mean() / share)
