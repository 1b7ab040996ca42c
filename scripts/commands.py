"""The commands that users have, for scripts."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from mim.schemas.table import write_whole


def mim(*words: str) -> None:
    """A command of mim; one that found problems, such as a cohort without cancers, goes on."""
    _end(_begin(words, {}), words)


def mim_as_array(tasks: int, *words: str) -> None:
    """The same command in several processes, which share a sweep as the tasks of a job array do."""
    if tasks == 1:
        mim(*words)
        return
    array = {"MIN": 0, "MAX": tasks - 1, "STEP": 1, "COUNT": tasks}
    begun = [_begin(words, {**array, "ID": task}) for task in range(tasks)]
    for process in begun:
        _end(process, words)


def once(mark: Path, words: list[str], tasks: int = 1) -> float:
    """Run a command of mim unless it is done; the seconds it took, now or then."""
    if mark.exists():
        return float(mark.read_text() or 0)
    print("mim", *words[:1], f"-> {mark.stem}", flush=True)
    begun = time.perf_counter()
    mim_as_array(tasks, *words)
    taken = time.perf_counter() - begun
    write_whole(mark, f"{taken:.1f}".encode())
    return taken


def prepare(
    out: Path, programme: Sequence[str], splits: Sequence[str], size: Sequence[str]
) -> dict[str, float]:
    """Programme, index, cohort and cache in a folder, by their keys; the seconds each took."""
    dicom, registry = out / "programme" / "dicom", out / "programme" / "registry"
    steps = {
        "programme": ("synth", *programme),
        "index": ("index", f"source={dicom}"),
        "cohort": ("cohort", f"index={out / 'index'}", f"registry={registry}", *splits),
        "cache": ("cache", f"cohort={out / 'cohort'}", *size),
    }
    return {
        name: once(out / f"{name}.done", [*words, f"out={out / name}"])
        for name, words in steps.items()
    }


def prepared(out: Path) -> list[str]:
    """The keys that name the cohort and the cache which ``prepare`` made."""
    cache = next((out / "cache").glob("*/cache.json")).parent
    return [f"cohort={out / 'cohort'}", f"cache={cache}"]


def _begin(words: tuple[str, ...], array: dict[str, int]) -> subprocess.Popen[bytes]:
    named = {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in array.items()}
    return subprocess.Popen([sys.executable, "-m", "mim", *words], env={**os.environ, **named})


def _end(process: subprocess.Popen[bytes], words: tuple[str, ...]) -> None:
    if process.wait() not in (0, 1):
        raise SystemExit(f"mim {words[0]} could not run")
