"""The cache holds what the recipe gives, loses nothing, and goes on where it stopped."""

import json
import os
import shutil
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from mim.data.cache import Cache, _run, write_cache
from mim.data.settings import CacheSettings
from mim.data.shards import ImageJob, ShardJob, ShardReader, write_shard
from mim.errors import InputError
from mim.image.recipe import fingerprint, prepare
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import read_table
from mim.vocab import Laterality, Reason, View
from mim.workers.settings import WorkersSettings

RECIPE = RecipeSettings(height=64, width=32)


@pytest.fixture
def own_cohort(cohort, index, programme, tmp_path):
    """A copy of the cohort and its index over a copy of the DICOM files, to be spoilt."""
    copies = {"dicom": programme / "dicom", "cohort": cohort, "index": index}
    for name, folder in copies.items():
        shutil.copytree(folder, tmp_path / name)
    for about in ("cohort/cohort.json", "index/index.json"):
        text = (tmp_path / about).read_text()
        for name, folder in copies.items():
            text = text.replace(json.dumps(str(folder)), json.dumps(str(tmp_path / name)))
        (tmp_path / about).write_text(text)
    return tmp_path / "cohort"


def paths(cohort) -> dict[str, str]:
    index = json.loads((cohort / "cohort.json").read_text())["index"]
    rows = pl.read_parquet(Path(index) / "images").filter(pl.col("reason").is_null())
    ours = pl.read_parquet(cohort / "images.parquet").select("image")
    return dict(rows.join(ours, on="image").select("image", "path").rows())


def test_every_image_is_what_the_recipe_gives(cohort, cache, programme):
    found = Cache(cache)
    files = paths(cohort)
    rows = pl.read_parquet(cohort / "images.parquet").rows(named=True)
    for row in rows:
        wanted = prepare(
            programme / "dicom" / files[row["image"]],
            Laterality(row["laterality"]),
            View(row["view"]),
            RECIPE,
        )
        np.testing.assert_array_equal(found.read(row["image"]), wanted.pixels)
    assert found.folder.name == fingerprint(RECIPE)


def identifiers(programme) -> list[bytes]:
    women = pl.read_csv(programme / "registry" / "women.csv")["woman_id"].cast(str)
    exams = pl.read_csv(programme / "registry" / "exams.csv").select(
        pl.col("exam_id", "study_uid").cast(str)
    )
    return [
        name.encode() for column in (women, exams["exam_id"], exams["study_uid"]) for name in column
    ]


def test_no_identifier_leaves_the_index(cohort, cache, run, programme):
    """Neither in a table or picture, nor in what a file is called."""
    names = identifiers(programme)
    for folder in (cohort, cache, run):
        for path in folder.rglob("*"):
            content = path.read_bytes() if path.is_file() else b""
            if path.suffix == ".parquet":
                content = json.dumps(pl.read_parquet(path).rows(), default=str).encode()
            content += path.relative_to(folder).as_posix().encode()
            assert not any(name in content for name in names), path.name


def test_damaged_files_get_a_row_and_the_work_goes_on(own_cohort, programme, tmp_path):
    lost = sorted(paths(own_cohort).items())[:2]
    (tmp_path / "dicom" / lost[0][1]).write_bytes(b"no dicom")
    (tmp_path / "dicom" / lost[1][1]).unlink()
    assert (
        write_cache(
            own_cohort, tmp_path / "cache", RECIPE, CacheSettings(), WorkersSettings(workers=1)
        )
        == 2
    )
    folder = Cache(tmp_path / "cache").folder
    rows = {row["image"]: row for row in read_table(folder / "images.parquet", CACHE).to_pylist()}
    assert all(rows[image]["reason"] for image, _ in lost)
    details = json.dumps([rows[image]["detail"] for image, _ in lost]).encode()
    assert not any(name in details for name in identifiers(programme))
    assert sum(row["reason"] is None for row in rows.values()) == len(rows) - 2
    attrition = pl.read_parquet(folder / "attrition.parquet").filter(pl.col("step") == "cache")
    assert attrition["count"].sum() == len(rows)


