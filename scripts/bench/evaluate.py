"""Bootstrap by woman of a programme's size: mim, and the loop over scikit-learn's roc_auc_score.

    python scripts/bench/evaluate.py [--exams 1300000] [--cancers 8000] [--rounds 3] [--seed 5]

Made-up exams, one to five a woman, with scores of two models. The loop draws women, copies their
exams, and computes the AUC and the sensitivity at the four selection rates; it runs a few
replicates, scaled to all. mim computes the same, and beside it the areas and sensitivities for
each kind of cancer, specificities and what is selected, with all replicates, in a fresh process of
its own, of which the memory is measured. Then both models are measured and compared in pairs. The
ways take turns in every round; the clock of each is the median of the rounds. On the exams
themselves both ways must come to the same figures.
"""

import argparse
import multiprocessing
import os
import platform
import resource
import time
from importlib.metadata import version
from statistics import median
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from mim.evaluate.detection import Quantity, Selection, detect
from mim.evaluate.figures import ANY_CANCER, OWN_RATE
from mim.evaluate.scored import Scored
from mim.evaluate.settings import BootstrapSettings
from mim.vocab import SELECTION_RATES, Outcome

INTERVAL_SHARE = 0.22
"""Of the cancers: 1.7 of 7.8 in 1,000 exams (Larsen 2022)."""


class Run(NamedTuple):
    """Seconds, the process's peak in GB, and the figures of the exams themselves."""

    seconds: float
    peak: float
    figures: list[float]


def make(exams: int, cancers: int, seed: int) -> Scored:
    """Exams of women with one to five each, and scores of two models that are alike."""
    random = np.random.default_rng(seed)
    each = random.integers(1, 6, size=exams)
    woman = np.repeat(np.arange(exams), each)[:exams]
    sick = np.zeros(exams, bool)
    sick[random.choice(exams, cancers, replace=False)] = True
    interval = sick & (random.random(exams) < INTERVAL_SHARE)
    outcome = np.full(exams, str(Outcome.NEGATIVE), dtype=object)
    outcome[sick], outcome[interval] = str(Outcome.SCREEN_DETECTED), str(Outcome.INTERVAL)
    seen = random.normal(size=exams) + 2.2 * sick - 0.9 * interval
    scores = {name: seen + 0.6 * random.normal(size=exams) for name in ("one", "other")}
    rows = pl.DataFrame(
        {"woman": woman, "cancer": sick, "outcome": outcome.tolist(), "maker": "ge"}
    )
    return Scored("exams", rows, scores, 0)


def loop(exams: Scored, replicates: int, seed: int) -> Run:
    """What anyone would write: copies of the rows of drawn women, and scikit-learn."""
    starts = np.flatnonzero(np.append(True, np.diff(exams.woman) != 0))
    counts = np.diff(np.append(starts, len(exams.woman)))
    random = np.random.default_rng(seed)
    begin = time.perf_counter()
    for _ in range(replicates):
        women = random.integers(len(starts), size=len(starts))
        first, many = starts[women], counts[women]
        offset = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        rows = np.repeat(first, many) + offset
        plain(exams.cancer[rows], exams.score[rows])
    seconds = time.perf_counter() - begin
    return Run(seconds, 0.0, plain(exams.cancer, exams.score))


def plain(cancer: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> list[float]:
    figures = [float(roc_auc_score(cancer, score))]
    for rate in SELECTION_RATES:
        place = len(score) - int(rate * len(score))
        cut = np.partition(score, place)[place]
        figures.append(float((score[cancer] >= cut).mean()))
    return figures


def ours(exams: Scored, models: list[str], settings: BootstrapSettings) -> Run:
    """Both models' intervals, and those of their differences where there are two."""
    begin = time.perf_counter()
    rates = [Selection(OWN_RATE, rate) for rate in SELECTION_RATES]
    found = [detect(exams, model, rates, settings) for model in models]
    for one in found:
        np.quantile(one.replicates.drawn, [0.025, 0.975], axis=0)
    if len(found) == 2:
        difference = found[0].replicates.drawn - found[1].replicates.drawn
        np.quantile(difference, [0.025, 0.975], axis=0)
    seconds = time.perf_counter() - begin
    wanted = [Quantity("auc", ANY_CANCER)]
    wanted += [Quantity("sensitivity", ANY_CANCER, rate) for rate in rates]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    return Run(seconds, peak, [found[0].at(quantity)[0] for quantity in wanted])


def in_fresh_process(options: argparse.Namespace, models: list[str]) -> Run:
    context = multiprocessing.get_context("spawn")
    with context.Pool(1) as pool:
        return pool.apply(_made_and_measured, (options, models))


def _made_and_measured(options: argparse.Namespace, models: list[str]) -> Run:
    exams = make(options.exams, options.cancers, options.seed)
    return ours(exams, models, BootstrapSettings(options.resamples, options.seed))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=1_300_000)
    parser.add_argument("--cancers", type=int, default=8_000)
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--loop-replicates", type=int, default=6)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=5)
    options = parser.parse_args()
    exams = make(options.exams, options.cancers, options.seed)
    women = len(np.unique(exams.woman))
    print(
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, Python "
        f"{platform.python_version()}, numpy {np.__version__}, scikit-learn "
        f"{version('scikit-learn')}; {options.exams:,} made-up exams of {women:,} women, "
        f"{options.cancers:,} with a cancer, {options.resamples:,} replicates, seed {options.seed}"
    )
    times: dict[str, list[float]] = {"loop": [], "one": [], "pair": []}
    peaks = []
    for _ in range(options.rounds):
        looped = loop(exams, options.loop_replicates, options.seed)
        one = in_fresh_process(options, ["one"])
        pair = in_fresh_process(options, ["one", "other"])
        np.testing.assert_allclose(one.figures, looped.figures, atol=1e-9)
        times["loop"].append(looped.seconds * options.resamples / options.loop_replicates)
        times["one"].append(one.seconds)
        times["pair"].append(pair.seconds)
        peaks += [one.peak, pair.peak]
    for name, seconds in times.items():
        each = ", ".join(f"{second:.1f}" for second in seconds)
        print(f"{name:5} {median(seconds):8.1f} s  ({each})")
    ratio = median(times["loop"]) / median(times["one"])
    print(f"the loop takes {ratio:.0f} times as long (scaled from {options.loop_replicates})")
    print(f"a pair takes {median(times['pair']) / median(times['one']):.2f} times one model")
    print(f"peak of a process, its data among it: {max(peaks):.2f} GB")


if __name__ == "__main__":
    main()
