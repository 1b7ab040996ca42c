"""docs/makers.md: the figures of ``mim evaluate sweep=`` as a page, and a picture of them."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl
from playwright.sync_api import sync_playwright

from mim.cli.makers_runs import OWN_THRESHOLDS
from mim.evaluate.makers_draws import SPECIFICITY
from mim.evaluate.makers_goal import FACTOR, MOST_LOST
from mim.schemas.table import read_json
from mim.vocab import SELECTION_RATES, maker_name

REMARKS = "## What to think of it"
"""The chapter that a person writes; it stays when the page is made again."""

ALL = "all"
HEAD = """# Makers never seen

> Made-up programmes show that a mechanism works. No figure here says anything about women.

`scripts/makers.py out=FOLDER` makes this page, all but its last chapter, by `mim train -m
experiment=leave_maker_out_demo`, `mim renormalise` and `mim evaluate sweep=`. Made on {machine}.
"""


def draw(report: Path, picture: Path) -> None:
    """The first picture of the report, areas in-domain against unseen, as PNG."""
    with sync_playwright() as browser:
        chromium = browser.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = chromium.new_page(viewport={"width": 700, "height": 900}, device_scale_factor=1.5)
        page.goto((report / "index.html").resolve().as_uri())
        page.locator("svg.forest").first.screenshot(path=picture)
        chromium.close()


def page(facts: Mapping[str, Any], report: Path, before: str) -> str:
    """The whole page.

    Args:
        facts: the machine, the programme's keys and those of training.
        report: folder that ``mim evaluate sweep=`` wrote.
        before: the page as it was, whose last chapter stays.
    """
    found = _Found(pl.read_csv(report / "makers.csv", infer_schema_length=None))
    told = read_json(report / "metrics.json")
    _, remarks, written = before.partition(REMARKS)
    parts = [
        HEAD.format(machine=facts["machine"]),
        _programme(facts, told, found),
        "## By method\n",
        "![AUC by method, in-domain against unseen](makers.png)\n",
        _methods(found),
        "## By maker\n",
        _makers(found),
        "## What thresholds select\n",
        _thresholds(found, told),
        "## Can the maker be told from the features?\n",
        _probes(pl.read_csv(report / "probes.csv", infer_schema_length=None)),
        (remarks or REMARKS) + (written or "\n"),
    ]
    return "\n".join(parts)


class _Found:
    """Figures by method, maker, name and rate; means over seeds unless a seed is named."""

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table.filter(pl.col("name") != "missing_run")
        self._rows = {
            (r["method"], r["maker"], r["seed"], r["name"], r["selection_rate"]): r
            for r in self.table.iter_rows(named=True)
        }
        self.methods = self.table["method"].unique(maintain_order=True).to_list()
        # Where thresholds alone were fitted, areas are those of the run before.
        self.nets = [method for method in self.methods if not method.endswith(OWN_THRESHOLDS)]
        self.makers = [
            maker
            for maker in self.table["maker"].unique(maintain_order=True).to_list()
            if maker != ALL
        ]
        self.seeds = sorted(self.table["seed"].drop_nulls().unique().to_list())

    def row(
        self, method: str, name: str, maker: str = ALL, rate: float | None = None
    ) -> dict[str, Any] | None:
        return self._rows.get((method, maker, None, name, rate))

    def words(
        self, method: str, name: str, maker: str = ALL, rate: float | None = None, sign: str = ""
    ) -> str:
        row = self.row(method, name, maker, rate)
        if row is None or row["value"] is None:
            return ""
        value, low, high = (row[part] for part in ("value", "low", "high"))
        digits = 2 if name.startswith("selection_ratio") else 3
        form = f"{sign}.{digits}f"
        interval = "" if low is None else f" ({low:{form}} to {high:{form}})"
        return f"{value:{form}}{interval}"

    def spread(self, method: str, name: str) -> str:
        """Lowest and highest of the seeds."""
        values = [
            row["value"]
            for seed in self.seeds
            if (row := self._rows.get((method, ALL, seed, name, None))) is not None
            and row["value"] is not None
        ]
        return f"{min(values):+.3f} to {max(values):+.3f}" if len(values) > 1 else ""


def _programme(facts: Mapping[str, Any], told: Mapping[str, Any], found: _Found) -> str:
    bases = {maker: found.row(found.methods[0], "auc_in_domain", maker) for maker in found.makers}
    exams = ", ".join(
        f"{maker_name(maker)} {row['exams']} ({row['cancers']} with cancer)"
        for maker, row in bases.items()
        if row is not None
    )
    return (
        f"The programme: `mim synth {' '.join(facts['programme'])}`, whose makers look less alike "
        "than by default ([made-up-programme.md](made-up-programme.md)); then "
        f"`{' '.join(facts['keys'])}`. Test exams, one a woman: {exams}. Every run starts from one "
        "net that has learnt from another programme, whose makers look alike "
        f"(`{' '.join(facts['start'])}`). Seeds "
        f"{', '.join(map(str, found.seeds)) or 'one'}. Intervals are 95 %, by "
        f"{told['bootstrap']['resamples']} resamples of women (seed {told['bootstrap']['seed']}), "
        "paired over runs; they tell of women, not of training again, which the spread over seeds "
        f"shows. Exams count by `{' '.join(facts['prevalence'])}`, so those selected are nearly all "
        "free of cancer, as in a programme.\n"
    )


def _methods(found: _Found) -> str:
    lines = [
        "Means over four makers and the seeds, AUC by exam. *Lost*: unseen less in-domain, of the "
        "same method. *Sensitivity*: at "
        f"{100 * SPECIFICITY:.1f} % specificity on the maker's own exams, so it knows no shift.",
        "",
        "| method | AUC in-domain | AUC unseen | lost | by seed | sensitivity in-domain | unseen |",
        "|---|---|---|---|---|---|---|",
    ]
    for method in found.nets:
        cells = (
            method,
            found.words(method, "auc_in_domain"),
            found.words(method, "auc_unseen"),
            found.words(method, "auc_difference", sign="+"),
            found.spread(method, "auc_difference"),
            found.words(method, "sensitivity_in_domain"),
            found.words(method, "sensitivity_unseen"),
        )
        lines.append(_line(cells))
    lines += [
        "",
        "Unseen AUC against that of the first method, paired, p corrected for all methods (Holm); and "
        "against the highest in-domain AUC of any method, which is what a maker never seen costs in "
        "all:",
    ]
    lines += ["", "| method | from the first | p | from the best in-domain |", "|---|---|--:|---|"]
    for method in found.nets[1:]:
        row = found.row(method, "auc_from_baseline")
        p = None if row is None else row["p_adjusted"]
        p_words = "" if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"
        differences = [
            found.words(method, f"auc_from_{of}", sign="+") for of in ("baseline", "best")
        ]
        lines.append(_line((method, differences[0], p_words, differences[1])))
    return "\n".join([*lines, ""])


def _makers(found: _Found) -> str:
    makers = [maker_name(maker) for maker in found.makers]
    lines = [
        "AUC by exam of a maker that all have seen, and what is lost where it was left out.",
        "",
        _line(("method", *makers)),
        "|---" * (1 + len(makers)) + "|",
    ]
    for method in found.nets:
        cells = [
            f"{_value(found.row(method, 'auc_in_domain', maker), '.3f')}, "
            + found.words(method, "auc_difference", maker, sign="+")
            for maker in found.makers
        ]
        lines.append(_line((method, *cells)))
    return "\n".join([*lines, ""])


def _thresholds(found: _Found, told: Mapping[str, Any]) -> str:
    rates = ", ".join(f"{100 * rate:g}" for rate in SELECTION_RATES)
    lines = [
        f"Thresholds that select {rates} % of the exams a run chose them by (validation women, "
        "makers it has seen), and how many times that share they select of the test exams of a "
        "maker it has not seen: geometric mean over makers, then the maker and rate farthest from "
        "1. *Control*: the same of runs that have seen the maker, so what chance and the makers' "
        f"own mixture do. *Goal*: at most {MOST_LOST:g} AUC lost, from the method's own in-domain AUC "
        f"and from the best; and each maker and rate within {1 / FACTOR:.2f} and {FACTOR:g}. Reached "
        "where every interval lies within, missed where one lies wholly beyond, open between.",
        "",
        _line(
            (
                "method",
                *(f"{100 * rate:g} %" for rate in SELECTION_RATES),
                "worst",
                "control",
                "goal: AUC",
                "goal: selected",
            )
        ),
        "|---" * (5 + len(SELECTION_RATES)) + "|",
    ]
    verdicts = {verdict["method"]: verdict for verdict in told["verdicts"]}
    for method in found.methods:
        cells = [found.words(method, "selection_ratio_unseen", rate=r) for r in SELECTION_RATES]
        verdict = verdicts.get(method, {})
        worst, control = (_worst(verdict.get(f"worst_{side}")) for side in ("unseen", "in_domain"))
        judged = [verdict.get(part, "") for part in ("loses_little", "selects_right")]
        lines.append(_line((method, *cells, worst, control, *judged)))
    return "\n".join([*lines, ""])


def _worst(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return ""
    return (
        f"{found['ratio']:.2f} ({maker_name(found['maker'])}, {100 * found['selection_rate']:g} %)"
    )


def _probes(table: pl.DataFrame) -> str:
    lines = [
        "Balanced accuracy of a linear classifier of the maker on the encoder's features of test "
        "exams, mean over seeds, of runs that have seen all makers and of runs that have not seen "
        "one; features that hold nothing give the chance.",
        "",
        "| method | all seen | one unseen | chance |",
        "|---|--:|--:|--:|",
    ]
    for method in table["method"].unique(maintain_order=True).to_list():
        own = table.filter(pl.col("method") == method)
        unseen = pl.col("left_out").is_not_null()
        columns = (own.filter(~unseen), own.filter(unseen), own)
        names = ("balanced_accuracy", "balanced_accuracy", "chance")
        means = [
            part[name].drop_nulls().to_numpy() for part, name in zip(columns, names, strict=True)
        ]
        cells = [f"{part.mean():.2f}" if len(part) else "" for part in means]
        lines.append(_line((method, *cells)))
    return "\n".join([*lines, ""])


def _value(row: Mapping[str, Any] | None, form: str) -> str:
    return "" if row is None or row["value"] is None else f"{row['value']:{form}}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
