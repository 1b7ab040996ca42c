"""Figures of a sweep over makers left out, against scikit-learn, rows written out, and planted truth."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from made_report import Page
from made_sweep import MAKERS, NOTE, Seen, loses, made_sample
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from mim.errors import InputError
from mim.evaluate.bootstrap import Estimate, over_blocks
from mim.evaluate.figures import ALL
from mim.evaluate.makers_draws import SPECIFICITY, Draws, MakerRun, draw_makers
from mim.evaluate.makers_figures import FROM_BASELINE, FROM_BEST, MakerExams, maker_figures
from mim.evaluate.makers_goal import Judged, verdicts
from mim.evaluate.makers_parts import Probed
from mim.evaluate.makers_report import MakersLeftOut, makers_measured, write_makers_report
from mim.evaluate.makers_section import best_unseen
from mim.evaluate.makers_table import MAKERS as TABLE
from mim.evaluate.makers_table import MakerFigure, MakerFigures, Missing
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings, EvaluateSettings, PrevalenceSettings
from mim.vocab import SELECTION_RATES

QUICK = BootstrapSettings(resamples=40, seed=1)
NO_PREVALENCE = PrevalenceSettings()
NORWAY = PrevalenceSettings(screen_detected_per_1000=6.1, interval_per_1000=1.7)


class Made(NamedTuple):
    """A sweep measured."""

    exams: Scored
    draws: Draws
    found: MakerFigures

    def value(self, name: str, method: str = "plain", maker: str = ALL, **which: float) -> float:
        """A figure, NaN where there is none."""
        figure = self.found.of(name, method, maker, **which)
        assert figure is not None
        return np.nan if figure.estimate.value is None else figure.estimate.value


def measured(
    exams: Scored,
    runs: Sequence[MakerRun],
    makers: Sequence[str] = MAKERS,
    parents: dict[str, str] | None = None,
    bootstrap: BootstrapSettings = QUICK,
) -> Made:
    draws = draw_makers(exams, runs, makers, NO_PREVALENCE, bootstrap)
    return Made(exams, draws, maker_figures(MakerExams(exams, makers), runs, draws, parents or {}))


def some(
    count: int = 400,
    seen: Seen | None = None,
    keep: Callable[[MakerRun], bool] = lambda run: True,
    methods: Sequence[str] = ("plain", "better"),
) -> Made:
    """A sweep of some exams, of which some runs are there."""
    exams, runs = made_sample(count, seen or loses(1.0), methods)
    return measured(exams, [run for run in runs if keep(run)])


def harder_philips(method: str, maker: str, left_out: str | None) -> float:
    """Cancers are hard to see by Philips, for whoever has seen it or not."""
    return 0.3 if maker == "philips" else 1.5


def rough(count: int) -> tuple[Scored, list[MakerRun]]:
    """A sweep with equal scores and unknown outcomes."""
    exams, runs = made_sample(count, loses(1.0), ("plain", "better"))
    unknown = pl.int_range(len(exams.rows)) % 7 == 0
    rows = exams.rows.with_columns(
        cancer=pl.when(~unknown).then("cancer"),
        outcome=pl.when(unknown).then(pl.lit("unknown")).otherwise("outcome"),
    )
    scores = {name: np.round(score, 1) for name, score in exams.scores.items()}
    return replace(exams, rows=rows, scores=scores), runs


def sensitivity(score: np.ndarray, cancer: np.ndarray, weight: np.ndarray) -> float:
    """The highest of any threshold that leaves as many others as wanted."""
    reached = [
        np.average(score[cancer] >= cut, weights=weight[cancer])
        for cut in [*np.unique(score), np.inf]
        if round(float((score[~cancer] < cut).mean()), 12) >= SPECIFICITY
    ]
    return float(max(reached))


def by_hand(score: np.ndarray, exams: Scored, rows: np.ndarray, weight: np.ndarray) -> list[float]:
    """Area and sensitivity of some rows, and the shares that thresholds select."""
    known = rows[exams.known[rows]]
    cancer, its = exams.cancer[known], weight[known] * exams.cancer[known] + ~exams.cancer[known]
    return [
        float(roc_auc_score(cancer, score[known], sample_weight=its)),
        sensitivity(score[known], cancer, its),
        *(np.average(score[rows] >= cut, weights=weight[rows]) for cut in (1.9, 1.6, 1.4, 1.2)),
    ]


@pytest.mark.parametrize("prevalence", [NO_PREVALENCE, NORWAY])
def test_a_run_s_figures_are_scikit_learn_s_and_those_counted(
    prevalence: PrevalenceSettings,
) -> None:
    exams, runs = rough(300)
    draws = draw_makers(exams, runs, MAKERS, prevalence, BootstrapSettings(resamples=1, seed=1))
    weight = prevalence_weights(exams.outcome, prevalence)
    for run in runs:
        for maker in [run.left_out] if run.left_out else MAKERS:
            rows = np.flatnonzero(exams.maker == maker)
            expected = by_hand(exams.scores[run.name], exams, rows, weight)
            assert draws.of(run.name, maker)[0] == pytest.approx(expected, abs=1e-12)
    assert len(draws.places) == 2 * 2 * (4 + 4)


@pytest.mark.parametrize(
    ("others", "cancers", "found"),
    [
        # 3.5 % of 200 are 7: the 193 and all above are 7, the 192 and all above 8.
        (200, [193.0, 192.5, 192.0], 2 / 3),
        # Of 199 they are 6.965, so 6 at most.
        (199, [193.0, 192.5, 191.5], 2 / 3),
        (199, [192.0, 250.0], 1 / 2),
        (28, [27.0, 27.5], 1 / 2),
    ],
)
def test_sensitivity_is_that_which_a_hand_counts(
    others: int, cancers: list[float], found: float
) -> None:
    score = np.array([*np.arange(others, dtype=np.float64), *cancers])
    rows = pl.DataFrame(
        {
            "woman": [f"{place:04}" for place in range(len(score))],
            "cancer": [False] * others + [True] * len(cancers),
            "outcome": ["negative"] * others + ["screen-detected cancer"] * len(cancers),
            "maker": "ge",
        }
    )
    run = MakerRun("run", "plain", "ge", 1, (others - 0.5, others - 2.5, others - 2.5, 0.0))
    exams = Scored("exams", rows, {"run": score}, 0)
    draws = draw_makers(exams, [run], ["ge"], NO_PREVALENCE, BootstrapSettings(1, 1))
    _, sensitive, *selected = draws.of("run", "ge")[0]
    assert sensitive == pytest.approx(found)
    higher = [(score >= cut).mean() for cut in run.thresholds or ()]
    assert selected == pytest.approx(higher)


def test_intervals_are_those_of_rows_written_out() -> None:
    exams, runs = rough(280)
    made = measured(exams, runs, bootstrap=BootstrapSettings(resamples=12, seed=5))
    assert made.found.judged == MAKERS
    [*blocks] = over_blocks(lambda t: t, int(exams.woman.max()), resamples=12, seed=5)
    drawn = []
    for times in np.concatenate(blocks):
        every = np.repeat(np.arange(len(exams.woman)), times[exams.woman - 1])
        mean = {}
        for run in runs:
            for maker in [run.left_out] if run.left_out else MAKERS:
                rows = every[exams.maker[every] == maker]
                found = by_hand(exams.scores[run.name], exams, rows, np.ones(len(exams.woman)))
                mean.setdefault((run.method, run.left_out is None, maker), []).append(found)
        drawn.append({key: np.mean(found, axis=0) for key, found in mean.items()})

    def over_makers(method: str, inside: bool) -> np.ndarray:
        return np.array([[one[method, inside, maker] for maker in MAKERS] for one in drawn])

    inside, unseen = over_makers("plain", True), over_makers("plain", False)
    better = over_makers("better", False)
    best = over_makers(str(made.found.best_in_domain), True)
    ratio = np.exp(np.log(unseen[:, :, 5] / SELECTION_RATES[3]).mean(axis=1))
    expected = [
        (("auc_in_domain", "plain"), inside[:, :, 0].mean(axis=1)),
        (("auc_difference", "plain"), (unseen - inside)[:, :, 0].mean(axis=1)),
        (("auc_difference", "plain", "ge"), (unseen - inside)[:, 2, 0]),
        (("sensitivity_difference", "plain"), (unseen - inside)[:, :, 1].mean(axis=1)),
        (("selection_ratio_unseen", "plain", ALL, None, SELECTION_RATES[3]), ratio),
        ((FROM_BASELINE, "better"), (better - unseen)[:, :, 0].mean(axis=1)),
        ((FROM_BEST, "plain"), (unseen - best)[:, :, 0].mean(axis=1)),
    ]
    for key, values in expected:
        figure = made.found.of(*key)
        assert figure is not None
        ends = [figure.estimate.low, figure.estimate.high]
        assert ends == pytest.approx(np.quantile(values, [0.025, 0.975]), abs=1e-12), key


def test_a_planted_loss_on_one_maker_is_found_there_and_nowhere_else() -> None:
    def seen(method: str, maker: str, left_out: str | None) -> float:
        return 1.5 - 1.0 * (method == "plain" and maker == left_out == "philips")

    made = some(3000, seen)
    truth = norm.cdf(0.5 / np.sqrt(2)) - norm.cdf(1.5 / np.sqrt(2))
    for maker in MAKERS:
        figure = made.found.of("auc_difference", "plain", maker)
        assert figure is not None
        assert figure.estimate.low is not None
        planted = truth if maker == "philips" else 0.0
        assert figure.estimate.value == pytest.approx(planted, abs=0.04)
        assert (figure.estimate.high or 0) < -0.1 or maker != "philips"
    assert made.value("auc_difference") == pytest.approx(truth / 4, abs=0.02)
    assert made.value("auc_difference", "better") == pytest.approx(0, abs=0.02)
    gained = made.found.of(FROM_BASELINE, "better")
    assert gained is not None
    assert (gained.p_adjusted or 1) < 0.001
    assert best_unseen(made.found) == "better"
    plain, better = verdicts(made.found)
    assert plain.loses_little is Judged.MISSED
    assert better.loses_little is not Judged.MISSED


def test_p_values_are_corrected_over_all_methods() -> None:
    found = some(methods=("plain", "a", "b", "c"), seen=lambda *_: 1.5).found
    tested = [f for f in found.figures if f.name == FROM_BASELINE]
    p = sorted((f.p_value or 0, f.p_adjusted or 0) for f in tested)
    assert len(p) == 3
    highest = 0.0
    for left, (raw, adjusted) in zip((3, 2, 1), p, strict=True):
        highest = max(highest, min(1, left * raw))
        assert adjusted == pytest.approx(highest)


def test_a_seed_counts_where_both_its_runs_are_there() -> None:
    made = some(keep=lambda run: (run.left_out, run.seed) != ("philips", 2))
    one = made.value("auc_in_domain", maker="philips", seed=1)
    assert made.value("auc_in_domain", maker="philips") == one
    both = [made.value("auc_in_domain", maker="ge", seed=seed) for seed in (1, 2)]
    assert made.value("auc_in_domain", maker="ge") == pytest.approx(np.mean(both))
    means = [made.value("auc_difference", maker=maker) for maker in MAKERS]
    assert made.value("auc_difference") == pytest.approx(np.mean(means))


def test_runs_of_other_seeds_are_no_pair() -> None:
    made = some(keep=lambda run: (run.left_out is None) == (run.seed == 1))
    assert not np.isnan([made.value("auc_in_domain"), made.value("auc_unseen")]).any()
    figure = made.found.of("auc_difference", "plain")
    assert figure is not None
    assert (figure.estimate.value, figure.estimate.reason) == (None, "no pair of runs")
    assert verdicts(made.found)[0].loses_little in (Judged.MISSED, Judged.UNKNOWN)


def test_both_sides_of_a_mean_are_of_the_makers_with_pairs() -> None:
    """Philips alone has its run of another seed than the one that has seen all makers."""
    made = some(
        keep=lambda run: run.seed == (2 if run.left_out == "philips" else 1), seen=harder_philips
    )
    figure = made.found.of("auc_difference", "plain")
    assert figure is not None
    assert figure.makers == MAKERS[:3]
    for side in ("in_domain", "unseen"):
        of_each = [made.value(f"auc_{side}", maker=maker) for maker in MAKERS[:3]]
        assert made.value(f"auc_{side}") == pytest.approx(np.mean(of_each))


def test_a_mean_names_its_makers_and_is_compared_on_them_alone() -> None:
    def keep(run: MakerRun) -> bool:
        return (run.method, run.left_out) != ("better", "philips")

    # Philips is hard for all: who lacks it must not look better for that.
    made = some(2000, harder_philips, keep)
    whole, part = (made.found.of("auc_unseen", method) for method in ("plain", "better"))
    assert whole is not None
    assert part is not None
    assert (whole.makers, part.makers) == (MAKERS, MAKERS[:3])
    assert made.value("auc_unseen", "better") > made.value("auc_unseen") + 0.05
    assert made.value(FROM_BASELINE, "better") == pytest.approx(0, abs=0.02)
    in_domain = {
        method: np.mean([made.value("auc_in_domain", method, maker) for maker in MAKERS])
        for method in ("plain", "better")
    }
    assert made.found.best_in_domain == max(in_domain, key=lambda method: in_domain[method])
    assert verdicts(made.found)[1].selects_right in (Judged.MISSED, Judged.UNKNOWN)


def test_a_method_made_of_another_s_runs_has_that_one_s_in_domain_runs() -> None:
    exams, runs = made_sample(400, loses(1.0), ("plain", "plain, renormalised"))
    there = [run for run in runs if run.method == "plain" or run.left_out]
    made = measured(exams, there, parents={"plain, renormalised": "plain"})
    assert made.value("auc_in_domain", "plain, renormalised") == made.value("auc_in_domain")
    gained = made.value("auc_unseen", "plain, renormalised") - made.value("auc_in_domain")
    assert made.value("auc_difference", "plain, renormalised") == pytest.approx(gained)
    alone = measured(exams, there)
    assert np.isnan(alone.value("auc_difference", "plain, renormalised"))


def test_a_run_without_thresholds_is_in_no_share_selected() -> None:
    exams, runs = made_sample(400, loses(1.0))
    made = measured(exams, runs)
    bare = [replace(run, thresholds=None) if run.seed == 2 else run for run in runs]
    rate = SELECTION_RATES[1]
    one = made.value("selection_rate_unseen", maker="ge", seed=1, rate=rate)
    without = measured(exams, bare)
    assert without.value("selection_rate_unseen", maker="ge", rate=rate) == one
    assert without.value("auc_unseen") == made.value("auc_unseen")
    none = measured(exams, [replace(run, thresholds=None) for run in runs])
    figure = none.found.of("selection_ratio_unseen", "plain", rate=rate)
    assert figure is not None
    assert figure.estimate.reason is not None
    assert "none with thresholds" in figure.estimate.reason
    assert verdicts(none.found)[0].selects_right is Judged.UNKNOWN


def test_a_maker_with_few_cancers_is_in_no_mean() -> None:
    exams, runs = made_sample(400, loses(1.0))
    sick = pl.col("cancer") & (pl.col("maker") == "ge")
    few = exams.rows.with_columns(cancer=pl.col("cancer") & ~(sick & (sick.cum_sum() > 4)))
    made = measured(replace(exams, rows=few), runs)
    assert made.found.judged == ("siemens", "hologic", "philips")
    figure = made.found.of("auc_unseen", "plain")
    assert figure is not None
    assert "ge" not in figure.makers
    alone = made.found.of("auc_unseen", "plain", "ge")
    assert alone is not None
    assert alone.estimate.value is not None
    assert alone.estimate.low is None


def figures_of(loss: Estimate, ratios: Sequence[Estimate]) -> MakerFigures:
    """Figures of one method and maker that a goal is judged by."""
    areas = [
        MakerFigure("a", ALL, ("ge",), None, name, loss, 1, 1)
        for name in ("auc_difference", FROM_BEST)
    ]
    selected = [
        MakerFigure("a", "ge", ("ge",), None, "selection_ratio_unseen", ratio, 1, 1, rate)
        for rate, ratio in zip(SELECTION_RATES, ratios, strict=True)
    ]
    return MakerFigures(["a"], ["ge"], ["ge"], "a", [*areas, *selected])


def known(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, low, high, 100, 10, 100)


RIGHT, NONE = known(1, 0.7, 1.4), Estimate(None, None, None, 0, 0, 0, "no run")


@pytest.mark.parametrize(
    ("loss", "ratios", "little", "right", "goal"),
    [
        (known(0.01, -0.02, 0.03), [RIGHT] * 4, "REACHED", "REACHED", "reached"),
        (known(-0.01, -0.03, 0.0), [RIGHT] * 4, "WITHIN", "REACHED", "open"),
        (known(-0.03, -0.05, 0.0), [RIGHT] * 4, "BEYOND", "REACHED", "open"),
        (known(-0.05, -0.07, -0.03), [RIGHT] * 4, "MISSED", "REACHED", "missed"),
        (known(0, -0.01, 0.01), [RIGHT] * 3 + [known(1.4, 0.9, 1.6)], "REACHED", "WITHIN", "open"),
        (known(0, -0.01, 0.01), [RIGHT] * 3 + [known(0.6, 0.5, 0.7)], "REACHED", "BEYOND", "open"),
        (known(0, -0.01, 0.01), [RIGHT] * 3 + [known(3, 1.6, 5)], "REACHED", "MISSED", "missed"),
        (known(0, -0.01, 0.01), [RIGHT] * 3 + [NONE], "REACHED", "UNKNOWN", "not known"),
        (NONE, [RIGHT] * 3 + [known(0.3, 0.2, 0.5)], "UNKNOWN", "MISSED", "missed"),
        (replace(NONE, value=0.0), [RIGHT] * 4, "WITHIN", "REACHED", "open"),
    ],
)
def test_a_goal_is_reached_missed_or_open(
    loss: Estimate, ratios: list[Estimate], little: str, right: str, goal: str
) -> None:
    [verdict] = verdicts(figures_of(loss, ratios))
    assert (verdict.loses_little.name, verdict.selects_right.name) == (little, right)
    assert verdict.goal.outcome == goal


def report(out: Path, **changed: object) -> MakerFigures:
    """Write the report on a sweep of which a run is missing."""
    exams, runs = made_sample(300, loses(1.0), ("plain", "a <b>"))
    probes = [
        Probed(run.method, run.left_out, run.seed, known(0.3, 0.2, 0.4), 0.25) for run in runs[:5]
    ]
    missing = [Missing("a <b>", "ge", 3, "failed: out of memory")]
    sample = Sample(None, exams, pl.DataFrame(), ())
    whole = MakersLeftOut("A <sweep>", NOTE, sample, runs, {}, missing, probes, None, ["Mind it."])
    summary = write_makers_report(
        replace(whole, **changed),
        out,
        EvaluateSettings(resamples=30),
    )
    assert summary.page == out / "index.html"
    draws = draw_makers(exams, runs, MAKERS, NO_PREVALENCE, BootstrapSettings(30, 1))
    return maker_figures(MakerExams(exams, MAKERS), runs, draws, {})


def test_page_and_files_hold_every_figure_and_name_nobody(tmp_path: Path) -> None:
    found = report(tmp_path)
    table = pl.read_csv(tmp_path / "makers.csv", infer_schema_length=None)
    assert table.columns == [column.name for column in TABLE.columns]
    assert len(table) == len(found.figures) + 1
    keys = ["method", "maker", "seed", "name", "selection_rate"]
    assert not table.select(keys).is_duplicated().any()
    one = table.filter(pl.col("seed").is_null(), method="plain", maker="all", name="auc_difference")
    expected = found.of("auc_difference", "plain")
    assert expected is not None
    assert one["value"].item() == pytest.approx(expected.estimate.value)
    assert one["makers"].item() == "siemens, hologic, ge, philips"
    gap = table.filter(name="missing_run").row(0, named=True)
    assert (gap["method"], gap["maker"], gap["seed"]) == ("a <b>", "ge", 3)
    assert len(pl.read_csv(tmp_path / "probes.csv")) == 5
    facts = json.loads((tmp_path / "metrics.json").read_text())
    assert len(facts["figures"]) == len(table)
    assert [verdict["method"] for verdict in facts["verdicts"]] == ["plain", "a <b>"]
    page = (tmp_path / "index.html").read_text()
    assert "failed: out of memory" in Page(page).row("a <b> GE 3")
    assert "<sweep>" not in page
    assert "a <b>" not in page
    assert "&lt;never&gt;" in page
    for path in tmp_path.iterdir():
        assert not re.search(r"test\d{5}|test w\d{5}", path.read_text()), path.name


@pytest.mark.parametrize(
    ("left_out", "tested", "words"),
    [
        (
            [None, None],
            ["ge"],
            "no run of it has left out a maker; train with data.leave_out_maker",
        ),
        (
            [None, "fuji"],
            ["ge", "siemens"],
            r"the makers left out \(fuji\) are not those of the test",
        ),
    ],
)
def test_a_sweep_without_a_maker_left_out_is_refused(
    left_out: list[str | None], tested: list[str], words: str
) -> None:
    with pytest.raises(InputError, match=words):
        makers_measured(left_out, tested)
    assert makers_measured(["philips", None, "ge", "fuji"], ["ge", "philips"]) == ["ge", "philips"]
