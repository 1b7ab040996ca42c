"""A whole made-up screening programme: images, registry and truth in one folder."""

import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from hashlib import sha256
from multiprocessing import get_context, parent_process
from pathlib import Path

import cv2
from tqdm import tqdm

from mim.errors import InputError
from mim.schemas.table import read_table, write_whole
from mim.synthetic.imaging import Camera
from mim.synthetic.registry import write_image_tables, write_registry
from mim.synthetic.settings import ProgrammeSettings
from mim.synthetic.truth import TRUTH, gather_rows, write_rows
from mim.synthetic.women import Woman, draw_woman, woman_id

ABOUT = (
    "Made-up screening programme: no woman, image or reading in it is real. Results on it show "
    "that a mechanism works; they never say anything about clinical performance."
)
LARGEST_SHRINK = 32
UNCHANGING = {"software_update": False, "maker_gap": 1.0}
"""Later settings and the values that leave a programme as it was; those are not written down."""


def write_programme(out: Path, settings: ProgrammeSettings) -> None:
    """Write the programme that ``settings`` describe into ``out``.

    ``dicom/<woman>/<exam>/<n>.dcm``, ``registry/*.csv`` with ``note.txt``, ``truth/images.parquet`` with
    ``truth/masks/<sop_uid>.png``, ``pseudonym.key`` and ``programme.json``. The same settings give
    the same bytes, however many workers there are. A job that was killed goes on where it was:
    women whose folder is there are skipped, and ``truth/women`` keeps what is known of each.

    Raises:
        InputError: a setting is out of range, or ``out`` holds a programme of other settings.
    """
    _check(settings)
    _claim(out, settings)
    dicom, parts, masks = out / "dicom", out / "truth" / "women", out / "truth" / "masks"
    for folder in (dicom, parts, masks):
        folder.mkdir(parents=True, exist_ok=True)
    numbers = range(1, settings.women + 1)
    write_registry(out / "registry", (_draw(settings, n) for n in numbers), settings)
    write_whole(out / "registry" / "note.txt", f"{ABOUT}\n".encode())
    waiting = [n for n in numbers if not _finished(dicom, parts, n)]
    done = tqdm(
        total=settings.women, initial=settings.women - len(waiting), desc="synth", unit="woman"
    )
    with done, _mapper(settings.workers, len(waiting)) as mapper:
        for _ in mapper(partial(_write_woman, out, settings), waiting):
            done.update()
    truth = [parts / f"{woman_id(n)}.json" for n in numbers]
    gather_rows(truth, out / "truth" / "images.parquet")
    write_image_tables(out / "registry", read_table(out / "truth" / "images.parquet", TRUTH))


def _check(settings: ProgrammeSettings) -> None:
    ranges = {
        "women": (1, 10_000_000),
        "rounds": (1, 20),
        "seed": (0, 2**32 - 1),
        "shrink": (1, LARGEST_SHRINK),
        "cancer_share": (0, 1),
        "lookalike_share": (0, 1),
        "maker_gap": (0, 3),
        "workers": (0, 1024),
    }
    for name, (low, high) in ranges.items():
        if not low <= getattr(settings, name) <= high:
            value = getattr(settings, name)
            raise InputError(f"{name}={value}: give a value from {low} to {high}")


def _claim(out: Path, settings: ProgrammeSettings) -> None:
    """Write the settings and the key, or make sure that those there are the same."""
    deciding = {name: value for name, value in asdict(settings).items() if name != "workers"}
    for name, unchanging in UNCHANGING.items():
        # Programmes of before these settings were there go on with them left alone.
        if deciding[name] == unchanging:
            del deciding[name]
    described = {"about": ABOUT, "settings": deciding}
    path = out / "programme.json"
    text = json.dumps(described, indent=2) + "\n"
    if path.exists() and path.read_text(encoding="utf-8") != text:
        raise InputError(
            f"{path}: this folder holds a programme of other settings; "
            "give the same settings to go on with it, or another out"
        )
    out.mkdir(parents=True, exist_ok=True)
    key = sha256(f"mim pseudonyms {settings.seed}".encode()).hexdigest()
    write_whole(out / "pseudonym.key", f"{key}\n".encode())
    write_whole(path, text.encode())


def _draw(settings: ProgrammeSettings, number: int) -> Woman:
    return draw_woman(
        settings.seed, number, settings.rounds, settings.cancer_share, settings.lookalike_share
    )


def _finished(dicom: Path, parts: Path, number: int) -> bool:
    name = woman_id(number)
    return (dicom / name).is_dir() and (parts / f"{name}.json").is_file()


def _write_woman(out: Path, settings: ProgrammeSettings, number: int) -> None:
    """Write one woman's images under a temporary name, her truth, then rename."""
    woman = _draw(settings, number)
    folder = out / "dicom" / woman.woman_id
    unfinished = folder.with_name(f".{woman.woman_id}.unfinished")
    for stale in (unfinished, folder):
        shutil.rmtree(stale, ignore_errors=True)
    unfinished.mkdir()
    camera = Camera(woman, settings, unfinished, out / "truth" / "masks")
    rows = [row for exam in woman.exams for row in camera.photograph(exam)]
    write_rows(out / "truth" / "women" / f"{woman.woman_id}.json", rows)
    unfinished.replace(folder)


@contextmanager
def _mapper(workers: int, tasks: int) -> Iterator[Callable[..., Iterator[None]]]:
    """A ``map`` over processes, or in this one where there is one worker."""
    workers = min(workers or os.cpu_count() or 1, max(tasks, 1))
    if workers == 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield map
        finally:
            cv2.setNumThreads(threads)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin)
    try:
        yield partial(pool.map, chunksize=max(1, min(8, tasks // (4 * workers))))
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each new process: one thread, and an end when the parent has ended."""
    cv2.setNumThreads(1)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
