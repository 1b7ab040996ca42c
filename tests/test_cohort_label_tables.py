"""Density, quality and landmarks reach the breasts and images of the cohort that they are of."""

import json
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_cohort_build import FIRST, SECOND, Programme, cohort_exams, cohort_images, hidden

from mim.cohort.settings import CohortSettings, SplitSettings
from mim.schemas.cohort import DENSITY, LESIONS, QUALITY
from mim.schemas.table import read_table
from mim.vocab import VIEW_SLOTS, Criterion, Landmark

Row = dict[str, Any]


def known(folder: Path, name: str) -> list[Row]:
    """Rows of a table of the cohort without the cells that are missing."""
    schema = {"density": DENSITY, "quality": QUALITY, "lesions": LESIONS}[name]
    rows = read_table(folder / f"cohort/{name}.parquet", schema).to_pylist()
    return [{key: cell for key, cell in row.items() if cell is not None} for row in rows]


def places(programme: Programme) -> dict[tuple[object, ...], Row]:
    """The index's images by Accession Number, side and view."""
    keys = ("accession_number", "laterality", "view")
    return {tuple(row[key] for key in keys): row for row in programme.images}


def test_what_is_said_of_breasts_and_views_reaches_them(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST, rows=3000, columns=2000)
    programme.screened("E2", "W2", FIRST)
    programme.exam("E3", "W2", SECOND)
    images = places(programme)
    marked = images["E1", "R", "MLO"]
    point = {"nipple_x": 1999.5, "nipple_y": 0, "pectoral_upper_visible": False}
    programme.others = {
        "density": [
            {"exam_id": "E1", "breast": "L", "density": "b", "percent": 12.5},
            {"exam_id": "E1", "breast": "R", "density": None, "percent": 0},
            {"exam_id": "E2", "breast": "L", "density": None, "percent": None},
            {"exam_id": "E3", "breast": "L", "density": "d", "percent": None},
        ],
        "quality": [
            {"exam_id": "E1", "breast": "R", "view": "MLO", "grade": "M", "skin_fold": True},
            {"exam_id": "E2", "breast": "L", "view": "CC", "grade": None, "skin_fold": False},
            {"exam_id": "E2", "breast": "R", "view": "CC", "grade": None, "skin_fold": None},
        ],
        "landmarks": [{"sop_uid": marked["sop_uid"], **point}],
    }
    programme.build(tmp_path)
    [e1] = [row["exam"] for row in cohort_exams(tmp_path).values() if row["woman"] == hidden("W1")]
    assert known(tmp_path, "density") == [
        {"exam": e1, "breast": "L", "density": "b", "percent": 12.5},
        {"exam": e1, "breast": "R", "percent": 0.0},
    ]
    assert cohort_exams(tmp_path)[e1]["density"] == "b"
    rows = [
        {
            "image": marked["image"],
            "grade": "M",
            "skin_fold": True,
            "nipple_visible": True,
            **point,
        },
        {"image": images["E2", "L", "CC"]["image"], "skin_fold": False},
    ]
    assert known(tmp_path, "quality") == sorted(rows, key=lambda row: row["image"])
    about = json.loads((tmp_path / "cohort/cohort.json").read_text())
    names = ("density, breasts", "percent density, breasts")
    names += ("grade, images", "criteria, images", "landmarks, images")
    assert [about["counts"]["all"][name] for name in names] == [1, 2, 1, 2, 1]
    assert "density.csv: row 4: says nothing; not used" in about["notices"]
    assert "quality.csv: row 4: says nothing; not used" in about["notices"]


def test_tables_of_an_earlier_cohort_are_removed(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST)
    programme.others = {
        "density": [{"exam_id": "E1", "breast": "L", "percent": 1}],
        "quality": [{"exam_id": "E1", "breast": "L", "view": "CC", "grade": "P"}],
    }
    programme.build(tmp_path)
    assert known(tmp_path, "density")
    assert known(tmp_path, "quality")
    for name in programme.others:
        (tmp_path / f"registry/{name}.csv").unlink()
    programme.others = {}
    programme.build(tmp_path)
    assert not {"density.parquet", "quality.parquet"} & {p.name for p in tmp_path.rglob("cohort/*")}


