"""The report of one model on one score table: a page to read, and its figures to compute with."""

import base64
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path

import jinja2
import numpy as np
import polars as pl
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate import attrition as losses
from mim.evaluate.bootstrap import Estimate
from mim.evaluate.charts import Curve, Scores, histogram_svg, line_style, roc_svg
from mim.evaluate.metrics import (
    ALL,
    OUTCOMES,
    OWN_RATE,
    STORED_THRESHOLD,
    Figure,
    auc_figure,
    makers,
    roc_curve,
    selection_figures,
)
from mim.evaluate.operating import Threshold
from mim.evaluate.scored import EXAM_OUTCOMES, Scored, breasts, checked, exams, require_labels
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.table import Column, Schema, write_table, write_whole
from mim.vocab import CANCERS, Maker, Outcome, maker_name

TEXT = pa.string()

FIGURES = Schema(
    "figures",
    key=("name", "unit", "maker", "outcome", "rule", "selection_rate"),
    columns=(
        Column("name", TEXT, "auc, sensitivity or share selected", False),
        Column("unit", TEXT, "what was counted: breasts or exams", False),
        Column("maker", TEXT, "maker of the mammograph, or all", False, (ALL, *Maker)),
        Column("outcome", TEXT, "the cancers looked for", False, (ALL, *OUTCOMES)),
        Column("rule", TEXT, "how exams are selected", True, (OWN_RATE, STORED_THRESHOLD)),
        Column("selection_rate", pa.float64(), "wanted share of exams selected"),
        Column("value", pa.float64(), "the figure; missing: not defined"),
        Column("low", pa.float64(), "lower end of the 95 % interval by bootstrap over women"),
        Column("high", pa.float64(), "upper end of it"),
        Column("n", pa.int64(), "breasts or exams behind the figure", False),
        Column("cases", pa.int64(), "those among them that the figure looks for", False),
        Column("women", pa.int64(), "women they belong to", False),
        Column("reason", TEXT, "why the figure or its interval is missing"),
    ),
)

SHOWN_OUTCOMES = (
    Outcome.NEGATIVE,
    *CANCERS,
    Outcome.LATER,
    Outcome.RECALLED,
    Outcome.DISMISSED,
)
"""Outcomes whose scores are drawn, where there are any."""


@dataclass(frozen=True)
class Summary:
    """The report's top line, where it lies, and every figure in it."""

    breast_auc: Estimate
    exam_auc: Estimate
    page: Path
    figures: tuple[Figure, ...]


def write_report(
    scores: pa.Table,
    out: Path,
    settings: EvaluateSettings,
    *,
    title: str,
    note: str,
    attrition: pa.Table | None,
    contact_sheet: Path | None,
    thresholds: Sequence[Threshold],
) -> Summary:
    """Measure one model and write ``index.html``, ``metrics.json`` and ``metrics.parquet``.

    The page is one file with all pictures in it and needs no network.

    Args:
        scores: rows of ``mim.schemas.scores.SCORES``, all of one split.
        out: folder for the three files; made if needed.
        note: what a reader must know first, such as that the data are made up; may be empty.
        attrition: rows of ``mim.schemas.cohort.ATTRITION``, in the order of the steps.
        contact_sheet: PNG with some of the model's inputs.
        thresholds: from ``mim.evaluate.operating.selection_thresholds``; may be empty.

    Raises:
        InputError: the scores break their schema, mix splits or know no outcome, or the contact
            sheet is no PNG file.
    """
    rows = checked(scores)
    require_labels(rows)
    split = _one_split(rows)
    sheet = None if contact_sheet is None else _inline_png(contact_sheet)
    by_breast, by_exam = breasts(rows), exams(rows)
    steps = losses.steps(attrition, by_breast, split)
    figures = _measure(by_breast, by_exam, thresholds, settings)
    facts: dict[str, object] = {
        "title": title,
        "note": note,
        "split": split,
        "bootstrap": {"unit": "woman", **asdict(settings)},
        "machine": _machine(),
        "counts": _counts(by_breast, by_exam),
        "thresholds": [asdict(threshold) for threshold in thresholds],
        "attrition": [asdict(step) for step in steps],
        "figures": [_flat(figure) for figure in figures],
    }
    page = _page(facts, figures, by_breast, steps, sheet)
    write_table(FIGURES.from_rows([_flat(f) for f in figures]), out / "metrics.parquet")
    write_whole(
        out / "metrics.json", (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode()
    )
    write_whole(out / "index.html", (page).encode())
    top = {f.unit: f.estimate for f in figures if f.name == "auc" and f.maker == ALL}
    return Summary(top["breasts"], top["exams"], out / "index.html", tuple(figures))


def _measure(
    by_breast: Scored, by_exam: Scored, thresholds: Sequence[Threshold], settings: EvaluateSettings
) -> list[Figure]:
    aucs = [
        auc_figure(rows, maker, settings)
        for rows in (by_breast, by_exam)
        for maker in (ALL, *makers(rows))
    ]
    return aucs + selection_figures(by_exam, thresholds, settings)


def _page(
    facts: dict[str, object],
    figures: Sequence[Figure],
    by_breast: Scored,
    steps: Sequence[losses.Step],
    sheet: str | None,
) -> str:
    curves = _curves(by_breast)
    top = {f.unit: f.estimate for f in figures if f.name == "auc" and f.maker == ALL}
    groups = [
        Scores(str(outcome), by_breast.score[by_breast.outcome == outcome], series)
        for series, outcome in enumerate(SHOWN_OUTCOMES)
        if (by_breast.outcome == outcome).any()
    ]
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        value=_value, interval=_interval, percent=_percent, maker=_maker_name, outcome=_outcome_name
    )
    template = files("mim.evaluate").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(template).render(
        **facts,
        breast_auc=top["breasts"],
        exam_auc=top["exams"],
        makers=[
            (curve.name, line_style(curve.series), _auc_of(figures, curve.name)) for curve in curves
        ],
        roc=roc_svg(curves, "ROC curves by maker; the table beside it gives their areas."),
        histogram=histogram_svg(
            groups, f"Histograms of breast scores: {', '.join(group.name for group in groups)}."
        ),
        selections=_selections(figures),
        cancers=[o for o in OUTCOMES if any(f.outcome == o for f in figures)],
        outcomes=[str(outcome) for outcome in EXAM_OUTCOMES],
        steps=steps,
        sheet=sheet,
    )


