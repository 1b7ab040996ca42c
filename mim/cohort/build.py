"""From an index and a registry to a cohort: exams with images, outcome, priors and split.

``write_cohort`` leaves ``exams.parquet``, ``images.parquet``, ``attrition.parquet`` and
``cohort.json``, and where there is what they hold ``readings.parquet``, ``decisions.parquet``,
``scores.parquet``, ``cancers.parquet``, ``density.parquet``, ``quality.parquet``,
``lesions.parquet``, ``risk_factors.parquet`` and ``mirai.csv``. The index's pseudonyms name women, exams and images
there; Patient ID, Accession Number, UIDs and the registry's own names stay behind. Where several
studies are one exam, the first of their pseudonyms in alphabetical order names it.
"""

from dataclasses import asdict, replace
from pathlib import Path

import polars as pl

from mim import __version__
from mim.cohort.attrition import cohort_attrition, why_exams_left_out
from mim.cohort.examinations import add_priors, describe_examinations, find_exams
from mim.cohort.frames import write_frame
from mim.cohort.images import (
    COLUMNS,
    choose_images,
    read_studies,
    require_index,
    scan_index_images,
)
from mim.cohort.join import Joined, day_notices, join_studies, refuse_no_join
from mim.cohort.label_tables import LabelTables, count_labels, find_labels
from mim.cohort.labels import last_day
from mim.cohort.mirai import write_mirai
from mim.cohort.registry import Registry, read_registry
from mim.cohort.repeats import Merged, date_notices, merge_repeats
from mim.cohort.settings import CohortSettings, OutcomeSettings
from mim.cohort.splits import check_shares, divide_exams
from mim.cohort.summary import cohort_counts, followup_notices, print_summary
from mim.errors import InputError
from mim.schemas import registry as schemas
from mim.schemas.cohort import (
    ATTRITION,
    CANCERS,
    DECISIONS,
    DENSITY,
    EXAMS,
    IMAGES,
    LESIONS,
    QUALITY,
    READINGS,
    SCORES,
)
from mim.schemas.table import Schema, read_table, write_json, write_table
from mim.vocab import Reason

RISK_FACTORS = Schema(
    "risk factors", ("exam",), (EXAMS.columns[0], *schemas.RISK_FACTORS.columns[1:])
)
"""What the registry says of the woman at the exam, under the exam's pseudonym."""


def write_cohort(index: Path, registry: Path, out: Path, settings: CohortSettings) -> int:
    """Join an index with a registry and write the cohort to ``out``.

    Returns the number of studies left out because index and registry contradict each other; by
    kind they are printed and stand in ``cohort.json``.

    Raises:
        InputError: a table breaks its schema, no exam joins, or no outcome, density or quality is
            known.
    """
    check_shares(settings.splits)
    require_index(index)
    note = _note_of(registry)
    indexed = read_table(index / "attrition.parquet", ATTRITION)
    tables = read_registry(registry)
    studied = read_studies(index)
    joined = join_studies(_one_a_day(tables.exams), studied)
    refuse_no_join(tables.exams, joined, index, registry)
    merged = merge_repeats(tables, settings.priors.same_exam_days)
    examinations = describe_examinations(merged.registry, settings.outcomes)
    examinations = examinations.join(_sites(tables.exams, merged), "exam_id", maintain_order="left")
    studies = _by_examination(joined, merged, examinations)
    images = choose_images(scan_index_images(index, COLUMNS), studies, settings.stand_ins.reasons())
    found = find_exams(examinations, studies, images.filter(pl.col("left_out").is_null()))
    labels = find_labels(merged.registry, found, images, index)
    _refuse_no_outcome(found, labels, registry, settings.outcomes)
    division = divide_exams(found, settings.splits)
    found = found.with_columns(division.exams.select("split", "fold", "held_out"))
    exams = add_priors(found.filter(~pl.col("held_out")), settings.priors)
    held_out = found.filter("held_out")["examination"]
    images = _hold_out(images, held_out)
    attrition = cohort_attrition(
        indexed,
        why_exams_left_out(examinations, studies["examination"], held_out, exams["examination"]),
        images["left_out"],
        repeated=tables.exams.height - examinations.height,
    )
    kept = _of_exams(images, exams)
    _write_tables(exams, kept, labels, merged.registry.risk_factors, out)
    written = _write_mirai(exams, kept, out, settings.mirai_csv)
    write_table(attrition, out / "attrition.parquet")
    notices = [*tables.notices, *date_notices(tables.exams)]
    notices += [*day_notices(tables.exams, studied, joined), *labels.notices]
    notices += [*followup_notices(tables, settings.outcomes), *division.notices, *written]
    # With the salt that was found, so that these settings divide so again.
    splits = replace(settings.splits, salt=division.salt, best_of=1)
    counts = cohort_counts(count_labels(exams, labels), joined)
    about = {
        "mim": __version__,
        "index": str(index.absolute()),
        "note": note,
        "registry_end": _end_of(merged.registry, settings.outcomes),
        "settings": asdict(replace(settings, splits=splits)),
        "counts": counts,
        "problems": joined.problems,
        "notices": notices,
    }
    write_json(out / "cohort.json", about)
    print_summary(counts, attrition, notices, joined.problems)
    return sum(joined.problems.values())


