"""A score scale against what is planted: tenths, probabilities, makers whose scores are shifted."""

import json
from dataclasses import asdict

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import roc_auc_score

from mim.evaluate import scale as scale_module
from mim.evaluate.calibration import calibration_statistic
from mim.evaluate.operating import threshold_at
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.scale import LEAST_EXAMS, RANKS, drawn_in, mid_quantiles, scale_of
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.schemas.score_scale import Level, ScoreScale
from mim.vocab import SELECTION_RATES

AS_THEY_ARE = PrevalenceSettings()


class Exams:
    """Made-up exams: log odds of the score are those of the truth, moved by the maker and machine."""

    def __init__(
        self, makers: list[str], machines: list[str], moved: list[float], seed: int
    ) -> None:
        random = np.random.default_rng(seed)
        truth = random.normal(-5.0, 1.4, len(makers))
        self.truth = expit(truth)
        self.cancer = random.random(len(makers)) < self.truth
        self.score = expit(truth + np.array(moved))
        self.makers, self.machines = makers, machines
        way = random.random(len(makers)) < 0.25
        self.outcome = np.where(
            self.cancer, np.where(way, "interval cancer", "screen-detected cancer"), "negative"
        )

    def scored(self) -> Scored:
        columns = {
            "woman": np.arange(len(self.score)),
            "cancer": self.cancer,
            "outcome": self.outcome,
            "maker": self.makers,
            "machine": self.machines,
        }
        return Scored("exams", pl.DataFrame(columns), {"score": self.score}, 0)

    def fitted(self, prevalence: PrevalenceSettings = AS_THEY_ARE) -> ScoreScale:
        found = scale_of(self.scored(), prevalence)
        assert found is not None
        return found

    def read(self, scale: ScoreScale):
        return scale.read(self.score, self.makers, self.machines)


def alike(n: int, seed: int) -> Exams:
    return Exams(["ge"] * n, ["A 1"] * n, [0.0] * n, seed)


def whole_only(scores: list[float]) -> ScoreScale:
    made = alike(len(scores), 1)
    made.score, made.cancer = np.array(scores), np.zeros(len(scores), bool)
    made.outcome = np.array(["negative"] * len(scores))
    made.makers, made.machines = ["unknown"] * len(scores), [""] * len(scores)
    return made.fitted()


def test_new_exams_of_the_same_population_fill_the_tenths() -> None:
    scale, new = alike(20_000, 1).fitted(), alike(20_000, 2)
    read = new.read(scale)
    counts = np.bincount(read.score_10, minlength=11)[1:]
    assert counts.sum() == 20_000
    assert counts == pytest.approx([2000] * 10, rel=0.1)
    assert (read.scale > 7.5).mean() == pytest.approx(0.25, abs=0.01)
    assert read.selected.mean(axis=0) == pytest.approx(SELECTION_RATES, rel=0.1)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.25, 1.0])), min_size=1, max_size=60)
)
@settings(max_examples=30)
def test_the_scale_never_falls_and_equal_scores_have_equal_scales(scores: list[float]) -> None:
    scale = whole_only(scores)
    at = np.sort(np.append(np.linspace(0, 1, 31), scores))
    read = scale.read(at, [None] * len(at), [None] * len(at))
    assert (np.diff(read.scale) >= 0).all()
    assert (read.scale > 0).all()
    assert (read.scale <= 10).all()
    assert (read.score_10 == np.ceil(read.scale.round(9))).all()
    assert set(read.score_10) <= set(range(1, 11))
    lowest, highest = read.scale[at == min(scores)][0], read.scale[at == max(scores)][0]
    assert (read.scale[at < min(scores)] == lowest).all(), "beyond what was seen"
    assert (read.scale[at > max(scores)] == highest).all()


def test_a_tie_lies_in_the_middle_of_its_place() -> None:
    scale = whole_only([0.0] * 40 + [0.5] * 40 + [0.9] * 20)
    found = scale.read(np.array([0.0, 0.5, 0.9]), [None] * 3, [None] * 3).scale
    assert found == pytest.approx([2.0, 6.0, 9.0], abs=0.06)
    constant = whole_only([0.3] * 9).read(np.array([0.1, 0.3, 0.9]), [None] * 3, [None] * 3)
    assert constant.scale == pytest.approx([5, 5, 5])


