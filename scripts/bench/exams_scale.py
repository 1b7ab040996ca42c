"""Time and memory of loading a programme's exams for training, on made-up tables.

    python scripts/bench/exams_scale.py [--exams 1375000]

Writes the tables of a cohort of so many exams, four images each, labels of all tasks, and a cache
that holds 99 of 100 images, without any picture. A fresh process loads them as ``mim train`` does,
and draws an epoch.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mim.data.places import PLACE, Names, write_places
from mim.image.recipe import fingerprint
from mim.image.settings import RecipeSettings
from mim.schemas.cache import CACHE
from mim.schemas.cohort import DENSITY, EXAMS, IMAGES, QUALITY
from mim.schemas.table import Schema, write_table
from mim.vocab import VIEW_SLOTS

LOAD = """
import sys, time
from pathlib import Path
from mim.data.datamodule import ExamData
from mim.data.settings import DataSettings
from mim.model.settings import TaskSettings
from mim.vocab import Task

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1e6

tasks = TaskSettings()
for task in Task:
    getattr(tasks, task).learn = True
before, start = memory("VmRSS"), time.perf_counter()
data = ExamData(Path(sys.argv[1]), Path(sys.argv[2]), DataSettings(), tasks, seed=1)
seconds = time.perf_counter() - start
print(f"  {len(data.everyone)} exams, {len(data.everyone.image_table)} images in {seconds:.1f} s")
print(f"  peak +{memory('VmHWM') - before:.1f} GB, afterwards +{memory('VmRSS') - before:.1f} GB")
start = time.perf_counter()
steps = sum(1 for _ in data._sampler)
print(f"  an epoch of {steps} batches drawn in {time.perf_counter() - start:.1f} s")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--exams", type=int, default=1_375_000)
    exams = parser.parse_args().exams
    with tempfile.TemporaryDirectory() as folder:
        cohort, cache = Path(folder) / "cohort", Path(folder) / "cache"
        make_up(cohort, cache, exams)
        subprocess.run([sys.executable, "-c", LOAD, cohort, cache], check=True)


def make_up(cohort: Path, cache: Path, exams: int) -> None:
    rng = np.random.default_rng(1)
    images = len(VIEW_SLOTS) * exams
    names, image_names = pseudonyms(rng, exams), pseudonyms(rng, images)
    write_json(cohort / "cohort.json", index="", note="", settings=SETTINGS)
    write_exams(cohort / "exams.parquet", rng, names)
    sides, views = zip(*VIEW_SLOTS, strict=True)
    known = {
        "image": image_names,
        "exam": names.take(pa.array(np.repeat(np.arange(exams), len(VIEW_SLOTS)))),
        "laterality": words(sides, np.tile(np.arange(len(VIEW_SLOTS)), exams)),
        "view": words(views, np.tile(np.arange(len(VIEW_SLOTS)), exams)),
        "maker": "ge",
        "spacing_mm": 0.1,
    }
    write_table(filled(IMAGES, images, known), cohort / "images.parquet")
    read = np.repeat(np.arange(exams), 2)
    known = {
        "exam": names.take(pa.array(read)),
        "breast": words("LR", np.tile([0, 1], exams)),
        "density": words("abcd", rng.integers(0, 4, len(read))),
        "percent": pa.array(rng.uniform(0, 100, len(read))),
    }
    write_table(filled(DENSITY, len(read), known), cohort / "density.parquet")
    graded = rng.choice(images, images // 10, replace=False)
    known = {c.name: pa.array(rng.uniform(0, 2000, len(graded))) for c in QUALITY.columns[9:]}
    known |= {c.name: True for c in QUALITY.columns if c.type == pa.bool_()}
    known |= {"image": image_names.take(pa.array(graded)), "grade": "G"}
    write_table(filled(QUALITY, len(graded), known), cohort / "quality.parquet")
    write_cache_tables(cache / fingerprint(RecipeSettings()), rng, image_names)


SETTINGS = {"priors": {"most": 3}, "stand_ins": {}}


def write_exams(path: Path, rng: np.random.Generator, names: pa.Array) -> None:
    """Every exam has the three before it in the table as priors."""
    count = len(names)
    places = np.arange(count)[:, None] + np.arange(1, 4)
    ends = pa.array(np.arange(0, 3 * count + 1, 3, dtype=np.int32))
    priors = names.take(pa.array(places.ravel() % count))
    makers = pa.ListArray.from_arrays(ends, pa.repeat("ge", 3 * count))
    months = pa.ListArray.from_arrays(ends, pa.array(np.tile([24.0, 48.0, 72.0], count)))
    sick = rng.random(count) < 0.004
    known = {
        "exam": names,
        "woman": names,
        "split": words(["train", "validation", "test"], rng.choice(3, count, p=(0.7, 0.1, 0.2))),
        "maker": "ge",
        "left_cancer": pa.array(sick),
        "left_years_to_cancer": pa.array(np.full(count, 0.1), mask=~sick),
        "right_cancer": pa.array(rng.random(count) < 0.004),
        "left_outcome": "negative",
        "right_outcome": "negative",
        "left_years_followed": 8.0,
        "right_years_followed": 8.0,
        "priors": pa.ListArray.from_arrays(ends, priors),
        "months_before": months,
        "prior_makers": makers,
        "joined_by": "accession",
    }
    write_table(filled(EXAMS, count, known), path)


def write_cache_tables(folder: Path, rng: np.random.Generator, images: pa.Array) -> None:
    """The cache holds its images in an order of its own."""
    held = images.take(pa.array(rng.permutation(len(images))[: len(images) * 99 // 100]))
    known = {
        "image": held,
        **{"top": 10, "bottom": 3300, "left": 0, "right": 1500, "scale": 0.62},
        **{"mirrored": True, "upside_down": False, "shard": "shard", "offset": 1, "length": 1},
    }
    write_table(filled(CACHE, len(held), known), folder / "images.parquet")
    names = Names.of(pa.chunked_array([held]))
    order = np.lexsort((names.low, names.high))
    names = Names(names.high[order], names.low[order])
    write_places(folder / "places.arrow", names, ["shard"], np.zeros(len(held), PLACE))
    write_json(folder / "cache.json", fingerprint=folder.name, recipe=vars(RecipeSettings()))


def write_json(path: Path, **content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def pseudonyms(rng: np.random.Generator, count: int) -> pa.Array:
    """Names of 20 hexadecimal digits."""
    ends = pa.py_buffer(np.arange(0, 20 * count + 1, 20, dtype=np.int32))
    digits = pa.py_buffer(rng.bytes(10 * count).hex().encode())
    return pa.Array.from_buffers(pa.string(), count, [None, ends, digits])


def words(vocabulary: object, places: NDArray[np.int64]) -> pa.Array:
    return pa.array([str(word) for word in vocabulary]).take(pa.array(places))


def filled(schema: Schema, rows: int, values: dict[str, object]) -> pa.Table:
    """A table with a value or a column for some columns, and nothing in the others."""
    columns = []
    for column in schema.columns:
        value = values.get(column.name)
        if isinstance(value, pa.Array):
            columns.append(value.cast(column.type))
        else:
            columns.append(pa.repeat(pa.scalar(value, column.type), rows))
    return pa.Table.from_arrays(columns, schema=schema.arrow())


if __name__ == "__main__":
    main()
