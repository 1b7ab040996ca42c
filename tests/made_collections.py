"""Small copies of public collections' layouts, made up, and the way from one to a cohort."""

from pathlib import Path

import polars as pl
from made_files import dicom

from mim.adapters.adapt import read_dataset
from mim.adapters.adapted import Adapted, write_adapted
from mim.adapters.settings import Dataset
from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings
from mim.ingest.index import write_index
from mim.ingest.settings import IndexSettings
from mim.workers.settings import WorkersSettings

FOUR = (("L", "CC"), ("L", "MLO"), ("R", "CC"), ("R", "MLO"))


def table(header: str, *rows: str, end: str = "\n", bom: bool = False) -> bytes:
    """A CSV table as bytes."""
    return (end.join([header, *rows, ""])).encode("utf-8-sig" if bom else "utf-8")


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def put_image(path: Path, number: int, **elements: object) -> None:
    """A left CC image whose header names nobody, with the elements given."""
    bare = {"PatientID": None, "StudyDate": None, "StudyInstanceUID": None}
    put(path, dicom(**bare | {"SOPInstanceUID": f"1.9.{number}"} | elements))


def rows_of(frame: pl.DataFrame, *columns: str) -> list[tuple[object, ...]]:
    """The rows of some columns, sorted."""
    return sorted(frame.select(columns).rows(), key=str)


def to_cohort(
    dataset: Dataset, source: Path, out: Path, settings: CohortSettings | None = None
) -> tuple[Adapted, pl.DataFrame]:
    """Adapt, index and make the cohort, as the commands do: what was adapted, and its exams."""
    adapted = read_dataset(dataset, source, out / "adapted")
    write_adapted(adapted, out / "adapted")
    write_index(
        adapted.images,
        out / "index",
        IndexSettings(overrides=str(out / "adapted" / "overrides.parquet"), pictures=0),
        WorkersSettings(workers=1),
    )
    write_cohort(
        out / "index", out / "adapted" / "registry", out / "cohort", settings or CohortSettings()
    )
    return adapted, pl.read_parquet(out / "cohort" / "exams.parquet")
