"""The cache: every image of a cohort as model input, prepared once.

``out/<fingerprint>/`` holds the shards, ``images.parquet`` with a row for each image of the
cohort, ``places.arrow`` with where each lies, ``cache.json`` with the recipe,
``attrition.parquet`` and ``contact.png``. Another recipe gets another folder.
"""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from uuid import uuid4

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from mim.data.places import PLACE, Names, Places, write_places
from mim.data.settings import CacheSettings
from mim.data.shards import (
    SUFFIX,
    ShardCheck,
    ShardJob,
    ShardReader,
    check_shard,
    finished_shards,
    read_rows,
    remove_leftovers,
    shard_name,
    write_shard,
)
from mim.data.sources import Sources, read_sources
from mim.errors import InputError
from mim.image.contact import contact_sheet
from mim.image.recipe import fingerprint
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.cohort import ATTRITION, KEPT, attrition_rows
from mim.schemas.table import read_json, read_table, write_json, write_table
from mim.workers.run import run
from mim.workers.settings import WorkersSettings

SHARDS_AT_LEAST = 16
"""A small cohort still gets this many shards, so that the work spreads and progress shows."""

MADE = ("top", "bottom", "left", "right", "scale", "mirrored", "upside_down")
"""Columns that say how pixels came from the stored image to the model's input."""

ROWS_AT_ONCE = 100_000
"""Rows of ``images.parquet`` that are written together."""


def write_cache(
    cohort: Path,
    out: Path,
    recipe: RecipeSettings,
    settings: CacheSettings,
    workers: WorkersSettings,
) -> int:
    """Prepare what is not prepared yet; returns the number of images that could not be.

    A killed run continues with the shards it had not finished. An image added to the cohort is
    added to the cache, and one whose file, side or view has changed in the index is prepared again.
    With ``verify`` all that is there is read first, and what is damaged is
    prepared again into a new shard; finished shards never change.

    Raises:
        InputError: the cohort, its index and the DICOM folder do not belong together.
    """
    sources = read_sources(cohort)
    folder = out / fingerprint(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "cache.json", {"fingerprint": folder.name, "recipe": asdict(recipe)})
    remove_leftovers(folder)
    if settings.verify:
        _verify(folder, recipe, workers)
    _write_missing(folder, sources, recipe, settings, workers)
    counts = _gather(folder, sources)
    before = read_table(cohort / "attrition.parquet", ATTRITION)
    table = ATTRITION.from_rows(attrition_rows("cache", "images", counts))
    write_table(pa.concat_tables([before, table]), folder / "attrition.parquet")
    _write_contact(folder, cohort / "images.parquet")
    return counts.total() - counts[KEPT]


class Cache:
    """Prepared images of one recipe, read by pseudonym.

    Any number of processes may read at random, forked or started anew, also while ``mim cache``
    adds images or prepares damaged ones again.

    Raises:
        InputError: the folder holds no cache, more than one, or one of another recipe version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = _single_cache(folder)
        about = read_json(self.folder / "cache.json")
        self.recipe = RecipeSettings(**about["recipe"])
        self.fingerprint = fingerprint(self.recipe)
        if about["fingerprint"] != self.fingerprint:
            raise InputError(
                f"{self.folder}: written by recipe {about['fingerprint']}, this mim has "
                f"{self.fingerprint}; run 'mim cache' again"
            )
        self._places = Places(self.folder / "places.arrow")
        self._shards = ShardReader(self.folder, self.recipe)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.folder,)

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, image: str) -> bool:
        return self._places.find(image) is not None

    def made(self, images: pa.ChunkedArray) -> pa.Table:
        """What the recipe did to each of many images: ``MADE``; missing where none is cached.

        Raises:
            InputError: the cache's table is missing or damaged.
        """
        path = self.folder / "images.parquet"
        try:
            rows = pq.read_table(path, columns=["image", *MADE])
        except (FileNotFoundError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: missing or damaged; run 'mim cache' again") from error
        return rows.select(MADE).take(pc.index_in(images, rows["image"]))

    def read(self, image: str, pixels: NDArray[np.uint16] | None = None) -> NDArray[np.uint16]:
        """Pixels of an image, uint16 [height, width], checked against their checksum.

        Args:
            image: its pseudonym.
            pixels: contiguous array to read into; None makes one.

        Raises:
            InputError: the image is not in the cache, or damaged there.
        """
        if pixels is None:
            pixels = np.empty((self.recipe.height, self.recipe.width), np.uint16)
        place = self._places.find(image)
        if place is None:
            raise InputError(f"{self.folder}: holds no image {image}; run 'mim cache' again")
        try:
            self._shards.read_into(pixels, *place)
        except InputError:
            # It may have been prepared again since this cache was opened.
            self._places = Places(self.folder / "places.arrow")
            newer = self._places.find(image)
            if newer in (None, place):
                raise
            self._shards.read_into(pixels, *newer)
        return pixels


def _single_cache(folder: Path) -> Path:
    if (folder / "cache.json").is_file():
        return folder
    found = sorted(path.parent for path in folder.glob("*/cache.json"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise InputError(f"{folder}: expected one cache, found {names}; give the folder of one recipe")


def finished_images(folder: Path, sources: Sources) -> NDArray[np.bool_]:
    """Which images of a cohort are in a finished shard, or have a reason why not."""
    done = np.zeros(len(sources), bool)
    for rows in finished_shards(folder):
        table = read_rows(rows)
        places = _places_of(table, sources)
        done[places[places >= 0]] = True
    return done


def _places_of(rows: pa.Table, sources: Sources) -> NDArray[np.int64]:
    """Where each row's image is in a cohort; -1 for others, and those made of what has changed."""
    at = sources.names.find(Names.of(rows["image"]))
    same = sources.origins[at] == rows["origin"].to_numpy()
    return np.where(same, at, -1)


