"""The index at scale: files per second of a whole run, and memory however many files there are.

    python scripts/bench/index_scale.py [--files 4000] [--rows 200000 800000] [--seed 5]

First a tree of made files (those of headers.py) is indexed by one process, then again with nothing
new; CPU time counts. Then the stage that compares files runs over made parts of so many rows, each
number in a fresh process whose peak memory counts: five images an exam, one image in fifty twice.
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
from headers import write

from mim.ingest.across import compare
from mim.ingest.before import HEADERS
from mim.ingest.findings import Findings
from mim.ingest.index import FILE_ROWS, write_index
from mim.ingest.listing import CUTS
from mim.ingest.parts import Part, in_groups
from mim.ingest.publish import publish
from mim.ingest.settings import Check, IndexSettings
from mim.schemas.table import write_table
from mim.workers.settings import WorkersSettings

IMAGES_OF_EXAM = 5
DIFFERENT = 200
"""Files that differ; the tree's other files are links to them, so that making them takes no hour."""


def made_tree(folder: Path, files: int, seed: int) -> None:
    """So many files, a thousand to a folder."""
    rng = random.Random(seed)
    folder.mkdir()
    for number in range(min(files, DIFFERENT)):
        write(folder / f"{number:06}.dcm", number, rng)
    for number in range(DIFFERENT, files):
        link = folder / f"{number // 1000:03}" / f"{number:06}.dcm"
        link.parent.mkdir(exist_ok=True)
        os.link(folder / f"{number % DIFFERENT:06}.dcm", link)


def whole_runs(files: int, seed: int) -> None:
    """Two runs over a made tree."""
    with tempfile.TemporaryDirectory() as here:
        made_tree(Path(here) / "source", files, seed)
        for run in ("first run", "second run, nothing new"):
            start = time.process_time()
            write_index(
                Path(here) / "source",
                Path(here) / "out",
                IndexSettings(),
                WorkersSettings(workers=1),
            )
            seconds = time.process_time() - start
            print(f"{run:26}{files / seconds:9.0f} files/s on one core")


def made_parts(folder: Path, rows: int) -> Iterator[Part]:
    """Parts as a run leaves them, of average size."""
    size = CUTS[Check.headers].least + CUTS[Check.headers].one_in
    template = HEADERS.from_rows([{"path": "", "bytes": 0, "modified_ns": 0} | NAMELESS])
    for number, start in enumerate(range(0, rows, size)):
        numbers = np.arange(start, min(start + size, rows))
        path = folder / f"{number:020x}.parquet"
        write_table(_made(template, numbers), path)
        yield Part(number, path, len(numbers), len(numbers), 0)


NAMELESS = {
    **dict.fromkeys(("maker", "kind", "laterality", "view", "presentation"), "unknown"),
    **{"sop_class": "1.2.840.10008.5.1.4.1.1.1.2", "modality": "MG", "model_name": "Selenia"},
    **{"patient_id": "01234567890", "accession_number": "A123456789", "software": "AWS:1.7.4.1"},
}


def _made(template: pa.Table, numbers: np.ndarray) -> pa.Table:
    table = template.take(np.zeros(len(numbers), np.int64))
    exams = numbers // IMAGES_OF_EXAM
    twice = np.where(numbers % 50 == 49, numbers - 49, numbers)
    dates = np.datetime64("2010-01-01") + (exams * 7 % 4000).astype("timedelta64[D]")
    columns = {
        "path": [
            f"delivery {n // 100_000:04}/{n // 1000:05}/1.2.826.0.{n:012}.dcm" for n in numbers
        ],
        "bytes": numbers % 7,
        "image": _hashed("image", twice),
        "exam": _hashed("exam", exams),
        "woman": _hashed("woman", exams // 4),
        "study_date": dates,
        "study_uid": [f"1.2.826.0.1.3680043.{n:012}" for n in exams],
        "sop_uid": [f"1.2.826.0.1.3680043.8.{n:012}" for n in twice],
    }
    for name, values in columns.items():
        place = table.column_names.index(name)
        field = table.field(name)
        table = table.set_column(place, field, pa.array(values, field.type))
    return table


def _hashed(kind: str, numbers: np.ndarray) -> list[str]:
    return [blake2b(f"{kind}{n}".encode(), digest_size=10).hexdigest() for n in numbers]


def compare_made(folder: Path, parts: list[Part]) -> None:
    """Compare the parts in this process, and say what it took."""
    (folder / "scratch").mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    groups = in_groups(parts, FILE_ROWS)
    start = time.process_time()
    with Findings(folder / "findings.parquet") as findings:
        verdicts = compare(groups, folder / "scratch", findings, date(2026, 1, 1))
        compared = time.process_time()
        published = publish(groups, verdicts, folder / "images", findings)
    told = {
        "compare": compared - start,
        "write": time.process_time() - compared,
        "before": before / 1024,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "duplicates": published.counts["duplicate image"],
    }
    print(json.dumps(told))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--rows", type=int, nargs="*", default=[200_000, 800_000])
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--compare", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.compare:
        about = json.loads((args.compare / "parts.json").read_text())
        parts = [Part(n, args.compare / name, rows, 0, 0) for n, (name, rows) in enumerate(about)]
        compare_made(args.compare, parts)
        return
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    whole_runs(args.files, args.seed)
    print(
        f"{'rows':>10}{'compare, s':>12}{'write, s':>10}{'memory at start, MB':>21}{'peak, MB':>10}"
    )
    for rows in args.rows:
        with tempfile.TemporaryDirectory() as here:
            parts = list(made_parts(Path(here), rows))
            names = [(part.path.name, part.rows) for part in parts]
            (Path(here) / "parts.json").write_text(json.dumps(names))
            command = [sys.executable, __file__, "--compare", here]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        told = json.loads(done.stdout.splitlines()[-1])
        assert told["duplicates"] == rows // 50
        print(
            f"{rows:10}{told['compare']:12.1f}{told['write']:10.1f}"
            f"{told['before']:21.0f}{told['peak']:10.0f}"
        )


if __name__ == "__main__":
    main()
