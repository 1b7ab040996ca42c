"""Memory and time of a cache's tables at the size of a programme, on made-up rows.

    python scripts/bench/cache_scale.py [--rows 2000000]

Writes a cohort and an index of so many images and the tables of a cache that holds 19 of 20 of
them, without any picture. A fresh process then does all that ``mim cache`` does but preparing
images, another opens the cache and looks images up.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa

from mim.data.places import Names
from mim.data.shards import SUFFIX
from mim.data.sources import read_sources
from mim.image.recipe import fingerprint
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.cohort import ATTRITION
from mim.schemas.cohort import IMAGES as COHORT
from mim.schemas.images import IMAGES as INDEX
from mim.schemas.table import Schema, write_table

WRITE = """
import sys, time
from pathlib import Path
from mim.data import cache
from mim.image.recipe import fingerprint
from mim.image.settings import RecipeSettings

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1e3

before = resident()
def step(what, start):
    print(f"  {what:34} {time.process_time() - start:6.1f} s   peak +{peak() - before:5.0f} MB")

folder = Path(sys.argv[1])
place = folder / "cache" / fingerprint(RecipeSettings())
start = time.process_time()
sources = cache.read_sources(folder / "cohort")
step("cohort and index read", start)
start = time.process_time()
done = cache.finished_images(place, sources)
step("what is done already", start)
start = time.process_time()
made = sum(len(jobs) for jobs in sources.jobs(~done, 1000))
step(f"{made} jobs made", start)
start = time.process_time()
cache._gather(place, sources)
step("tables of all shards joined", start)
"""

READ = """
import random, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from mim.data.cache import Cache

def private():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1e3

folder = next((Path(sys.argv[1]) / "cache").iterdir())
names = pq.read_table(folder / "images.parquet", columns=["image"])["image"]
asked = [names[random.randrange(len(names))].as_py() for _ in range(20_000)]
before, start = private(), time.process_time()
cache = Cache(folder)
opened = time.process_time() - start
start = time.process_time()
assert all(name in cache for name in asked)
each = (time.process_time() - start) / len(asked) * 1e6
size = (folder / "places.arrow").stat().st_size / len(cache)
print(f"  {len(cache)} images opened in {opened:.2f} s, {each:.1f} us to find one")
print(f"  {size:.1f} bytes an image, mapped and shared; {private() - before:.1f} MB of a process's own")
before = private()
places = {name: cache._places.find(name) for name in names.to_pylist()}
print(f"  (a dict of the same: {(private() - before) * 1e6 / len(places):.0f} bytes an image)")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2_000_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        make_up(Path(folder), rows)
        for what, script in (("mim cache", WRITE), ("a process that reads", READ)):
            print(f"{what}, {rows} images", flush=True)
            subprocess.run([sys.executable, "-c", script, folder], check=True)


def make_up(folder: Path, rows: int) -> None:
    rng = np.random.default_rng(1)
    digits = rng.bytes(10 * rows).hex()
    names = [digits[start : start + 20] for start in range(0, 20 * rows, 20)]
    seen = {"laterality": "L", "view": "CC", "maker": "ge"}
    for name in ("dicom", "cohort", "index"):
        (folder / name).mkdir()
    (folder / "cohort" / "cohort.json").write_text(json.dumps({"index": str(folder / "index")}))
    (folder / "index" / "index.json").write_text(json.dumps({"source": str(folder / "dicom")}))
    write_table(ATTRITION.from_rows([]), folder / "cohort" / "attrition.parquet")
    cohort = filled(COHORT, rows, {"image": names, "exam": names, **seen})
    write_table(cohort, folder / "cohort" / "images.parquet")
    known = {"kind": "unknown", "presentation": "unknown", **seen}
    shuffled = rng.permutation(names).tolist()
    for number, start in enumerate(range(0, rows, 100_000)):
        part = shuffled[start : start + 100_000]
        paths = [
            f"delivery/site-{n % 30}/{n // 4:08d}/1.2.840.113619.2.255.{n}.dcm"
            for n in range(start, start + len(part))
        ]
        values = {"image": part, "path": paths, "bytes": 27_000_000, "modified_ns": 1, **known}
        table = filled(INDEX, len(part), values)
        write_table(table, folder / "index" / "images" / f"part-{number:05d}.parquet")
    place = folder / "cache" / fingerprint(RecipeSettings())
    sources = read_sources(folder / "cohort")
    for start in range(0, rows - rows // 20, 1000):
        part = shuffled[start : min(start + 1000, rows - rows // 20)]
        name = f"shard-{start:016x}"
        found = sources.names.find(Names.of(pa.chunked_array([part])))
        values = {
            "origin": sources.origins[found].tolist(),
            "image": part,
            "shard": f"{name}{SUFFIX}",
            "offset": 1,
            "length": 1_900_000,
            "packed_checksum": [image[:16] for image in part],
            "checksum": "0" * 16,
        }
        write_table(filled(CACHE, len(part), values), place / f"{name}.parquet")
        (place / f"{name}{SUFFIX}").touch()
    (place / "cache.json").write_text(
        json.dumps({"fingerprint": place.name, "recipe": vars(RecipeSettings())})
    )


def filled(schema: Schema, rows: int, values: dict[str, object]) -> pa.Table:
    columns = []
    for column in schema.columns:
        value = values.get(column.name)
        if isinstance(value, list):
            columns.append(pa.array(value, column.type))
        else:
            columns.append(pa.repeat(pa.scalar(value, column.type), rows))
    return pa.Table.from_arrays(columns, schema=schema.arrow())


if __name__ == "__main__":
    main()
