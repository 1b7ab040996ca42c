"""The cohort as one would write it in pandas: a function for each woman, applied by groupby.

It reads the tables of ``cohort_tables.py`` and gives what ``mim cohort`` writes there, by the text
of docs/outcomes.md and docs/priors-and-splits.md. What those tables never have (dates missing,
stand-ins, outcomes given, a woman under two names) it does not know. ``cohort.py`` calls it.
"""

import math
from collections.abc import Iterator
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import pyarrow as pa

from mim.cohort.settings import CohortSettings
from mim.schemas.cohort import EXAMS, IMAGES

try:
    import pandas as pd
except ModuleNotFoundError:
    print("no comparison without pandas; pip install pandas")
    raise SystemExit from None

DAYS_PER_MONTH = 30.4375
SIDES = {"L": "left", "R": "right"}
OF_IMAGES = (
    *("exam", "woman", "image", "reason", "laterality", "view", "maker", "model", "age_years"),
    *("software_version", "patient_id", "study_uid", "accession_number", "study_date"),
    *("acquired", "sop_uid", "path", "row_spacing_mm"),
)
CANCERS = ("screen-detected cancer", "interval cancer")


def make_cohort(folder: Path, settings: CohortSettings) -> tuple[pa.Table, pa.Table]:
    """Rows of ``EXAMS`` and ``IMAGES``, in the order of ``mim cohort``."""
    names = ("women", "exams", "decisions", "readings", "cancers", "density")
    tables = {name: pd.read_parquet(folder / "registry" / f"{name}.parquet") for name in names}
    exams = tables["exams"].sort_values(["woman_id", "exam_date", "exam_id"])
    by_woman = exams.groupby("woman_id", sort=False, group_keys=False)
    exams["examination"] = by_woman[["exam_id", "exam_date"]].apply(
        first_of_repeats, settings.priors.same_exam_days
    )
    first = exams.drop_duplicates("examination")
    known = label(first, exams.set_index("exam_id")["examination"], tables, settings)
    images, joined_by = choose(folder, exams)
    images = images[~images["examination"].map(known["after_diagnosis"])]
    made = describe(first, known, images, joined_by, tables["women"])
    made = made.merge(denser(tables["density"], exams), on="examination", how="left")
    made["split"] = made["woman"].map({w: split_of(w, settings) for w in made["woman"].unique()})
    made = made.sort_values(["woman", "exam_date", "exam"])
    of_woman = made.groupby("woman", sort=False, group_keys=False)
    priors = of_woman[["exam", "exam_date", "maker"]].apply(priors_of, settings)
    made = pd.concat([made, priors], axis=1).assign(fold=None)
    images = images.drop(columns="exam").merge(made[["examination", "exam"]], on="examination")
    images = images.sort_values(["exam", "laterality", "view"])
    # The made pixels are square.
    images = images.rename(columns={"row_spacing_mm": "spacing_mm"})
    return tuple(
        pa.Table.from_pandas(frame, schema.arrow(), preserve_index=False)
        for frame, schema in ((made, EXAMS), (images, IMAGES))
    )


def first_of_repeats(hers: pd.DataFrame, same_exam_days: int) -> pd.Series:
    """The first exam of each of a woman's examinations."""
    first, names = None, []
    for row in hers.itertuples():
        if first is None or (row.exam_date - first.exam_date).days > same_exam_days:
            first = row
        names.append(first.exam_id)
    return pd.Series(names, hers.index)


def label(
    first: pd.DataFrame, of: pd.Series, tables: dict[str, pd.DataFrame], settings: CohortSettings
) -> pd.DataFrame:
    """What became of each breast, by examination."""
    decisions = tables["decisions"].assign(examination=tables["decisions"]["exam_id"].map(of))
    decisions = decisions.groupby("examination")[["recalled", "consensus"]].max()
    readings = tables["readings"][tables["readings"]["score"] >= 2]
    positive = set(zip(readings["exam_id"].map(of), readings["breast"], strict=True))
    cancers = tables["cancers"].sort_values("diagnosis_date")
    cancers = {woman: hers.to_dict("records") for woman, hers in cancers.groupby("woman_id")}
    ends = tables["women"].set_index("woman_id")[["death_date", "emigration_date"]]
    ends = dict(zip(ends.index, ends.itertuples(index=False), strict=True))
    last = tables["cancers"]["diagnosis_date"].max()
    hers = first.merge(decisions, left_on="examination", right_index=True, how="left")
    rows = hers.groupby("woman_id", sort=False)[
        ["woman_id", "examination", "exam_date", "recalled", "consensus"]
    ].apply(lambda exams: pd.DataFrame(outcomes(exams, cancers, positive, ends, last, settings)))
    return rows.set_index("examination")