def test_quantiles_are_numpys_where_nothing_is_tied() -> None:
    scores = np.random.default_rng(4).random(5000)
    ours = mid_quantiles(scores, np.ones(5000), RANKS)
    assert ours == pytest.approx(np.quantile(scores, RANKS, method="hazen"), abs=1e-12)


def test_a_weight_counts_as_so_many_exams() -> None:
    random = np.random.default_rng(5)
    scores, weights = random.random(300).round(2), random.integers(1, 5, 300)
    assert mid_quantiles(scores, weights.astype(float), RANKS) == pytest.approx(
        mid_quantiles(np.repeat(scores, weights), np.ones(weights.sum()), RANKS)
    )


def test_probabilities_are_those_planted_and_keep_the_order() -> None:
    made = alike(60_000, 6)
    made.score = expit(0.5 * np.log(made.score / (1 - made.score)) + 2)
    scale = made.fitted()
    new = alike(60_000, 7)
    new.score = expit(0.5 * np.log(new.score / (1 - new.score)) + 2)
    chance = new.read(scale).probability
    assert scale.slope == pytest.approx(2, rel=0.05)
    assert np.abs(chance - new.truth).mean() < 0.1 * new.truth.mean()
    ratio, intercept, slope, _ = calibration_statistic(chance, new.cancer)(np.ones(60_000))
    assert ratio == pytest.approx(1, abs=0.1)
    assert abs(intercept) < 0.1
    assert slope == pytest.approx(1, abs=0.06)
    uncalibrated = calibration_statistic(new.score, new.cancer)(np.ones(60_000))
    assert uncalibrated[0] > 10
    assert roc_auc_score(new.cancer, chance) == roc_auc_score(new.cancer, new.score)


@pytest.mark.slow
def test_the_curve_lies_closer_to_the_truth_than_isotonic_regression() -> None:
    """Loss above that of the truth, with some 60 cancers; why a scale has two numbers for it."""
    curve, steps = [], []
    new = alike(40_000, 30)

    def loss(chance: np.ndarray) -> float:
        said = np.clip(chance, 1 / 6002, 1 - 1 / 6002)
        gain = new.truth * np.log(new.truth / said)
        return float((gain + (1 - new.truth) * np.log((1 - new.truth) / (1 - said))).mean())

    for seed in range(31, 41):
        made = alike(3500, seed)
        curve.append(loss(new.read(made.fitted()).probability))
        isotonic = IsotonicRegression(out_of_bounds="clip").fit(made.score, made.cancer)
        steps.append(loss(isotonic.predict(new.score)))
    assert np.mean(curve) < 0.5 * np.mean(steps)


TWO = ["siemens"] * 6000 + ["ge"] * 4000
VERSIONS = ["M VB30"] * 6000 + ["P 1.0"] * 2000 + ["P 2.0"] * 2000
UPGRADE = [0.0] * 8000 + [1.2] * 2000


def test_an_upgrade_that_tripled_the_recalls_is_evened_out() -> None:
    """As de Vries 2023 (doi 10.1148/ryai.220146) saw it, here with one version's log odds moved."""
    scale, new = (
        Exams(TWO, VERSIONS, UPGRADE, 50).fitted(),
        Exams(5 * TWO, 5 * VERSIONS, 5 * UPGRADE, 9),
    )
    machine = np.array(new.machines)
    upgraded = machine == "P 2.0"
    at_once = (new.score[:, None] >= np.array(scale.whole.thresholds))[upgraded].mean(axis=0)
    assert (at_once / SELECTION_RATES > 2).all()
    read = new.read(scale)
    for name in np.unique(VERSIONS):
        by_version = read.selected[machine == name].mean(axis=0)
        assert by_version == pytest.approx(SELECTION_RATES, rel=0.25)
        assert (read.score_10[machine == name] == 10).mean() == pytest.approx(0.1, abs=0.02)
    chance, truth = read.probability[upgraded].sum(), new.truth[upgraded].sum()
    assert chance == pytest.approx(truth, rel=0.25)
    nameless = [None] * len(machine)
    assert scale.read(new.score, nameless, nameless).probability[upgraded].sum() > 1.6 * truth


