"""CSAW-CC's table as registry tables and overrides."""

from datetime import date
from pathlib import Path

import pytest
from made_collections import FOUR, put, put_image, rows_of, table, to_cohort

from mim.adapters.adapt import read_dataset
from mim.adapters.adapted import Adapted
from mim.adapters.settings import Dataset
from mim.errors import InputError

HEADER = (
    "anon_patientid,exam_year,x_case,x_cancer_laterality,x_type,rad_timing,rad_r1,rad_r2,rad_recall,"
    "rad_recall_type_right,rad_recall_type_left,imagelaterality,viewposition,libra_percentdensity,"
    "anon_filename"
)
NAME = "CSAW-CC_breast_cancer_screening_data.csv"
PLAIN = {
    "case": "0",
    "side": "",
    "timing": "",
    "r1": "0",
    "r2": "0",
    "recall": "0",
    "right": "",
    "left": "",
}


def exam(woman: str, year: int, **given: str) -> list[str]:
    cells = PLAIN | given
    hers = [cells[name] for name in ("case", "side")]
    rest = [cells[name] for name in ("timing", "r1", "r2", "recall", "right", "left")]
    sides = {"L": "Left", "R": "Right"}
    # All files of a woman carry one made-up date.
    return [
        f"{woman},{year},{','.join(hers)},2,{','.join(rest)},{sides[side]},{view},20.5,"
        f"{woman}_20990909_{side}_{view}_{year}.dcm"
        for side, view in FOUR
    ]


def lay(folder: Path, *exams: list[str]) -> None:
    rows = [row for rows in exams for row in rows]
    put(folder / NAME, table(HEADER, *rows))
    for number, row in enumerate(rows):
        name = row.split(",")[-1]
        batch = f"batch_{number % 2}"
        put_image(folder / batch / name, number, PatientID="x", StudyDate="20990909")


def case(side: str, timing: str, **given: str) -> dict[str, str]:
    return {"case": "1", "side": side, "timing": timing} | given


# Exams of one woman by year, and what the left and the right breast of each become: outcome, years to
# the cancer, years followed.
CASES = [
    (
        {2010: case("Left", "3"), 2012: case("Left", "1", recall="1", left="1")},
        {
            2010: (("later cancer", 2.0, 2.0), ("negative", None, 2.0)),
            2012: (("screen-detected cancer", 0.0, 0.0), ("negative", None, None)),
        },
    ),
    (  # Interval cancer after the second exam; the first reader had flagged it.
        {2010: case("Right", "3"), 2012: case("Right", "2", r1="1")},
        {
            2010: (("negative", None, 2.0), ("later cancer", 3.0, 3.0)),
            2012: (("dismissed at consensus", None, None), ("interval cancer", 1.0, 1.0)),
        },
    ),
    (  # Eighteen months between the rounds: the first exam's 2 is no interval cancer.
        {2012: case("Left", "2"), 2013: case("Left", "1")},
        {
            2012: (("later cancer", 1.0, 1.0), ("negative", None, 1.0)),
            2013: (("screen-detected cancer", 0.0, 0.0), ("negative", None, None)),
        },
    ),
    (  # A year apart by the calendar, but two by rad_timing.
        {2012: case("Left", "3"), 2013: case("Left", "1")},
        {
            2012: (("later cancer", 730 / 365.25, 730 / 365.25), ("negative", None, 1.0)),
            2013: (("screen-detected cancer", 0.0, 0.0), ("negative", None, None)),
        },
    ),
    (  # The last exam was long before the diagnosis, nobody knows how long.
        {2012: case("Left", "3")},
        {2012: (("later cancer", None, None), ("negative", None, None))},
    ),
    (
        {2012: case("Bilateral", "1")},
        {2012: (("screen-detected cancer", 0.0, 0.0), ("screen-detected cancer", 0.0, 0.0))},
    ),
    (
        {2012: case("", "1")},
        {2012: (("unknown", None, None), ("unknown", None, None))},
    ),
    (
        {2012: case("Left", "")},
        {2012: (("unknown", None, None), ("negative", None, None))},
    ),
    (  # A control: recalled for the right breast, for neither, and two readers that disagree.
        {
            2010: PLAIN | {"recall": "1", "right": "2"},
            2012: PLAIN | {"recall": "1"},
            2014: PLAIN | {"r2": "1"},
            2016: PLAIN | {"recall": "", "r1": "1"},
        },
        {
            2010: (("negative", None, 6.0), ("recalled without cancer", None, 6.0)),
            2012: (("recalled without cancer", None, 4.0),) * 2,
            2014: (("dismissed at consensus", None, 2.0),) * 2,
            2016: (("negative", None, None),) * 2,
        },
    ),
]


