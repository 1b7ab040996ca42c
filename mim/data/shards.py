"""Shards: files of prepared images, one compressed chunk each, and their rows.

A shard is finished when its rows lie beside it; a file without rows is thrown away.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import blosc2
import numpy as np
import xxhash
from numpy.typing import NDArray

from mim.dicom.pixels import PixelError
from mim.errors import InputError
from mim.image.recipe import prepare
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import write_table
from mim.vocab import Laterality, Reason, View


class ImageJob(NamedTuple):
    """One image to prepare: its pseudonym, file, side and view."""

    image: str
    path: Path
    laterality: Laterality
    view: View


@dataclass(frozen=True)
class ShardJob:
    """One shard to write: its name, its images, and those that killed a decoder before."""

    folder: Path
    name: str
    images: Sequence[ImageJob]
    recipe: RecipeSettings
    deadly: frozenset[str] = field(default_factory=frozenset)

    @property
    def rows(self) -> Path:
        """The shard's table; it exists once the shard is whole."""
        return self.folder / f"{self.name}.parquet"

    @property
    def in_hand(self) -> Path:
        """Names the image being prepared, so that a dead process says which one killed it."""
        return self.folder / f".{self.name}.in_hand"


def write_shard(job: ShardJob) -> int:
    """Prepare a shard's images and write it; returns how many could not be prepared."""
    blosc2.set_nthreads(1)
    shard = job.folder / f"{job.name}.b2frame"
    unfinished = job.folder / f".{shard.name}.{os.getpid()}"
    unfinished.unlink(missing_ok=True)
    chunks = blosc2.SChunk(
        chunksize=job.recipe.height * job.recipe.width * 2,
        urlpath=str(unfinished),
        contiguous=True,
        mode="w",
        cparams=blosc2.CParams(
            typesize=2,
            codec=blosc2.Codec.ZSTD,
            clevel=1,
            filters=[blosc2.Filter.SHUFFLE],
            nthreads=1,
        ),
    )
    rows = []
    for image in job.images:
        job.in_hand.write_text(image.image, encoding="ascii")
        row, pixels = _prepare(image, job)
        if pixels is not None:
            row |= {"shard": shard.name, "chunk": chunks.nchunks}
            chunks.append_data(pixels)
        rows.append(row)
    unfinished.replace(shard)
    write_table(CACHE.from_rows(rows), job.rows)
    job.in_hand.unlink(missing_ok=True)
    return sum(row.get("reason") is not None for row in rows)


def _prepare(image: ImageJob, job: ShardJob) -> tuple[dict[str, object], NDArray[np.uint16] | None]:
    if image.image in job.deadly:
        detail = "the process that decoded it died"
        return {"image": image.image, "reason": Reason.DECODER_DIED, "detail": detail}, None
    try:
        prepared = prepare(image.path, image.laterality, image.view, job.recipe)
    except PixelError as error:
        return {"image": image.image, "reason": error.reason, "detail": error.detail}, None
    top, bottom, left, right = prepared.box
    row = {
        "image": image.image,
        "checksum": xxhash.xxh3_64_hexdigest(prepared.pixels.tobytes()),
        **{"top": top, "bottom": bottom, "left": left, "right": right},
        "scale": prepared.scale,
        "mirrored": prepared.mirrored,
        "upside_down": prepared.upside_down,
        "voi_rule": prepared.voi_rule,
    }
    return row, prepared.pixels


class ShardReader:
    """Random access to the images of one cache folder; each process opens its own files."""

    def __init__(self, folder: Path, recipe: RecipeSettings) -> None:
        self._folder = folder
        self._shape = (recipe.height, recipe.width)
        self._open: dict[tuple[int, str], blosc2.SChunk] = {}

    def __getstate__(self) -> dict[str, object]:
        return {"_folder": self._folder, "_shape": self._shape, "_open": {}}

    def read(self, shard: str, chunk: int, checksum: str) -> NDArray[np.uint16]:
        """Pixels of one image, uint16 [height, width].

        Raises:
            InputError: the bytes are not those that were written.
        """
        file = (os.getpid(), shard)
        try:
            if file not in self._open:
                self._open[file] = blosc2.SChunk(urlpath=str(self._folder / shard), mode="r")
            data = self._open[file].decompress_chunk(chunk)
        except (OSError, RuntimeError, ValueError) as error:
            raise self._damaged(shard, chunk) from error
        if xxhash.xxh3_64_hexdigest(data) != checksum:
            raise self._damaged(shard, chunk)
        return np.frombuffer(data, np.uint16).reshape(self._shape)

    def _damaged(self, shard: str, chunk: int) -> InputError:
        path = self._folder / shard
        return InputError(
            f"{path}: image {chunk} is damaged; delete the file and {path.with_suffix('.parquet').name} "
            "beside it, and run 'mim cache' again"
        )
