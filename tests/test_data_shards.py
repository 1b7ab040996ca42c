"""A shard holds its images, survives what decoders do, and gives no image for another."""

import os
import signal
from pathlib import Path

import pytest

from mim.data.shards import SUFFIX, ImageJob, ShardJob, ShardReader, shard_name, write_shard
from mim.errors import InputError
from mim.image.likeness import signature
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.table import read_table
from mim.vocab import Laterality, Reason, View
from mim.workers.run import run
from mim.workers.settings import WorkersSettings

RECIPE = RecipeSettings(height=64, width=32)


class Deadly(type(Path())):
    """A path that kills the process which opens it, as a decoder does that runs out of bounds."""

    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        return ""


def job(folder, programme, names) -> ShardJob:
    good = min((programme / "dicom").rglob("*.dcm"))
    images = [
        ImageJob(name, Deadly("x") if "deadly" in name else good, Laterality.LEFT, View.CC)
        for name in names
    ]
    return ShardJob(folder, shard_name(images), images, RECIPE)


@pytest.mark.parametrize(
    "shards",
    [
        (("a", "deadly", "b"), ("c",)),
        pytest.param(
            (("a", "b", "deadly-1", "c", "deadly-2"), ("d",), ("deadly-3",)),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_dying_processes_cost_their_images_and_nothing_else(tmp_path, programme, shards):
    jobs = [job(tmp_path, programme, names) for names in shards]
    done = list(run(write_shard, jobs, WorkersSettings(workers=2)))
    assert sorted(failed for _, failed in done) == sorted(
        sum("deadly" in name for name in names) for names in shards
    )
    rows = [row for job in jobs for row in read_table(job.rows, CACHE).to_pylist()]
    assert [row["image"] for row in rows] == [name for names in shards for name in names]
    for row in rows:
        assert row["reason"] == (Reason.DECODER_DIED if "deadly" in row["image"] else None)
    assert {path.suffix for path in tmp_path.iterdir()} == {SUFFIX, ".parquet"}


def test_each_image_has_its_signature_and_another_in_its_place_is_noticed(tmp_path, programme):
    one, other = sorted((programme / "dicom").rglob("*.dcm"))[:2]
    images = [
        ImageJob(name, path, Laterality.LEFT, View.CC)
        for name, path in (("one", one), ("other", other))
    ]
    assert write_shard(ShardJob(tmp_path, "shard-1", images, RECIPE)) == 0
    first, second = read_table(tmp_path / "shard-1.parquet", CACHE).to_pylist()
    reader = ShardReader(tmp_path, RECIPE)
    checksum = int(first["packed_checksum"], 16)
    for row in (first, second):
        pixels = reader.read(
            row["shard"], row["offset"], row["length"], int(row["packed_checksum"], 16)
        )
        assert row["likeness"] == signature(pixels)
    with pytest.raises(InputError, match="is damaged"):
        reader.read(second["shard"], second["offset"], second["length"], checksum)


def test_a_shard_is_smaller_than_its_images_as_16_bit_png(tmp_path):
    """Detector noise over the breast, spread over 16 bits: shuffling alone loses to PNG here."""
    import blosc2
    import cv2
    import numpy as np

    from mim.data.shards import COMPRESSION

    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:512, :256]
    tissue = 30000 + 12000 * np.sin(rows / 90) * np.cos(columns / 70)
    image = (tissue + rng.normal(0, 500, tissue.shape)) * ((rows - 256) ** 2 + columns**2 < 230**2)
    pixels = image.astype(np.uint16)
    packed = blosc2.compress2(pixels.tobytes(), **COMPRESSION)
    assert len(packed) < 0.95 * len(cv2.imencode(".png", pixels)[1])
    np.testing.assert_array_equal(
        np.frombuffer(blosc2.decompress2(packed), np.uint16).reshape(pixels.shape), pixels
    )
