"""What the registry's tables say against each other: what cannot be, and what is only odd."""

from collections.abc import Iterator

import polars as pl

from mim.schemas.registry import MORE_THAN_A_KEY
from mim.tables.given import ROW, Table, locate
from mim.vocab import Landmark

OF_AN_EXAM = (
    *("readings", "decisions", "scores", "outcomes"),
    *("density", "quality", "risk_factors"),
)
OWNERS = (*((name, "exam_id", "exams") for name in OF_AN_EXAM), ("exams", "woman_id", "women"))
"""Tables whose rows belong to a row of another: table, column and owner."""

POSITIVE = 2
"""Lowest score that takes an exam for positive."""

WOMAN = "woman_id"
OF_WOMEN = ("women", "exams", "cancers")
"""Tables with a column ``woman_id``."""


def lost_rows(tables: dict[str, Table]) -> list[str]:
    """Faults: rows of an exam, or exams of a woman, that nobody knows.

    A cancer's woman need have no exam, and women need not be given at all.
    """
    faults = []
    for name, column, owner in OWNERS:
        table, known = tables[name], tables[owner]
        if known.path is None or column in table.unread | known.unread:
            continue
        rows = table.rows.select(ROW, column).drop_nulls()
        lost = rows.join(known.rows.select(column), on=column, how="anti")[ROW]
        if lost.len():
            faults.append(
                f"{table.path}: {locate(lost)}, column '{column}' is not in the table '{owner}'; "
                "add it there, or remove the row"
            )
    return faults


def mixed_scores(table: Table) -> list[str]:
    """Faults: models that score breasts in some rows and whole exams in others."""
    if table.unread.intersection(("model", "breast")):
        return []
    side = pl.col("breast")
    both = (side.null_count() > 0) & (side.count() > 0)
    rows = table.rows.filter(side.is_null() & both.over("model"))[ROW]
    if rows.is_empty():
        return []
    return [
        f"{table.path}: {locate(rows)}, column 'breast' is empty where other rows of the model have "
        "one; give each model's scores by breast, or by exam"
    ]


def odd_rows(tables: dict[str, Table]) -> list[str]:
    """Notices: what is possible, but so rare that it is more often a mistake."""
    frames = {name: table.rows for name, table in tables.items()}
    found = (
        *_odd_names(frames),
        *_odd_cancers(frames),
        *_odd_ends(frames),
        *_odd_readings(frames),
        *_odd_order(frames["readings"]),
        *_silent_rows(frames),
        *_odd_places(frames["landmarks"]),
    )
    return [
        f"{path.name}: {locate(rows)}: {what}"
        for name, rows, what in found
        if rows.len() and (path := tables[name].path)
    ]


Found = Iterator[tuple[str, pl.Series, str]]
"""Name of a table, numbers of its rows, and what is odd about them."""


def _odd_names(frames: dict[str, pl.DataFrame]) -> Found:
    """Women who are probably one: 0123, 123 and 123.0, or w1 and W1."""
    folded = pl.col(WOMAN).str.to_lowercase().str.strip_suffix(".0").str.strip_chars_start("0")
    names = pl.concat([frames[name][WOMAN] for name in OF_WOMEN]).unique()
    alike = names.to_frame().filter(folded.is_duplicated())
    for name in OF_WOMEN if alike.height else ():
        rows = frames[name].join(alike, on=WOMAN, how="semi")[ROW]
        yield name, rows, "woman_id is another's but for case or zeros; taken for two women"


def _odd_cancers(frames: dict[str, pl.DataFrame]) -> Found:
    cancers = frames["cancers"].select(ROW, WOMAN, "diagnosis_date")
    theirs = frames["exams"].select(WOMAN, "exam_date").join(cancers, on=WOMAN, how="semi")
    strangers = cancers.join(theirs, on=WOMAN, how="anti")[ROW]
    yield "cancers", strangers, "of a woman without an exam; not used"
    first = theirs.group_by(WOMAN).agg(pl.col("exam_date").min())
    early = cancers.join(first, on=WOMAN).filter(pl.col("diagnosis_date") < pl.col("exam_date"))
    what = "diagnosed before her first exam; her exams are left out as after diagnosis"
    yield "cancers", early[ROW], what
    ends = frames["women"].select(WOMAN, "death_date", "emigration_date")
    known = cancers.join(ends, on=WOMAN)
    for end, what in (("death_date", "her death"), ("emigration_date", "her emigration")):
        late = known.filter(pl.col("diagnosis_date") > pl.col(end))[ROW]
        yield "cancers", late, f"diagnosed after {what}"


def _odd_ends(frames: dict[str, pl.DataFrame]) -> Found:
    exams = frames["exams"].select(ROW, WOMAN, "exam_date").drop_nulls()
    deaths = frames["women"].select(WOMAN, "death_date").drop_nulls()
    late = exams.join(deaths, on=WOMAN).filter(pl.col("exam_date") > pl.col("death_date"))
    yield "exams", late[ROW], "exam after her death"
    ends = frames["women"].select(ROW, WOMAN, "followup_end").drop_nulls()
    first = exams.join(ends, on=WOMAN, how="semi").group_by(WOMAN).agg(pl.col("exam_date").min())
    early = ends.join(first, on=WOMAN).filter(pl.col("followup_end") < pl.col("exam_date"))
    yield "women", early[ROW], "followup_end is before her first exam"


def _odd_readings(frames: dict[str, pl.DataFrame]) -> Found:
    readings = frames["readings"].select(ROW, "exam_id", "reader", "score")
    decisions = frames["decisions"].select(ROW, "exam_id", "recalled")
    positive = readings.filter(pl.col("score") >= POSITIVE)
    recalled = decisions.filter("recalled").join(positive, on="exam_id", how="anti")
    recalled = recalled.join(
        readings.join(recalled, on="exam_id", how="semi"), on="exam_id", how="semi"
    )
    what = f"recalled, though no reading of the exam is {POSITIVE} or more"
    yield "decisions", recalled[ROW], what
    if decisions.is_empty():
        return
    undecided = positive.join(decisions, on="exam_id", how="anti")
    theirs = readings.join(undecided, on="exam_id", how="semi")
    by_reader = theirs.group_by("exam_id", "reader").agg(pl.col("score").max())
    agreed = by_reader.group_by("exam_id").agg(pl.col("score").min() >= POSITIVE).filter("score")
    rows = undecided.join(agreed, on="exam_id", how="semi")[ROW]
    what = f"every reader scored {POSITIVE} or more, and the exam has no row in decisions"
    yield "readings", rows, what


def _odd_order(readings: pl.DataFrame) -> Found:
    """Two readers of a breast, for a reader has one row for it, of whom each is the first."""
    ordered = readings.drop_nulls("reading")
    both = ordered.filter(pl.struct("exam_id", "breast", "reading").is_duplicated())
    yield (
        "readings",
        both[ROW],
        "two readers have the same reading of one breast; whose it is counts as unknown",
    )


def _silent_rows(frames: dict[str, pl.DataFrame]) -> Found:
    for schema in MORE_THAN_A_KEY:
        rows = frames[schema.name]
        silent = rows.filter(pl.all_horizontal(pl.exclude(ROW, *schema.key).is_null()))
        yield schema.name, silent[ROW], "says nothing; not used"


def _odd_places(landmarks: pl.DataFrame) -> Found:
    for name in Landmark:
        rows = landmarks.filter(~pl.col(f"{name}_visible"), pl.col(f"{name}_x").is_not_null())[ROW]
        yield "landmarks", rows, f"{name} has a place, but {name}_visible is false; place not used"
