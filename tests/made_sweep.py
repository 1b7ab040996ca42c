"""A sweep over makers left out, made up without training: run folders with the scores they would give."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

from mim.data.settings import DataSettings
from mim.evaluate.makers_draws import MakerRun
from mim.evaluate.scored import Scored
from mim.model.settings import ModelSettings, TaskSettings
from mim.schemas.scores import SCORES
from mim.schemas.sweep import JobState, State, SweepPlan
from mim.schemas.table import write_json, write_table
from mim.train.card import RunCard
from mim.train.probe import FILE
from mim.train.reference import FITTED
from mim.train.settings import TrainSettings

NOTE = "Made-up data: shows that the mechanism works <never> clinical performance."
MAKERS = ("siemens", "hologic", "ge", "philips")
SEEDS = (1, 2)
RESAMPLES = 60

Floats = npt.NDArray[np.float64]
Seen = Callable[[str, str, str | None], float]
"""How far a method's scores of a maker's cancers lie from the others', in standard deviations, by
method, maker of the exam, and maker left out."""


def made_exams(count: int, seed: int, share: float = 0.2, split: str = "test") -> pl.DataFrame:
    """Exams of all makers in turn, mostly one a woman, every tenth woman two of two makers."""
    chance = np.random.default_rng(seed)
    sick = chance.random(count) < share
    interval = chance.random(count) < 0.2
    outcome = np.where(interval, "interval cancer", "screen-detected cancer")
    outcome = np.where(sick, outcome, "negative")
    return pl.DataFrame(
        {
            "exam": [f"{split}{place:05}" for place in range(count)],
            "woman": [f"{split} w{place - (place % 10 == 9):05}" for place in range(count)],
            "breast": ["L"] * count,
            "outcome": outcome,
            "cancer": sick,
            "maker": [MAKERS[place % 4] for place in range(count)],
            "split": [split] * count,
        }
    )


def made_scores(
    exams: pl.DataFrame, method: str, left_out: str | None, seed: int, seen: Seen
) -> Floats:
    """Scores ``[exam]``, binormal within each maker; half of their variance is the exam's own."""
    own = np.random.default_rng([7, len(exams)]).standard_normal(len(exams))
    words = [seed, len(method), *(left_out or "none").encode(), *method.encode()]
    noise = np.random.default_rng(words).standard_normal(len(exams))
    apart = np.array([seen(method, maker, left_out) for maker in exams["maker"]])
    return np.asarray(apart * exams["cancer"].to_numpy() + (own + noise) / np.sqrt(2), np.float64)


def made_sample(
    count: int,
    seen: Seen,
    methods: Sequence[str] = ("plain",),
    seeds: Sequence[int] = SEEDS,
    seed: int = 1,
) -> tuple[Scored, list[MakerRun]]:
    """Test exams with the scores of every run of a whole sweep, and the runs."""
    exams = made_exams(count, seed).sort("woman", "exam")
    runs = [
        MakerRun(f"{method} {left_out} {one}", method, left_out, one, (1.9, 1.6, 1.4, 1.2))
        for method in methods
        for left_out in (None, *MAKERS)
        for one in seeds
    ]
    scores = {
        run.name: made_scores(exams, run.method, run.left_out, run.seed + 100 * seed, seen)
        for run in runs
    }
    return Scored("exams", exams.drop("breast"), scores, 0), runs


def loses(loss: float) -> Seen:
    """A method "plain" loses on unseen makers; any other loses nothing."""

    def seen(method: str, maker: str, left_out: str | None) -> float:
        return 1.5 - loss * (method == "plain" and maker == left_out)

    return seen


