"""Columns of exams, images, priors and labels against what a reader of the tables would look up."""

import shutil
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from mim.data.cache import Cache
from mim.data.exams import Exams
from mim.dicom.pixels import StoredImage
from mim.errors import InputError
from mim.image.landmarks import keep_inside, shares_to_stored, stored_to_shares
from mim.image.phantom import phantom
from mim.image.recipe import Prepared, prepare_stored
from mim.image.settings import RecipeSettings
from mim.schemas.cohort import DENSITY, QUALITY
from mim.schemas.table import write_table
from mim.vocab import VIEW_SLOTS, Criterion, Laterality, View


@pytest.fixture
def copied(cohort, tmp_path):
    """The cohort without labels of density and quality, to be written to."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    for name in ("density", "quality"):
        (folder / f"{name}.parquet").unlink(missing_ok=True)
    return folder


def images_by_slot(cohort):
    rows = pl.read_parquet(cohort / "images.parquet").rows(named=True)
    return {(row["exam"], row["laterality"], row["view"]): row for row in rows}


def numbers(*values):
    return [float("nan") if value is None else float(value) for value in values]


def test_columns_say_what_the_tables_say(cohort, cache):
    exams = Exams(cohort, Cache(cache))
    images = images_by_slot(cohort)
    made = {
        row["image"]: row
        for row in pl.read_parquet(next(cache.rglob("images.parquet"))).rows(named=True)
    }
    names = exams.table["exam"].to_pylist()
    assert names == pl.read_parquet(cohort / "exams.parquet")["exam"].to_list()
    for place, row in enumerate(exams.table.to_pylist()):
        for slot, side_and_view in enumerate(VIEW_SLOTS):
            wanted = images.get((row["exam"], *side_and_view))
            found = exams.images[place, slot]
            assert (found >= 0) == (wanted is not None)
            if wanted:
                image = exams.image_table.slice(found, 1).to_pylist()[0]
                assert image == wanted
                spacing = image["spacing_mm"] / made[image["image"]]["scale"]
                assert exams.model_spacing_mm[place, slot] == pytest.approx(spacing)
        priors = [names[prior] for prior in exams.priors[place] if prior >= 0]
        assert priors == row["priors"]
        known = (exams.priors[place] >= 0).sum()
        np.testing.assert_allclose(exams.months[place, :known], row["months_before"], rtol=1e-6)
        for name in ("cancer", "years_to_cancer", "years_followed"):
            wanted = numbers(row[f"left_{name}"], row[f"right_{name}"])
            np.testing.assert_allclose(getattr(exams.labels, name)[place], wanted, rtol=1e-6)


def test_exams_and_priors_without_images_are_left_out(copied, cache):
    """Of a prior's images none is left, and of another exam's one."""
    images = pl.read_parquet(copied / "images.parquet")
    exams = pl.read_parquet(copied / "exams.parquet")
    prior = exams["priors"].explode().drop_nulls()[0]
    other = exams.filter(pl.col("exam") != prior)["exam"][0]
    gone = images.filter(exam=other)["image"][0]
    table = next(cache.rglob("images.parquet"))
    lost = pl.col("image").is_in(images.filter(exam=prior)["image"].implode()) | (
        pl.col("image") == gone
    )
    whole = Exams(copied, Cache(cache))
    smaller = copied.parent / "cache"
    shutil.copytree(table.parent, smaller / table.parent.name)
    rows = pl.read_parquet(table).filter(~lost)
    rows.write_parquet(smaller / table.parent.name / "images.parquet")
    left = Exams(copied, Cache(smaller))
    names = left.table["exam"].to_pylist()
    assert prior not in names
    assert len(left) == len(whole) - 1
    for place, row in enumerate(left.table.to_pylist()):
        found = [names[at] for at in left.priors[place] if at >= 0]
        assert found == [name for name in row["priors"] if name != prior]
    assert (left.images[names.index(other)] >= 0).sum() == images.filter(exam=other).height - 1


def test_a_cache_of_another_cohort_is_refused(copied, cache):
    images = pl.read_parquet(copied / "images.parquet")
    others = images.with_columns(image=pl.col("image").str.replace("^....", "0000"))
    others.write_parquet(copied / "images.parquet")
    with pytest.raises(InputError, match="holds no image of .*run 'mim cache' with this cohort"):
        Exams(copied, Cache(cache))


@pytest.mark.parametrize("name", ["images.parquet", "places.arrow"])
def test_a_damaged_table_of_the_cache_is_named(name, cohort, cache, tmp_path):
    shutil.copytree(cache, tmp_path / "cache")
    (table,) = (tmp_path / "cache").glob(f"*/{name}")
    table.write_bytes(b"garbage")
    with pytest.raises(InputError, match=f"{name}: .*damaged; .*run 'mim cache' again"):
        Exams(cohort, Cache(tmp_path / "cache"))


def test_density_of_the_exam_serves_both_breasts_where_no_table_has_more(copied, cache):
    table = pl.read_parquet(copied / "exams.parquet")
    letters = ["b", None, *["d"] * (len(table) - 2)]
    table.with_columns(density=pl.Series(letters)).write_parquet(copied / "exams.parquet")
    labels = Exams(copied, Cache(cache)).labels
    assert labels.density[:3].tolist() == [[1, 1], [-1, -1], [3, 3]]
    assert np.isnan(labels.percent).all()


def test_density_of_each_breast(copied, cache):
    names = pl.read_parquet(copied / "exams.parquet")["exam"]
    rows = [
        {"exam": names[2], "breast": "R", "density": "c", "percent": 31.5},
        {"exam": names[0], "breast": "L", "density": None, "percent": 7.0},
        {"exam": "0" * 20, "breast": "L", "density": "a", "percent": 1.0},
    ]
    write_table(DENSITY.from_rows(rows), copied / "density.parquet")
    labels = Exams(copied, Cache(cache)).labels
    assert labels.density[:3].tolist() == [[-1, -1], [-1, -1], [-1, 2]]
    np.testing.assert_equal(labels.percent[0], np.float32([7, np.nan]))
    np.testing.assert_equal(labels.percent[2], np.float32([np.nan, 31.5]))


def test_quality_of_each_view(copied, cache):
    """A place says that a point is visible; 'not visible' takes its place; neither is unknown."""
    names = pl.read_parquet(copied / "exams.parquet")["exam"]
    image = images_by_slot(copied)[(names[1], "R", "MLO")]["image"]
    made = pl.read_parquet(next(cache.rglob("images.parquet"))).filter(image=image).to_dicts()[0]
    inside = ((made["left"] + made["right"]) / 2, (made["top"] + made["bottom"]) / 2)
    row = {
        "image": image,
        "grade": "M",
        "skin_fold": True,
        "blurred": False,
        "nipple_x": inside[0],
        "nipple_y": inside[1],
        "pectoral_upper_x": 3.0,
        "pectoral_upper_y": 4.0,
        "pectoral_upper_visible": False,
    }
    write_table(QUALITY.from_rows([row]), copied / "quality.parquet")
    exams = Exams(copied, Cache(cache))
    assert exams.grades[1].tolist() == [-1, -1, -1, 2]
    np.testing.assert_equal(exams.labels.visible[1, 3], np.float32([1, 0, np.nan]))
    assert abs(exams.labels.landmarks[1, 3, 0, 1] - 0.5) < 0.02, "the middle of the crop is centred"
    assert np.isnan(exams.labels.landmarks[1, 3, 1:]).all()
    criteria = dict(zip(Criterion, exams.labels.criteria[1, 3].tolist(), strict=True))
    assert (criteria[Criterion.SKIN_FOLD], criteria[Criterion.BLURRED]) == (1, 0)
    assert np.isnan(criteria[Criterion.SYMMETRIC])
    elsewhere = np.delete(np.arange(len(exams)), 1)
    assert np.isnan(exams.labels.visible[elsewhere]).all()
    assert np.isnan(exams.labels.criteria[1, :3]).all()


def shares_of(points, prepared: Prepared, recipe: RecipeSettings) -> np.ndarray:
    return stored_to_shares(
        np.array([points], float),
        np.array([prepared.box]),
        np.array([prepared.scale]),
        np.array([prepared.mirrored]),
        np.array([prepared.upside_down]),
        recipe,
    )[0]


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize(("height", "width"), [(256, 128), (200, 160)])
def test_a_pixel_marked_in_the_stored_image_lies_where_its_landmark_is_put(
    mirrored, upside_down, height, width
):
    stored, recipe = phantom(), RecipeSettings(height=height, width=width)
    dataset = Dataset()
    dataset.update(stored.dataset)
    if upside_down:
        dataset.PatientOrientation = ["P", "R"]
    marked = stored.pixels.copy()
    # Of MONOCHROME1: 0 is white. Seven pixels around row 401, column 390.
    marked[398:405, 387:394] = 0
    images = []
    for pixels in (stored.pixels, marked):
        turned = pixels[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        image = StoredImage(np.ascontiguousarray(turned), dataset)
        images.append(prepare_stored(image, Laterality.RIGHT, View.CC, recipe))
    found = np.abs(images[1].pixels.astype(float) - images[0].pixels)
    rows, columns = np.indices(found.shape)
    centre = np.array([(columns * found).sum(), (rows * found).sum()]) / found.sum()
    point = (479 - 390 if mirrored else 390, 639 - 401 if upside_down else 401)
    (shares,) = shares_of([point], images[1], recipe)
    np.testing.assert_allclose(shares * (width, height) - 0.5, centre, atol=0.2)


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 4000), min_size=2, max_size=2, unique=True),
    st.lists(st.integers(0, 3000), min_size=2, max_size=2, unique=True),
    st.tuples(st.booleans(), st.booleans()),
    st.tuples(st.floats(-9, 4000), st.floats(-9, 4000)),
)
def test_the_way_back_leads_to_the_marked_place(rows, columns, turned, point):
    """The predictor's way from shares to stored pixels, written by another hand."""
    recipe = RecipeSettings(height=64, width=48)
    box = (*sorted(rows), *sorted(columns))
    scale = min(64 / (box[1] - box[0]), 48 / (box[3] - box[2]))
    prepared = Prepared(np.zeros((64, 48), np.uint16), box, scale, *turned, "")
    back = shares_to_stored(shares_of([point], prepared, recipe).astype(float), prepared, recipe)
    extent = max(b - a for a, b in pairwise(box[:2] + box[2:]))
    np.testing.assert_allclose(back[0], point, atol=1e-5 * (4000 + abs(extent)) / min(1, scale))


def test_points_beyond_the_edge_are_unknown_and_those_upon_it_are_not():
    points = np.float32([[0.5, 0.5], [-0.01, 0.2], [0.3, 1.3], [np.nan, np.nan]])
    inside, visible = keep_inside(points, np.float32([1, 1, 1, 0]))
    np.testing.assert_equal(inside[:2], np.float32([[0.5, 0.5], [0, 0.2]]))
    assert np.isnan(inside[2:]).all()
    np.testing.assert_equal(visible, np.float32([1, 1, np.nan, 0]))
