"""mini-MIAS: pictures become DICOM files of the same values; two films with one number are a woman."""

from pathlib import Path

import cv2
import numpy as np
import polars as pl
import pytest
from made_collections import rows_of, to_cohort

from mim.adapters.mini_mias import read
from mim.adapters.settings import Dataset
from mim.dicom.pixels import read_image
from mim.errors import InputError

INFO = """REFNUM BG CLASS SEVERITY X Y RADIUS
mdb001 G CIRC B 535 425 197
mdb002 G CIRC B 522 280 69
mdb003 D NORM
mdb004 D NORM
mdb144 F MISC B 233 994 29
mdb144 F MISC M 313 540 27
mdb143 F NORM
mdb216 D CALC M *NOTE 3*
mdb059 F CIRC B
"""
FILMS = (1, 2, 3, 4, 143, 144, 216)


@pytest.fixture
def source(tmp_path) -> Path:
    """Four women, one with one film only; a fifth woman's film was not downloaded."""
    folder = tmp_path / "source" / "all-mias"
    folder.mkdir(parents=True)
    (folder.parent / "Info.txt").write_text(INFO)
    rng = np.random.default_rng(1)
    for film in FILMS:
        pixels = rng.integers(0, 256, (24, 24), np.uint8)
        assert cv2.imwrite(str(folder / f"mdb{film:03d}.pgm"), pixels)
    return folder.parent


def test_breasts_take_the_worst_finding_and_odd_numbers_are_left(source, tmp_path):
    outcomes = read(source, tmp_path / "out").tables["outcomes"]
    assert rows_of(outcomes, "exam_id", "breast", "outcome", "years_to_cancer") == [
        ("mdb001-002", "L", "recalled without cancer", None),
        ("mdb001-002", "R", "recalled without cancer", None),
        ("mdb003-004", "L", "negative", None),
        ("mdb003-004", "R", "negative", None),
        ("mdb059-060", "L", "recalled without cancer", None),
        ("mdb143-144", "L", "negative", None),
        ("mdb143-144", "R", "cancer", 0.0),
        ("mdb215-216", "R", "cancer", 0.0),
    ]


def test_tissue_is_density_by_order(source, tmp_path):
    info = source / "Info.txt"
    info.write_text(info.read_text().replace("mdb144 F MISC M", "mdb144 G MISC M"))
    density = read(source, tmp_path / "out").tables["density"]
    rows = rows_of(density, "exam_id", "breast", "density")
    assert [f"{exam[3:6]} {breast} {letter}" for exam, breast, letter in rows] == [
        *("001 L b", "001 R b", "003 L c", "003 R c"),
        *("059 L a", "143 L a", "143 R b", "215 R c"),
    ]


def test_films_keep_their_values_and_bear_side_view_and_spacing(source, tmp_path):
    adapted, _ = to_cohort(Dataset.mini_mias, source, tmp_path)
    for film in FILMS:
        picture = cv2.imread(str(source / "all-mias" / f"mdb{film:03d}.pgm"), cv2.IMREAD_UNCHANGED)
        stored = read_image(adapted.images / f"mdb{film:03d}.dcm")
        assert np.array_equal(stored.pixels, picture)
    rows = pl.read_parquet(tmp_path / "index" / "images" / "*.parquet").sort("path")
    assert rows["reason"].null_count() == len(FILMS)
    assert rows["laterality"].to_list() == ["L", "R", "L", "R", "L", "R", "R"]
    columns = rows.select("view", "kind", "maker", "row_spacing_mm").unique().rows()
    assert columns == [("MLO", "digitised film", "film digitiser", 0.2)]


def test_the_cohort_has_an_exam_for_each_woman_with_films(source, tmp_path):
    _, exams = to_cohort(Dataset.mini_mias, source, tmp_path)
    assert exams.height == 4
    assert exams["priors"].list.len().sum() == 0
    assert sorted(exams["right_cancer"]) == [False, False, True, True]
    assert exams["left_cancer"].null_count() == 1
    density = pl.read_parquet(tmp_path / "cohort" / "density.parquet")
    assert density["density"].value_counts().sort("density").rows() == [
        ("a", 2),
        ("b", 2),
        ("c", 3),
    ]
    images = pl.read_parquet(tmp_path / "cohort" / "images.parquet")
    assert set(images["spacing_mm"]) == {0.2}
    # What the letters are is said wherever a figure of the data stands.
    assert (
        "F, G and D written as density a, b and c"
        in (tmp_path / "adapted" / "registry" / "note.txt").read_text()
    )


def test_what_was_not_downloaded_is_counted(source, tmp_path):
    (notice,) = read(source, tmp_path / "out").notices
    assert notice.startswith("1 of the 8 images in Info.txt")


def test_a_line_that_is_not_as_published_is_named(source, tmp_path):
    (source / "Info.txt").write_text(INFO.replace("CIRC B 522", "CIRC 522"))
    with pytest.raises(InputError, match=r"Info.txt: line 3 is not as published"):
        read(source, tmp_path / "out")


def test_a_damaged_picture_is_left_out_and_counted(source, tmp_path):
    (source / "all-mias" / "mdb003.pgm").write_bytes(b"P5\n")
    adapted, exams = to_cohort(Dataset.mini_mias, source, tmp_path)
    assert adapted.notices[-1] == "1 pictures are left out: no PGM, PNG or TIFF, or cut short"
    assert exams.height == 4
