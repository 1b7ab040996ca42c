"""From an index and a registry to a cohort: exams with images, outcome, priors and split.

``write_cohort`` leaves ``exams.parquet``, ``images.parquet``, ``attrition.parquet`` and
``cohort.json``. The index's pseudonyms name women, exams and images there; Patient ID, Accession
Number, UIDs and the registry's own names stay behind. Where several studies are one exam, the
first of their pseudonyms in alphabetical order names it.
"""

from dataclasses import asdict
from pathlib import Path

import polars as pl
import pyarrow as pa

from mim import __version__
from mim.cohort.attrition import cohort_attrition, why_exams_left_out
from mim.cohort.images import choose_images, read_index_images, require_index
from mim.cohort.join import KEYS, join_studies, refuse_no_join
from mim.cohort.labels import label_exams
from mim.cohort.priors import find_priors
from mim.cohort.registry import Registry, read_registry
from mim.cohort.settings import CohortSettings, OutcomeSettings, PriorSettings
from mim.cohort.splits import check_shares, split_of
from mim.cohort.summary import cohort_counts, followup_notices, print_summary
from mim.errors import InputError
from mim.schemas.cohort import ATTRITION, EXAMS, IMAGES
from mim.schemas.table import Schema, read_table, write_json, write_table

TEXT = pl.String()
RANK = {key: rank for rank, key in enumerate(KEYS)}


def write_cohort(index: Path, registry: Path, out: Path, settings: CohortSettings) -> int:
    """Join an index with a registry and write the cohort to ``out``.

    Returns the number of studies left out because index and registry contradict each other; by
    kind they are printed and stand in ``cohort.json``.

    Raises:
        InputError: a table breaks its schema, no exam joins, or no outcome is known.
    """
    check_shares(settings.splits)
    require_index(index)
    indexed = read_table(index / "attrition.parquet", ATTRITION)
    tables = read_registry(registry)
    images = read_index_images(index)
    joined = join_studies(tables.exams, images)
    refuse_no_join(tables.exams, joined, index, registry)
    labels = label_exams(tables, settings.outcomes)
    candidates = joined.studies.join(labels, on="exam_id")
    used = choose_images(images, candidates, settings.stand_ins.reasons())
    del images
    kept = used.filter(pl.col("left_out").is_null())
    exams = make_exams(tables, labels, joined.studies, kept, settings)
    _refuse_no_outcome(exams, registry, settings.outcomes)
    left_out = why_exams_left_out(labels, joined.studies["exam_id"], kept["exam_id"])
    attrition = cohort_attrition(indexed, left_out, used)
    notices = [*tables.notices, *followup_notices(tables)]
    _write(exams, EXAMS, out / "exams.parquet")
    _write(_images_of(kept, exams), IMAGES, out / "images.parquet")
    write_table(attrition, out / "attrition.parquet")
    about = {
        "mim": __version__,
        "index": str(index.absolute()),
        "note": _note_of(registry),
        "settings": asdict(settings),
        "counts": cohort_counts(exams, joined),
        "problems": joined.problems,
        "notices": notices,
    }
    write_json(out / "cohort.json", about)
    print_summary(exams, attrition, notices, joined.problems)
    return sum(joined.problems.values())


def make_exams(
    tables: Registry,
    labels: pl.DataFrame,
    studies: pl.DataFrame,
    kept: pl.DataFrame,
    settings: CohortSettings,
) -> pl.DataFrame:
    """The cohort's exams with ``exam_id`` beside the columns of ``mim.schemas.cohort.EXAMS``.

    ``studies`` joined an exam, ``kept`` are the images in use; both carry ``exam_id``. The maker
    is that of most of the exam's images (of equals the first by name), the age that of the year
    of birth, else the lowest in the headers.
    """
    names = studies.group_by("exam_id").agg(
        pl.col("exam", "woman").min(),
        pl.col("joined_by").sort_by(pl.col("joined_by").replace_strict(RANK)).first(),
    )
    makers = kept.group_by("exam_id", "maker").len().sort("len", "maker", descending=[True, False])
    exams = (
        tables.exams.join(names, on="exam_id")
        .join(makers.group_by("exam_id", maintain_order=True).first(), on="exam_id")
        .join(kept.group_by("exam_id").agg(pl.col("age_years").min()), on="exam_id")
        .join(labels, on="exam_id")
        .join(tables.women.select("woman_id", "birth_year"), on="woman_id", how="left")
        .join(tables.density.group_by("exam_id").agg(pl.col("density").max()), "exam_id", "left")
        .with_columns(
            pl.coalesce(pl.col("exam_date").dt.year() - pl.col("birth_year"), "age_years").alias(
                "age_years"
            ),
        )
    )
    splits = exams.select(pl.col("woman").unique())
    splits = splits.with_columns(
        split=pl.Series([split_of(w, settings.splits).value for w in splits["woman"]], dtype=TEXT)
    )
    priors = _pair_priors(exams, settings.priors)
    makers_of = dict(exams.select("exam", "maker").iter_rows())
    missing = {name: None for name in EXAMS.arrow().names if "_years_" in name}
    return (
        exams.join(splits, on="woman")
        .join(priors, on="exam")
        .with_columns(
            pl.col("priors")
            .list.eval(pl.element().replace_strict(makers_of, return_dtype=TEXT))
            .alias("prior_makers")
        )
        .with_columns(fold=None, machine=None, **missing)
        .sort("woman", "exam_date", "exam")
    )


def _pair_priors(exams: pl.DataFrame, settings: PriorSettings) -> pl.DataFrame:
    """For each exam of the cohort its priors, which are exams of the cohort too."""
    names: list[str] = []
    priors: list[list[str]] = []
    gaps: list[list[float]] = []
    women = exams.group_by("woman").agg("exam", "exam_date")
    for hers, days in women.select("exam", "exam_date").iter_rows():
        others = list(zip(hers, days, strict=True))
        for name, day in others:
            found = find_priors(day, others, settings)
            names.append(name)
            priors.append([prior for prior, _ in found])
            gaps.append([months for _, months in found])
    return pl.DataFrame(
        [
            pl.Series("exam", names, TEXT),
            pl.Series("priors", pa.array(priors, pa.list_(pa.string()))),
            pl.Series("months_before", pa.array(gaps, pa.list_(pa.float64()))),
        ]
    )


def _images_of(kept: pl.DataFrame, exams: pl.DataFrame) -> pl.DataFrame:
    """The images in use under the name of their exam, which may join several studies."""
    names = exams.select("exam_id", "exam")
    return kept.drop("exam").join(names, on="exam_id").sort("exam", "laterality", "view")


def _refuse_no_outcome(exams: pl.DataFrame, registry: Path, settings: OutcomeSettings) -> None:
    if exams["left_cancer"].count() + exams["right_cancer"].count() == 0:
        raise InputError(
            f"{registry}: no exam of the cohort has a known outcome, for none is followed for "
            f"outcomes.interval_days={settings.interval_days}; fill in women.followup_end, add "
            "the cancers' latest years, or lower that setting"
        )


def _note_of(registry: Path) -> str:
    """What the registry wants said wherever a figure of its data stands; nothing where it is silent."""
    path = registry / "note.txt"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _write(frame: pl.DataFrame, schema: Schema, path: Path) -> None:
    wanted = schema.arrow()
    write_table(frame.select(wanted.names).to_arrow().cast(wanted), path)
