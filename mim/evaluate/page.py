"""The page of a report: one file with all pictures in it, which needs no network."""

import base64
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np
import polars as pl

from mim.errors import InputError
from mim.evaluate.attrition import Step
from mim.evaluate.card_facts import CardFacts, sample_facts
from mim.evaluate.cases import most_wrong, show_cases
from mim.evaluate.material import Material
from mim.evaluate.model_card import card_view
from mim.evaluate.prevalence import prevalence_weights
from mim.evaluate.readers import RECALL, reader_calls
from mim.evaluate.sample import Sample
from mim.evaluate.sections import Headline, Section
from mim.evaluate.settings import EvaluateSettings
from mim.evaluate.slider import SliderData, slider_data, slider_view
from mim.workers.local import cores

OPEN_TABLES = 3
"""Tables of a section that stand open; the others open at a touch, and all of them on paper."""

MOST_SLIDERS = 3
"""Models with a slider of their own."""


@dataclass(frozen=True)
class Shown:
    """What stands on the page beside its material.

    Attributes:
        sections: in their order.
        steps: of the attrition.
        sheet: address of the contact sheet; missing: none.
        files: beside the page, with every figure.
    """

    sections: Sequence[Section]
    steps: Sequence[Step]
    sheet: str | None
    files: Sequence[str] = ("metrics.csv", "metrics.parquet", "metrics.json")

    @property
    def headlines(self) -> list[Headline]:
        """Figures for the top."""
        return [headline for section in self.sections for headline in section.headlines]

    @property
    def summary(self) -> list[str]:
        """Sentences for the top."""
        return [sentence for section in self.sections for sentence in section.summary]


def draw_page(material: Material, shown: Shown, settings: EvaluateSettings) -> str:
    """The page's HTML."""
    sample = material.sample
    parts: Mapping[str, object] = {"sliders": [], "cases": None, "card": None}
    if sample is not None:
        parts = {
            "sliders": [slider_view(data) for data in page_sliders(sample, settings)],
            "cases": _cases(material, sample),
            "card": card_view(_card_facts(material, sample, settings)),
        }
    template = _environment().get_template("report.html.j2")
    return template.render(
        material=material,
        shown=shown,
        bootstrap=settings.bootstrap(),
        machine=machine(),
        open_tables=OPEN_TABLES,
        **parts,
    )


def machine() -> dict[str, object]:
    """Where and with what the figures were made."""
    return {
        "platform": platform.platform(),
        "processor": platform.machine(),
        "cores": cores(),
        **_versions(),
    }


def inline_png(path: Path) -> str:
    """A picture as the address of an ``img`` element (``InputError`` if it is no PNG file)."""
    content = path.read_bytes() if path.is_file() else b""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        raise InputError(f"{path}: the contact sheet is missing or no PNG file; write it again")
    return "data:image/png;base64," + base64.b64encode(content).decode("ascii")


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "numpy": np.__version__,
        "polars": pl.__version__,
    }


def page_sliders(sample: Sample, settings: EvaluateSettings) -> list[SliderData]:
    """The sliders of the page, of its first models."""
    recalled = [calls for calls in reader_calls(sample) if calls.name == RECALL]
    weights = prevalence_weights(sample.exams.outcome, settings.prevalence)
    return [
        slider_data(
            sample.exams.only(model),
            recalled[0] if recalled else None,
            None if (weights == 1).all() else weights,
            anchor=f"slider-{place}",
        )
        for place, model in enumerate(sample.models[:MOST_SLIDERS])
    ]


def _cases(material: Material, sample: Sample) -> list[dict[str, object]]:
    """What the first model is most wrong about, with pictures where it can be asked."""
    first = sample.models[0]
    by_breast = sample.breasts is not None and first in sample.breasts.scores
    breasts = sample.breasts.only(first) if sample.breasts and by_breast else None
    cases = most_wrong(sample.exams.only(first), breasts)
    pictures = material.draw([case.exam for case in cases]) if material.draw else {}
    return show_cases(cases, pictures)


def _card_facts(material: Material, sample: Sample, settings: EvaluateSettings) -> CardFacts:
    """Of the first model: what is known of a run is not known of those beside it."""
    scale = material.scales.get(sample.models[0])
    return CardFacts(
        note=material.note,
        model=sample.models[0],
        test=sample_facts(sample.exams.rows),
        training=material.training,
        run=material.run,
        chosen_by_validation=material.chosen_by_validation,
        thresholds=[*zip(scale.selection_rates, scale.whole.thresholds, strict=True)]
        if scale
        else [],
        unscored=sample.exams.unscored,
        missing=material.notices,
        resamples=settings.resamples,
        versions=_versions(),
    )


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("mim.evaluate", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
