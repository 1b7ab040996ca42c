"""The figures of docs/results.md: measured from reports and score tables, and written as a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from sksurv.metrics import concordance_index_ipcw
from sksurv.util import Surv

from mim.evaluate.bootstrap import resample_women
from mim.evaluate.metrics import auc_statistic
from mim.evaluate.quality import positioned
from mim.evaluate.risk import risks
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.scores import DENSITY_SCORES, QUALITY_SCORES, RISK_SCORES, SCORES
from mim.schemas.table import read_table
from mim.train.scores import score_path
from mim.vocab import Landmark, Split, Task

BOOTSTRAP = EvaluateSettings()
BREAST = ["exam", "breast"]

PAIRS = (
    ("priors", "no priors", True),
    ("change maps", "priors", True),
    ("change maps of aligned priors", "change maps", True),
    ("four views", "one view", False),
)
"""Runs that are compared on the same breasts, and whether only exams with a prior count."""


def run_folder(out: Path, name: str) -> Path:
    """Where a run lies."""
    return out / f"run {name} 1"


def measure(out: Path, runs: Sequence[str]) -> dict[str, Any]:
    """All figures, each with its interval over women where it has one."""
    reports = {
        name: pl.read_parquet(f"{run_folder(out, name)}-report/metrics.parquet").filter(
            pl.col("subgroup") == "all",
            pl.col("outcome").is_null() | (pl.col("outcome") == "any cancer"),
        )
        for name in runs
    }
    folder = run_folder(out, "all tasks")
    return {
        "reports": {name: report.to_dicts() for name, report in reports.items()},
        "baselines": baselines(folder),
        "peer": c_index_of_peer(folder),
        "pairs": [compared(out, *pair) for pair in PAIRS],
    }


def baselines(run: Path) -> dict[str, float]:
    """What somebody says who knows the validation exams' averages and looks at no image."""
    learnt, asked = (
        pl.DataFrame(
            pl.from_arrow(read_table(score_path(run, split, Task.DENSITY), DENSITY_SCORES))
        )
        for split in (Split.VALIDATION, Split.TEST)
    )
    median = learnt["percent_known"].median()
    said = {"percent error of the median": float((asked["percent_known"] - median).abs().mean())}
    before, after = (
        positioned(read_table(score_path(run, split, Task.QUALITY), QUALITY_SCORES))
        for split in (Split.VALIDATION, Split.TEST)
    )
    for number, landmark in enumerate(Landmark):
        off = np.full(len(after.view), np.nan)
        for view in np.unique(after.view):
            known = before.known_points[before.view == view, number]
            if np.isnan(known).all():
                continue
            middle = np.nanmedian(known, axis=0)
            here = after.view == view
            distance = np.linalg.norm(after.known_points[here, number] - middle, axis=-1)
            off[here] = distance * after.spacing_mm[here]
        said[f"{landmark} mm at its median place"] = float(np.nanmedian(off))
    return said


def c_index_of_peer(run: Path) -> float:
    """The C-index of the same test breasts by scikit-survival."""
    found, _ = risks(read_table(score_path(run, Split.TEST, Task.RISK), RISK_SCORES))
    truth = Surv.from_arrays(found.followed.cancer, found.followed.end)
    return float(concordance_index_ipcw(truth, truth, found.last)[0])


