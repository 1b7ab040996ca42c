"""CSAW-CC: cases and controls of the Cohort of Screen-Aged Women (Karolinska; SND 2021-204-1).

As downloaded: ``CSAW-CC_breast_cancer_screening_data.csv`` (98,788 rows, one an image; 24,694 exams,
8,723 women, 873 of them with cancer) and DICOM files called ``anon_filename``, in any folders. The cohort
is Dembrower 2020, doi 10.1007/s10278-019-00278-0. The columns mean what the codebook that comes with the
table is quoted for: ``x_`` of the woman, ``rad_`` of the exam; rad_timing is 1 where the diagnosis came
within 60 days of the exam, 2 within 60 to 729 days, 3 later; rad_r1 and rad_r2 are 1 where a reader
flagged the exam, rad_recall where she was recalled, rad_recall_type_left and _right above 0 for the
breast. rad_timing 2 before another exam is no interval cancer (18 months between rounds below 55 years).

Licence: images on request from Karolinska Institutet through SND, under the conditions sent with them;
where others name CC BY 4.0, it is of the record. Follow what you signed.

Only the year of an exam is published, and headers carry one date for all. Without days there would be no
priors, and priors are why one takes this collection; so each exam is put on 1 July of its year. The order
of a woman's exams is true by that, as no two are of one year; gaps are whole years, wrong by less than one.
"""

from pathlib import Path

import polars as pl

from mim.adapters.adapted import About, Adapted
from mim.adapters.cells import number, of_both_breasts, one_row_each, require_filled, side, view
from mim.adapters.sources import compare, find_file, list_files, read_cells
from mim.errors import InputError
from mim.vocab import DAYS_PER_YEAR, Laterality, Outcome

NAMES = ("CSAW-CC_breast_cancer_screening_data.csv",)
HOLDS = "CSAW-CC_breast_cancer_screening_data.csv and the DICOM files of CSAW-CC"
COLUMNS = (
    "anon_patientid",
    "exam_year",
    "imagelaterality",
    "viewposition",
    "x_case",
    "x_cancer_laterality",
    "rad_timing",
    "rad_r1",
    "rad_r2",
    "rad_recall",
    "rad_recall_type_right",
    "rad_recall_type_left",
    "anon_filename",
)
PERCENT = "libra_percentdensity"
"""Percent density of an image by LIBRA (Keller 2012, doi 10.1118/1.4736530); copies may lack it."""
EARLIEST = {1.0: 0.0, 2.0: 60 / DAYS_PER_YEAR, 3.0: 730 / DAYS_PER_YEAR}
LATEST = {1.0: 60 / DAYS_PER_YEAR, 2.0: 729 / DAYS_PER_YEAR}
"""Years from an exam to the diagnosis by rad_timing."""
FROM_LAST = {1.0: 0.0, 2.0: 1.0}
"""Years that are taken for a woman's last exam: at it, or in the middle of the interval after it."""

ABOUT = About(
    name="CSAW-CC, its exams put on 1 July of their year as no day is published",
    licence="the conditions of Karolinska Institutet under which it was delivered",
    source="https://doi.org/10.5878/45vm-t798",
    cannot_know=(
        "days: exams stand on 1 July of their year, so months between exams and years to a cancer "
        "are whole years, wrong by less than one; no figure may be told by months",
        "when an interval cancer was diagnosed: 60 to 729 days after the exam, taken as 1 year",
        "years to the 'later cancer' of a woman whose last exam was two years or more before it",
        "how long women without cancer were followed after their last exam; they are 'negative', "
        "for they are the collection's controls",
        "BI-RADS density: there is LIBRA's percent density alone, of which a breast has the mean of "
        "its images",
        "occurrence in screening: all cases and a sample of the others, 10 % of women with cancer",
    ),
)


def read(source: Path, out: Path) -> Adapted:
    """Read the table; the images stay where they are.

    Raises:
        InputError: the folder is not the collection, or the table is not as it was published.
    """
    table = find_file(source, NAMES, HOLDS)
    notices: list[str] = []
    rows = read_cells(table, COLUMNS, (PERCENT,))
    require_filled(rows, ("anon_patientid", "exam_year", "anon_filename"), table)
    rows = one_row_each(rows, ("anon_filename",), table, notices).select(
        name=pl.col("anon_filename").str.strip_suffix(".dcm"),
        woman_id="anon_patientid",
        year=number("exam_year").cast(pl.Int32, strict=False),
        breast=side("imagelaterality"),
        view=view("viewposition"),
        case=number("x_case") == 1,
        cancer=pl.col("x_cancer_laterality").str.to_lowercase(),
        timing=number("rad_timing"),
        flagged=(number("rad_r1") == 1) | (number("rad_r2") == 1),
        recalled=number("rad_recall") == 1,
        recalled_left=number("rad_recall_type_left") > 0,
        recalled_right=number("rad_recall_type_right") > 0,
        percent=number(PERCENT),
    )
    if count := rows["year"].null_count():
        raise InputError(
            f"{table}: column 'exam_year' holds no year in {count} rows; download it again"
        )
    rows = rows.with_columns(exam_id=pl.concat_str("woman_id", pl.lit(" "), "year"))
    exams = _exams(rows)
    files = pl.DataFrame({"path": list_files(source, {".dcm"})}, {"path": pl.String}).with_columns(
        name=pl.col("path").str.extract(r"([^/]*)\.[^.]*$")
    )
    notices += [*compare(rows["name"], files["name"], table.name), *_notices(exams)]
    percent = _percent(rows, notices)
    tables = {
        "exams": exams.select("exam_id", "woman_id", "exam_date", study_uid="exam_id"),
        "outcomes": _outcomes(exams),
        "decisions": exams.drop_nulls("recalled").select(
            "exam_id", "recalled", consensus=pl.col("flagged")
        ),
    } | ({"density": percent} if percent.height else {})
    overrides = rows.join(files, "name").join(exams.select("exam_id", "exam_date"), "exam_id")
    overrides = overrides.select(
        "path",
        "view",
        patient_id="woman_id",
        study_uid="exam_id",
        study_date="exam_date",
        laterality="breast",
    )
    return Adapted(ABOUT, source, tables, overrides, notices)


