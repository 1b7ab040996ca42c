"""EMBED's clinical table and that of its images as registry tables and overrides."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from made_collections import FOUR, put, put_image, rows_of, table, to_cohort

from mim.adapters.adapt import read_dataset
from mim.adapters.adapted import Adapted
from mim.adapters.settings import Dataset
from mim.errors import InputError

CLINICAL = (
    "empi_anon,acc_anon,study_date_anon,desc,tissueden,asses,numfind,side,path_severity,bside,"
    "procdate_anon,massshape"
)
METADATA = (
    "empi_anon,acc_anon,study_date_anon,anon_dicom_path,FinalImageType,ImageLateralityFinal,"
    "ViewPosition,spot_mag,Manufacturer"
)
SCREEN, DIAGNOSTIC = "MG Screening Bilateral w/ CAD", "MG Diagnostic Left"


def finding(woman: str, exam: str, day: str, asses: str, side: str, **more: str) -> str:
    cells = {"desc": SCREEN, "density": "3", "path": "", "bside": "", "operated": ""} | more
    path = ",".join(cells[name] for name in ("path", "bside", "operated"))
    return f'{woman},{exam},{day},"{cells["desc"]}",{cells["density"]},{asses},1,{side},{path},G'


def image(woman: str, exam: str, day: str, side: str, view: str, **more: str) -> str:
    cells = {"kind": "2D", "spot": "0.0", "name": f"{side}{view}"} | more
    path = f"/mnt/disk/mammo/cohort_1/{woman}/1.2.{exam}/{exam}{cells['name']}.dcm"
    return f"{woman},{exam},{day},{path},{cells['kind']},{side},{view},{cells['spot']},HOLOGIC"


def lay(folder: Path, findings: list[str], images: list[str], **kwargs: bool | str) -> None:
    tables = folder / "tables"
    put(tables / "EMBED_OpenData_clinical.csv", table(CLINICAL, *findings, **kwargs))
    put(tables / "EMBED_OpenData_metadata.csv", table(METADATA, *images, **kwargs))
    put(tables / "EMBED_OpenData_clinical_reduced.csv", table("empi_anon", "1"))
    for number, row in enumerate(images):
        below = row.split(",")[3].partition("cohort_")[2]
        put_image(folder / "images" / f"cohort_{below}", number)


def four(woman: str, exam: str, day: str) -> list[str]:
    return [image(woman, exam, day, side, view) for side, view in FOUR]


def adapt(folder: Path, *findings: str) -> Adapted:
    lay(folder, list(findings), four("1", "11", "2013-02-01"))
    return read_dataset(Dataset.embed, folder, folder / "out")


RECALLS = [
    # findings of a screening exam (assessment, side, severity), recall of left, of right
    ([("N", "", "")], False, False),
    ([("B", "B", "")], False, False),
    ([("A", "L", "")], True, False),
    ([("A", "l", ""), ("N", "R", "")], True, False),
    ([("A", "B", "")], True, True),
    ([("A", "", "")], True, True),
    ([("P", "R", "")], False, False),
    ([("S", "R", ""), ("A", "R", ""), ("B", "L", "")], False, True),
    ([("N", "R", "4.0")], False, True),
    ([("B", "L", "5")], True, False),
    ([("X", "R", "")], None, None),
]


@pytest.mark.parametrize(("findings", "left", "right"), RECALLS)
def test_a_recall_is_of_the_breast_that_needs_more_imaging(
    tmp_path: Path, findings: list[tuple[str, str, str]], left: bool | None, right: bool | None
) -> None:
    adapted = adapt(
        tmp_path,
        *(finding("1", "11", "2013-02-01", *cells, path=path) for *cells, path in findings),
    )
    scores = {None: None, False: 1, True: 2}
    given = [("L", scores[left]), ("R", scores[right])]
    assert rows_of(adapted.tables["readings"], "breast", "score") == [
        (side, score) for side, score in given if score
    ]
    said = [] if left is None else [(left or right,)]
    assert rows_of(adapted.tables["decisions"], "recalled") == said


CANCERS = [
    # one row of a diagnostic exam signed on 1 March: side, severity, bside, operated; the cancers
    (("L", "0", "L", "2013-03-20"), [(date(2013, 3, 20), "L", True)]),
    (("L", "1.0", "", "2013-03-20 00:00:00"), [(date(2013, 3, 20), "L", False)]),
    (("L", "0", "r", "2013-03-20"), [(date(2013, 3, 20), "R", True)]),
    (("L", "0", "B", ""), [(date(2013, 3, 1), "L", True), (date(2013, 3, 1), "R", True)]),
    (("", "0", "", "2013-03-20"), [(date(2013, 3, 20), None, True)]),
    (("L", "2", "L", "2013-03-20"), []),
    (("L", "6", "L", "2013-03-20"), []),
    (("L", "", "L", "2013-03-20"), []),
]


@pytest.mark.parametrize(("cells", "cancers"), CANCERS)
def test_a_cancer_is_a_result_of_severity_0_or_1(
    tmp_path: Path, cells: tuple[str, str, str, str], cancers: list[tuple[object, ...]]
) -> None:
    side, path, bside, operated = cells
    given = {"desc": DIAGNOSTIC, "path": path, "bside": bside, "operated": operated}
    adapted = adapt(
        tmp_path,
        finding("1", "11", "2013-02-01", "A", "L"),
        finding("1", "12", "2013-03-01", "S", side, **given),
    )
    found = adapted.tables["cancers"]
    assert rows_of(found, "diagnosis_date", "breast", "invasive") == cancers
    assert found["found_by"].null_count() == len(cancers)
    # The diagnostic exam is none of screening, but shows until when she was followed.
    assert adapted.tables["exams"]["exam_id"].to_list() == ["11"]
    last = max([date(2013, 3, 1), date(2013, 3, 20)] if operated else [date(2013, 3, 1)])
    assert rows_of(adapted.tables["women"], "woman_id", "followup_end") == [("1", last)]


def programme(folder: Path, **kwargs: bool | str) -> None:
    """Three women: a cancer that screening found, one that it missed, none; shifted dates."""
    result = {"path": "0", "bside": "L", "operated": "2015-03-01"}
    missed = {"path": "1", "bside": "R", "operated": "2016-01-10"}
    findings = [
        finding("0101", "1", "2013-02-05", "N", ""),
        finding("0101", "2", "2015-02-05", "A", "L", **result),
        finding("0101", "2", "2015-02-05", "N", "R"),
        finding("0101", "3", "2015-02-20", "S", "L", desc=DIAGNOSTIC, **result),
        finding("0102", "4.0", "2015-05-01", "B", "", density="4.0"),
        finding("0102", "5", "2016-01-02", "S", "R", desc=DIAGNOSTIC, **missed),
        finding("0103", "6", "2011-05-01", "A", "R"),
        finding("0103", "7", "2014-05-01", "N", "", density=""),
    ]
    days = {"1": "2013-02-01", "2": "2015-02-01", "4": "2015-05-01", "6": "2011-05-01"}
    women = {"1": "0101", "2": "0101", "4": "0102", "6": "0103"}
    images = [row for exam, day in days.items() for row in four(women[exam], exam, day)]
    images.append(image("0103", "7", "2014-05-01", "L", "CC"))
    images.append(image("0103", "7", "2014-05-01", "L", "MLO", spot="1.0"))
    images.append(image("0103", "7", "2014-05-01", "R", "CC", kind="cview"))
    lay(folder, findings, images, **kwargs)


@pytest.mark.parametrize("kwargs", [{}, {"end": "\r\n", "bom": True}])
def test_the_collection_becomes_a_cohort(tmp_path: Path, kwargs: dict[str, bool | str]) -> None:
    programme(tmp_path / "embed", **kwargs)
    adapted, exams = to_cohort(Dataset.embed, tmp_path / "embed", tmp_path / "out")
    exams = exams.with_columns(priors=exams["priors"].list.len())
    assert rows_of(
        exams, "exam_date", "left_outcome", "right_outcome", "recalled", "density", "priors"
    ) == [
        (date(2011, 5, 1), "negative", "recalled without cancer", True, "c", 0),
        (date(2013, 2, 1), "later cancer", "negative", False, "c", 0),
        (date(2014, 5, 1), "censored", "censored", False, None, 1),
        (date(2015, 2, 1), "screen-detected cancer", "censored", True, "c", 1),
        (date(2015, 5, 1), "censored", "interval cancer", False, "d", 0),
    ]
    assert "1 images are special views (spot_mag) and count as of unknown view" in adapted.notices
    images = pl.read_parquet(tmp_path / "out" / "cohort" / "images.parquet")
    assert images.height == 17
    assert date(2013, 2, 1) in set(adapted.overrides["study_date"])


def test_what_is_odd_is_told_with_counts(tmp_path: Path) -> None:
    programme(tmp_path)
    path = tmp_path / "tables" / "EMBED_OpenData_clinical.csv"
    rows = path.read_text().splitlines()
    rows.append(finding("0104", "6", "2011-05-01", "N", ""))  # another woman's exam
    rows.append(finding("0105", "8", "2011-05-01", "N", "", density="5"))
    rows.append(finding("0106", "9", "2011-05-01", "N", ""))
    rows.append(finding("0106", "10", "", "N", "R", path="0"))
    rows.append(finding("", "11", "2011-05-01", "N", ""))
    path.write_text("\n".join(rows))
    adapted = read_dataset(Dataset.embed, tmp_path, tmp_path / "out")
    assert adapted.notices == [
        "1 rows of EMBED_OpenData_clinical.csv name no woman or no exam and are left out",
        "1 images are special views (spot_mag) and count as of unknown view",
        "1 screening exams belong to several women and are left out",
        "1 screening exams are of men (tissueden 5) and are left out",
        "2 screening exams are of women with a cancer that has no day, and are left out",
        "1 screening exams have no day and are left out",
        "1 screening exams without recall have a pathology result; they were amended, and count as "
        "recalled",
        "2 exams are not for screening; they count for cancers and follow-up alone",
        "1 pathology results of cancer have no procdate_anon; the day of their exam's report is taken",
    ]
    assert set(adapted.tables["exams"]["exam_id"]) == {"1", "2", "4", "7"}


def test_a_table_that_is_not_as_published_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no EMBED_OpenData_clinical\.csv or"):
        read_dataset(Dataset.embed, tmp_path, tmp_path / "out")
    programme(tmp_path)
    path = tmp_path / "tables" / "EMBED_OpenData_clinical.csv"
    path.unlink()
    with pytest.raises(InputError, match=r"clinical_reduced\.csv: column 'acc_anon' is missing"):
        read_dataset(Dataset.embed, tmp_path, tmp_path / "out")


def test_days_of_another_form_are_counted(tmp_path: Path) -> None:
    rows = [finding("1", "11", day, "N", "") for day in ("2013-02-01", "2/1/2013")]
    notices = adapt(tmp_path, *rows, finding("1", "12", "", "N", "")).notices
    assert any(n.startswith("1 cells of column 'study_date_anon'") for n in notices)


def test_a_table_without_screening_exams_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no screening exam"):
        adapt(tmp_path, finding("1", "11", "2013-02-01", "N", "", desc=DIAGNOSTIC))
