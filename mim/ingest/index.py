"""The index: one row for every file of a DICOM tree, usable or not."""

import os
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
from tqdm import tqdm

from mim import __version__
from mim.dicom.overrides import Given, read_overrides
from mim.dicom.pseudonym import load_key, load_or_make_key
from mim.dicom.rows import PROBLEMS, Row, file_row, without_duplicates
from mim.dicom.tree import Found, find_files
from mim.errors import InputError
from mim.ingest.settings import IndexSettings
from mim.schemas.cohort import ATTRITION, attrition_rows
from mim.schemas.images import IMAGES
from mim.schemas.table import write_json, write_table
from mim.workers.settings import WorkersSettings

Work = tuple[Found, Given]

BATCH = 64
"""Files that a process reads at a time."""

SMALL = 1000
"""Fewer files are read in this process: starting others takes longer than reading them."""

ROWS_IN_MEMORY = 10_000
"""Rows held as Python objects before they become Arrow columns."""


@dataclass(frozen=True)
class Plan:
    """The files to read, what overrides give for each, and how many overrides found no file."""

    source: Path
    work: list[Work]
    unmatched: int


def write_index(source: Path, out: Path, settings: IndexSettings, work: WorkersSettings) -> int:
    """Index ``source`` into ``out`` and print how many images are left out for which reason.

    Writes ``images.parquet``, ``attrition.parquet`` and ``index.json``, and makes
    ``pseudonym.key`` there unless ``settings.key_file`` names a key. A folder ``out`` below
    ``source`` is not indexed itself.

    Returns:
        Rows with one of ``PROBLEMS``.

    Raises:
        InputError: as ``scan`` does, or the key cannot be used.
    """
    plan = _plan(source, settings, skip=out)
    out.mkdir(parents=True, exist_ok=True)
    key = (
        load_key(Path(settings.key_file))
        if settings.key_file
        else load_or_make_key(out / "pseudonym.key")
    )
    counts: Counter[str] = Counter()
    tables = []
    rows = _rows(plan, work, key)
    while batch := list(islice(rows, ROWS_IN_MEMORY)):
        counts.update(str(row["reason"] or "kept") for row in batch)
        tables.append(IMAGES.from_rows(batch))
    write_table(pa.concat_tables(tables), out / "images" / "part-00000.parquet")
    write_table(
        ATTRITION.from_rows(attrition_rows("index", "images", counts)), out / "attrition.parquet"
    )
    _write_about(plan, counts, out / "index.json")
    _print_summary(plan, counts)
    return sum(counts[reason] for reason in PROBLEMS)


def _plan(source: Path, settings: IndexSettings, skip: Path | None = None) -> Plan:
    if not source.is_dir():
        raise InputError(f"source={source}: no such folder; expected a folder of DICOM files")
    if skip is not None and skip.exists() and skip.samefile(source):
        raise InputError(f"out={skip}: is the source; give the index a folder of its own")
    overrides = read_overrides(Path(settings.overrides)) if settings.overrides else {}
    found = find_files(source, skip)
    if not found:
        raise InputError(f"source={source}: holds no file; expected a folder of DICOM files")
    unmatched = len(overrides.keys() - {file.path for file in found})
    if overrides and unmatched == len(overrides):
        raise InputError(
            f"overrides={settings.overrides}: none of its paths names a file below {source}; "
            "column 'path' must hold paths below the source, with /"
        )
    return Plan(source, [(file, overrides.get(file.path, {})) for file in found], unmatched)


def _rows(plan: Plan, settings: WorkersSettings, key: bytes) -> Iterator[Row]:
    workers = settings.workers or _cores()
    read = partial(_image_rows, plan.source, key=key)
    batches = (plan.work[at : at + BATCH] for at in range(0, len(plan.work), BATCH))
    rows: Iterator[Row]
    if workers == 1 or len(plan.work) < SMALL:
        rows = chain.from_iterable(map(read, batches))
    else:
        rows = _in_processes(read, batches, workers)
    yield from tqdm(without_duplicates(rows), "reading headers", total=len(plan.work), unit="file")


def _cores() -> int:
    """Cores this process may use, where the system tells; else all it has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _in_processes(
    read: "partial[list[Row]]", batches: Iterator[list[Work]], workers: int
) -> Iterator[Row]:
    """Rows in the order of the batches, with a few batches per process under way at a time."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        under_way: deque[Future[list[Row]]] = deque()
        try:
            for batch in batches:
                under_way.append(pool.submit(read, batch))
                if len(under_way) >= 4 * workers:
                    yield from under_way.popleft().result()
            while under_way:
                yield from under_way.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _image_rows(source: Path, batch: list[Work], *, key: bytes) -> list[Row]:
    return [file_row(source, found, given, key) for found, given in batch]


def _write_about(plan: Plan, counts: Mapping[str, int], path: Path) -> None:
    about = {
        "source": str(plan.source.absolute()),
        "mim": __version__,
        "files": len(plan.work),
        "counts": dict(sorted(counts.items())),
        "overrides_without_file": plan.unmatched,
    }
    write_json(path, about)


def _print_summary(plan: Plan, counts: Counter[str]) -> None:
    print(f"{len(plan.work)} files, {counts['kept']} usable screening views")
    for reason, count in counts.most_common():
        if reason != "kept":
            print(f"{count:>10}  {reason}")
    if plan.unmatched:
        print(f"warning: {plan.unmatched} rows of the overrides name no file of the source")
