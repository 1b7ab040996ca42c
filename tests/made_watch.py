"""A made-up bundle in use: reference exams of four machines, and predictions with drift planted."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from mim.evaluate.scale import scale_of
from mim.evaluate.scored import Scored
from mim.evaluate.settings import PrevalenceSettings
from mim.monitor.exams import Bundle, read_bundle, read_exams
from mim.monitor.monitor import compare
from mim.monitor.page import Found
from mim.monitor.reference import ReferenceExams, fit_reference
from mim.monitor.settings import MonitorSettings
from mim.schemas.monitored import MEASURES, SCORE, MonitorReference
from mim.schemas.score_scale import ScoreScale
from mim.schemas.scores import PREDICTIONS
from mim.schemas.table import write_table

NOTE = "Made-up data: shows that the mechanism works, never clinical performance."
CHECKSUM = "c" * 32

MACHINES = {
    ("siemens", "Mammomat VB30"): (0.0, 0.085),
    ("siemens", "Revelation VC20"): (0.5, 0.085),
    ("hologic", "Dimensions 1.8"): (1.0, 0.07),
    ("ge", "Senographe 53"): (-0.5, 0.1),
}
"""How far each machine's scores and pictures lie from the first one's, and its pixels' spacing."""

SIEMENS = ("siemens", "Mammomat VB30")
CHANGE = date(2024, 3, 1)
"""From when on ``changed`` has that machine otherwise."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """A bundle's scale and reference."""

    scale: ScoreScale
    reference: MonitorReference


def drawn(
    machine: tuple[str, str], exams: int, random: np.random.Generator, shift: float = 0.0
) -> dict[str, np.ndarray]:
    """Measures of a machine's exams; ``shift`` is added to the log odds, and by a tenth to greys."""
    offset, spacing = MACHINES[machine]
    odds = random.normal(-3 + offset + shift, 1, exams)
    greys = {
        name: middle + 0.02 * offset + 0.1 * shift + random.normal(0, 0.05, exams)
        for name, middle in (("dark_grey", 0.2), ("middle_grey", 0.45), ("bright_grey", 0.7))
    }
    return {
        SCORE: 1 / (1 + np.exp(-odds)),
        **greys,
        "breast_share": random.beta(20, 20, exams),
        "fine_detail": random.gamma(20, 0.0005, exams) * (1 + 0.3 * shift),
        "spacing_mm": np.full(exams, spacing),
    }


def made(each: dict[tuple[str, str], int] | int = 400, seed: int = 1, named: bool = True) -> Made:
    """Reference exams of every machine, one of a woman; ``named``: headers say which machine."""
    random = np.random.default_rng(seed)
    counts = dict.fromkeys(MACHINES, each) if isinstance(each, int) else each
    parts = {machine: drawn(machine, n, random) for machine, n in counts.items()}
    measures = {name: np.concatenate([part[name] for part in parts.values()]) for name in MEASURES}
    names = [machine for machine, n in counts.items() for _ in range(n)]
    machines = [machine if named else "" for _, machine in names]
    rows = pl.DataFrame(
        {
            "woman": [f"w{place}" for place in range(len(names))],
            "cancer": [False] * len(names),
            "outcome": ["negative"] * len(names),
            "maker": [maker for maker, _ in names],
            "machine": machines,
        }
    )
    scale = scale_of(Scored("exams", rows, {"score": measures[SCORE]}, 0), PrevalenceSettings())
    assert scale is not None
    exams = ReferenceExams(
        woman=np.arange(len(names)),
        weight=np.ones(len(names)),
        maker=np.array([maker for maker, _ in names]),
        machine=np.array(machines),
        measures=measures,
    )
    reference = fit_reference(exams, scale)
    assert reference is not None
    return Made(scale, reference)


def exam_rows(
    bundle: Made,
    machine: tuple[str, str],
    begin: date,
    exams: int,
    random: np.random.Generator,
    shift: float = 0.0,
    software: str | None = None,
) -> list[Row]:
    """Predictions of a machine's exams on days of one month; ``software`` is its new name."""
    measures = drawn(machine, exams, random, shift)
    maker, name = machine[0], software or machine[1]
    read = bundle.scale.read(measures[SCORE], [maker] * exams, [name] * exams)
    return [
        {
            "study_uid": f"2.25.{int(random.integers(1 << 62))}",
            "exam_date": begin + timedelta(place % 28),
            "maker": maker,
            "machine": name,
            **{measure: float(values[place]) for measure, values in measures.items()},
            "selected_at": [
                rate
                for rate, chosen in zip(
                    bundle.scale.selection_rates, read.selected[place], strict=True
                )
                if chosen
            ],
            "images": 4,
            "priors": 0,
        }
        for place in range(exams)
    ]


def months(first: date, count: int) -> list[date]:
    """The first days of calendar months."""
    whole = range(12 * first.year + first.month - 1, 12 * first.year + first.month - 1 + count)
    return [date(month // 12, month % 12 + 1, 1) for month in whole]


def steady(
    bundle: Made, random: np.random.Generator, exams: int = 100, count: int = 4
) -> list[Row]:
    """Months of every machine in which nothing changes."""
    return [
        row
        for machine in MACHINES
        for month in months(date(2024, 1, 1), count)
        for row in exam_rows(bundle, machine, month, exams, random)
    ]


def changed(bundle: Made, seed: int, software: str | None = None, shift: float = 1.2) -> list[Row]:
    """Four months of every machine, of which one is another from March on."""
    random = np.random.default_rng(seed)
    rows = []
    for machine in MACHINES:
        for month in months(date(2024, 1, 1), 4):
            moved = machine == SIEMENS and month >= CHANGE
            its_shift, its_software = (shift, software) if moved else (0.0, None)
            rows += exam_rows(bundle, machine, month, 120, random, its_shift, its_software)
    return rows


def write_bundle_card(bundle: Made, folder: Path, **changes: Any) -> Path:
    """What the watch reads of a bundle."""
    folder.mkdir(parents=True, exist_ok=True)
    about = {"checksum": CHECKSUM, "note": NOTE, "reference": asdict(bundle.reference)} | changes
    (folder / "bundle.json").write_text(json.dumps(about))
    return folder


def write_predictions(rows: Iterable[Row], folder: Path, checksum: str = CHECKSUM) -> Path:
    """A folder as ``mim predict`` leaves it."""
    table = PREDICTIONS.from_rows([*rows])
    write_table(table, folder / "predictions.parquet")
    said = table.select(["study_uid", SCORE]).to_pylist()
    about = {"model": {"checksum": checksum}, "exams": said}
    (folder / "predictions.json").write_text(json.dumps(about))
    return folder


def watched(bundle: Made, rows: Iterable[Row], folder: Path, least: int = 50) -> Found:
    """What the watch finds in predictions, written and read again."""
    read: Bundle = read_bundle(write_bundle_card(bundle, folder / "bundle"))
    settings = MonitorSettings(least_exams=least)
    out = write_predictions(rows, folder / "predictions")
    exams, counts = read_exams([out], read, settings.period)
    return compare(read, exams, counts, settings)