def test_within_a_machine_a_higher_score_is_a_higher_probability() -> None:
    scale = Exams(TWO, VERSIONS, UPGRADE, 10).fitted()
    at = np.linspace(0, 1, 20_001)
    for maker, machine in [("siemens", "M VB30"), ("ge", "P 1.0"), ("ge", "P 2.0"), ("ge", None)]:
        read = scale.read(at, [maker] * len(at), [machine] * len(at))
        assert (np.diff(read.probability[10:-10]) > 0).all()
        assert (np.diff(read.scale) >= 0).all()


def test_unknown_makers_and_machines_are_read_on_the_level_above() -> None:
    makers = [*TWO, *["unknown"] * 200, *["fuji"] * (LEAST_EXAMS - 1)]
    made = Exams(
        makers, [*VERSIONS, *["X"] * 200, *["Y"] * (LEAST_EXAMS - 1)], [0.0] * len(makers), 11
    )
    scale = made.fitted()
    assert set(scale.makers) == {"siemens", "ge"}
    assert set(scale.software["ge"]) == {"P 1.0", "P 2.0"}
    assert scale.level("ge", "P 3.0") is scale.level("ge", None) is scale.makers["ge"]
    for maker in ("fuji", "unknown", None):
        assert scale.level(maker, "P 1.0") is scale.whole
    assert scale.level("ge", "P 1.0") is scale.software["ge"]["P 1.0"]
    assert scale.level("siemens", "P 1.0") is scale.makers["siemens"], "another maker's machine"


def errors(made: int, spread: float, beyond: float, monkeypatch: pytest.MonkeyPatch) -> float:
    """Mean error of makers' selection rates (log) where their log odds are moved by ``spread``."""
    monkeypatch.setattr(scale_module, "EXAMS_BEYOND", beyond)
    found = []
    for seed in range(made):
        random = np.random.default_rng(100 + seed)
        names = ["siemens", "ge", "hologic", "philips", "fuji"]
        sizes = [3000, 300, 300, 300, 300]
        moved = random.normal(0, spread, 5) * (np.array(sizes) < 3000)
        scores = [
            expit(random.logistic(-4, 0.8, n) + by) for n, by in zip(sizes, moved, strict=True)
        ]
        exams = alike(sum(sizes), 1)
        exams.score, exams.makers = np.concatenate(scores), list(np.repeat(names, sizes))
        exams.machines = [""] * sum(sizes)
        scale = exams.fitted()
        truth = expit(random.logistic(-4, 0.8, 100_000))
        for name, by in zip(names[1:], moved[1:], strict=True):
            hers = expit(np.log(truth / (1 - truth)) + by)
            rates = (hers[:, None] >= np.array(scale.makers[name].thresholds)).mean(axis=0)
            found.append(np.abs(np.log(np.maximum(rates, 1e-3) / SELECTION_RATES)).mean())
    return float(np.mean(found))


@pytest.mark.slow
def test_drawing_in_beats_both_each_maker_alone_and_all_as_one(monkeypatch) -> None:
    drawn, alone, as_one = (errors(20, 0.36, k, monkeypatch) for k in (5.0, 1e-9, 1e9))
    assert drawn < 0.95 * alone
    assert drawn < 0.8 * as_one


def test_drawing_in_beats_both_extremes_in_closed_form() -> None:
    """Mean squared error of a drawn-in quantile of logistic scores, makers spread by 0.36."""
    spread, width = 0.36, 0.8
    for exams in (100, 300, 1000, 5000):
        for rate in SELECTION_RATES:
            noise = width**2 / (exams * rate * (1 - rate))
            weight = drawn_in(exams, np.array([rate]))[0]
            error = weight**2 * noise + (1 - weight) ** 2 * spread**2
            assert error < min(noise, spread**2)