def test_a_view_is_the_image_in_use_and_landmarks_are_the_image_they_name(tmp_path: Path) -> None:
    """The exam was done again; its first study lacks R MLO, and the grade is of its L CC too."""
    programme = Programme()
    again = FIRST + timedelta(days=3)
    programme.screened("E1", "W1", FIRST, views=VIEW_SLOTS[:3])
    programme.screened("E2", "W1", again)
    images = places(programme)
    programme.others = {
        "density": [
            {"exam_id": "E2", "breast": "L", "density": "d", "percent": 50},
            {"exam_id": "E1", "breast": "L", "density": "a", "percent": None},
        ],
        "quality": [
            {"exam_id": "E2", "breast": "L", "view": "CC", "grade": "P"},
            {"exam_id": "E1", "breast": "L", "view": "CC", "grade": "I"},
            {"exam_id": "E2", "breast": "R", "view": "MLO", "grade": "G"},
        ],
        "landmarks": [
            {"sop_uid": images[exam, "L", "CC"]["sop_uid"], "nipple_x": x, "nipple_y": x}
            for exam, x in (("E1", 1), ("E2", 2))
        ],
    }
    programme.build(tmp_path)
    [exam] = cohort_exams(tmp_path)
    both = {"density": "a", "percent": 50.0}
    assert known(tmp_path, "density") == [{"exam": exam, "breast": "L", **both}]
    nipple = {"nipple_x": 1.0, "nipple_y": 1.0, "nipple_visible": True}
    rows = [
        {"image": images["E1", "L", "CC"]["image"], "grade": "I", **nipple},
        {"image": images["E2", "R", "MLO"]["image"], "grade": "G"},
    ]
    assert known(tmp_path, "quality") == sorted(rows, key=lambda row: row["image"])


def test_a_held_out_exam_keeps_its_labels_out(tmp_path: Path) -> None:
    """By held_out_from, an exam of a woman who is not in the test part is left out."""
    programme = Programme()
    for number in range(12):
        programme.screened(f"E{number}", f"W{number}", FIRST, views=VIEW_SLOTS[:1])
        programme.screened(f"F{number}", f"W{number}", SECOND, views=VIEW_SLOTS[:1])
    exams = [row["exam_id"] for row in programme.exams]
    quality = [{"exam_id": e, "breast": "L", "view": "CC", "grade": "P"} for e in exams]
    density = [{"exam_id": e, "breast": "L", "density": "a"} for e in exams]
    programme.others = {"density": density, "quality": quality}
    held_out = SplitSettings(test=0.5, held_out_from=str(SECOND))
    programme.build(tmp_path, CohortSettings(splits=held_out))
    assert 12 < len(cohort_exams(tmp_path)) < 24
    assert {row["exam"] for row in known(tmp_path, "density")} == set(cohort_exams(tmp_path))
    images = {row["image"] for row in cohort_images(tmp_path)}
    assert {row["image"] for row in known(tmp_path, "quality")} == images


def test_landmarks_that_cannot_serve_are_counted(tmp_path: Path) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST, rows=30, columns=20)
    sop_uids = [row["sop_uid"] for row in programme.images]
    marks = [(sop_uids[0], 20, 5, None), (sop_uids[1], -1, -1, True), (sop_uids[2], 40, 5, False)]
    marks += [("9.9", 1, 1, None), ("9.8", 1, 1, None)]
    names = ("sop_uid", "nipple_x", "nipple_y", "nipple_visible")
    programme.others = {"landmarks": [dict(zip(names, mark, strict=True)) for mark in marks]}
    programme.build(tmp_path)
    assert known(tmp_path, "quality") == [
        {"image": programme.images[2]["image"], "nipple_visible": False}
    ]
    notices = json.loads((tmp_path / "cohort/cohort.json").read_text())["notices"]
    for notice in (
        "landmarks: 2 images are marked that the index does not have; not used",
        "landmarks: 2 landmarks lie outside their image; they count as unknown",
        "landmarks.csv: row 4: nipple has a place, but nipple_visible is false; place not used",
    ):
        assert notice in notices