def _exams(rows: pl.DataFrame) -> pl.DataFrame:
    """One row for each exam, with its day and the years that its rad_timing leaves to the cancer.

    Years count from the woman's last exam, whose distance to the diagnosis is known best, and stay
    within what the exam's own rad_timing says.
    """
    exams = (
        rows.group_by("exam_id", "woman_id", "year")
        .agg(
            pl.col("timing").min(),
            pl.col("case", "cancer", "flagged", "^recalled.*$").max(),
        )
        .sort("woman_id", "year")
        .with_columns(
            exam_date=pl.date("year", 7, 1),
            to_last=(pl.col("year").max() - pl.col("year")).over("woman_id").cast(pl.Float64),
            last_timing=pl.col("timing").last().over("woman_id"),
        )
    )
    years = pl.col("to_last") + _by_timing("last_timing", FROM_LAST)
    bounded = pl.min_horizontal(
        pl.max_horizontal(years, _by_timing("timing", EARLIEST)), _by_timing("timing", LATEST)
    )
    return exams.with_columns(years=pl.when(years.is_not_null()).then(bounded))


def _by_timing(column: str, years: dict[float, float]) -> pl.Expr:
    return pl.col(column).replace_strict(years, default=None, return_dtype=pl.Float64)


def _outcomes(exams: pl.DataFrame) -> pl.DataFrame:
    """Outcome of both breasts: of the breast that had the cancer by rad_timing, else by the recall."""
    left = pl.col("breast") == Laterality.LEFT.value
    both = pl.col("cancer").str.contains("bilateral|both|^left.*right|^right.*left")
    hers = both | (
        pl.col("cancer") == pl.when(left).then(pl.lit("left")).otherwise(pl.lit("right"))
    )
    sided = both | pl.col("cancer").is_in(["left", "right"])
    suspicious = pl.when(left).then("recalled_left").otherwise("recalled_right").fill_null(False)
    neither = ~pl.any_horizontal("recalled_left", "recalled_right").fill_null(False)
    rules = (
        (pl.col("case").is_null(), Outcome.UNKNOWN),
        (pl.col("case") & ~sided.fill_null(False), Outcome.UNKNOWN),
        (pl.col("hers") & pl.col("timing").is_null(), Outcome.UNKNOWN),
        (pl.col("hers") & (pl.col("timing") == 1), Outcome.SCREEN_DETECTED),
        (
            pl.col("hers") & (pl.col("timing") == 2) & (pl.col("to_last") == 0),
            Outcome.INTERVAL,
        ),
        (pl.col("hers"), Outcome.LATER),
        (pl.col("recalled") & (suspicious | neither), Outcome.RECALLED),
        (~pl.col("recalled") & pl.col("flagged"), Outcome.DISMISSED),
    )
    outcome = pl.coalesce(
        *(pl.when(holds).then(pl.lit(outcome.value)) for holds, outcome in rules),
        pl.lit(Outcome.NEGATIVE.value),
    )
    known = pl.col("outcome") != Outcome.UNKNOWN.value
    to_cancer = pl.when(known & pl.col("hers")).then("years")
    followed = pl.max_horizontal(pl.when(pl.col("to_last") > 0).then("to_last"), to_cancer)
    return (
        of_both_breasts(exams)
        .with_columns(hers=(pl.col("case") & hers).fill_null(False))
        .with_columns(outcome=outcome)
        .select(
            "exam_id",
            "breast",
            "outcome",
            years_to_cancer=to_cancer,
            years_followed=pl.when(known).then(followed),
        )
    )


def _percent(rows: pl.DataFrame, notices: list[str]) -> pl.DataFrame:
    """Percent density of each breast: the mean of its images."""
    possible = pl.col("percent").is_between(0, 100)
    if count := rows.filter(~possible).height:
        notices.append(f"{count} images have a {PERCENT} outside 0 to 100; it is not used")
    breasts = rows.filter(possible).drop_nulls("breast").sort("name").group_by("exam_id", "breast")
    return breasts.agg(pl.col("percent").mean())


def _notices(exams: pl.DataFrame) -> list[str]:
    case = exams.filter("case")
    counts = {
        "exams are put on 1 July of their year: months between exams are whole years": exams.height,
        "exams before another one have rad_timing 2; their cancer is a later one": exams.filter(
            (pl.col("timing") == 2) & (pl.col("to_last") > 0)
        ).height,
        "exams of women with cancer have no rad_timing or no side; outcomes are unknown": case.filter(
            pl.col("timing").is_null() | pl.col("cancer").is_null()
        ).height,
        "exams have no x_case; their outcomes are unknown": exams["case"].null_count(),
    }
    return [f"{count} {words}" for words, count in counts.items() if count]