def _write_missing(
    folder: Path,
    sources: Sources,
    recipe: RecipeSettings,
    settings: CacheSettings,
    workers: WorkersSettings,
) -> None:
    done = finished_images(folder, sources)
    size = min(settings.images_per_shard, max(1, -(-len(sources) // SHARDS_AT_LEAST)))
    with tqdm(total=len(sources), initial=int(done.sum()), desc="cache", unit="image") as bar:
        jobs = (
            ShardJob(folder, shard_name(images), images, recipe)
            for images in sources.jobs(~done, size)
        )
        for job, _ in run(write_shard, jobs, workers):
            bar.update(len(job.images))


def _verify(folder: Path, recipe: RecipeSettings, workers: WorkersSettings) -> None:
    """Read all finished shards; what is damaged there is no longer in their tables."""
    shards = finished_shards(folder)
    checks = (ShardCheck(rows, recipe) for rows in shards)
    checked = damaged = 0
    with tqdm(total=_held(shards), desc="verifying", unit="image") as bar:
        for _, (held, bad) in run(check_shard, checks, workers):
            bar.update(held)
            checked += held
            damaged += bad
    again = "; they are prepared again" if damaged else ""
    print(f"{checked} images checked, {damaged} damaged{again}")


def _held(shards: list[Path]) -> int:
    return sum(pq.read_metadata(rows).num_rows for rows in shards)


def _gather(folder: Path, sources: Sources) -> Counter[str]:
    """Write ``images.parquet`` and ``places.arrow``; returns how many images have which reason."""
    taken = np.zeros(len(sources), bool)
    lying = np.zeros(len(sources), PLACE)
    counts: Counter[str] = Counter()
    shards = finished_shards(folder)
    unfinished = folder / f".images.parquet.{uuid4().hex}"
    with pq.ParquetWriter(unfinished, CACHE.arrow(), compression="zstd") as writer:
        waiting: list[pa.Table] = []
        for number, path in enumerate(shards):
            rows = read_rows(path)
            at = _places_of(rows, sources)
            ours = (at >= 0) & ~taken[at]
            rows, at = rows.filter(pa.array(ours)), at[ours]
            taken[at] = True
            lying[at] = _places(rows, number)
            counts.update(reason or KEPT for reason in rows["reason"].to_pylist())
            waiting.append(rows)
            if sum(map(len, waiting)) >= ROWS_AT_ONCE or path is shards[-1]:
                writer.write_table(pa.concat_tables(waiting))
                waiting = []
    unfinished.replace(folder / "images.parquet")
    held = np.flatnonzero(lying["length"])
    names = Names(sources.names.high[held], sources.names.low[held])
    files = [path.with_suffix(SUFFIX).name for path in shards]
    write_places(folder / "places.arrow", names, files, lying[held])
    return counts


def _places(rows: pa.Table, shard: int) -> NDArray[np.void]:
    places = np.zeros(len(rows), PLACE)
    places["shard"] = shard
    for name in ("offset", "length"):
        places[name] = pc.fill_null(rows[name], 0).to_numpy()
    checksums = rows["packed_checksum"].to_pylist()
    places["checksum"] = [int(checksum or "0", 16) for checksum in checksums]
    return places


def _write_contact(folder: Path, images: Path, most: int = 16) -> None:
    """A picture of what came out: the first images of the cohort, each with side and view."""
    cache = Cache(folder)
    rows: list[dict[str, str]] = []
    columns = ["image", "laterality", "view", "maker"]
    for batch in pq.ParquetFile(images).iter_batches(1000, columns=columns):
        rows += [row for row in batch.to_pylist() if row["image"] in cache]
        if len(rows) >= most:
            break
    if rows := rows[:most]:
        titles = [f"{row['laterality']} {row['view']} {row['maker']}" for row in rows]
        pictures = [cache.read(row["image"]) for row in rows]
        contact_sheet(pictures, titles, folder / "contact.png", columns=4)