def _end_of(registry: Registry, settings: OutcomeSettings) -> str | None:
    """The day up to which cancers are known; None where outcomes are given instead of dates."""
    end = last_day(registry, settings.registry_date)
    return None if end is None or registry.outcomes.height else end.isoformat()


def _one_a_day(exams: pl.DataFrame) -> pl.DataFrame:
    """The exams to be joined: of a woman's exams on one day, one examination, only one by its day."""
    first = pl.struct("woman_id", "exam_date").is_first_distinct()
    return exams.sort("exam_id").with_columns(exam_date=pl.when(first).then("exam_date"))


def _sites(exams: pl.DataFrame, merged: Merged) -> pl.DataFrame:
    """For each examination, by the ``exam_id`` of its first exam, the ``sites`` of all of them."""
    of = merged.of.select("exam_id", first="examination")
    sites = exams.select("exam_id", "site").join(of, on="exam_id").group_by(exam_id="first")
    return sites.agg(sites=pl.col("site").drop_nulls().unique().sort())


def _by_examination(joined: Joined, merged: Merged, examinations: pl.DataFrame) -> pl.DataFrame:
    """The studies that joined, as ``choose_images`` and ``find_exams`` take them."""
    numbers = examinations.select("examination", "exam_id", "after_diagnosis")
    of = merged.of.rename({"examination": "first"})
    return (
        joined.studies.join(of, on="exam_id")
        .join(numbers, left_on="first", right_on="exam_id")
        .select("exam", "woman", "joined_by", "examination", "days_after", "after_diagnosis")
    )


def _hold_out(images: pl.DataFrame, held_out: pl.Series) -> pl.DataFrame:
    hers = pl.col("left_out").is_null() & pl.col("examination").is_in(held_out.implode())
    reason = pl.when(hers).then(pl.lit(Reason.HELD_OUT.value)).otherwise("left_out")
    return images.with_columns(left_out=reason)


def _of_exams(images: pl.DataFrame, exams: pl.DataFrame) -> pl.DataFrame:
    """The images in use, with ``exam``, in the order in which they are written."""
    used = images.filter(pl.col("left_out").is_null())
    named = used.join(exams.select("examination", "exam"), on="examination")
    return named.sort("exam", "laterality", "view")


def _write_tables(
    exams: pl.DataFrame,
    images: pl.DataFrame,
    labels: LabelTables,
    risk_factors: pl.DataFrame,
    out: Path,
) -> None:
    """Write the cohort's tables, and remove those of an earlier cohort that it has not.

    Without ``cohort.json``, which is written last, no command takes a folder for a cohort.
    """
    (out / "cohort.json").unlink(missing_ok=True)
    write_frame(exams, EXAMS, out / "exams.parquet")
    write_frame(images, IMAGES, out / "images.parquet")
    names = exams.select("exam_id", "exam")
    perhaps = {
        "readings": (labels.readings, READINGS),
        "decisions": (labels.decisions, DECISIONS),
        "scores": (labels.scores, SCORES),
        "cancers": (labels.cancers, CANCERS),
        "density": (labels.density, DENSITY),
        "quality": (labels.quality, QUALITY),
        "lesions": (labels.lesions, LESIONS),
        "risk_factors": (risk_factors.join(names, on="exam_id"), RISK_FACTORS),
    }
    for name, (table, schema) in perhaps.items():
        path = out / f"{name}.parquet"
        path.unlink(missing_ok=True)
        hers = table.join(names, on="exam", how="semi")
        if hers.height:
            write_frame(hers.sort(schema.key), schema, path)


def _write_mirai(exams: pl.DataFrame, images: pl.DataFrame, out: Path, wanted: bool) -> list[str]:
    """Write or remove ``mirai.csv``; a notice of what it lacks."""
    (out / "mirai.csv").unlink(missing_ok=True)
    if not wanted:
        return []
    left_out = write_mirai(exams, images, out / "mirai.csv")
    return [f"mirai.csv: {left_out} exams left out, as their years are not known"]


def _refuse_no_outcome(
    exams: pl.DataFrame, labels: LabelTables, registry: Path, settings: OutcomeSettings
) -> None:
    """Stop where there is nothing to learn or measure: no exam, or nothing known of them."""
    if exams.is_empty():
        raise InputError(
            f"{registry}: the exams that join the index are all after a diagnosis or without a "
            "usable image; compare the cancers' days, and what the index left out"
        )
    known = exams["left_cancer"].count() + exams["right_cancer"].count()
    if known or labels.density.height or labels.quality.height:
        return
    raise InputError(
        f"{registry}: no exam of the cohort has a known outcome, for none is followed for "
        f"outcomes.interval_days={settings.interval_days}; fill in women.followup_end, add "
        "the cancers' latest years, or lower that setting"
    )


def _note_of(registry: Path) -> str:
    """What the registry wants said wherever a figure of its data stands; nothing where it is silent."""
    path = registry / "note.txt"
    try:
        return path.read_text(encoding="utf-8-sig").strip() if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: it is not UTF-8; save it as text in UTF-8") from error