class MadeSweep:
    """A sweep's folder, written run by run.

    Args:
        folder: of the sweep.
        count: test exams; half as many are validation exams.
        seen: how well runs tell cancers.
    """

    def __init__(self, folder: Path, count: int = 240, seen: Seen | None = None) -> None:
        self.folder, self._seen = folder, seen or loses(1.0)
        self.test = made_exams(count, 1)
        self.validation = made_exams(count // 2, 2, split="validation")
        self.outcomes = folder.parent / "outcomes.parquet"
        self.jobs: dict[str, dict[str, Any]] = {}
        folder.mkdir(parents=True, exist_ok=True)
        self.train = made_exams(count // 2, 3, split="train")
        pl.concat([self.test, self.validation, self.train]).write_parquet(self.outcomes)

    def whole(
        self, methods: Sequence[str] = ("plain", "better"), seeds: Sequence[int] = SEEDS
    ) -> None:
        """Every run of some methods and seeds, and the plan."""
        for method in methods:
            for left_out in (None, *MAKERS):
                for seed in seeds:
                    self.run(f"{method}-{left_out}-{seed}", method, left_out, seed)
        self.plan()

    def plan(self) -> None:
        """Write ``sweep.json`` with all jobs so far."""
        SweepPlan([], ["method", "data.leave_out_maker", "train.seed"], [], self.jobs).write(
            self.folder
        )

    def fitted_to(self, maker: str, share: float) -> dict[str, Any]:
        """What the card of a run says that was fitted to a maker's training exams."""
        return {"maker": maker, "share": share, "cohort": str(self.outcomes), "cache": "cache"}

    def run(
        self,
        name: str,
        method: str,
        left_out: str | None,
        seed: int,
        planned: bool = True,
        **changed: object,
    ) -> Path:
        """A finished run; its card's fields may be changed."""
        folder = self.folder / name
        (folder / "checkpoints").mkdir(parents=True)
        (folder / "checkpoints" / "best.ckpt").touch()
        card = made_card(method, left_out, seed) | changed
        write_json(folder / "run.json", card)
        learnt = self.validation.filter(pl.col("maker").ne_missing(pl.lit(left_out)))
        for split, exams in (("test", self.test), ("validation", learnt)):
            score = expit(made_scores(exams, method, left_out, seed, self._seen))
            rows = exams.with_columns(score=pl.Series(score), priors=pl.lit(0, pl.Int32))
            write_table(
                SCORES.from_rows(rows.to_dicts()), folder / "scores" / f"{split}-cancer.parquet"
            )
        if "renormalised" in changed:
            of_maker = self.train.filter(maker=left_out)
            score = expit(made_scores(of_maker, method, left_out, seed, self._seen))
            rows = of_maker.with_columns(score=pl.Series(score), priors=pl.lit(0, pl.Int32))
            write_table(SCORES.from_rows(rows.to_dicts()), folder / FITTED)
        probed = {"value": 0.3, "low": 0.25, "high": 0.35, "n": len(self.test), "cases": None}
        write_json(
            folder / FILE,
            {"resamples": RESAMPLES, "seed": 1, "chance": 0.25}
            | {"balanced_accuracy": probed | {"women": 9, "reason": None}},
        )
        if planned:
            values = {"method": method, "data.leave_out_maker": left_out, "train.seed": seed}
            self.jobs[name] = values
            JobState(State.DONE).write(folder)
        return folder


def made_card(method: str, left_out: str | None, seed: int) -> dict[str, Any]:
    """What ``run.json`` holds; a method is a decay of weights."""
    decay = {"plain": 0.0, "better": 0.05}.get(method, 0.1)
    return asdict(
        RunCard(
            cohort="cohort",
            cache="cache",
            note=NOTE,
            settings={
                "data": asdict(DataSettings(leave_out_maker=left_out)),
                "tasks": asdict(TaskSettings()),
                "model": asdict(ModelSettings()),
                "train": asdict(TrainSettings(seed=seed, weight_decay=decay)),
            },
            recipe={},
            fingerprint="f",
            priors={},
            stand_ins={},
            training={"labels": {}},
            women="w",
            start=None,
            greys={},
            code={},
            versions={},
        )
    )
