"""Reports on made-up score tables, and a reader of their pages."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa

from mim.evaluate.material import Material
from mim.evaluate.reference import read_reference
from mim.evaluate.report import Summary, write_report
from mim.evaluate.sample import read_models, scored_by, take_sample
from mim.evaluate.scale import scale_of
from mim.evaluate.settings import EvaluateSettings, PrevalenceSettings
from mim.schemas.cohort import ATTRITION
from mim.schemas.scores import DENSITY_SCORES, QUALITY_SCORES, RISK_SCORES, SCORES
from mim.schemas.table import write_table
from mim.vocab import Criterion, Landmark, Split, Task

NOTE = "Made-up data: shows that the mechanism works <never> clinical performance."
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
VOID = {"meta", "link", "br", "img", "input"}


def score_table(split: str, seed: int, women: int = 60) -> pa.Table:
    generator = np.random.default_rng(seed)
    rows = []
    for woman in range(women):
        maker = ("siemens", "ge", "hologic")[woman % 3] if woman else "philips"
        for side in "LR":
            kind = generator.choice(
                ["negative", "screen-detected cancer", "interval cancer", "unknown"],
                p=[0.6, 0.2, 0.1, 0.1],
            )
            sick = kind.endswith("cancer")
            rows.append(
                {
                    "woman": f"w{woman}",
                    "exam": f"{split} {woman}",
                    "breast": side,
                    "score": None if woman == 7 else float(generator.beta(3 if sick else 1.5, 3)),
                    "cancer": None if kind == "unknown" else bool(sick),
                    "outcome": str(kind),
                    "maker": maker,
                    "split": split,
                    "priors": 0,
                }
            )
    return SCORES.from_rows(rows)


def risk_table(split: str, seed: int, women: int = 60) -> pa.Table:
    """Risks that are true of times to cancer."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        hazard = float(np.exp(generator.normal(-2, 0.8)))
        cancer, followed = generator.exponential(1 / hazard), generator.uniform(0, 6)
        rows.append(
            {name: row[name] for name in ("woman", "exam", "breast", "maker", "split", "priors")}
            | {
                "risk": list(1 - np.exp(-hazard * np.arange(1, 5))) if row["score"] else None,
                "years_to_cancer": cancer if cancer < followed else None,
                "years_followed": followed,
            }
        )
    return RISK_SCORES.from_rows(rows)


def density_table(split: str, seed: int, women: int = 60) -> pa.Table:
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        scale = generator.normal(1.5, 1)
        chances = np.exp(-((np.arange(4) - scale - generator.normal(0, 0.6)) ** 2))
        chances /= chances.sum()
        rows.append(
            {name: row[name] for name in ("woman", "exam", "breast", "maker", "split")}
            | {f"probability_{letter}": p for letter, p in zip("abcd", chances, strict=True)}
            | {
                "score": float(chances @ np.arange(4)) / 3,
                "density": "abcd"[int(np.clip(round(scale), 0, 3))],
                "percent": 30 + 8 * scale,
                "percent_known": 30 + 8 * scale + generator.normal(0, 4),
            }
        )
    return DENSITY_SCORES.from_rows(rows)


def quality_table(split: str, seed: int, women: int = 60) -> pa.Table:
    """Landmarks about 3 mm off in each direction; graded by the rules, as readers are."""
    generator = np.random.default_rng(seed)
    rows = []
    for row in score_table(split, seed, women).to_pylist():
        for view in ("CC", "MLO"):
            truth = {"nipple": [300, 420]} | (
                {"pectoral_upper": [180, 0], "pectoral_lower": [0, 450]} if view == "MLO" else {}
            )
            found = {
                name: np.array(truth.get(name, [np.nan, np.nan])) + generator.normal(0, 10, 2)
                for name in Landmark
            }
            known = {name: bool(generator.random() < 0.6) for name in Criterion}
            rows.append(
                {name: row[name] for name in ("woman", "exam", "breast", "maker", "split")}
                | {"image": f"{row['exam']} {row['breast']} {view}", "view": view}
                | {"spacing_mm": 0.3}
                | {
                    f"{name}_{axis}": at
                    for name in truth
                    for axis, at in zip("xy", found[name], strict=True)
                }
                | {
                    f"known_{name}_{axis}": at
                    for name in truth
                    for axis, at in zip("xy", truth[name], strict=True)
                }
                | {f"{name}_visible": float(name in truth) for name in Landmark}
                | {f"known_{name}_visible": name in truth for name in Landmark}
                | {
                    name: float(generator.beta(4, 2) if yes else generator.beta(2, 4))
                    for name, yes in known.items()
                }
                | {f"known_{name}": yes for name, yes in known.items()}
                | {
                    "grade": "PGMI"[generator.integers(4)],
                    "known_grade": "PGMI"[generator.integers(4)],
                }
            )
    return QUALITY_SCORES.from_rows(rows)


def tables(split: str, seed: int) -> dict[Task, pa.Table]:
    """Score tables of all tasks."""
    return {
        Task.CANCER: score_table(split, seed),
        Task.RISK: risk_table(split, seed),
        Task.DENSITY: density_table(split, seed),
        Task.QUALITY: quality_table(split, seed),
    }


def attrition_table() -> pa.Table:
    rows = [
        ("index", "images", "kept", 4321),
        ("index", "images", "spot", 30),
        ("index", "images", "unreadable", 2),
        ("cohort", "images", "kept", 4000),
        ("cohort", "images", "repeated view", 21),
    ]
    names = ("step", "unit", "reason", "count")
    return ATTRITION.from_rows([dict(zip(names, row, strict=True)) for row in rows])


class Page(HTMLParser):
    """Reads a page; fails where tags do not close in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.rows: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "tr":
            self.rows.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)
        if self.rows and "tr" in self.open:
            self.rows[-1] += f" {data.strip()}"

    def rows_of(self, start: str) -> list[str]:
        """Rows of tables that begin so, in one line each."""
        rows = (" ".join(row.split()) for row in self.rows)
        return [row for row in rows if row.startswith(start)]

    def row(self, start: str) -> str:
        return self.rows_of(start)[0]


def scored(tables: Sequence[pa.Table], folder: Path) -> dict[str, Any]:
    """Sample, validation exams and scales of score tables that hold their outcomes, for a report."""
    path = folder / "model a.parquet"
    write_table(pa.concat_tables([table.cast(SCORES.arrow()) for table in tables]), path)
    reference, (models, _) = read_reference(path, None), read_models([path])
    found = {"sample": take_sample(reference, models, Split.TEST)}
    if len(tables) > 1:
        validation = scored_by(reference, models[0], Split.VALIDATION)
        assert validation is not None
        scale = scale_of(validation, PrevalenceSettings())
        found |= {"validation": {"model a": validation}, "scales": {"model a": scale}}
    return found


def report(
    scores: pa.Table | dict[Task, pa.Table], out: Path, sheet: Path | None, resamples: int = 200
) -> Summary:
    """A report with attrition, and thresholds of validation exams where cancer is scored."""
    tables = scores if isinstance(scores, dict) else {Task.CANCER: scores}
    material = Material(
        "Model A & B", NOTE, "test", tables=tables, attrition=attrition_table(), contact_sheet=sheet
    )
    with TemporaryDirectory() as folder:
        if Task.CANCER in tables:
            both = [tables[Task.CANCER], score_table("validation", 2)]
            material = replace(material, **scored(both, Path(folder)))
        return write_report(material, out, EvaluateSettings(resamples=resamples, seed=4))