def box(sop_uid: object, x: float, y: float, **more: object) -> Row:
    return {"sop_uid": sop_uid, "x": x, "y": y, "width": 4, "height": 6, **more}


def test_lesions_are_of_the_image_they_name_where_it_is_in_use(tmp_path: Path) -> None:
    """The exam was done again; its first study lacks R MLO, and its other images are in use."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST, views=VIEW_SLOTS[:3])
    programme.screened("E2", "W1", FIRST + timedelta(days=3))
    programme.screened("E3", "W2", FIRST)
    images = places(programme)
    first, again = images["E1", "L", "CC"], images["E2", "L", "CC"]
    filled, other = images["E2", "R", "MLO"], images["E3", "R", "CC"]
    programme.others = {
        "lesions": [
            box(other["sop_uid"], 0.25, 0, kind=None, malignant=None),
            box(again["sop_uid"], 1, 2, kind="mass", malignant=True),
            box(first["sop_uid"], 3, 2, kind="mass", malignant=True),
            box(first["sop_uid"], 3, 1, kind="asymmetry", malignant=False),
            box(filled["sop_uid"], 5, 5, kind="distortion", malignant=True),
        ]
    }
    programme.build(tmp_path)
    exam, e3 = (
        next(name for name, row in cohort_exams(tmp_path).items() if row["woman"] == hidden(woman))
        for woman in ("W1", "W2")
    )
    size = {"width": 4.0, "height": 6.0}
    left = {"image": first["image"], "exam": exam, "laterality": "L", "view": "CC", "x": 3.0}
    right = {"exam": exam, "laterality": "R", "view": "MLO", "x": 5.0, "y": 5.0, **size}
    expected = [
        left | {"y": 1.0, **size, "kind": "asymmetry", "malignant": False},
        left | {"y": 2.0, **size, "kind": "mass", "malignant": True},
        {"image": filled["image"], **right, "kind": "distortion", "malignant": True},
        {"image": other["image"], "exam": e3, "laterality": "R", "view": "CC", "x": 0.25, "y": 0.0}
        | size,
    ]
    key = ("image", "x", "y")
    assert known(tmp_path, "lesions") == sorted(expected, key=lambda row: [row[k] for k in key])
    about = json.loads((tmp_path / "cohort/cohort.json").read_text())
    assert about["counts"]["all"]["lesions"] == 4
    (tmp_path / "registry/lesions.csv").unlink()
    programme.others = {}
    programme.build(tmp_path)
    assert not (tmp_path / "cohort/lesions.parquet").exists()


@pytest.mark.parametrize(
    ("x", "y", "used"),
    [
        (-4.4, -6.4, True),
        (-4.5, 0, False),
        (0, -6.5, False),
        (19.4, 29.4, True),
        (19.5, 0, False),
        (0, 29.5, False),
    ],
)
def test_a_lesion_has_a_part_of_its_image(tmp_path: Path, x: float, y: float, used: bool) -> None:
    """A box of 4 columns and 6 rows, an image of 20 columns and 30 rows."""
    programme = Programme()
    programme.screened("E1", "W1", FIRST, rows=30, columns=20)
    sop_uid = programme.images[0]["sop_uid"]
    programme.others = {"lesions": [box(sop_uid, x, y), box("9.9", 1, 1), box("9.9", 2, 1)]}
    programme.build(tmp_path)
    table = tmp_path / "cohort/lesions.parquet"
    assert table.exists() == used
    notices = json.loads((tmp_path / "cohort/cohort.json").read_text())["notices"]
    told = [line for line in notices if line.startswith("lesions: ")]
    outside = "lesions: 1 lesions lie outside their image; not used"
    strange = "lesions: 1 images are marked that the index does not have; not used"
    assert told == [strange] + [outside] * (not used)


@pytest.mark.parametrize(
    ("row_mm", "column_mm", "spacing_mm"),
    [(0.085, 0.085, 0.085), (0.1, 0.1005, 0.1), (0.1, 0.102, None), (None, None, None)],
)
def test_spacing_is_that_of_square_pixels(
    tmp_path: Path, row_mm: float | None, column_mm: float | None, spacing_mm: float | None
) -> None:
    programme = Programme()
    spacings = {"row_spacing_mm": row_mm, "column_spacing_mm": column_mm}
    programme.screened("E1", "W1", FIRST, views=VIEW_SLOTS[:1], **spacings)
    programme.build(tmp_path)
    [image] = cohort_images(tmp_path)
    assert image["spacing_mm"] == spacing_mm


COORDINATES = st.sampled_from([None, -0.6, -0.5, 0.0, 9.5, 9.6])
FLAGS = st.sampled_from([None, True, False])
MARKS = st.fixed_dictionaries(
    {
        name: st.tuples(st.one_of(st.none(), st.tuples(COORDINATES, COORDINATES)), FLAGS)
        for name in Landmark
    }
)
GRADES = st.fixed_dictionaries(
    {"grade": st.sampled_from([None, *"PGMI"]), **dict.fromkeys(Criterion, FLAGS)}
)


def one_by_one(marks: dict[Landmark, Any]) -> Row:
    """What a row of landmarks says of an image of 10 x 10 pixels; docs/registry.md in words."""
    said: Row = {}
    for name, (place, visible) in marks.items():
        whole = place is not None and None not in place
        inside = whole and all(-0.5 <= number <= 9.5 for number in place)
        if visible is False:
            said[f"{name}_visible"] = False
        elif whole and inside:
            said |= {f"{name}_x": place[0], f"{name}_y": place[1], f"{name}_visible": True}
        elif not whole and visible:
            said[f"{name}_visible"] = True
    return said


@settings(max_examples=6)
@given(
    st.dictionaries(st.sampled_from(VIEW_SLOTS), GRADES, min_size=1),
    st.dictionaries(st.sampled_from(VIEW_SLOTS), MARKS),
    st.randoms(use_true_random=False),
)
def test_rows_as_one_by_one_and_in_any_order(
    grades: dict[tuple[str, str], Row], marks: dict[tuple[str, str], Any], random: Any
) -> None:
    programme = Programme()
    programme.screened("E1", "W1", FIRST, rows=10, columns=10)
    images = {key[1:]: row for key, row in places(programme).items()}
    quality = [
        {"exam_id": "E1", "breast": side, "view": view, **grade}
        for (side, view), grade in grades.items()
    ]
    landmarks = []
    for slot, names in marks.items():
        row = {"sop_uid": images[slot]["sop_uid"]}
        for name, (place, visible) in names.items():
            x, y = place if place and None not in place else (None, None)
            row |= {f"{name}_x": x, f"{name}_y": y, f"{name}_visible": visible}
        landmarks.append(row)
    programme.others = {"quality": quality} | ({"landmarks": landmarks} if landmarks else {})
    expected = []
    for slot, image in images.items():
        graded = {k: v for k, v in grades.get(slot, {}).items() if v is not None}
        if said := graded | one_by_one(marks.get(slot, {})):
            expected.append({"image": image["image"], **said})
    with TemporaryDirectory() as name:
        folder = Path(name)
        programme.build(folder)
        table = folder / "cohort/quality.parquet"
        assert table.exists() == bool(expected)
        if not expected:
            return
        assert known(folder, "quality") == sorted(expected, key=lambda row: row["image"])
        before = table.read_bytes()
        random.shuffle(programme.images)
        random.shuffle(quality)
        random.shuffle(landmarks)
        programme.build(folder)
        assert table.read_bytes() == before