@pytest.mark.parametrize(("exams", "breasts"), CASES)
def test_each_breast_gets_the_outcome_of_its_timing(
    tmp_path: Path,
    exams: dict[int, dict[str, str]],
    breasts: dict[int, tuple[tuple[object, ...], ...]],
) -> None:
    lay(tmp_path, *(exam("7", year, **given) for year, given in exams.items()))
    adapted = read_dataset(Dataset.csaw_cc, tmp_path, tmp_path / "out")
    found = adapted.tables["outcomes"]
    assert rows_of(found, "exam_id", "breast", "outcome", "years_to_cancer", "years_followed") == [
        (f"7 {year}", side, *outcome)
        for year, both in sorted(breasts.items())
        for side, outcome in zip("LR", both, strict=True)
    ]


def two_women(folder: Path) -> None:
    lay(
        folder,
        *(
            exam("00002", year, **case("Left", timing))
            for year, timing in ((2010, "3"), (2012, "1"))
        ),
        *(exam("2", year) for year in (2011, 2012, 2014)),
    )


def test_the_collection_becomes_a_cohort_with_priors_a_year_and_more_before(tmp_path: Path) -> None:
    two_women(tmp_path / "csaw")
    adapted, exams = to_cohort(Dataset.csaw_cc, tmp_path / "csaw", tmp_path / "out")
    exams = exams.with_columns(
        months=exams["months_before"].list.first().round(0),
    )
    assert exams["woman"].n_unique() == 2
    days = {year: date(year, 7, 1) for year in (2010, 2011, 2012, 2014)}
    assert rows_of(exams, "exam_date", "left_outcome", "months") == [
        (days[2010], "later cancer", None),
        (days[2011], "negative", None),
        (days[2012], "negative", 12.0),
        (days[2012], "screen-detected cancer", 24.0),
        (days[2014], "negative", 24.0),
    ]
    # What the headers carry is a date for all.
    assert set(adapted.overrides["study_date"]) == set(days.values())
    # The invented day is said wherever a figure of the data stands.
    note = (tmp_path / "out" / "adapted" / "registry" / "note.txt").read_text()
    assert "1 July" in note


def changed(folder: Path, old: str, new: str) -> Adapted:
    two_women(folder)
    path = folder / NAME
    path.write_text(path.read_text().replace(old, new))
    return read_dataset(Dataset.csaw_cc, folder, folder / "out")


def test_percent_density_is_the_mean_of_a_breasts_images(tmp_path: Path) -> None:
    rows = exam("7", 2010)
    percents = ("10", "30.5", "", "-1")
    rows = [row.replace("20.5", percent) for row, percent in zip(rows, percents, strict=True)]
    lay(tmp_path, rows, [row.replace("20.5", "7") for row in exam("7", 2012)])
    adapted = read_dataset(Dataset.csaw_cc, tmp_path, tmp_path / "out")
    assert rows_of(adapted.tables["density"], "exam_id", "breast", "percent") == [
        *(("7 2010", "L", 20.25), ("7 2012", "L", 7.0), ("7 2012", "R", 7.0))
    ]
    assert "1 images have a libra_percentdensity outside 0 to 100; it is not used" in (
        adapted.notices
    )
    lacking = changed(tmp_path / "lacking", "libra_percentdensity", "libra")
    assert "density" not in lacking.tables


def test_what_is_odd_is_told_with_counts(tmp_path: Path) -> None:
    assert changed(tmp_path / "a", "", "").notices == [
        "5 exams are put on 1 July of their year: months between exams are whole years"
    ]
    assert "1 exams before another one have rad_timing 2; their cancer is a later one" in (
        changed(tmp_path / "b", "1,Left,2,3,", "1,Left,2,2,").notices
    )
    with pytest.raises(InputError, match="'exam_year' holds no year in 4 rows"):
        changed(tmp_path / "c", "2,2011,", "2,unknown,")
    with pytest.raises(InputError, match="column 'rad_timing' is missing"):
        changed(tmp_path / "d", "rad_timing", "timing")
