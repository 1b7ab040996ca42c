"""Made tables of a national screening programme: an index with every column, and a registry.

``cohort.py`` makes them, at any size. No image lies behind the index; everything is drawn by seed.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from mim.schemas.cohort import ATTRITION
from mim.schemas.images import IMAGES
from mim.schemas.table import write_json, write_table
from mim.vocab import VIEW_SLOTS, Criterion, Landmark

FILE_ROWS = 50_000
"""Rows of one file of the index, as ``mim index`` writes them."""

MACHINES = (
    ("siemens", "SIEMENS", "Mammomat Inspiration", "VB30"),
    ("hologic", "HOLOGIC, Inc.", "Selenia Dimensions", "1.8"),
    ("ge", "GE MEDICAL SYSTEMS", "Senographe Essential", "57.10"),
    ("siemens", "SIEMENS", "Mammomat Revelation", "VC10"),
)


class Made:
    """A programme's exams and cancers as columns, from which index and registry are written.

    Cancers: 0.6 % of exams find one, 0.17 % are followed by an interval cancer; a woman's exams end
    with her diagnosis, but for one in twenty.
    """

    def __init__(self, women: int, seed: int) -> None:
        self.rng = rng = np.random.default_rng(seed)
        rounds = np.minimum(1 + rng.poisson(2.77, women), 9)
        last = np.datetime64("2023-12-31") - rng.integers(0, 1400, women)
        self.born = last.astype("datetime64[Y]").astype(int) + 1970 - 50 - 2 * rounds
        woman = np.repeat(np.arange(women), rounds)
        place = np.concatenate([np.arange(n) for n in rounds])
        before = (np.repeat(rounds, rounds) - place) * 731
        day = np.repeat(last, rounds) - before + rng.integers(-60, 61, len(woman))
        found = rng.random(len(woman))
        gap = np.where(found < 0.0061, rng.integers(4, 100, len(woman)), 9999)
        gap = np.where((found >= 0.0061) & (found < 0.0078), rng.integers(60, 720, len(woman)), gap)
        diagnosed = np.full(women, np.datetime64("2200-01-01"))
        np.minimum.at(diagnosed, woman, day + gap)
        stays = (day <= diagnosed[woman]) | (rng.random(len(woman)) < 0.05)
        self.woman, self.day = woman[stays], day[stays]
        again = np.flatnonzero(rng.random(len(self.day)) < 0.004)
        self.woman = np.append(self.woman, self.woman[again])
        self.day = np.append(self.day, self.day[again] + rng.integers(0, 6, len(again)))
        self.with_cancer = np.flatnonzero(diagnosed < np.datetime64("2024-06-01"))
        self.diagnosed = diagnosed
        self.exams = len(self.day)
        self.site = self.woman % 17
        year = self.day.astype("datetime64[Y]").astype(int) + 1970
        self.machine = (self.site + (year > 2012 + self.site % 7)) % len(MACHINES)

    def pseudonyms(self, count: int) -> pl.Series:
        """Names of 20 hexadecimal digits."""
        text = self.rng.bytes(10 * count).hex()
        return pl.Series([text[start : start + 20] for start in range(0, 20 * count, 20)])

    def some(self, count: int | tuple[int, int], share: float) -> NDArray[np.bool_]:
        return self.rng.random(count) < share


def patient_ids(women: NDArray[np.int64]) -> pl.Series:
    return numbered("0{}", women + 1_000_000_000)


def accession_numbers(exams: NDArray[np.int64]) -> pl.Series:
    return numbered("A{}", exams + 100_000_000)


def study_uids(exams: NDArray[np.int64]) -> pl.Series:
    return numbered("1.2.826.0.1.3680043.9.7133.1.{}", exams * 7919 + 10**12)


def numbered(pattern: str, numbers: NDArray[np.int64]) -> pl.Series:
    return pl.select(pl.format(pattern, pl.Series(numbers))).to_series()


def drawn(words: Sequence[str | None], places: NDArray[np.int64]) -> pl.Series:
    return pl.Series(list(words)).gather(places)


def word(where: NDArray[np.bool_], yes: str, no: str | None = None) -> pl.Series:
    return pl.select(pl.when(pl.Series(where)).then(pl.lit(yes)).otherwise(pl.lit(no))).to_series()


Columns = dict[str, Any]
"""Of one table, by their names."""


def write_registry(made: Made, folder: Path, marked: pl.Series) -> None:
    """The registry's tables as Parquet; one exam in 300 of the archive is not in it.

    ``marked``: SOP Instance UIDs of the images with landmarks.
    """
    folder.mkdir(parents=True)
    exam = np.flatnonzero(~made.some(made.exams, 1 / 300))
    ids = accession_numbers(exam)
    uids = pl.Series(made.some(len(exam), 0.3))
    exams = {
        "exam_id": ids,
        "woman_id": patient_ids(made.woman[exam]),
        "exam_date": made.day[exam],
        "study_uid": study_uids(exam).zip_with(uids, pl.Series([None], dtype=pl.String)),
        "site": numbered("unit {}", made.site[exam]),
    }
    tables = {"exams": exams, "women": _women(made), "cancers": _cancers(made)}
    tables |= _decisions_and_readings(made, exam, ids)
    tables |= _density_and_quality(made, ids)
    tables["landmarks"] = _landmarks(made, marked)
    for name, columns in tables.items():
        pl.DataFrame(columns, nan_to_null=True).write_parquet(folder / f"{name}.parquet")


def _women(made: Made) -> Columns:
    everyone = np.arange(len(made.born))
    last = np.full(len(everyone), np.datetime64("1900-01-01"))
    np.maximum.at(last, made.woman, made.day)
    stays = np.maximum(last, np.minimum(made.diagnosed, made.day.max()))
    left = stays + made.rng.integers(1, 900, len(last))
    return {
        "woman_id": patient_ids(everyone),
        "birth_year": made.born,
        "death_date": np.where(made.some(len(everyone), 0.03), left, np.datetime64("NaT")),
        "emigration_date": np.where(made.some(len(everyone), 0.01), left, np.datetime64("NaT")),
    }


def _cancers(made: Made) -> Columns:
    rng, ill = made.rng, made.with_cancer
    return {
        "woman_id": patient_ids(ill),
        "diagnosis_date": made.diagnosed[ill],
        "breast": drawn(["L", "R", None], rng.choice(3, len(ill), p=(0.49, 0.49, 0.02))),
        "invasive": made.some(len(ill), 0.8),
        "found_by": drawn(["screening", "symptoms", None], rng.choice(3, len(ill))),
    }


def _decisions_and_readings(
    made: Made, exam: NDArray[np.int64], ids: pl.Series
) -> dict[str, Columns]:
    """The first reader is suspicious of one breast of each exam that is discussed, or of both."""
    some, rng, count = made.some, made.rng, len(exam)
    until = (made.diagnosed[made.woman[exam]] - made.day[exam]).astype(int)
    found = (until >= 0) & (until < 100)
    discussed = found | some(count, 0.07)
    recalled = found | (discussed & some(count, 0.4))
    decided = some(count, 0.97)
    positive = np.repeat(discussed, 4) & some(4 * count, 0.4)
    positive[4 * np.flatnonzero(discussed) + rng.integers(0, 2, discussed.sum())] = True
    reader = np.arange(4 * count) // 2 % 2 + made.site[exam].repeat(4) * 2
    return {
        "decisions": {
            "exam_id": ids.filter(decided),
            "consensus": discussed[decided],
            "recalled": recalled[decided],
        },
        "readings": {
            "exam_id": ids.gather(np.repeat(np.arange(count), 4)),
            "reader": numbered("reader {}", reader),
            "breast": drawn("LR", np.tile([0, 1, 0, 1], count)),
            "score": np.where(positive, rng.integers(2, 6, 4 * count), 1),
        },
    }


def _density_and_quality(made: Made, ids: pl.Series) -> dict[str, Columns]:
    some, rng = made.some, made.rng
    read = np.flatnonzero(some(len(ids), 0.3))
    sides, views = zip(*VIEW_SLOTS, strict=True)
    return {
        "density": {
            "exam_id": ids.gather(read.repeat(2)),
            "breast": drawn("LR", np.tile([0, 1], len(read))),
            "density": drawn("abcd", rng.integers(0, 4, 2 * len(read))),
            "percent": rng.uniform(0, 60, 2 * len(read)),
        },
        "quality": {
            "exam_id": ids.gather(read.repeat(4)),
            "breast": drawn(sides, np.tile(np.arange(4), len(read))),
            "view": drawn(views, np.tile(np.arange(4), len(read))),
            "grade": drawn("PGMI", rng.integers(0, 4, 4 * len(read))),
            **{name.value: some(4 * len(read), 0.5) for name in Criterion},
        },
    }


def _landmarks(made: Made, marked: pl.Series) -> Columns:
    drawn_places = {
        f"{name}_{axis}": made.rng.uniform(0, 2500, len(marked))
        for name in Landmark
        for axis in "xy"
    }
    return {"sop_uid": marked, **drawn_places}


def write_index(made: Made, folder: Path) -> int:
    """An index with every column, one study for each exam but one in 60, one file in 25 left out."""
    with_images = np.flatnonzero(~made.some(made.exams, 1 / 60))
    slots = 1 + made.some((len(with_images), 4), 0.02)
    slots[made.some((len(with_images), 4), 0.01)] = 0
    times = np.append(slots, made.some((len(with_images), 1), 0.25), axis=1)
    study = np.repeat(np.arange(len(with_images)), times.sum(axis=1))
    slot = np.repeat(np.tile(np.arange(5), len(with_images)), times.ravel())
    names = {
        "exam": made.pseudonyms(len(with_images)),
        "woman": made.pseudonyms(len(made.born)),
    }
    unjoined = made.some(len(with_images), 0.1)
    kept = 0
    for part, start in enumerate(range(0, len(study), FILE_ROWS)):
        rows = slice(start, start + FILE_ROWS)
        frame = index_rows(made, with_images, study[rows], slot[rows], names, unjoined)
        kept += frame["reason"].null_count()
        path = folder / "images" / f"part-{part:05}.parquet"
        wanted = IMAGES.arrow()
        write_table(frame.select(wanted.names).to_arrow().cast(wanted), path)
    counts = {"kept": kept, "for processing": len(study) - kept}
    rows = [
        {"step": "index", "unit": "images", "reason": reason, "count": count}
        for reason, count in counts.items()
    ]
    write_table(ATTRITION.from_rows(rows), folder / "attrition.parquet")
    write_json(folder / "index.json", {"source": "/made"})
    return len(study)


def index_rows(
    made: Made,
    with_images: NDArray[np.int64],
    study: NDArray[np.int64],
    slot: NDArray[np.int64],
    names: dict[str, pl.Series],
    unjoined: NDArray[np.bool_],
) -> pl.DataFrame:
    """Rows of one file; a fifth slot is an image of any view that the index left out."""
    exam, rng = with_images[study], made.rng
    woman, count = made.woman[exam], len(study)
    left_out = slot == 4
    sides, views = zip(*VIEW_SLOTS, ("L", "MLO"), strict=True)
    sop = numbered("1.2.826.0.1.3680043.9.7133.3.{}", rng.integers(10**15, 10**16, count))
    second = numbered("20200131{}", rng.integers(100000, 235960, count))
    machine = pl.DataFrame(
        MACHINES, ["maker", "manufacturer", "model", "software_version"], orient="row"
    )
    frame = machine[made.machine[exam]].with_columns(
        pl.Series(name, values)
        for name, values in {
            "path": pl.select(
                pl.format(
                    "delivery {}/{}/{}.dcm", pl.Series(study // 200_000), pl.Series(study), sop
                )
            ).to_series(),
            "reason": word(left_out, "for processing"),
            "detail": word(left_out, "Presentation Intent Type FOR PROCESSING"),
            "woman": names["woman"].gather(woman),
            "exam": names["exam"].gather(study),
            "image": made.pseudonyms(count),
            "patient_id": patient_ids(woman),
            "study_uid": study_uids(exam),
            "series_uid": sop,
            "sop_uid": sop,
            "accession_number": accession_numbers(exam).zip_with(
                pl.Series(~unjoined[study]), pl.Series([None], dtype=pl.String)
            ),
            "study_date": made.day[exam],
            "acquired": second,
            "laterality": pl.Series(sides).gather(slot),
            "view": pl.Series(views).gather(slot),
            "presentation": word(left_out, "for processing", "for presentation"),
            "age_years": made.day[exam].astype("datetime64[Y]").astype(int)
            + 1970
            - made.born[woman],
        }.items()
    )
    same = {
        **{"bytes": 27_000_000, "modified_ns": 1_700_000_000_000_000_000, "frames": 1},
        **{
            "sop_class": "1.2.840.10008.5.1.4.1.1.1.2",
            "modality": "MG",
            "kind": "full-field digital",
        },
        **{"rows": 3328, "columns": 2560, "bits_stored": 12, "photometric": "MONOCHROME2"},
        **{"row_spacing_mm": 0.085, "column_spacing_mm": 0.085, "software": "VB30A/VB30"},
        **dict.fromkeys((n for n in IMAGES.arrow().names if n.endswith("_rule")), "ViewPosition"),
    }
    lists = [c.name for c in IMAGES.columns if str(c.type).startswith("list")]
    frame = frame.with_columns(**{n: pl.lit(value) for n, value in same.items()})
    frame = frame.with_columns(pl.lit([], pl.List(pl.String)).alias(n) for n in lists)
    rest = [n for n in IMAGES.arrow().names if n not in frame.columns]
    return frame.with_columns(pl.lit(None, pl.String).alias(n) for n in rest)


def make(folder: Path, women: int, seed: int) -> str:
    """Write ``folder/index`` and ``folder/registry``, and say how much that is."""
    made = Made(women, seed)
    images = write_index(made, folder / "index")
    marked = pl.scan_parquet(folder / "index/images/*.parquet").select("sop_uid").gather_every(50)
    write_registry(made, folder / "registry", marked.collect().to_series())
    return f"{made.exams} exams of {women} women, {images} image rows, seed {seed}"
