"""The figures of docs/results.md: measured from reports and score tables, and written as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mim.evaluate.bootstrap import resample_women
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.quality import positioned
from mim.schemas.scores import DENSITY_SCORES, QUALITY_SCORES, SCORES
from mim.schemas.table import read_table
from mim.vocab import Landmark, Split, Task

RESAMPLES = 2000
SEED = 1
BREAST = ["exam", "breast"]

PAIRS = (
    ("priors", "no priors", True),
    ("aligned priors", "priors", True),
    ("four views", "one view", False),
)
"""Runs that are compared on the same breasts, and whether only exams with a prior count."""


def run_folder(out: Path, name: str, seed: int) -> Path:
    """Where a run lies."""
    return out / f"run {name} {seed}"


def measure(out: Path, runs: Sequence[str]) -> dict[str, Any]:
    """All figures, each with its interval over women where it has one."""
    reports = {
        name: pl.read_parquet(f"{run_folder(out, name, 1)}-report/metrics.parquet").filter(
            pl.col("maker") == "all"
        )
        for name in runs
    }
    folder = run_folder(out, "all tasks", 1)
    return {
        "reports": {name: report.to_dicts() for name, report in reports.items()},
        "baselines": baselines(folder),
        "pairs": [compared(out, *pair) for pair in PAIRS],
    }


def scores(run: Path, task: Task, split: Split = Split.TEST) -> Path:
    """A score table of a run."""
    return run / "scores" / f"{split}-{task}.parquet"


def baselines(run: Path) -> dict[str, float]:
    """What somebody says who knows the validation exams' averages and looks at no image."""
    learnt, asked = (
        pl.DataFrame(pl.from_arrow(read_table(scores(run, Task.DENSITY, split), DENSITY_SCORES)))
        for split in (Split.VALIDATION, Split.TEST)
    )
    median = learnt["percent_known"].median()
    said = {"percent error of the median": float((asked["percent_known"] - median).abs().mean())}
    before, after = (
        positioned(read_table(scores(run, Task.QUALITY, split), QUALITY_SCORES))
        for split in (Split.VALIDATION, Split.TEST)
    )
    for number, landmark in enumerate(Landmark):
        off = np.full(len(after.view), np.nan)
        for view in np.unique(after.view):
            middle = np.nanmedian(before.known_points[before.view == view, number], axis=0)
            here = after.view == view
            distance = np.linalg.norm(after.known_points[here, number] - middle, axis=-1)
            off[here] = distance * after.spacing_mm[here]
        said[f"{landmark} mm at its median place"] = float(np.nanmedian(off))
    return said


def compared(out: Path, one: str, other: str, with_prior: bool) -> dict[str, Any]:
    """Breast-level AUC of two runs on the same breasts, and their difference, paired by woman."""
    tables = [
        pl.DataFrame(pl.from_arrow(read_table(scores(run_folder(out, n, 1), Task.CANCER), SCORES)))
        for n in (one, other)
    ]
    rows = tables[0].join(tables[1].select(*BREAST, other="score"), on=BREAST)
    rows = rows.filter(pl.all_horizontal(pl.col("score", "other", "cancer").is_not_null()))
    if with_prior:
        rows = rows.filter(pl.col("priors") > 0)
    cancer = rows["cancer"].to_numpy()
    each = [auc_statistic(rows[name].to_numpy(), cancer) for name in ("score", "other")]

    def both(weights: np.ndarray) -> np.ndarray:
        first, second = (statistic(weights)[0] for statistic in each)
        return np.array([first, second, first - second])

    found = resample_women(both, rows["woman"].to_numpy(), resamples=RESAMPLES, seed=SEED)
    low, high = np.nanquantile(found.drawn, [0.025, 0.975], axis=0)
    return {
        "runs": [one, other],
        "with a prior only": with_prior,
        "breasts": len(rows),
        "cancers": int(cancer.sum()),
        "women": rows["woman"].n_unique(),
        "figures": [
            {"value": v, "low": lo, "high": hi}
            for v, lo, hi in zip(found.values.tolist(), low.tolist(), high.tolist(), strict=True)
        ],
    }