def test_a_killed_run_goes_on_to_the_same_cache(own_cohort, cache, tmp_path):
    whole, out = Cache(cache).folder, tmp_path / "cache" / fingerprint(RECIPE)
    write_cache(own_cohort, tmp_path / "cache", RECIPE, CacheSettings(), WorkersSettings(workers=1))
    for gone in (
        "shard-00003.parquet",
        "shard-00005.parquet",
        "shard-00005.b2frame",
        "images.parquet",
    ):
        (out / gone).unlink()
    (out / ".shard-00003.b2frame.17").write_bytes(b"half")
    kept = (out / "shard-00000.b2frame").stat().st_mtime_ns
    write_cache(own_cohort, tmp_path / "cache", RECIPE, CacheSettings(), WorkersSettings(workers=2))
    assert (out / "shard-00000.b2frame").stat().st_mtime_ns == kept
    assert read_table(out / "images.parquet", CACHE) == read_table(whole / "images.parquet", CACHE)
    for image in paths(own_cohort):
        np.testing.assert_array_equal(Cache(out).read(image), Cache(whole).read(image))


def test_an_image_that_kills_its_decoder_gets_a_row(tmp_path, programme):
    path = next((programme / "dicom").rglob("*.dcm"))
    jobs = [ImageJob(name, path, Laterality.LEFT, View.CC) for name in ("good", "deadly")]
    job = ShardJob(tmp_path, "shard-00000", jobs, RECIPE, deadly=frozenset({"deadly"}))
    assert write_shard(job) == 1
    rows = read_table(job.rows, CACHE).to_pylist()
    assert [row["reason"] for row in rows] == [None, Reason.DECODER_DIED]
    assert not job.in_hand.exists()


class Deadly(type(Path())):
    """A path that kills the process which opens it, as a decoder does that runs out of bounds."""

    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def test_dying_processes_cost_their_images_and_nothing_else(tmp_path, programme):
    good = next((programme / "dicom").rglob("*.dcm"))
    shards = [("a", "b", "deadly-1", "c", "deadly-2"), ("d",), ("deadly-3",)]
    jobs = [
        ShardJob(
            tmp_path,
            f"shard-{number:05d}",
            [
                ImageJob(name, Deadly("x") if "deadly" in name else good, Laterality.LEFT, View.CC)
                for name in names
            ],
            RECIPE,
        )
        for number, names in enumerate(shards)
    ]
    _run(jobs, workers=2)
    rows = [row for job in jobs for row in read_table(job.rows, CACHE).to_pylist()]
    assert [row["image"] for row in rows] == [name for names in shards for name in names]
    for row in rows:
        assert row["reason"] == (Reason.DECODER_DIED if "deadly" in row["image"] else None)
    assert not list(tmp_path.glob(".*in_hand"))


def test_changed_bytes_are_noticed(cache, cohort, tmp_path):
    shutil.copytree(cache, tmp_path / "cache")
    found = Cache(tmp_path / "cache")
    shard = found.folder / "shard-00000.b2frame"
    content = bytearray(shard.read_bytes())
    middle = len(content) // 2
    for place in range(middle, middle + 64):
        content[place] ^= 0x55
    shard.write_bytes(bytes(content))
    outcomes = Counter(_try_reading(found, image) for image in paths(cohort))
    assert outcomes["damaged"] >= 1
    assert outcomes["damaged"] + outcomes["whole"] == len(paths(cohort))


def _try_reading(found: Cache, image: str) -> str:
    try:
        found.read(image)
    except InputError as error:
        return "damaged" if "is damaged" in str(error) else str(error)
    return "whole"


def test_another_image_in_an_images_place_is_noticed(cache):
    folder = Cache(cache).folder
    one, other = read_table(folder / "images.parquet", CACHE).to_pylist()[:2]
    reader = ShardReader(folder, RECIPE)
    reader.read(one["shard"], one["chunk"], one["checksum"])
    with pytest.raises(InputError, match="is damaged"):
        reader.read(other["shard"], other["chunk"], one["checksum"])


def test_a_recipe_of_another_version_is_refused(cache, tmp_path):
    shutil.copytree(cache, tmp_path / "cache")
    about = Cache(tmp_path / "cache").folder / "cache.json"
    about.write_text(about.read_text().replace(fingerprint(RECIPE), "0123456789abcdef"))
    with pytest.raises(InputError, match="0123456789abcdef"):
        Cache(tmp_path / "cache")


def test_two_recipes_in_one_folder_ask_which(cohort, tmp_path):
    for height in (16, 24):
        recipe = RecipeSettings(height=height, width=8)
        write_cache(cohort, tmp_path, recipe, CacheSettings(), WorkersSettings(workers=1))
    with pytest.raises(InputError, match="give the folder of one recipe"):
        Cache(tmp_path)
