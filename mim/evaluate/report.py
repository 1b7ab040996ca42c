"""The report: a page to read, and its figures to compute with."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import polars as pl

from mim.evaluate import attrition as losses
from mim.evaluate.cancer_section import outcome_rows, outcome_section, roc_section
from mim.evaluate.comparison_section import comparison_section
from mim.evaluate.density_section import density_section
from mim.evaluate.figures import FIGURES, Figure
from mim.evaluate.localisation_section import localisation_section
from mim.evaluate.material import Material, require_one_split
from mim.evaluate.measured import measure
from mim.evaluate.page import Shown, draw_page, inline_png, machine, page_sliders
from mim.evaluate.quality_section import quality_section
from mim.evaluate.reader_section import reader_section
from mim.evaluate.risk_section import risk_section
from mim.evaluate.rule_out_section import rule_out_section
from mim.evaluate.sample import Sample, require_labels
from mim.evaluate.scale_section import scale_section
from mim.evaluate.sections import Headline, Section
from mim.evaluate.selection_section import selection_section
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.slider import slider_rows
from mim.evaluate.subgroup_section import subgroup_section
from mim.schemas.table import write_table, write_whole
from mim.vocab import Task

OF_TASK = {
    Task.RISK: risk_section,
    Task.DENSITY: density_section,
    Task.QUALITY: quality_section,
}
"""How every task but cancer is reported."""


@dataclass(frozen=True)
class Summary:
    """The report's top lines, where it lies, every figure in it, and notices on its tables."""

    headlines: tuple[Headline, ...]
    page: Path
    figures: tuple[Figure, ...]
    notices: tuple[str, ...]

    def tracked(self) -> dict[str, float | None]:
        """The headlines and their intervals by name, for a tracker of runs."""
        found: dict[str, float | None] = {}
        for headline in self.headlines:
            of = headline.cell.estimate
            ends = {"": of.value, ", low": of.low, ", high": of.high}
            found |= {headline.title + end: value for end, value in ends.items()}
        return found


def write_report(material: Material, out: Path, settings: EvaluateSettings) -> Summary:
    """Measure models and write ``index.html``, ``metrics.json`` and the page's numbers as tables.

    ``metrics.csv`` and ``metrics.parquet`` hold every figure; ``threshold.csv`` every place of the
    sliders, ``outcomes.csv`` what became of breasts and exams, ``attrition.csv`` the attrition.

    Args:
        material: what to measure.
        out: folder for the files; made if needed.
        settings: of the evaluation.

    Raises:
        InputError: the scores break their schema, mix splits or know no outcome, or the contact
            sheet is no PNG file.
    """
    require_one_split(material)
    sheet = inline_png(material.contact_sheet) if material.contact_sheet else None
    figures, sections = _cancer(material, settings) if material.sample else ([], [])
    sections += [
        make(material.tables[task], settings.bootstrap())
        for task, make in OF_TASK.items()
        if task in material.tables
    ]
    figures += [figure for section in sections for figure in section.figures]
    steps = losses.steps(material.attrition, material.sample, material.split)
    shown = Shown(sections, steps, sheet)
    page = draw_page(material, shown, settings)
    rows = [figure.row() for figure in figures]
    table = FIGURES.from_rows(rows)
    write_table(table, out / "metrics.parquet")
    _write_csv(out / "metrics.csv", pl.DataFrame(pl.from_arrow(table)))
    _write_csv(out / "attrition.csv", pl.DataFrame([row for step in steps for row in step.rows()]))
    if material.sample is not None:
        stops = [
            row for data in page_sliders(material.sample, settings) for row in slider_rows(data)
        ]
        _write_csv(out / "threshold.csv", pl.DataFrame(stops, infer_schema_length=None))
        _write_csv(out / "outcomes.csv", pl.DataFrame(outcome_rows(material.sample)))
    facts = {
        "title": material.title,
        "note": material.note,
        "split": material.split,
        "notices": [*material.notices],
        "summary": shown.summary,
        "bootstrap": {"unit": "woman", **asdict(settings.bootstrap())},
        "prevalence": asdict(settings.prevalence),
        "machine": machine(),
        **dict(_facts(sections)),
        "attrition": [asdict(step) for step in steps],
        "figures": rows,
    }
    text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    write_whole(out / "metrics.json", text.encode())
    write_whole(out / "index.html", page.encode())
    return Summary(
        tuple(shown.headlines), out / "index.html", tuple(figures), tuple(material.notices)
    )


def _write_csv(path: Path, table: pl.DataFrame) -> None:
    write_whole(path, table.write_csv().encode())


def _facts(sections: list[Section]) -> Iterator[tuple[str, object]]:
    """Facts of each section; those of the other tasks under the task's name."""
    for section in sections:
        if section.task is Task.CANCER:
            yield from section.facts.items()
        elif section.facts:
            yield str(section.task), section.facts


def _cancer(material: Material, settings: EvaluateSettings) -> tuple[list[Figure], list[Section]]:
    """Figures and sections on cancer."""
    assert material.sample is not None
    sample = material.sample
    require_labels(sample)
    measured = measure(sample, material.scales, settings)
    figures = measured.figures()
    first = sample.models[0]
    sections = [
        roc_section(measured, figures),
        selection_section(measured, figures, material.scales, settings.prevalence.given),
        comparison_section(measured, settings),
        reader_section(measured, settings),
        scale_section(sample.exams, material.scales, settings),
        subgroup_section(measured, figures),
        outcome_section(measured),
        localisation_section(
            sample.breasts,
            *material.looked,
            first,
            settings.bootstrap(),
            settings.prevalence.given,
        )
        if material.looked and sample.breasts is not None
        else None,
        _rule_out(material, sample, settings),
    ]
    return figures, [section for section in sections if section is not None]


def _rule_out(material: Material, sample: Sample, settings: EvaluateSettings) -> Section:
    """Rule-out by the first model, which its words name where there are several."""
    first = sample.models[0]
    found = rule_out_section(
        material.validation.get(first),
        sample.exams.only(first),
        settings.rule_out,
        settings.prevalence,
        settings.bootstrap(),
        material.chosen_by_validation,
    )
    by = f" by {first}" * (len(sample.models) > 1)
    return replace(
        found,
        title=found.title + by,
        headlines=[replace(line, title=line.title + by) for line in found.headlines],
        figures=[replace(figure, model=first) for figure in found.figures],
        summary=[sentence.replace(":", f"{by}:", 1) for sentence in found.summary],
        anchor="rule-out",
    )
