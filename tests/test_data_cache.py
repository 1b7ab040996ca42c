"""The cache holds what the recipe gives, loses nothing, and goes on where it stopped."""

import json
import random
import shutil
from collections import Counter
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import xxhash

from mim.data.cache import Cache, write_cache
from mim.data.settings import CacheSettings
from mim.data.shards import SUFFIX, finished_shards
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
    """A third of the cohort's images, with an index and DICOM files that may be spoilt."""
    copies = {"dicom": programme / "dicom", "cohort": cohort, "index": index}
    for name, folder in copies.items():
        shutil.copytree(folder, tmp_path / name)
    for about in ("cohort/cohort.json", "index/index.json"):
        text = (tmp_path / about).read_text()
        for name, folder in copies.items():
            text = text.replace(json.dumps(str(folder)), json.dumps(str(tmp_path / name)))
        (tmp_path / about).write_text(text)
    images = pl.read_parquet(cohort / "images.parquet").gather_every(3)
    images.write_parquet(tmp_path / "cohort" / "images.parquet")
    return tmp_path / "cohort"


def paths(cohort) -> dict[str, str]:
    index = json.loads((cohort / "cohort.json").read_text())["index"]
    rows = pl.read_parquet(Path(index) / "images").filter(pl.col("reason").is_null())
    ours = pl.read_parquet(cohort / "images.parquet").select("image")
    return dict(rows.join(ours, on="image").select("image", "path").rows())


def make(cohort, out, workers=1, **settings) -> int:
    return write_cache(
        cohort, out, RECIPE, CacheSettings(**settings), WorkersSettings(workers=workers)
    )


def rows_of(cache) -> dict[str, dict]:
    rows = read_table(Cache(cache).folder / "images.parquet", CACHE).to_pylist()
    return {row["image"]: row for row in rows}


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
    assert make(own_cohort, tmp_path / "cache") == 2
    folder = Cache(tmp_path / "cache").folder
    rows = rows_of(folder)
    assert all(rows[image]["reason"] for image, _ in lost)
    details = json.dumps([rows[image]["detail"] for image, _ in lost]).encode()
    assert not any(name in details for name in identifiers(programme))
    assert sum(row["reason"] is None for row in rows.values()) == len(rows) - 2
    attrition = pl.read_parquet(folder / "attrition.parquet").filter(pl.col("step") == "cache")
    assert attrition["count"].sum() == len(rows)


def test_a_killed_run_goes_on_to_the_same_cache(own_cohort, tmp_path):
    out = tmp_path / "cache" / fingerprint(RECIPE)
    make(own_cohort, tmp_path / "cache")
    whole = {path.name: path.read_bytes() for path in out.iterdir()}
    shards = finished_shards(out)
    assert len(shards) > 4
    shards[1].unlink()
    shards[2].unlink()
    shards[2].with_suffix(SUFFIX).unlink()
    shards[3].with_suffix(SUFFIX).unlink()
    (out / "images.parquet").unlink()
    (out / "places.arrow").unlink()
    half = out / f".{shards[1].stem}{SUFFIX}.17"
    half.write_bytes(b"half")
    kept = shards[0].with_suffix(SUFFIX)
    before = kept.stat().st_mtime_ns
    make(own_cohort, tmp_path / "cache")
    assert kept.stat().st_mtime_ns == before
    assert all(len(row["likeness"]) == 32 for row in rows_of(out).values())
    assert {path.name: path.read_bytes() for path in out.iterdir()} == whole


@pytest.mark.slow
def test_processes_make_the_same_cache(own_cohort, tmp_path):
    make(own_cohort, tmp_path / "alone")
    make(own_cohort, tmp_path / "shared", workers=2)
    alone, shared = Cache(tmp_path / "alone").folder, Cache(tmp_path / "shared").folder
    assert {path.name for path in alone.iterdir()} == {path.name for path in shared.iterdir()}
    for path in alone.iterdir():
        assert (shared / path.name).read_bytes() == path.read_bytes(), path.name


