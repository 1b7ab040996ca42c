"""The report of one model on one score table: a page to read, and its figures to compute with."""

import base64
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import jinja2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from mim.errors import InputError
from mim.evaluate import attrition as losses
from mim.evaluate.cancer_section import measure_cancer
from mim.evaluate.density_section import density_section
from mim.evaluate.figures import FIGURES, Figure, named
from mim.evaluate.operating import Threshold
from mim.evaluate.quality_section import quality_section
from mim.evaluate.risk_section import risk_section
from mim.evaluate.sections import Headline
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.table import write_table, write_whole
from mim.vocab import Outcome, Task
from mim.workers.local import cores

SECTIONS = {
    Task.RISK: risk_section,
    Task.DENSITY: density_section,
    Task.QUALITY: quality_section,
}
"""How every task but cancer is reported; the page has a template of its own for that."""


@dataclass(frozen=True)
class Summary:
    """The report's top line, where it lies, and every figure in it."""

    headlines: tuple[Headline, ...]
    page: Path
    figures: tuple[Figure, ...]


def write_report(
    tables: Mapping[Task, pa.Table],
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
        tables: scores of each task the model has learnt, by ``mim.schemas.scores.OF_TASK``, all of
            one split.
        out: folder for the three files; made if needed.
        settings: of the bootstrap.
        title: of the page.
        note: what a reader must know first, such as that the data are made up; may be empty.
        attrition: rows of ``mim.schemas.cohort.ATTRITION``, in the order of the steps.
        contact_sheet: PNG with some of the model's inputs.
        thresholds: from ``mim.evaluate.operating.selection_thresholds``; may be empty.

    Raises:
        InputError: the scores break their schema, mix splits or know no outcome, or the contact
            sheet is no PNG file.
    """
    split, bootstrap = _one_split(tables), settings.bootstrap()
    sheet = None if contact_sheet is None else _inline_png(contact_sheet)
    cancer = (
        measure_cancer(tables[Task.CANCER], thresholds, bootstrap)
        if Task.CANCER in tables
        else None
    )
    others = [make(tables[task], bootstrap) for task, make in SECTIONS.items() if task in tables]
    if cancer is not None:
        steps = losses.steps(attrition, cancer.breasts, split)
    else:
        steps = losses.table_steps(attrition) if attrition is not None else []
    sections = ([cancer.section] if cancer is not None else []) + others
    figures = [figure for section in sections for figure in section.figures]
    facts: dict[str, object] = {
        "title": title,
        "note": note,
        "split": split,
        "bootstrap": {"unit": "woman", **asdict(bootstrap)},
        "machine": _machine(),
        **(cancer.section.facts if cancer is not None else {}),
        **{str(section.task): section.facts for section in others if section.facts},
        "attrition": [asdict(step) for step in steps],
        "figures": [figure.row() for figure in figures],
    }
    headlines = [headline for section in sections for headline in section.headlines]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            **{"title": title, "note": note, "split": split, "machine": facts["machine"]},
            bootstrap=bootstrap,
            headlines=headlines,
            cancer=None if cancer is None else cancer.context,
            sections=others,
            steps=steps,
            sheet=sheet,
        )
    )
    write_table(FIGURES.from_rows([figure.row() for figure in figures]), out / "metrics.parquet")
    write_whole(
        out / "metrics.json", (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode()
    )
    write_whole(out / "index.html", page.encode())
    return Summary(tuple(headlines), out / "index.html", tuple(figures))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, maker=named, outcome=_outcome_name)
    return environment


def _machine() -> dict[str, object]:
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": cores(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "polars": pl.__version__,
    }


def _one_split(tables: Mapping[Task, pa.Table]) -> str:
    found = {word for table in tables.values() for word in pc.unique(table["split"]).to_pylist()}
    splits = sorted(str(word) for word in found)
    if not splits:
        raise InputError("scores: no rows; give a table with one row per breast of an exam")
    if len(splits) > 1:
        raise InputError(
            f"scores: column 'split' mixes {' and '.join(splits)}; keep the rows of one split, "
            "or seen and unseen women are measured as one"
        )
    return splits[0]


def _inline_png(path: Path) -> str:
    """The picture as the address of an ``img`` element."""
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path}: the contact sheet is missing or no PNG file; write it again")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"


def _outcome_name(outcome: str) -> str:
    """An outcome as a heading; "cancer" alone would pass for any."""
    return (
        f"{outcome}, unclear how found".capitalize()
        if outcome == Outcome.CANCER
        else outcome.capitalize()
    )
