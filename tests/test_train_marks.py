"""Marks of a run: places of its maps carried back to the stored images, and what is kept."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mim.data.sampler import Draw
from mim.errors import InputError
from mim.evaluate.localisation import locate
from mim.image.landmarks import shares_to_pixels
from mim.schemas.cohort import IMAGES, LESIONS, QUALITY
from mim.schemas.marks import MARKS
from mim.schemas.scores import SCORES
from mim.schemas.table import Schema, read_table
from mim.train import marks as room
from mim.train.card import RunCard, write_card
from mim.train.marks import (
    MOST_MARKS,
    exams_to_mark,
    highest_spots,
    marks_of_run,
)
from mim.train.run import load_task, score
from mim.train.saliency import grad_cam
from mim.vocab import Landmark, Split, Task


def blob(size: tuple[int, int], column: float, row: float, wide: float = 2.0) -> np.ndarray:
    rows, columns = np.mgrid[: size[0], : size[1]]
    away = (rows - row) ** 2 + (columns - column) ** 2
    return np.exp(-away / (2 * wide**2)).astype(np.float32)


def frame(path: Path, schema: Schema) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(read_table(path, schema)))


@pytest.fixture(scope="module")
def run(run, cohort, tmp_path_factory):
    """A copy of the run and its cohort, in which marks and newer files may lie."""
    out = tmp_path_factory.mktemp("marked")
    shutil.copytree(run, out / "run")
    shutil.copytree(cohort, out / "cohort")
    write_card(out / "run", replace(RunCard.read(run), cohort=str(out / "cohort")))
    return out / "run"


@pytest.fixture(scope="module")
def marker(run):
    task, card = load_task(run)
    return room._Marker(run, card, task.model, Split.TRAIN)


def test_spots_are_the_highest_separate_tops() -> None:
    heat = blob((200, 100), 30, 50) + 0.5 * blob((200, 100), 70, 120) + 0.2 * blob((200, 100), 9, 9)
    heat += 0.7 * blob((200, 100), 36, 50) + 0.1 * blob((200, 100), 90, 190)
    spots = highest_spots(heat)
    assert spots[:, :2].round().tolist() == [[30, 50], [70, 120], [9, 9]]
    assert spots[:, 2] == pytest.approx([1, 0.5, 0.2], abs=0.02)
    assert highest_spots(np.zeros((20, 10), np.float32)).shape == (0, 3)
    flat = np.zeros((64, 32), np.float32)
    flat[10:12, 20:24] = 1
    assert highest_spots(flat).tolist() == [[21.5, 10.5, 1]]


def test_places_come_back_to_the_stored_image_as_landmarks_went_in(marker, cohort) -> None:
    """The nipples that the registry knows, into the model's input by the cache and back."""
    everyone, recipe = marker._data.everyone, marker._data.cache.recipe
    stored = frame(cohort / "quality.parquet", QUALITY).select("image", "nipple_x", "nipple_y")
    known = {image: place for image, *place in stored.drop_nulls().rows()}
    nipple = [*Landmark].index(Landmark.NIPPLE)
    turned, compared = set(), 0
    for exam, view in np.argwhere(everyone.images >= 0):
        share = everyone.labels.landmarks[exam, view, nipple]
        picture = int(everyone.images[exam, view])
        if np.isnan(share).any():
            continue
        pixel = shares_to_pixels(share.astype(np.float64), recipe.height, recipe.width)
        back = marker._on_stored(picture, np.array([[*pixel, 1.0]]))
        image = everyone.image_table["image"][picture].as_py()
        assert back[0, :2] == pytest.approx(known[image], abs=0.02)
        turned.add(marker._made["mirrored"][picture].as_py())
        compared += 1
    assert compared > 40
    assert turned == {True, False}


def test_a_blob_on_the_lesion_is_a_mark_in_its_box(marker, cohort) -> None:
    """Drawn where the box's middle lies in the model's input, found on the input's pixels."""
    everyone, recipe = marker._data.everyone, marker._data.cache.recipe
    names = everyone.image_table["image"].to_pylist()
    lesions = frame(cohort / "lesions.parquet", LESIONS).filter("malignant")
    images = frame(cohort / "images.parquet", IMAGES)
    rows = []
    for image, x, y, width, height in lesions.select("image", "x", "y", "width", "height").rows():
        picture = names.index(image)
        [made] = marker._made.slice(picture, 1).to_pylist()
        # By hand and not by the functions that are tested.
        column, row = x + width / 2 - made["left"] + 0.5, y + height / 2 - made["top"] + 0.5
        wide, high = made["right"] - made["left"], made["bottom"] - made["top"]
        column = wide - column if made["mirrored"] else column
        row = high - row if made["upside_down"] else row
        above = (recipe.height - min(recipe.height, round(high * made["scale"]))) // 2
        spot = column * made["scale"] - 0.5, above + row * made["scale"] - 0.5
        heat = blob((recipe.height, recipe.width), *spot, wide=1.0)
        spots = marker._on_stored(picture, highest_spots(heat))
        assert len(spots) == 1
        rows.append({"image": image, "x": spots[0, 0], "y": spots[0, 1], "score": 1.0})
    assert len(rows) > 5
    marks = pl.DataFrame(pl.from_arrow(MARKS.from_rows(rows)))
    breasts = images.select("exam", pl.col("laterality").alias("breast")).unique()
    sick = lesions.select("exam", pl.col("laterality").alias("breast"), cancer=True).unique()
    breasts = breasts.join(sick, on=["exam", "breast"], how="left")
    breasts = breasts.with_columns(pl.col("cancer").fill_null(False), woman="exam", score=0.5)
    # A box may be narrower than a pixel of the tiny input.
    found = locate(breasts, images, lesions, marks, tolerance_mm=3.0)
    assert found.boxed.sum() > 2
    assert (found.located == found.boxed).all()