def _curves(by_breast: Scored) -> list[Curve]:
    """A curve for all makers and each one that has breasts with and without cancer."""
    curves = []
    for series, maker in enumerate((ALL, *makers(by_breast))):
        rows = by_breast.where(by_breast.known & ((by_breast.maker == maker) | (maker == ALL)))
        empty = np.empty(0)
        both = rows.cancer.any() and not rows.cancer.all()
        points = roc_curve(rows.score, rows.cancer) if both else (empty, empty)
        curves.append(Curve(maker, *points, series))
    return curves


def _auc_of(figures: Sequence[Figure], maker: str) -> dict[str, Estimate]:
    return {f.unit: f.estimate for f in figures if f.name == "auc" and f.maker == maker}


def _selections(figures: Sequence[Figure]) -> list[tuple[str, list[dict[str, object]]]]:
    """Per rule, a row for each selection rate: the share selected and each sensitivity."""
    tables: dict[str, dict[float, dict[str, object]]] = {}
    for figure in figures:
        if figure.rule is not None and figure.selection_rate is not None:
            rates = tables.setdefault(figure.rule, {})
            row = rates.setdefault(figure.selection_rate, {"rate": figure.selection_rate})
            row[figure.outcome] = figure.estimate
    return [(rule, list(rates.values())) for rule, rates in tables.items()]


def _counts(by_breast: Scored, by_exam: Scored) -> dict[str, dict[str, int]]:
    return {
        rows.unit: {
            "scored": len(rows.score),
            "without score": rows.unscored,
            "label unknown": int((~rows.known).sum()),
            "cancers": int(rows.cancer.sum()),
            **{str(outcome): int((rows.outcome == outcome).sum()) for outcome in Outcome},
        }
        for rows in (by_breast, by_exam)
    }


def _flat(figure: Figure) -> dict[str, object]:
    fields = asdict(figure)
    estimate: dict[str, object] = fields.pop("estimate")
    return fields | estimate


def _machine() -> dict[str, object]:
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "polars": pl.__version__,
    }


def _one_split(rows: pl.DataFrame) -> str:
    splits = sorted(rows["split"].unique().to_list())
    if len(splits) > 1:
        raise InputError(
            f"scores: column 'split' mixes {' and '.join(splits)}; keep the rows of one split, "
            "or seen and unseen women are measured as one"
        )
    return str(splits[0])


def _inline_png(path: Path) -> str:
    """The picture as the address of an ``img`` element."""
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path}: the contact sheet is missing or no PNG file; write it again")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _value(found: Estimate, scale: int = 1, digits: int = 3) -> str:
    return "-" if found.value is None else f"{found.value * scale:.{digits}f}"


def _interval(found: Estimate, scale: int = 1, digits: int = 3) -> str:
    if found.low is None or found.high is None:
        return "-"
    return f"{found.low * scale:.{digits}f} to {found.high * scale:.{digits}f}"


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _maker_name(maker: str) -> str:
    return "All makers" if maker == ALL else maker_name(maker)


def _outcome_name(outcome: str) -> str:
    """An outcome as a heading; "cancer" alone would pass for any."""
    return (
        f"{outcome}, unclear how found".capitalize()
        if outcome == Outcome.CANCER
        else outcome.capitalize()
    )
