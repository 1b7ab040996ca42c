"""The registry's tables of the made-up programme, as CSV."""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from mim.schemas.registry import (
    CANCERS,
    DECISIONS,
    DENSITY,
    EXAMS,
    LANDMARKS,
    LESIONS,
    QUALITY,
    READINGS,
    SCORES,
    WOMEN,
)
from mim.schemas.table import Schema, write_whole
from mim.synthetic.imaging import study_uid
from mim.synthetic.lesions import LesionKind
from mim.synthetic.product import PRODUCT, product_score
from mim.synthetic.readers import read_exam
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.women import Exam, Woman
from mim.vocab import FoundBy

Row = dict[str, object]

LOOKS = {
    LesionKind.SPICULATED_MASS: "mass",
    LesionKind.SMOOTH_MASS: "mass",
    LesionKind.CALCIFICATIONS: "calcification",
    LesionKind.COARSE_CALCIFICATION: "calcification",
    LesionKind.DISTORTION: "distortion",
    LesionKind.ASYMMETRY: "asymmetry",
}
"""What the registry calls each kind of lesion."""

GRADES = (1, 1, 1, 2, 2, 2, 2, 2, 3, 3)
"""Histological grades in the shares in which cancers have them here."""


def write_registry(folder: Path, women: Iterable[Woman], settings: ProgrammeSettings) -> None:
    """Write the tables of women, exams, readings, scores and diagnoses; dates are ISO 8601."""
    tables: dict[Schema, list[Row]] = {
        schema: [] for schema in (WOMEN, EXAMS, READINGS, DECISIONS, SCORES, CANCERS, DENSITY)
    }
    for woman in women:
        tables[WOMEN].append(
            {
                "woman_id": woman.woman_id,
                "birth_year": woman.birth_year,
                "followup_end": woman.followup_end,
            }
        )
        tables[CANCERS].extend(_cancer(woman, settings.seed))
        for exam in woman.exams:
            _add_exam(tables, woman, exam, settings)
    folder.mkdir(exist_ok=True)
    for schema, rows in tables.items():
        _write_csv(folder / f"{schema.name}.csv", schema.from_rows(rows))


def write_image_tables(folder: Path, truth: pa.Table) -> None:
    """Write what the registry knows of single images: quality, points and lesions marked on them.

    An image that was taken again has no row among the qualities: the exam has another one.

    Args:
        truth: rows of ``mim.synthetic.truth.TRUTH``.
    """
    kept = truth.filter(pc.invert(truth["retaken"]))
    renamed = kept.rename_columns({"laterality": "breast"})
    for schema, rows in ((QUALITY, renamed), (LANDMARKS, truth)):
        _write_csv(folder / f"{schema.name}.csv", rows.select([c.name for c in schema.columns]))
    lesions = [row for image in truth.to_pylist() for row in _lesions(image)]
    _write_csv(folder / f"{LESIONS.name}.csv", LESIONS.from_rows(lesions))


def _lesions(image: dict[str, Any]) -> Iterable[Row]:
    """The lesions of an image; of two boxes with one corner, which is their key, the first."""
    boxes: dict[tuple[int, int], Row] = {}
    names = ("lesion_boxes", "lesion_kinds", "lesion_malignant")
    for (left, top, right, bottom), kind, malignant in zip(*map(image.get, names), strict=True):
        row = {"sop_uid": image["sop_uid"], "x": left - 0.5, "y": top - 0.5}
        size = {"width": right - left, "height": bottom - top}
        boxes.setdefault((left, top), {**row, **size, "kind": LOOKS[kind], "malignant": malignant})
    return boxes.values()


def _cancer(woman: Woman, seed: int) -> list[Row]:
    if (cancer := woman.cancer) is None:
        return []
    return [
        {
            "woman_id": woman.woman_id,
            "diagnosis_date": cancer.diagnosed,
            "breast": cancer.side,
            "invasive": cancer.invasive,
            "size_mm": cancer.size_mm,
            "grade": _grade(seed, woman.number),
            "found_by": FoundBy.SCREENING if cancer.screen_detected else FoundBy.SYMPTOMS,
        }
    ]


def _grade(seed: int, number: int) -> int:
    """By a hash and not by a stream of the woman's, so that images stay as they are."""
    drawn = blake2b(f"grade {seed} {number}".encode(), digest_size=8).digest()
    return GRADES[int.from_bytes(drawn, "big") % len(GRADES)]


def _add_exam(
    tables: dict[Schema, list[Row]], woman: Woman, exam: Exam, settings: ProgrammeSettings
) -> None:
    this: Row = {"exam_id": exam.exam_id}
    reading = read_exam(settings.seed, woman, exam)
    tables[EXAMS].append(
        this
        | {
            "woman_id": woman.woman_id,
            "exam_date": exam.day,
            "study_uid": study_uid(settings, woman.number, exam),
            "site": exam.site.name,
        }
    )
    tables[READINGS].extend(
        this
        | {
            "reader": reader,
            "breast": side,
            "score": score,
            "reading": 1 if reader == reading.first else 2,
        }
        for (reader, side), score in reading.scores.items()
    )
    tables[DECISIONS].append(this | {"consensus": reading.consensus, "recalled": reading.recalled})
    score = product_score(settings.seed, woman, exam)
    tables[SCORES].append(this | {"model": PRODUCT, "score": score})
    tables[DENSITY].extend(
        this
        | {
            "breast": side,
            "density": density,
            "percent": round(100 * exam.breasts[side].glandular, 1),
        }
        for side, density in exam.density.items()
    )


def _write_csv(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    csv.write_csv(table, sink, csv.WriteOptions(quoting_style="needed"))
    write_whole(path, sink.getvalue().to_pybytes())
