"""Folders that commands write: one command's is not another's."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mim.errors import InputError

MARKS = (
    "programme.json",
    "index.json",
    "cohort.json",
    "cache.json",
    "audit.json",
    "run.json",
    "sweep.json",
    "metrics.json",
    "bundle.json",
    "predictions.json",
    "monitor.json",
)
"""A file by which the folder of each command is known."""


def require_own(out: Path, mark: str) -> None:
    """Refuse a folder that another command wrote.

    Args:
        out: where to write.
        mark: the file by which this command's folders are known.

    Raises:
        InputError: names the folder and what it holds.
    """
    if (out / mark).exists():
        return
    found = next((name for name in MARKS if (out / name).exists()), None)
    if found:
        raise InputError(f"{out}: holds {found} of another command; choose another out")


@contextmanager
def held(out: Path) -> Iterator[None]:
    """Hold a folder, made if needed, for one process: two that write it would spoil each other's files.

    Where the disk knows no locks, nobody is kept out. A killed process holds nothing.

    Raises:
        InputError: another process holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    handle = os.open(out, os.O_RDONLY)
    try:
        if not take_lock(handle):
            raise InputError(
                f"out={out}: another process is writing it; wait for its end, or choose another out"
            )
        yield
    finally:
        os.close(handle)


def take_lock(handle: int) -> bool:
    """Whether an open file or folder is now this process's, until it is closed or the process dies.

    Where the disk knows no locks, it is.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
