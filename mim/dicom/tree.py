"""Every file below a folder, each once, in an order that does not depend on the machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm


class Found(NamedTuple):
    """``path`` below the source, POSIX separators; ``problem`` if it cannot be opened as a file."""

    path: str
    problem: str | None = None


def find_files(source: Path, skip: Path | None = None) -> list[Found]:
    """All files below ``source``, sorted by path, and what could not be entered, with the problem.

    Links to files count as files. Links to folders are followed, but a folder that was entered
    already, by whatever path, is not entered again: its files are listed once and loops end.
    ``skip`` is a folder to leave out.
    """
    entered = set() if skip is None or not skip.is_dir() else {_identity(skip)}
    real, linked, found = [""], list[str](), list[Found]()
    with tqdm(desc="listing", unit="file", leave=False) as progress:
        while real or linked:
            folder = real.pop() if real else linked.pop(0)
            before = len(found)
            for entry in _enter(source, folder, entered):
                if isinstance(entry, Found):
                    found.append(entry)
                else:
                    (linked if entry.is_symlink() else real).append(_below(folder, entry.name))
            progress.update(len(found) - before)
    return sorted(found)


def _enter(
    source: Path, folder: str, entered: set[tuple[int, int]]
) -> Iterator[Found | os.DirEntry[str]]:
    """The folder's files as ``Found`` and its folders as entries; nothing if entered before."""
    try:
        identity = _identity(source / folder)
        if identity in entered:
            return
        entered.add(identity)
        with os.scandir(source / folder) as listing:
            entries = sorted(listing, key=lambda entry: entry.name)
    except OSError as error:
        yield Found(_readable(folder), f"folder cannot be listed: {type(error).__name__}")
        return
    for entry in entries:
        yield _judged(entry, _below(folder, entry.name))


def _judged(entry: os.DirEntry[str], path: str) -> "Found | os.DirEntry[str]":
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:
        return Found(_readable(path), f"cannot be opened: {type(error).__name__}")
    if path != _readable(path):
        return Found(
            _readable(path),
            "folder's name is not UTF-8, its files are not listed: rename it"
            if is_folder
            else "name is not UTF-8: rename it",
        )
    if is_folder:
        return entry
    return Found(path, None if is_file else "a link to nothing, or no regular file")


def _identity(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _readable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