def compared(out: Path, one: str, other: str, with_prior: bool) -> dict[str, Any]:
    """Breast-level AUC of two runs on the same breasts, and their difference, paired by woman."""
    tables = [
        pl.DataFrame(
            pl.from_arrow(
                read_table(score_path(run_folder(out, n), Split.TEST, Task.CANCER), SCORES)
            )
        )
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

    found = resample_women(
        both, rows["woman"].to_numpy(), resamples=BOOTSTRAP.resamples, seed=BOOTSTRAP.seed
    )
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


def page(facts: dict[str, Any], remarks: str) -> str:
    """docs/results.md.

    Args:
        facts: everything measured.
        remarks: the chapter that a person wrote about it.
    """
    found = facts["figures"]
    programmes = facts["programmes"].items()
    runs = facts["runs"].items()
    lines = [
        "# What the tasks learn on made-up data",
        "",
        "> Made-up programmes show that a mechanism works. No figure here says anything about women.",
        "",
        "`scripts/results.py out=FOLDER` makes this page, all but its last chapter. Made on",
        f"{facts['machine']}. Intervals are 95 %, by {BOOTSTRAP.resamples} resamples of women (seed {BOOTSTRAP.seed}). Figures",
        "are of test women only, who took no part in training or in choosing a checkpoint.",
        "",
        "## The tasks against who does not look",
        "",
        "All four tasks in one run, `all tasks`. *Without looking*: chance, the validation women's",
        "median percent density, or the median place of a landmark on the same view.",
        "",
        "| figure | value | without looking | n | of them cases | women |",
        "|---|---|---|--:|--:|--:|",
        *task_rows(found),
        "",
        f"scikit-survival's C-index of the same breasts is {found['peer']:.12f}, mim's",
        f"{c_index(found):.12f}.",
        "",
        "## Pairs of runs on the same breasts",
        "",
        "| one | other | AUC of one | of the other | difference | breasts | cancers | women |",
        "|---|---|---|---|---|--:|--:|--:|",
        *(pair_row(pair) for pair in found["pairs"]),
        "",
        "## What was run",
        "",
        "| programme | keys of `mim synth`, and of `mim cohort` beside those below |",
        "|---|---|",
        *(f"| {name} | `{' '.join(keys)}` |" for name, keys in programmes),
        "",
        f"Keys of `mim cohort`: `{' '.join(facts['splits'])}`, of `mim cache`: `{' '.join(facts['size'])}`.",
        "",
        "| run | programme | views | keys of `mim train` |",
        "|---|---|---|---|",
        *(
            f"| {name} | {r['programme']} | {r['only_view'] or 'all'} | `{' '.join(r['keys'])}` |"
            for name, r in runs
        ),
        "",
        "| step | seconds, with other work on the machine |",
        "|---|--:|",
        *(f"| {name} | {taken:.0f} |" for name, taken in facts["seconds"].items() if taken),
        "",
        remarks,
    ]
    return "\n".join(lines)


def task_rows(found: dict[str, Any]) -> list[str]:
    """One row for each main figure of the run with all tasks, beside that of who does not look."""
    rows = []
    for row in found["reports"]["all tasks"]:
        if (plain := without_looking(row)) is None:
            continue
        if plain in found["baselines"]:
            plain = f"{found['baselines'][plain]:.3f}"
        words = [row["task"], row["name"], row["of"] or "", row["unit"]]
        named = " ".join(word for word in words if word).replace("_", " ")
        cases = "" if row["cases"] is None else row["cases"]
        rows.append(
            f"| {named} | {interval(row)} | {plain} | {row['n']} | {cases} | {row['women']} |"
        )
    return rows


PLAIN = {
    ("cancer", "auc"): "0.500",
    ("risk", "c_index"): "0.500",
    ("risk", "expected_over_observed"): "",
    ("density", "kappa_linear"): "0.000",
    ("density", "kappa_quadratic"): "0.000",
    ("density", "auc"): "0.500",
    ("density", "percent_error"): "percent error of the median",
    ("quality", "auc"): "0.500",
    ("quality", "grade_kappa"): "0.000",
}
"""What who does not look reaches, or the name of one of ``baselines``."""


def without_looking(row: dict[str, Any]) -> str | None:
    """What who does not look reaches in a figure; None for figures that are not shown."""
    key = (row["task"], row["name"])
    if key == ("quality", "median_mm"):
        return f"{row['of']} mm at its median place"
    if not row["n"] or row["selection_rate"] is not None:
        return None
    return PLAIN.get(key)


def c_index(found: dict[str, Any]) -> float:
    """The C-index of breasts in the report."""
    rows = found["reports"]["all tasks"]
    return next(r["value"] for r in rows if (r["name"], r["unit"]) == ("c_index", "breasts"))


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