def outcomes(
    exams: pd.DataFrame,
    cancers: dict[str, list[dict[str, Any]]],
    positive: set[tuple[str, str]],
    ends: dict[str, Any],
    last: date,
    settings: CohortSettings,
) -> Iterator[dict[str, Any]]:
    """One row for each of a woman's exams."""
    woman, days = exams["woman_id"].iloc[0], exams["exam_date"].tolist()
    hers = cancers.get(woman, [])
    left = min(day for day in (last, *ends[woman]) if pd.notna(day))
    until = min(last, max([left, days[-1], *(c["diagnosis_date"] for c in hers)]))
    for exam, next_day in zip(exams.itertuples(), [*days[1:], None], strict=True):
        day, name = exam.exam_date, exam.examination
        row = {"examination": name, "recalled": exam.recalled if pd.notna(exam.recalled) else None}
        row["after_diagnosis"] = any(c["diagnosis_date"] < day for c in hers)
        followed = max((until - day).days, 0)
        next_exam = math.inf if next_day is None else (next_day - day).days
        suspicious = {side for side in SIDES if (name, side) in positive}
        for side, word in SIDES.items():
            own = next((c for c in hers if c["breast"] == side), None)
            found = None if own is None else (own["diagnosis_date"] - day).days
            outcome = "unknown"
            if not row["after_diagnosis"]:
                outcome = outcome_of(
                    math.inf if own is None else found,
                    None if own is None or pd.isna(own["found_by"]) else own["found_by"],
                    next_exam,
                    followed,
                    row["recalled"],
                    exam.consensus is True,
                    side in suspicious,
                    not suspicious,
                    any(pd.isna(c["breast"]) for c in hers),
                    settings,
                )
            known = outcome != "unknown"
            row[f"{word}_outcome"] = outcome
            row[f"{word}_cancer"] = cancer_of(outcome, found, settings)
            row[f"{word}_years_to_cancer"] = found / 365.25 if known and own else None
            row[f"{word}_years_followed"] = followed / 365.25 if known else None
        yield row


def outcome_of(
    days: float,
    found_by: str | None,
    next_exam: float,
    followed: int,
    recalled: bool | None,
    consensus: bool,
    suspicious: bool,
    neither: bool,
    unknown_side: bool,
    settings: CohortSettings,
) -> str:
    """The decision table from its fourth row on; ``days`` without end where there is no cancer."""
    limits = settings.outcomes
    soon, perhaps = days <= limits.screen_detected_days, recalled in (True, None)
    its_own = days <= limits.interval_days and next_exam > days
    enough = followed >= limits.interval_days or (
        next_exam <= limits.interval_days and followed >= max(next_exam, limits.clear_days)
    )
    rows = (
        (soon and perhaps and found_by in ("screening", None), "screen-detected cancer"),
        (its_own and found_by == "screening" and (perhaps or soon), "screen-detected cancer"),
        (its_own and found_by != "screening", "interval cancer"),
        (unknown_side, "unknown"),
        (days < math.inf, "later cancer"),
        (enough and recalled and (suspicious or neither), "recalled without cancer"),
        (
            enough and recalled is False and (suspicious or (neither and consensus)),
            "dismissed at consensus",
        ),
        (enough, "negative"),
    )
    return next((outcome for holds, outcome in rows if holds), "censored")


def cancer_of(outcome: str, days: int | None, settings: CohortSettings) -> bool | None:
    if outcome in CANCERS:
        return True
    if outcome == "later cancer":
        return False if days >= settings.outcomes.clear_days else None
    return None if outcome in ("unknown", "censored") else False