def test_marks_of_a_run_lie_on_its_images_and_score_as_their_breasts(run, cohort, marker) -> None:
    exams = exams_to_mark(run, Split.TRAIN)
    found = pl.DataFrame(pl.from_arrow(marks_of_run(run, Split.TRAIN)))
    assert found["model"].unique().to_list() == [run.name]
    images = frame(cohort / "images.parquet", IMAGES)
    joined = found.join(images, on="image", how="left").rename({"laterality": "breast"})
    assert set(joined["exam"]) <= set(exams)
    assert joined.group_by("image").len()["len"].max() <= MOST_MARKS
    scores = frame(score(run, Split.TRAIN)[Task.CANCER], SCORES)
    scores = scores.select("exam", "breast", said="score")
    top = joined.group_by("exam", "breast").agg(pl.col("score").max())
    top = top.join(scores, on=["exam", "breast"])
    assert len(top) > 10
    assert (top["score"] - top["said"]).abs().max() < 1e-6
    made = dict(
        zip(
            marker._data.everyone.image_table["image"].to_pylist(),
            marker._made.to_pylist(),
            strict=True,
        )
    )
    for image, x, y in found.select("image", "x", "y").rows():
        box = made[image]
        assert box["left"] - 0.5 <= x <= box["right"] - 0.5
        assert box["top"] - 0.5 <= y <= box["bottom"] - 0.5


def test_a_breast_is_explained_by_its_own_log_odds_on_its_own_pixels(marker) -> None:
    differ = 0
    for place in range(5):
        batch = marker._dataset[[Draw(place, 0)]]
        pixels = batch.images[0, 0, :, 0].numpy()
        maps = [
            grad_cam(marker._model, batch, lambda said, _, b=breast: said.cancer.breast[:, b])[0]
            for breast in (0, 1)
        ]
        for breast in (0, 1):
            heats = marker._heats(batch, breast)
            assert all(view // 2 == breast for view in heats)
            own, other = (
                np.where(pixels > 0, maps[b].numpy(), 0)[[*heats]] for b in (breast, 1 - breast)
            )
            own, other = (heat / (heat.max() or 1) for heat in (own, other))
            assert np.stack([*heats.values()]) == pytest.approx(own)
            differ += not np.allclose(own, other, atol=0.01)
    assert differ, "the log-odds of the other breast have other maps"


def test_an_absent_view_has_no_mark(marker) -> None:
    images = marker._data.everyone.images[marker._dataset.rows]
    lacking = np.flatnonzero((images < 0).any(axis=1) & (images >= 0).any(axis=1))
    assert lacking.size
    for place in lacking.tolist():
        batch = marker._dataset[[Draw(place, 0)]]
        present = batch.present[0, 0].numpy()
        marked = {mark["image"] for mark in marker.marks(place)}
        assert len(marked) <= present.sum()
        assert {view for b in (0, 1) for view in marker._heats(batch, b)} == set(
            np.flatnonzero(present)
        )


def test_marks_are_kept_until_the_checkpoint_or_the_cohort_is_newer(run) -> None:
    first = marks_of_run(run, Split.TRAIN)
    path = run / "scores" / "train-marks.parquet"
    written = path.stat().st_mtime_ns
    assert marks_of_run(run, Split.TRAIN).equals(first)
    assert path.stat().st_mtime_ns == written
    [exam] = exams_to_mark(run, Split.TRAIN)[:1]
    some = marks_of_run(run, Split.TRAIN, [exam, "nobody's"])
    assert 0 < len(some) < len(first)
    assert path.stat().st_mtime_ns == written
    card = RunCard.read(run)
    for newer in (run / "checkpoints" / "best.ckpt", Path(card.cohort) / "cohort.json"):
        before = path.stat().st_mtime_ns
        os.utime(newer)
        assert marks_of_run(run, Split.TRAIN).equals(first)
        assert path.stat().st_mtime_ns > before


def test_exams_with_boxes_and_some_of_the_healthy_are_marked(run, cohort, monkeypatch) -> None:
    lesions = frame(cohort / "lesions.parquet", LESIONS).filter("malignant")
    scores = frame(score(run, Split.TRAIN)[Task.CANCER], SCORES)
    known = {exam: [] for exam in scores["exam"]}
    for exam, cancer in scores.select("exam", "cancer").rows():
        known[exam].append(cancer)
    boxed = set(lesions["exam"]) & set(known)
    healthy = {exam for exam, cancers in known.items() if cancers == [False, False]} - boxed
    assert boxed
    assert len(healthy) > 2
    assert set(exams_to_mark(run, Split.TRAIN)) == boxed | healthy
    monkeypatch.setattr(room, "MOST_HEALTHY", 2)
    fewer = exams_to_mark(run, Split.TRAIN)
    assert len(fewer) == len(boxed) + 2
    assert boxed < set(fewer) < boxed | healthy


def test_a_run_without_cancer_sees_none(run, tmp_path) -> None:
    card = RunCard.read(run)
    card.settings["tasks"]["cancer"]["learn"] = False
    write_card(tmp_path, card)
    with pytest.raises(InputError, match="has not learnt cancer"):
        marks_of_run(tmp_path, Split.TRAIN)
