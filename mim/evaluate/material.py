"""What a report is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from mim.errors import InputError
from mim.evaluate.card_facts import SampleFacts
from mim.evaluate.sample import Sample
from mim.evaluate.scored import Scored
from mim.schemas.score_scale import ScoreScale
from mim.vocab import Task

Draw = Callable[[Sequence[str]], Mapping[str, bytes]]
"""Pictures, JPEG or PNG, of exams by their pseudonyms; one may have none."""


class Looked(NamedTuple):
    """Where a model looks on images, and where cancers lie on them."""

    images: pl.DataFrame
    """Rows of ``mim.schemas.cohort.IMAGES``, those looked at alone."""
    lesions: pl.DataFrame
    """Rows of ``mim.schemas.cohort.LESIONS``."""
    marks: pl.DataFrame
    """Rows of ``mim.schemas.marks.MARKS``, of this model."""


@dataclass(frozen=True)
class Material:
    """What a report is made of.

    Attributes:
        title: of the page.
        note: what a reader must know first, such as that the data are made up; may be empty.
        split: the part of the cohort that is measured.
        sample: exams with cancer scores; missing where no model has learnt cancer.
        validation: exams that a model's thresholds were chosen on; a model may have none.
        scales: of models, with their thresholds; a model may have none.
        tables: scores of the other tasks, by ``mim.schemas.scores.OF_TASK``, all of one split.
        attrition: rows of ``mim.schemas.cohort.ATTRITION``, in the order of the steps.
        contact_sheet: PNG with some of the model's inputs.
        run: ``run.json`` of the first model; missing where it is no run.
        chosen_by_validation: whether its checkpoint was chosen by its validation exams.
        training: the exams that it was trained on, where they are at hand.
        looked: where the first model looks, and where cancers lie; missing: not known.
        draw: draws exams with what raises the first model's score; missing: it cannot be asked.
        notices: what the reader must know of how tables were joined.
    """

    title: str
    note: str
    split: str
    sample: Sample | None = None
    validation: Mapping[str, Scored] = field(default_factory=dict)
    scales: Mapping[str, ScoreScale] = field(default_factory=dict)
    tables: Mapping[Task, pa.Table] = field(default_factory=dict)
    attrition: pa.Table | None = None
    contact_sheet: Path | None = None
    run: Mapping[str, Any] | None = None
    chosen_by_validation: bool = False
    training: SampleFacts | None = None
    looked: Looked | None = None
    draw: Draw | None = None
    notices: Sequence[str] = ()


def require_one_split(material: Material) -> None:
    """Raise InputError where a table of another task holds rows of another split."""
    for table in material.tables.values():
        others = {str(word) for word in pc.unique(table["split"]).to_pylist()} - {material.split}
        if others:
            raise InputError(
                f"scores: column 'split' holds {' and '.join(sorted(others))} where {material.split} "
                "is measured; keep the rows of one split, or seen and unseen women are measured as one"
            )
