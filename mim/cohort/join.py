"""Joining the registry's exams to the index's studies.

A study joins the exam whose ``study_uid`` it carries; else the one whose ``exam_id`` is its
Accession Number; else the only one of its woman on its day. In each case the study's Patient ID
must be the exam's ``woman_id``: what is joined across women is a fault of linkage, and a woman
under two names could stand in two splits. Two exams of a woman on one day cannot be told apart by
the day, so they join by the other keys only. Several studies may join one exam.
"""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from mim.errors import InputError

STUDY = ("exam", "woman", "patient_id", "study_uid", "accession_number", "study_date")
"""What a study is joined by: columns of the index's ``images.parquet``."""

KEYS = ("study uid", "accession number", "woman and date")
"""The values of ``joined_by``, in the order in which they are tried."""


@dataclass
class Joined:
    """``studies``: exam (pseudonym of the study), woman, exam_id, joined_by; joined ones only.

    ``faults``: exam (pseudonym), fault; the studies left out for a fault of linkage.
    ``problems``: how many of them there are of each fault.
    """

    studies: pl.DataFrame
    faults: pl.DataFrame
    problems: dict[str, int]


def join_studies(exams: pl.DataFrame, variants: pl.DataFrame) -> Joined:
    """Find the registry's exam of each study; ``variants`` are an index's distinct rows of ``STUDY``.

    Images of one study may differ in accession number or date; they must agree on the woman and,
    where they join, on the exam.
    """
    studies = (
        _with_candidates(exams, variants)
        .group_by("exam")
        .agg(
            pl.col("woman").min(),
            pl.col("exam_id").min(),
            pl.col("tried").min(),
            several_women=_differ("patient_id"),
            several_exams=_differ("exam_id"),
            not_hers=pl.col("not_hers").any(),
        )
    )
    fault = (
        pl.when("several_women")
        .then(pl.lit("images of one study carry different Patient IDs"))
        .when("several_exams")
        .then(pl.lit("images of one study belong to different exams"))
        .when(pl.col("exam_id").is_null() & pl.col("not_hers"))
        .then(pl.lit("the images' Patient ID is missing or is not the exam's woman"))
    )
    studies = studies.with_columns(fault=fault)
    counts = studies.drop_nulls("fault")["fault"].value_counts().sort("fault").rows()
    joined = studies.filter(pl.col("fault").is_null() & pl.col("exam_id").is_not_null())
    names = dict(enumerate(KEYS))
    joined = joined.with_columns(
        joined_by=pl.col("tried").replace_strict(names, return_dtype=pl.String)
    )
    return Joined(
        joined.select("exam", "woman", "exam_id", "joined_by").sort("exam"),
        studies.drop_nulls("fault").select("exam", "fault").sort("exam"),
        dict(counts),
    )


def doubtful_studies(exams: pl.DataFrame, variants: pl.DataFrame, joined: Joined) -> pl.DataFrame:
    """Studies that joined no exam though a key names one: exam, exam_id, doubt.

    One row for each exam named by UID, by accession number, or by woman and day, so that people
    can settle it; ``variants`` and ``joined`` as in ``join_studies``.
    """
    apart = variants.join(joined.studies, on="exam", how="anti")
    named = [
        apart.join(exams.select(*theirs, named="exam_id"), left_on=own, right_on=theirs)
        for own, theirs in (
            (["study_uid"], ["study_uid"]),
            (["accession_number"], ["exam_id"]),
            (["patient_id", "study_date"], ["woman_id", "exam_date"]),
        )
    ]
    found = pl.concat([one.select("exam", exam_id="named") for one in named]).unique()
    return found.join(joined.faults, on="exam", how="left").select(
        "exam",
        "exam_id",
        doubt=pl.col("fault").fill_null("its woman has several exams on its day"),
    )


def day_notices(exams: pl.DataFrame, variants: pl.DataFrame, joined: Joined) -> list[str]:
    """One line where studies joined by UID or Accession Number were made on another day.

    Such a day decides outcomes and priors, so a fault in it is a fault of the labels.
    """
    days = variants.select("exam", "study_date").drop_nulls().unique("exam")
    both = joined.studies.join(days, on="exam").join(exams, on="exam_id")
    other = both.filter((pl.col("study_date") - pl.col("exam_date")).dt.total_days().abs() > 1)
    if other.is_empty():
        return []
    return [
        f"studies whose Study Date is over a day from the registry's exam_date: {other.height} of "
        f"{both.height}; the registry's counts, so make sure that it is right"
    ]


def refuse_no_join(exams: pl.DataFrame, joined: Joined, index: Path, registry: Path) -> None:
    """Stop where nothing joined, saying what was tried (``InputError``)."""
    if joined.studies.height:
        return
    faults = "".join(f"; {count} studies: {fault}" for fault, count in joined.problems.items())
    raise InputError(
        f"{registry}: none of its {exams.height} exams joins a study of {index}; tried study_uid "
        f"({exams['study_uid'].count()} given) with Study Instance UID, exam_id with Accession "
        "Number, and woman_id and exam_date with Patient ID and Study Date, woman_id always being "
        f"the Patient ID{faults}; write them as in the DICOM headers (leading zeros too), or give "
        "patient_id, study_uid, accession_number or study_date by index.overrides"
    )


def _differ(column: str) -> pl.Expr:
    """Whether a group has two values; quicker at full size than to count them."""
    return (pl.col(column).min() != pl.col(column).max()).fill_null(False)


def _with_candidates(exams: pl.DataFrame, variants: pl.DataFrame) -> pl.DataFrame:
    """``exam_id`` of each variant, the key that found it (``tried``), or ``not_hers``."""
    by_uid = exams.drop_nulls("study_uid").select(
        "study_uid", uid_exam="exam_id", uid_woman="woman_id"
    )
    by_accession = exams.select(
        accession_number="exam_id", accession_exam="exam_id", accession_woman="woman_id"
    )
    by_day = exams.select(patient_id="woman_id", study_date="exam_date", day_exam="exam_id").filter(
        pl.struct("patient_id", "study_date").is_unique()
    )
    found = (
        variants.join(by_uid, on="study_uid", how="left")
        .join(by_accession, on="accession_number", how="left")
        .join(by_day, on=["patient_id", "study_date"], how="left")
    )
    by_right_uid = (pl.col("uid_woman") == pl.col("patient_id")).fill_null(False)
    by_right_accession = (pl.col("accession_woman") == pl.col("patient_id")).fill_null(False)
    tried = (
        pl.when(by_right_uid)
        .then(0)
        .when(pl.col("uid_exam").is_not_null())
        .then(None)
        .when(by_right_accession)
        .then(1)
        .when(pl.col("day_exam").is_not_null())
        .then(2)
    )
    return found.with_columns(tried=tried).with_columns(
        exam_id=pl.when(tried=0)
        .then("uid_exam")
        .when(tried=1)
        .then("accession_exam")
        .when(tried=2)
        .then("day_exam"),
        not_hers=pl.col("tried").is_null()
        & (pl.col("uid_exam").is_not_null() | pl.col("accession_exam").is_not_null()),
    )