def page(facts: dict[str, Any]) -> str:
    """docs/results.md."""
    found = facts["figures"]
    lines = [
        "# What the tasks learn on made-up data",
        "",
        "> Made-up programmes show that a mechanism works. No figure here says anything about women.",
        "",
        "Made by `scripts/results.py`; nothing was typed in by hand but the last chapter, which is",
        f"`docs/results-remarks.md`. {facts['machine']}. Intervals are 95 %, by {RESAMPLES} resamples of",
        "women (seed 1). Test women only; they took no part in training or in choosing a checkpoint.",
        "",
        "## The tasks against trivial baselines",
        "",
        "| figure | value | without looking | n | of them cases | women |",
        "|---|---|---|--:|--:|--:|",
        *task_rows(found),
        "",
        "## Pairs of runs on the same breasts",
        "",
        "| one | other | AUC of one | of the other | difference | breasts | cancers | women |",
        "|---|---|---|---|---|--:|--:|--:|",
        *(pair_row(pair) for pair in found["pairs"]),
        "",
        "## What was run",
        "",
        "| programme | keys of `mim synth` and `mim cohort` |",
        "|---|---|",
        *(
            f"| {name} | `{' '.join((*p['synth'], *p['cohort']))}` |"
            for name, p in facts["programmes"].items()
        ),
        "",
        "| run | programme | seeds | view | keys of `mim train` |",
        "|---|---|---|---|---|",
        *(
            f"| {name} | {r['programme']} | {', '.join(map(str, r['seeds']))} | "
            f"{r['only_view'] or 'all'} | `{' '.join(r['keys'])}` |"
            for name, r in facts["runs"].items()
        ),
        "",
        "| step | seconds |",
        "|---|--:|",
        *(f"| {name} | {taken:.0f} |" for name, taken in facts["seconds"].items()),
        "",
    ]
    return "\n".join(lines)


def task_rows(found: dict[str, Any]) -> list[str]:
    """One row for each main figure of the run with all tasks."""
    wanted = {
        ("cancer", "auc", "breasts", None): "0.500",
        ("risk", "c_index", "breasts", None): "0.500",
        ("risk", "c_index", "exams", None): "0.500",
        ("density", "kappa_linear", "breasts", None): "0.000",
        ("density", "kappa_quadratic", "breasts", None): "0.000",
        ("density", "auc", "breasts", None): "0.500",
        ("density", "percent_error", "breasts", None): "percent error of the median",
        **{
            ("quality", "distance_mm", "images", str(name)): f"{name} mm at its median place"
            for name in Landmark
        },
    }
    rows = []
    for row in found["reports"]["all tasks"]:
        key = (row["task"], row["name"], row["unit"], row["of"])
        is_risk = row["task"] == "risk" and row["name"] == "expected_over_observed"
        is_criterion = row["task"] == "quality" and row["name"] == "criterion_auc"
        if key in wanted or is_risk or is_criterion:
            plain = wanted.get(key, "1.000" if is_risk else "0.500")
            plain = f"{found['baselines'][plain]:.2f}" if plain in found["baselines"] else plain
            of = f" {row['of']}" if row["of"] else ""
            cases = "" if row["cases"] is None else row["cases"]
            rows.append(
                f"| {row['task']} {row['name']}{of}, {row['unit']} | {interval(row)} | {plain} | "
                f"{row['n']} | {cases} | {row['women']} |"
            )
    return rows


def pair_row(pair: dict[str, Any]) -> str:
    """A row of the table of pairs."""
    one, other = pair["runs"]
    only = ", exams with a prior" if pair["with a prior only"] else ""
    cells = [one + only, other, *(interval(figure) for figure in pair["figures"])]
    return f"| {' | '.join(cells)} | {pair['breasts']} | {pair['cancers']} | {pair['women']} |"


def interval(figure: dict[str, Any]) -> str:
    """A figure with its interval in words."""
    if figure["value"] is None:
        return "not defined"
    if figure["low"] is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"