def test_an_image_added_to_the_cohort_is_added_to_the_cache(own_cohort, tmp_path):
    images = pl.read_parquet(own_cohort / "images.parquet")
    images.gather_every(2).write_parquet(own_cohort / "images.parquet")
    make(own_cohort, tmp_path / "cache")
    first = {image: Cache(tmp_path / "cache").read(image) for image in images["image"][::2]}
    assert images["image"][1] not in Cache(tmp_path / "cache")
    images.write_parquet(own_cohort / "images.parquet")
    make(own_cohort, tmp_path / "cache")
    found = Cache(tmp_path / "cache")
    assert all(image in found for image in images["image"])
    for image, pixels in first.items():
        np.testing.assert_array_equal(found.read(image), pixels)


def test_an_image_in_two_shards_counts_once(own_cohort, tmp_path):
    """Two runs at once over different cohorts may both have prepared it."""
    make(own_cohort, tmp_path / "cache")
    folder = Cache(tmp_path / "cache").folder
    once = (folder / "images.parquet").read_bytes()
    for path in [finished_shards(folder)[0], finished_shards(folder)[0].with_suffix(SUFFIX)]:
        shutil.copy(path, path.with_stem("shard-zz"))
    make(own_cohort, tmp_path / "cache")
    assert (folder / "images.parquet").read_bytes() == once


def index_of(cohort) -> Path:
    return next((cohort.parent / "index" / "images").glob("part-*.parquet"))


def test_a_file_that_changed_since_it_was_indexed_is_left_out(own_cohort, tmp_path):
    """Its size tells, or its checksum where the index has one; a checksum that fits is no hurdle."""
    longer, altered, same = sorted(paths(own_cohort).items())[:3]
    path = tmp_path / "dicom" / longer[1]
    path.write_bytes(path.read_bytes() + b"\0\0")
    sums = {
        file: xxhash.xxh3_64_hexdigest((tmp_path / "dicom" / file).read_bytes())
        for _, file in (altered, same)
    }
    path = tmp_path / "dicom" / altered[1]
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(bytes(content))
    index = pl.read_parquet(index_of(own_cohort))
    checksum = pl.col("path").replace_strict(sums, default=None, return_dtype=pl.String)
    index.with_columns(checksum=checksum).write_parquet(index_of(own_cohort))
    assert make(own_cohort, tmp_path / "cache") == 2
    rows = rows_of(tmp_path / "cache")
    for image, file in (longer, altered):
        assert rows[image]["reason"] == Reason.CHANGED_FILE
        assert "index" in rows[image]["detail"]
        assert file not in rows[image]["detail"]
    assert rows[same[0]]["reason"] is None


def test_an_image_is_found_whatever_the_index_says_and_copies_are_not_taken(own_cohort, tmp_path):
    """A cohort may accept images that the index leaves out; of copies the one that is none counts."""
    index = pl.read_parquet(index_of(own_cohort))
    ours = index.filter(pl.col("image").is_in(list(paths(own_cohort))))
    stands_in = ours["image"][0]
    reasons = pl.when(pl.col("image") == stands_in).then(pl.lit("for processing"))
    copies = ours.with_columns(
        reason=pl.lit("duplicate image"),
        path="nowhere/" + pl.col("path"),
        bytes=pl.lit(0, pl.Int64),
    )
    nameless = ours.head(1).with_columns(image=pl.lit(None, pl.String), reason=pl.lit("not dicom"))
    unusable = copies.tail(1).with_columns(reason=pl.lit("view unknown"))
    both = pl.concat([copies, nameless, unusable, index.with_columns(reason=reasons)])
    both.write_parquet(index_of(own_cohort))
    assert make(own_cohort, tmp_path / "cache") == 0
    assert stands_in in Cache(tmp_path / "cache")


