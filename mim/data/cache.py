"""The cache: every image of a cohort as model input, prepared once.

``out/<fingerprint>/`` holds the shards, ``images.parquet`` with a row for each image of the
cohort, ``cache.json`` with the recipe, ``attrition.parquet`` and ``contact.png``. Another recipe
gets another folder.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, replace
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray
from tqdm import tqdm

from mim.data.settings import CacheSettings
from mim.data.shards import ImageJob, ShardJob, ShardReader, write_shard
from mim.errors import InputError
from mim.image.contact import contact_sheet
from mim.image.recipe import fingerprint
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.cohort import ATTRITION, IMAGES, KEPT, attrition_rows
from mim.schemas.table import read_json, read_table, write_json, write_table
from mim.vocab import Laterality, View
from mim.workers.settings import WorkersSettings

SHARDS_AT_LEAST = 16
"""A small cohort still gets this many shards, so that the work spreads and progress shows."""


def write_cache(
    cohort: Path,
    out: Path,
    recipe: RecipeSettings,
    settings: CacheSettings,
    workers: WorkersSettings,
) -> int:
    """Prepare what is not prepared yet; returns the number of images that could not be.

    A killed run continues with the shards it had not finished, and an image added to the cohort
    is added to the cache.
    """
    images = read_table(cohort / "images.parquet", IMAGES)
    files = _files(Path(read_json(cohort / "cohort.json")["index"]))
    folder = out / fingerprint(recipe)
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "cache.json", {"fingerprint": folder.name, "recipe": asdict(recipe)})
    jobs = _jobs(images, files, folder, recipe, settings)
    _run(jobs, workers.workers or os.cpu_count() or 1)
    rows = _finished(folder)
    rows = rows.filter(pc.is_in(rows["image"], images["image"])).sort_by("image")
    write_table(rows, folder / "images.parquet")
    reasons = rows["reason"].to_pylist()
    before = read_table(cohort / "attrition.parquet", ATTRITION)
    table = ATTRITION.from_rows(
        attrition_rows("cache", "images", Counter(reason or KEPT for reason in reasons))
    )
    write_table(pa.concat_tables([before, table]), folder / "attrition.parquet")
    _write_contact(folder, images)
    return sum(reason is not None for reason in reasons)


class Cache:
    """Prepared images of one recipe, read by pseudonym.

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
        rows = read_table(self.folder / "images.parquet", CACHE)
        kept = rows.filter(pc.is_null(rows["reason"])).select(
            ["image", "shard", "chunk", "checksum"]
        )
        self._places = {
            image: (shard, chunk, checksum)
            for image, shard, chunk, checksum in zip(
                *(kept[name].to_pylist() for name in kept.column_names), strict=True
            )
        }
        self._shards = ShardReader(self.folder, self.recipe)

    def __contains__(self, image: str) -> bool:
        return image in self._places

    def read(self, image: str) -> NDArray[np.uint16]:
        """Pixels of an image, uint16 [height, width], checked against their checksum."""
        return self._shards.read(*self._places[image])


def _single_cache(folder: Path) -> Path:
    if (folder / "cache.json").is_file():
        return folder
    found = sorted(path.parent for path in folder.glob("*/cache.json"))
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found) or "none"
    raise InputError(f"{folder}: expected one cache, found {names}; give the folder of one recipe")


def _files(index: Path) -> dict[str, Path]:
    """Where each usable image of an index lies; paths may name women, so only the index has them."""
    source = Path(read_json(index / "index.json")["source"])
    if not source.is_dir():
        raise InputError(f"{source}: the DICOM folder of {index} is gone; index it again")
    table = pq.read_table(index / "images", columns=["image", "path", "reason"])
    usable = table.filter(pc.is_null(table["reason"]))
    pairs = zip(usable["image"].to_pylist(), usable["path"].to_pylist(), strict=True)
    return {image: source / path for image, path in pairs}


def _jobs(
    images: pa.Table,
    files: dict[str, Path],
    folder: Path,
    recipe: RecipeSettings,
    settings: CacheSettings,
) -> list[ShardJob]:
    """Shards still to write. The same images always fall into the same shards."""
    done = set(_finished(folder)["image"].to_pylist())
    left = [
        ImageJob(
            row["image"], files[row["image"]], Laterality(row["laterality"]), View(row["view"])
        )
        for row in images.sort_by("image").to_pylist()
        if row["image"] not in done
    ]
    size = min(settings.images_per_shard, max(1, -(-len(images) // SHARDS_AT_LEAST)))
    free = (
        name for n in count() if not (folder / f"{(name := f'shard-{n:05d}')}.parquet").exists()
    )
    return [
        ShardJob(folder, next(free), left[start : start + size], recipe)
        for start in range(0, len(left), size)
    ]


def _finished(folder: Path) -> pa.Table:
    tables = [read_table(path, CACHE) for path in sorted(folder.glob("shard-*.parquet"))]
    return pa.concat_tables(tables) if tables else CACHE.from_rows([])


def _run(jobs: Sequence[ShardJob], workers: int) -> None:
    """Write the shards. A decoder that kills its process costs its image, not the run."""
    with tqdm(total=sum(len(job.images) for job in jobs), desc="cache", unit="image") as bar:
        if workers == 1 or len(jobs) <= 1:
            for job in jobs:
                write_shard(job)
                bar.update(len(job.images))
            return
        for job in _parallel(jobs, workers, bar):
            _alone(job, bar)


def _parallel(jobs: Sequence[ShardJob], workers: int, bar: "tqdm[Any]") -> Iterable[ShardJob]:
    """Write shards side by side; those a dead process left unwritten come back."""
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            waiting = {pool.submit(write_shard, job): job for job in jobs}
            for future in as_completed(waiting):
                future.result()
                bar.update(len(waiting[future].images))
    except BrokenProcessPool:
        return [job for job in jobs if not job.rows.exists()]
    return []


def _alone(job: ShardJob, bar: "tqdm[Any]") -> None:
    """Write a shard in a process of its own, each time without the image that killed the last."""
    while True:
        try:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                pool.submit(write_shard, job).result()
        except BrokenProcessPool:
            if not job.in_hand.exists():
                raise
            killer = job.in_hand.read_text(encoding="ascii")
            job.in_hand.unlink()
            job = replace(job, deadly=job.deadly | {killer})
        else:
            bar.update(len(job.images))
            return


def _write_contact(folder: Path, images: pa.Table, most: int = 16) -> None:
    """A picture of what came out: the first images of the cohort, each with side and view."""
    cache = Cache(folder)
    rows = [row for row in images.sort_by("image").to_pylist() if row["image"] in cache][:most]
    if rows:
        titles = [f"{row['laterality']} {row['view']} {row['maker']}" for row in rows]
        contact_sheet(
            [cache.read(row["image"]) for row in rows], titles, folder / "contact.png", columns=4
        )
