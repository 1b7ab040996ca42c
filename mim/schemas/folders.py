"""Folders that commands write: one command's is not another's."""

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