def test_a_cohort_of_another_index_is_refused_at_once(own_cohort, tmp_path):
    index = pl.read_parquet(index_of(own_cohort))
    lost = sorted(paths(own_cohort))[3]
    index.filter(pl.col("image") != lost).write_parquet(index_of(own_cohort))
    with pytest.raises(InputError, match=f"1 images are not in .*{lost}; run 'mim cohort' again"):
        make(own_cohort, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_cache_of_another_version_says_what_to_remove(own_cohort, tmp_path):
    make(own_cohort, tmp_path / "cache")
    folder = Cache(tmp_path / "cache").folder
    for rows in finished_shards(folder):
        pl.read_parquet(rows).drop("likeness").write_parquet(rows)
    message = f"column 'likeness' is missing .*write it again, after you have removed {folder}"
    for verify in (False, True):
        with pytest.raises(InputError, match=message):
            make(own_cohort, tmp_path / "cache", verify=verify)


def damage(path: Path) -> None:
    """Flip bytes in the middle third, where the compressed pixels are."""
    content = bytearray(path.read_bytes())
    for place in range(len(content) // 3, 2 * len(content) // 3, 7):
        content[place] ^= 0x55
    path.write_bytes(bytes(content))


def outcomes(found: Cache, images) -> Counter[str]:
    return Counter(_try_reading(found, image) for image in images)


def _try_reading(found: Cache, image: str) -> str:
    try:
        found.read(image)
    except InputError as error:
        return "damaged" if "is damaged" in str(error) else str(error)
    return "whole"


def test_changed_bytes_are_noticed(cache, cohort, tmp_path):
    shutil.copytree(cache, tmp_path / "cache")
    found = Cache(tmp_path / "cache")
    damage(finished_shards(found.folder)[0].with_suffix(SUFFIX))
    count = outcomes(found, paths(cohort))
    assert count["damaged"] >= 1
    assert count.keys() == {"damaged", "whole"}


def test_verify_mends_what_is_damaged_while_others_read(own_cohort, cache, tmp_path, capsys):
    """A reader that opened the cache before goes on reading through the same tables."""
    make(own_cohort, tmp_path / "cache")
    images = sorted(paths(own_cohort))
    reader = Cache(tmp_path / "cache")
    assert outcomes(reader, images) == {"whole": len(images)}
    shards = finished_shards(reader.folder)
    damage(shards[0].with_suffix(SUFFIX))
    shards[1].with_suffix(SUFFIX).write_bytes(b"")
    shards[2].with_suffix(SUFFIX).unlink()
    unchanged = {path: path.read_bytes() for path in shards[3:]}
    spoilt = outcomes(Cache(tmp_path / "cache"), images)["damaged"]
    gone = len(read_table(shards[2], CACHE))
    assert spoilt > gone
    capsys.readouterr()
    assert make(own_cohort, tmp_path / "cache", verify=True) == 0
    said = f"{len(images) - gone} images checked, {spoilt - gone} damaged"
    assert said in capsys.readouterr().out
    for found in (reader, Cache(tmp_path / "cache")):
        for image in images:
            np.testing.assert_array_equal(found.read(image), Cache(cache).read(image))
    assert {path: path.read_bytes() for path in shards[3:]} == unchanged
    make(own_cohort, tmp_path / "cache", verify=True)
    assert f"{len(images)} images checked, 0 damaged" in capsys.readouterr().out


def test_verify_tries_unreadable_files_again_and_counts_those_that_are_gone(own_cohort, tmp_path):
    """One file comes back, one was cached and is damaged and its file is gone meanwhile."""
    images = sorted(paths(own_cohort).items())
    back, gone = images[0], images[-1]
    file = tmp_path / "dicom" / back[1]
    content = file.read_bytes()
    file.unlink()
    assert make(own_cohort, tmp_path / "cache") == 1
    assert make(own_cohort, tmp_path / "cache") == 1
    reader = Cache(tmp_path / "cache")
    file.write_bytes(content)
    (tmp_path / "dicom" / gone[1]).unlink()
    last = finished_shards(reader.folder)
    shard = next(path for path in last if gone[0] in read_table(path, CACHE)["image"].to_pylist())
    shard.with_suffix(SUFFIX).write_bytes(b"")
    assert make(own_cohort, tmp_path / "cache", verify=True) == 1
    rows = rows_of(tmp_path / "cache")
    assert [rows[back[0]]["reason"], rows[gone[0]]["reason"]] == [None, Reason.UNREADABLE]
    now = Cache(tmp_path / "cache")
    assert back[0] in now
    assert gone[0] not in now
    whole = {"whole": len(images) - 1}
    assert outcomes(now, [image for image, _ in images if image != gone[0]]) == whole
    assert outcomes(reader, [gone[0]]) == {"damaged": 1}


@pytest.mark.slow
def test_verify_gives_up_a_damaged_image_of_another_cohort(own_cohort, tmp_path):
    """Its file is not known; it is prepared anew when its own cohort is cached again."""
    make(own_cohort, tmp_path / "cache")
    images = pl.read_parquet(own_cohort / "images.parquet")
    for shard in finished_shards(Cache(tmp_path / "cache").folder):
        shard.with_suffix(SUFFIX).write_bytes(b"")
    images.gather_every(2).write_parquet(own_cohort / "images.parquet")
    assert make(own_cohort, tmp_path / "cache", verify=True) == 0
    ours = images["image"][::2].to_list()
    assert outcomes(Cache(tmp_path / "cache"), ours) == {"whole": len(ours)}
    images.write_parquet(own_cohort / "images.parquet")
    assert make(own_cohort, tmp_path / "cache") == 0
    everyone = images["image"].to_list()
    assert outcomes(Cache(tmp_path / "cache"), everyone) == {"whole": len(everyone)}


def sums(found: Cache, images: list[str], seed: int) -> dict[str, int]:
    """Sum of each image's pixels, read in an order of the seed's."""
    order = [image for image in images for _ in range(2)]
    random.Random(seed).shuffle(order)
    return {image: int(found.read(image).sum()) for image in order}


@pytest.mark.parametrize("start", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_many_processes_read_at_random(cache, cohort, start):
    """Also after a fork of a process that has shards open already."""
    found = Cache(cache)
    images = sorted(paths(cohort))
    wanted = sums(found, images, 0)
    with get_context(start).Pool(3) as pool:
        for others in pool.starmap(sums, [(found, images, seed) for seed in range(6)]):
            assert others == wanted


def test_reading_leaves_no_shard_open(cache, cohort):
    found = Cache(cache)
    for image in paths(cohort):
        found.read(image)
    opened = [path.resolve() for path in Path("/proc/self/fd").iterdir()]
    assert not [path for path in opened if path.suffix == SUFFIX]


def test_a_recipe_of_another_version_is_refused(cache, tmp_path):
    shutil.copytree(cache, tmp_path / "cache")
    about = Cache(tmp_path / "cache").folder / "cache.json"
    about.write_text(about.read_text().replace(fingerprint(RECIPE), "0123456789abcdef"))
    with pytest.raises(InputError, match="0123456789abcdef"):
        Cache(tmp_path / "cache")


def test_two_recipes_in_one_folder_ask_which(own_cohort, tmp_path):
    for height in (16, 24):
        recipe = RecipeSettings(height=height, width=8)
        write_cache(
            own_cohort, tmp_path / "cache", recipe, CacheSettings(), WorkersSettings(workers=1)
        )
    with pytest.raises(InputError, match="give the folder of one recipe"):
        Cache(tmp_path / "cache")
    for folder in (tmp_path / "cache").iterdir():
        recipe = Cache(folder).recipe
        assert folder.name == fingerprint(recipe)
        for image in paths(own_cohort):
            assert Cache(folder).read(image).shape == (recipe.height, 8)


def test_what_has_changed_in_the_index_is_prepared_again(own_cohort, tmp_path):
    """A file that came again, and a side that overrides put right."""
    make(own_cohort, tmp_path / "cache")
    before = rows_of(tmp_path / "cache")
    came_again, turned = sorted(paths(own_cohort))[:2]
    part = next((tmp_path / "index" / "images").glob("part-*.parquet"))
    is_it = pl.col("image") == came_again
    pl.read_parquet(part).with_columns(
        modified_ns=pl.when(is_it).then(1).otherwise("modified_ns")
    ).write_parquet(part)
    images = tmp_path / "cohort" / "images.parquet"
    is_it = pl.col("image") == turned
    other = pl.when(pl.col("laterality") == "L").then(pl.lit("R")).otherwise(pl.lit("L"))
    pl.read_parquet(images).with_columns(
        laterality=pl.when(is_it).then(other).otherwise("laterality")
    ).write_parquet(images)
    make(own_cohort, tmp_path / "cache")
    after = rows_of(tmp_path / "cache")
    moved = {image for image in before if before[image]["shard"] != after[image]["shard"]}
    assert moved == {came_again, turned}
    make(own_cohort, tmp_path / "cache")
    assert rows_of(tmp_path / "cache") == after
