"""The report on a sweep over makers left out: a page, and its figures to compute with."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim.errors import InputError
from mim.evaluate import attrition as losses
from mim.evaluate.makers_draws import MakerRun, draw_makers
from mim.evaluate.makers_figures import MakerExams, maker_figures
from mim.evaluate.makers_parts import Probed
from mim.evaluate.makers_section import maker_sections
from mim.evaluate.makers_table import MAKERS, MakerFigures, Missing
from mim.evaluate.material import Material
from mim.evaluate.page import Shown, draw_page, machine
from mim.evaluate.report import Summary
from mim.evaluate.sample import Sample
from mim.evaluate.sections import Section
from mim.evaluate.settings import EvaluateSettings
from mim.schemas.table import write_whole
from mim.vocab import Maker, Split, maker_name

FILES = ("makers.csv", "metrics.json")


@dataclass(frozen=True)
class MakersLeftOut:
    """A sweep over makers left out, with what its runs say of the test exams.

    Attributes:
        title: of the page.
        note: what a reader must know first, such as that the data are made up; may be empty.
        sample: test exams with the scores of every run, by the runs' names.
        runs: the methods in their order; the first is the baseline.
        parents: of methods made of another's runs, that other.
        missing: runs that are not there or cannot be measured.
        probes: how well the maker can be told from the runs' features.
        attrition: rows of ``mim.schemas.cohort.ATTRITION``; missing: not known.
        notices: what the reader must know of how tables were joined.
    """

    title: str
    note: str
    sample: Sample
    runs: Sequence[MakerRun]
    parents: Mapping[str, str]
    missing: Sequence[Missing]
    probes: Sequence[Probed]
    attrition: pa.Table | None
    notices: Sequence[str]


def write_makers_report(sweep: MakersLeftOut, out: Path, settings: EvaluateSettings) -> Summary:
    """Measure a sweep and write ``index.html``, ``metrics.json``, ``makers.csv`` and ``probes.csv``.

    Args:
        sweep: what to measure.
        out: folder for the files; made if needed.
        settings: of the evaluation; resamples, seed and prevalence are used.

    Raises:
        InputError: no run has left out a maker that the test exams are of, or the exams hold none
            of a kind that the programme has.
    """
    left_out = [run.left_out for run in sweep.runs]
    makers = makers_measured(left_out, sweep.sample.exams.maker.tolist())
    exams = MakerExams(sweep.sample.exams, makers)
    bootstrap, prevalence = settings.bootstrap(), settings.prevalence
    draws = draw_makers(exams.exams, sweep.runs, exams.makers, prevalence, bootstrap)
    found = maker_figures(exams, sweep.runs, draws, sweep.parents)
    sections = maker_sections(found, sweep.probes, sweep.missing, prevalence.given)
    steps = losses.steps(sweep.attrition, sweep.sample, str(Split.TEST))
    notices = [*sweep.notices, *_not_left_out(exams)]
    material = Material(sweep.title, sweep.note, str(Split.TEST), notices=notices)
    files = [*FILES, *(["probes.csv"] if sweep.probes else [])]
    shown = Shown(sections, steps, None, files)
    page = draw_page(material, shown, settings)
    rows = [*(f.row() for f in found.figures), *(one.row() for one in sweep.missing)]
    table = pl.DataFrame(pl.from_arrow(MAKERS.from_rows(rows)))
    write_whole(out / "makers.csv", table.write_csv().encode())
    probes = [probe.row() for probe in sweep.probes]
    if probes:
        written = pl.DataFrame(probes, infer_schema_length=None).write_csv()
        write_whole(out / "probes.csv", written.encode())
    facts = {
        "title": sweep.title,
        "note": sweep.note,
        "split": str(Split.TEST),
        "notices": notices,
        "summary": shown.summary,
        "bootstrap": {"unit": "woman", **asdict(bootstrap)},
        "prevalence": asdict(prevalence),
        "machine": machine(),
        **_facts(found, sections),
        "probes": probes,
        "attrition": [asdict(step) for step in steps],
        "figures": rows,
    }
    text = json.dumps(facts, indent=1, allow_nan=False) + "\n"
    write_whole(out / "metrics.json", text.encode())
    write_whole(out / "index.html", page.encode())
    return Summary(tuple(shown.headlines), out / "index.html", (), tuple(notices))


def makers_measured(left_out: Iterable[str | None], tested: Iterable[str]) -> list[str]:
    """Makers that some run has left out and some test exam is of, in the vocabulary's order.

    Args:
        left_out: by each run; None: it has seen all.
        tested: makers of the test exams.

    Raises:
        InputError: there is none.
    """
    unseen, there = {*left_out} - {None}, {*tested}
    if not unseen:
        raise InputError(
            "sweep: no run of it has left out a maker; train with data.leave_out_maker, as "
            "'mim train -m experiment=leave_maker_out' does"
        )
    found = [str(maker) for maker in Maker if maker in unseen & there]
    if not found:
        raise InputError(
            f"sweep: the makers left out ({', '.join(sorted(map(str, unseen)))}) are not those of the "
            f"test exams ({', '.join(sorted(there))}); nothing can be measured on a maker never seen"
        )
    return found


def _not_left_out(exams: MakerExams) -> list[str]:
    others = {*exams.exams.maker.tolist()} - {*exams.makers}
    if not others:
        return []
    names = ", ".join(maker_name(maker) for maker in sorted(others))
    return [f"Test exams of makers that no run has left out are in no figure: {names}."]


def _facts(found: MakerFigures, sections: Sequence[Section]) -> dict[str, object]:
    """What is known of the sweep, and the facts of each section."""
    facts: dict[str, object] = {"methods": [*found.methods], "makers": [*found.makers]}
    for section in sections:
        facts |= section.facts
    return facts
