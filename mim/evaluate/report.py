"""The report of one model on one score table: a page to read, and its figures to compute with."""

import base64
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import jinja2
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from mim.errors import InputError
from mim.evaluate import attrition as losses
from mim.evaluate.cancer_section import outcome_section, roc_section, selection_section
from mim.evaluate.density_section import density_section
from mim.evaluate.figures import FIGURES, Figure
from mim.evaluate.measured import measure
from mim.evaluate.quality_section import quality_section
from mim.evaluate.risk_section import risk_section
from mim.evaluate.rule_out_section import rule_out_section
from mim.evaluate.sample import Sample, require_labels
from mim.evaluate.scale_section import scale_section
from mim.evaluate.sections import Headline, Section
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.subgroup_section import subgroup_section
from mim.schemas.score_scale import ScoreScale
from mim.schemas.table import write_table, write_whole
from mim.vocab import Task
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


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        title: of the page.
        note: what a reader must know first, such as that the data are made up; may be empty.
        split: the part of the cohort that is measured.
        sample: exams with cancer scores; missing where no model has learnt cancer.
        validation: exams that thresholds were chosen on; missing where there are none.
        scales: of models, with their thresholds; a model may have none.
        tables: scores of the other tasks, by ``mim.schemas.scores.OF_TASK``, all of one split.
        attrition: rows of ``mim.schemas.cohort.ATTRITION``, in the order of the steps.
        contact_sheet: PNG with some of the model's inputs.
        notices: what the reader must know of how tables were joined.
    """

    title: str
    note: str
    split: str
    sample: Sample | None = None
    validation: Sample | None = None
    scales: Mapping[str, ScoreScale] = field(default_factory=dict)
    tables: Mapping[Task, pa.Table] = field(default_factory=dict)
    attrition: pa.Table | None = None
    contact_sheet: Path | None = None
    notices: Sequence[str] = ()


def write_report(material: Material, out: Path, settings: EvaluateSettings) -> Summary:
    """Measure models and write ``index.html``, ``metrics.json`` and the figures as tables.

    The page is one file with all pictures in it and needs no network. Every figure stands in
    ``metrics.parquet`` and in ``metrics.csv`` too.

    Args:
        material: what to measure.
        out: folder for the files; made if needed.
        settings: of the evaluation.

    Raises:
        InputError: the scores break their schema, mix splits or know no outcome, or the contact
            sheet is no PNG file.
    """
    _require_one_split(material)
    bootstrap = settings.bootstrap()
    sheet = None if material.contact_sheet is None else _inline_png(material.contact_sheet)
    figures, sections = _cancer(material, settings) if material.sample else ([], [])
    sections += [
        make(material.tables[task], bootstrap)
        for task, make in SECTIONS.items()
        if task in material.tables
    ]
    figures += [figure for section in sections for figure in section.figures]
    steps = losses.steps(material.attrition, material.sample, material.split)
    facts: dict[str, object] = {
        "title": material.title,
        "note": material.note,
        "split": material.split,
        "notices": [*material.notices],
        "bootstrap": {"unit": "woman", **asdict(bootstrap)},
        "prevalence": asdict(settings.prevalence),
        "machine": _machine(),
        **{
            name: fact
            for section in sections
            for name, fact in (
                section.facts if section.task is Task.CANCER else {str(section.task): section.facts}
            ).items()
            if fact
        },
        "attrition": [asdict(step) for step in steps],
        "figures": [figure.row() for figure in figures],
    }
    headlines = [headline for section in sections for headline in section.headlines]
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            material=material,
            machine=facts["machine"],
            bootstrap=bootstrap,
            headlines=headlines,
            sections=sections,
            steps=steps,
            sheet=sheet,
        )
    )
    table = FIGURES.from_rows([figure.row() for figure in figures])
    write_table(table, out / "metrics.parquet")
    write_whole(out / "metrics.csv", pl.DataFrame(pl.from_arrow(table)).write_csv().encode())
    write_whole(
        out / "metrics.json", (json.dumps(facts, indent=1, allow_nan=False) + "\n").encode()
    )
    write_whole(out / "index.html", page.encode())
    return Summary(tuple(headlines), out / "index.html", tuple(figures))


def _cancer(material: Material, settings: EvaluateSettings) -> tuple[list[Figure], list[Section]]:
    """Figures and sections on cancer."""
    assert material.sample is not None
    sample, validation = material.sample, material.validation
    require_labels(sample)
    measured = measure(sample, material.scales, settings)
    figures = measured.figures()
    first = sample.models[0]
    sections = [
        roc_section(measured, figures),
        selection_section(measured, figures, material.scales),
        scale_section(sample.exams, material.scales, settings),
        subgroup_section(measured, figures),
        outcome_section(measured),
        replace(
            rule_out_section(
                validation.exams.only(first) if validation else None,
                sample.exams.only(first),
                settings.rule_out,
                settings.prevalence,
                settings.bootstrap(),
            ),
            anchor="rule-out",
        ),
    ]
    return figures, [section for section in sections if section is not None]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
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


def _require_one_split(material: Material) -> None:
    for table in material.tables.values():
        others = {str(word) for word in pc.unique(table["split"]).to_pylist()} - {material.split}
        if others:
            raise InputError(
                f"scores: column 'split' holds {' and '.join(sorted(others))} where {material.split} "
                "is measured; keep the rows of one split, or seen and unseen women are measured as one"
            )


def _inline_png(path: Path) -> str:
    """The picture as the address of an ``img`` element."""
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path}: the contact sheet is missing or no PNG file; write it again")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")
