"""Density of few films in folds of women, by the commands that users have.

    .venv/bin/python scripts/few_films.py source=FILMS out=FOLDER weights=FILE

FILMS is mini-MIAS, or a folder like it. Every film is scored by the model that saw neither it nor
its woman in training. Prints the AUCs of all folds together with 95 % intervals by woman, and writes
``figures.json``. A fold that is done is not done again. docs/few-films.md says more.
"""

import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import polars as pl
from commands import mim

from mim.evaluate.bootstrap import Estimate, bootstrap_by_woman
from mim.evaluate.metrics import auc, auc_statistic
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.table import write_json
from mim.train.scores import score_path
from mim.vocab import Split, Task

FOLDS = range(1, 6)
AT_ONCE = 2
"""Runs that train side by side, each with one thread."""

TISSUE = {"a": "F", "b": "G", "c": "D"}
QUESTIONS = {
    "D against F": ("D", "F"),
    "G, D against F": ("GD", "F"),
    "D against F, G": ("D", "FG"),
}


def main(source: str, out: Path, weights: str, more: list[str]) -> None:
    """All folds, and their figures together."""
    begun = time.perf_counter()
    adapted = out / "adapted"
    overrides = f"index.overrides={adapted / 'overrides.parquet'}"
    mim("adapt", "dataset=mini_mias", f"source={source}", f"out={adapted}")
    mim("index", f"source={adapted / 'dicom'}", f"out={out / 'index'}", overrides)
    for fold in FOLDS:
        mim(
            "cohort",
            f"index={out / 'index'}",
            f"registry={adapted / 'registry'}",
            f"out={out / f'cohort-{fold}'}",
            "splits.validation=0",
            f"splits.folds={len(FOLDS)}",
            f"splits.fold={fold}",
        )
    cohort = f"cohort={out / 'cohort-1'}"
    mim("cache", cohort, f"out={out / 'cache'}", "recipe.height=384", "recipe.width=192")
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(lambda fold: one_fold(out, fold, weights, more), FOLDS))
    figures = measure(score_table(out, fold) for fold in FOLDS)
    write_json(out / "figures.json", figures)
    print(f"{time.perf_counter() - begun:.0f} s")


def one_fold(out: Path, fold: int, weights: str, more: list[str]) -> None:
    """Train on four fifths of the women and score the films of the others."""
    run = out / f"run-{fold}"
    if score_table(out, fold).exists():
        return
    mim(
        "train",
        "experiment=density",
        f"cohort={out / f'cohort-{fold}'}",
        f"cache={out / 'cache'}",
        f"out={run}",
        f"model.encoder.weights={weights}",
        "train.threads=1",
        *more,
    )
    mim("evaluate", f"run={run}", f"out={out / f'report-{fold}'}")


def score_table(out: Path, fold: int) -> Path:
    """Where the test films' scores of a fold stand."""
    return score_path(out / f"run-{fold}", Split.TEST, Task.DENSITY)


def measure(tables: Iterable[Path]) -> dict[str, object]:
    """The AUC of each question over all folds, and in each."""
    folds = [pl.read_parquet(table).drop_nulls("score") for table in tables]
    figures: dict[str, object] = {}
    for question, (denser, fatty) in QUESTIONS.items():
        asked = [of_tissue(fold, denser + fatty) for fold in folds]
        together = pl.concat(asked)
        found = area(together, denser)
        by_fold = [auc(fold["score"].to_numpy(), is_dense(fold, denser)) for fold in asked]
        figures[question] = asdict(found) | {"folds": by_fold, "mean": float(np.mean(by_fold))}
        print(
            f"{question}: AUC {found.value:.3f} ({found.low:.3f} to {found.high:.3f}), "
            f"{found.n} films of {found.women} women; folds "
            + ", ".join(f"{value:.3f}" for value in by_fold)
            + f", mean {np.mean(by_fold):.3f}"
        )
    return figures


def of_tissue(films: pl.DataFrame, letters: str) -> pl.DataFrame:
    """The films of some tissue classes."""
    tissue = pl.col("density").replace_strict(TISSUE)
    return films.with_columns(tissue=tissue).filter(pl.col("tissue").is_in(list(letters)))


def is_dense(films: pl.DataFrame, denser: str) -> np.ndarray:
    return films["tissue"].is_in(list(denser)).to_numpy()


def area(films: pl.DataFrame, denser: str) -> Estimate:
    """AUC of the expected density, with its interval by woman."""
    dense = is_dense(films, denser)
    statistic = auc_statistic(films["score"].to_numpy(), dense)
    women = films["woman"].to_numpy()
    return bootstrap_by_woman(statistic, women, [dense], **asdict(EvaluateSettings()))[0]


if __name__ == "__main__":
    keys = dict(word.partition("=")[::2] for word in sys.argv[1:])
    named = {name: keys.pop(name, None) for name in ("source", "out", "weights")}
    if None in named.values():
        raise SystemExit(
            "usage: scripts/few_films.py source=FILMS out=FOLDER weights=FILE [KEY=VALUE of mim train ...]"
        )
    more = [f"{key}={value}" for key, value in keys.items()]
    main(str(named["source"]), Path(str(named["out"])), str(named["weights"]), more)