def test_a_small_makers_cancers_move_its_probability_a_little() -> None:
    """Every tenth exam is of a maker with twice the odds of cancer at equal scores."""
    n = 20_000
    makers = (["ge"] * 9 + ["hologic"]) * (n // 10)
    made = Exams(makers, [""] * n, [0.0] * n, 13)
    often = np.array(makers) == "hologic"
    odds = 2 * made.truth / (1 - made.truth)
    random = np.random.default_rng(14)
    made.cancer = np.where(often, random.random(n) < odds / (1 + odds), made.cancer)
    made.outcome = np.where(made.cancer, "screen-detected cancer", "negative")
    scale = made.fitted()
    shift = scale.makers["hologic"].intercept
    cancers = scale.makers["hologic"].cancers
    own = np.log(made.cancer[often].sum() / made.truth[often].sum())
    assert 0.3 < shift < own, "drawn towards the whole"
    assert shift == pytest.approx(own * cancers / (cancers + 10), abs=0.15)
    assert scale.whole.intercept == 0


def test_enriched_exams_give_the_scale_of_the_programme() -> None:
    programme = alike(60_000, 15)
    shares = {
        kind: 1000 * (programme.outcome == kind).mean() for kind in np.unique(programme.outcome)
    }
    rates = PrevalenceSettings(shares["screen-detected cancer"], shares["interval cancer"])
    kept = np.flatnonzero(programme.cancer | (np.random.default_rng(16).random(60_000) < 0.1))
    enriched = alike(len(kept), 17)
    for name in ("score", "truth", "cancer", "outcome"):
        setattr(enriched, name, getattr(programme, name)[kept])
    scale = enriched.fitted(rates)
    read = programme.read(scale)
    assert read.selected.mean(axis=0) == pytest.approx(SELECTION_RATES, rel=0.1)
    assert read.probability.sum() == pytest.approx(programme.cancer.sum(), rel=0.05)
    assert (read.scale > 9).mean() == pytest.approx(0.1, abs=0.01)
    assert scale.reference["screen_detected_per_1000"] == rates.screen_detected_per_1000
    plain = programme.read(enriched.fitted())
    assert plain.probability.sum() > 3 * programme.cancer.sum()
    assert (plain.scale > 9).mean() < 0.09
    weights = prevalence_weights(enriched.outcome, rates)
    thresholds = [threshold_at(enriched.score, weights, rate) for rate in SELECTION_RATES]
    assert scale.whole.thresholds == [t.threshold for t in thresholds]
    for found in thresholds:
        chosen = enriched.score >= found.threshold
        assert found.selected == chosen.sum()
        assert found.share_selected == pytest.approx(weights[chosen].sum() / weights.sum())


def test_without_exams_or_cancers_there_is_less_and_it_is_said() -> None:
    assert scale_of(alike(0, 1).scored(), AS_THEY_ARE) is None
    scale = whole_only(np.linspace(0, 1, 40).tolist())
    assert (scale.intercept, scale.slope) == (None, None)
    assert scale.reason == "0 reference exams are known to have a cancer; a probability needs 10"
    assert scale.read(np.array([0.5]), ["ge"], [None]).probability is None
    backwards = alike(2000, 18)
    backwards.score = 1 - backwards.score
    assert "higher score" in backwards.fitted().reason


def test_scores_that_part_cancers_from_others_have_a_finite_curve() -> None:
    made = alike(2000, 19)
    made.score = np.where(made.cancer, 0.9, 0.1)
    scale = made.fitted()
    assert 0 < scale.slope < 10
    chance = made.read(scale).probability
    assert chance[made.cancer].min() > 0.8
    assert chance[~made.cancer].max() < 0.1


def test_the_scale_survives_json_and_is_small() -> None:
    scale = Exams(TWO, VERSIONS, UPGRADE, 20).fitted()
    text = json.dumps(asdict(scale))
    assert len(text) < 25_000
    assert ScoreScale.from_json(json.loads(text)) == scale
    assert "e17" not in text
    assert "w17" not in text
    assert isinstance(scale.makers["ge"], Level)
    assert scale.reference["exams"] == scale.reference["women"] == 10_000
    assert scale.reference["makers"] == {"ge": 4000, "siemens": 6000}
    assert sum(scale.reference["outcomes"].values()) == 10_000