def choose(folder: Path, exams: pd.DataFrame) -> tuple[pd.DataFrame, pd.Series]:
    """One image of each view of each examination, and what joined it to its studies."""
    images = pd.read_parquet(folder / "index" / "images", columns=list(OF_IMAGES))
    studies = images.drop_duplicates("exam")
    of_day = exams.drop_duplicates(["woman_id", "exam_date"])
    of_day = of_day.set_index(["woman_id", "exam_date"])["exam_id"]
    days = pd.MultiIndex.from_frame(studies[["patient_id", "study_date"]])
    of_uid = exams.dropna(subset="study_uid").set_index("study_uid")["exam_id"]
    number = studies["accession_number"]
    joins = {
        "study uid": studies["study_uid"].map(of_uid),
        "accession number": number.where(number.isin(exams["exam_id"])),
        "woman and date": pd.Series(of_day.reindex(days).to_numpy(), studies.index),
    }
    studies = studies.assign(exam_id=None, joined_by=None)
    for key, found in joins.items():
        studies.loc[studies["exam_id"].isna() & found.notna(), "joined_by"] = key
        studies["exam_id"] = studies["exam_id"].fillna(found)
    studies = studies.dropna(subset="exam_id")
    studies = studies[["exam", "exam_id", "joined_by"]].merge(exams, on="exam_id")
    studies["days_after"] = studies["exam_date"] - studies["examination"].map(
        exams.set_index("exam_id")["exam_date"]
    )
    images = images[images["reason"].isna()].merge(studies, on="exam")
    images = images.sort_values(
        ["days_after", "acquired", "sop_uid", "path"], ascending=[True, False, False, False]
    )
    order = {key: rank for rank, key in enumerate(joins)}
    joined_by = studies.sort_values("joined_by", key=lambda keys: keys.map(order))
    joined_by = joined_by.groupby("examination").agg(
        joined_by=("joined_by", "first"), exam=("exam", "min")
    )
    return images.drop_duplicates(["examination", "laterality", "view"]), joined_by


def describe(
    first: pd.DataFrame,
    known: pd.DataFrame,
    images: pd.DataFrame,
    joined_by: pd.DataFrame,
    women: pd.DataFrame,
) -> pd.DataFrame:
    """The examinations with an image, their names, makers, machines and ages."""
    images = images.assign(machine=images["model"] + " " + images["software_version"])
    of = images.groupby("examination").agg(woman=("woman", "first"))
    for column in ("maker", "machine"):
        counts = images.groupby(["examination", column]).size().rename("images").reset_index()
        counts = counts.sort_values(["images", column], ascending=[False, True])
        of[column] = counts.drop_duplicates("examination").set_index("examination")[column]
    exams = first.drop(columns="exam_id").merge(of, left_on="examination", right_index=True)
    exams = exams.merge(joined_by, left_on="examination", right_index=True)
    exams = exams.merge(known.reset_index(), on="examination")
    exams = exams.merge(women[["woman_id", "birth_year"]], on="woman_id")
    exams["age_years"] = exams["exam_date"].map(lambda day: day.year) - exams["birth_year"]
    return exams


def denser(density: pd.DataFrame, exams: pd.DataFrame) -> pd.DataFrame:
    first_given = density.merge(exams, on="exam_id").sort_values(["examination", "exam_date"])
    first_given = first_given.drop_duplicates(["examination", "breast"])
    return first_given.groupby("examination", as_index=False)["density"].max()


def split_of(woman: str, settings: CohortSettings) -> str:
    place = int.from_bytes(blake2b(woman.encode(), digest_size=8).digest()) / 2**64
    if place < settings.splits.test:
        return "test"
    return "validation" if place < settings.splits.test + settings.splits.validation else "train"


def priors_of(hers: pd.DataFrame, settings: CohortSettings) -> pd.DataFrame:
    """The priors of each of a woman's exams, which are sorted by day."""
    least = timedelta(days=max(1, math.ceil(settings.priors.least_gap_months * DAYS_PER_MONTH)))
    exams = list(hers.itertuples(index=False))
    found = []
    for number, exam in enumerate(exams):
        priors, newest = [], exam.exam_date
        for earlier in reversed(exams[:number]):
            if len(priors) < settings.priors.most and newest - earlier.exam_date >= least:
                priors.append(earlier)
                newest = earlier.exam_date
        found.append(
            {
                "priors": [prior.exam for prior in priors],
                "months_before": [
                    (exam.exam_date - prior.exam_date).days / DAYS_PER_MONTH for prior in priors
                ],
                "prior_makers": [prior.maker for prior in priors],
            }
        )
    return pd.DataFrame(found, hers.index)
