"""The cohort at full national scale, and against an ordinary pandas version of the same.

    python scripts/bench/cohort.py [--women 350000] [--rounds 3] [--seed 5]

The tables are those of cohort_tables.py. A fresh process builds the cohort and audits it without
pixels; seconds by step and its peak memory are printed. Then a tenth of the women go through mim and
through pandas (cohort_by_pandas.py) in turns, from files to tables; every cell must come out equal.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
from cohort_tables import make

from mim.audit.audit import audit_cohort
from mim.audit.settings import AuditSettings
from mim.cohort import build
from mim.cohort.build import write_cohort
from mim.cohort.settings import CohortSettings, PriorSettings
from mim.schemas.cohort import EXAMS, IMAGES
from mim.schemas.table import read_table

SETTINGS = CohortSettings(priors=PriorSettings(most=2))
STEPS = (
    *("read_registry", "read_studies", "join_studies", "merge_repeats", "describe_examinations"),
    *("choose_images", "find_exams", "find_labels", "divide_exams", "add_priors"),
    *("count_labels", "_write_tables"),
)
"""What ``write_cohort`` calls and is timed."""


def build_and_audit(folder: Path) -> None:
    """Build and audit in this process, and print what it took."""
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def run(*args: object, **named: object) -> object:
            start = time.perf_counter()
            result = function(*args, **named)
            seconds[name] = time.perf_counter() - start
            return result

        return run

    for name in STEPS:
        setattr(build, name, timed(name, getattr(build, name)))
    cohort = folder / "cohort"
    whole = timed("mim cohort", write_cohort)
    whole(folder / "index", folder / "registry", cohort, SETTINGS)
    timed("mim audit", audit_cohort)(cohort, None, folder / "audit", AuditSettings())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(json.dumps({"seconds": seconds, "peak": peak}))


def full_scale(folder: Path, women: int, seed: int) -> None:
    print(make(folder, women, seed))
    command = [sys.executable, __file__, "--build", str(folder)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    told = json.loads(done.stdout.splitlines()[-1])
    for name, seconds in told["seconds"].items():
        print(f"{name.strip('_'):24}{seconds:8.1f} s")
    both = told["seconds"]["mim cohort"] + told["seconds"]["mim audit"]
    print(f"{'together':24}{both:8.1f} s, peak {told['peak']:.1f} GiB")


def against_pandas(folder: Path, women: int, seed: int, rounds: int) -> None:
    make_cohort = import_module("cohort_by_pandas").make_cohort
    print(make(folder, women, seed))
    seconds: dict[str, list[float]] = {"mim": [], "pandas": []}
    for _ in range(rounds):
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
            start = time.perf_counter()
            write_cohort(folder / "index", folder / "registry", folder / "cohort", SETTINGS)
            between = time.perf_counter()
        tables = make_cohort(folder, SETTINGS)
        seconds["mim"].append(between - start)
        seconds["pandas"].append(time.perf_counter() - between)
        for schema, name, other in zip((EXAMS, IMAGES), ("exams", "images"), tables, strict=True):
            mine = read_table(folder / "cohort" / f"{name}.parquet", schema)
            unequal = [c for c in mine.column_names if not equal(mine[c], other[c])]
            assert not unequal, f"{name}: {unequal} differ"
            print(f"{name}: {mine.num_rows} rows, {mine.num_columns} columns, all equal")
    print(f"pandas {version('pandas')}, {rounds} rounds in turns")
    for name, times in seconds.items():
        print(f"{name:8}{median(times):8.1f} s ({min(times):.1f} to {max(times):.1f})")
    print(f"ratio {median(seconds['pandas']) / median(seconds['mim']):.1f}")


def equal(one: pa.ChunkedArray, other: pa.ChunkedArray) -> bool:
    """Whether every cell is equal; of two ways to divide the last bit may differ."""
    if not pa.types.is_floating(one.type):
        return bool(one.equals(other))
    return np.allclose(one.to_numpy(), other.to_numpy(), rtol=1e-15, atol=0, equal_nan=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("women", 350_000), ("rounds", 3), ("seed", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        build_and_audit(args.build)
        return
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as folder:
        full_scale(Path(folder), args.women, args.seed)
    with tempfile.TemporaryDirectory() as folder:
        against_pandas(Path(folder), args.women // 10, args.seed, args.rounds)


if __name__ == "__main__":
    main()
