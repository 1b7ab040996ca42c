"""The commands that users have, for scripts."""

import os
import subprocess
import sys
import time
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


def _begin(words: tuple[str, ...], array: dict[str, int]) -> subprocess.Popen[bytes]:
    named = {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in array.items()}
    return subprocess.Popen([sys.executable, "-m", "mim", *words], env={**os.environ, **named})


def _end(process: subprocess.Popen[bytes], words: tuple[str, ...]) -> None:
    if process.wait() not in (0, 1):
        raise SystemExit(f"mim {words[0]} could not run")
