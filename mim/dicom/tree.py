"""Every file below a folder, each once, in an order that does not depend on the machine."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mim.errors import InputError


class Found(NamedTuple):
    """``path`` below the source, POSIX separators; ``problem`` if it cannot be opened as a file.

    The path of a folder whose files cannot be listed ends with a slash.
    """

    path: str
    problem: str | None = None


class _Folder(NamedTuple):
    path: str
    place: str
    """The folder's path on this machine without any link."""
    linked: bool


def walk(source: Path, skip: Path | None = None) -> Iterator[Found]:
    """All files below ``source`` in the order of their paths, and what cannot be entered.

    Holds the names of one folder on each level, however many files there are, and the targets of
    links that it followed. A link to a file counts as a file. A link to a folder within the source
    leads to nothing new and is left alone. One to a folder elsewhere is followed, unless an earlier
    link led there: no folder is entered twice, so loops end. ``skip`` is a folder to leave out.

    Raises:
        InputError: ``source`` itself cannot be listed.
    """
    try:
        os.scandir(source).close()
    except OSError as error:
        raise InputError(
            f"source={source}: cannot be listed ({type(error).__name__}); expected a folder of "
            "DICOM files that you may read"
        ) from None
    top = os.path.realpath(source)
    entered = {top} if skip is None else {top, os.path.realpath(skip)}
    levels = [_listing(source, _Folder("", top, linked=False))]
    while levels:
        entry = next(levels[-1], None)
        if entry is None:
            levels.pop()
        elif isinstance(entry, Found):
            yield entry
        elif _may_enter(entry, entered):
            levels.append(_listing(source, entry))


def find_files(source: Path, skip: Path | None = None) -> list[Found]:
    """``walk`` as a list, for folders of which that is not too much."""
    return list(walk(source, skip))


def _may_enter(folder: _Folder, entered: set[str]) -> bool:
    """Whether the folder is new. ``entered`` holds tops of trees: what lies below belongs to them."""
    if not folder.linked:
        return folder.place not in entered
    place = Path(folder.place)
    if any(str(above) in entered for above in (place, *place.parents)):
        return False
    entered.add(folder.place)
    return True


def _listing(source: Path, folder: _Folder) -> Iterator[Found | _Folder]:
    """What the folder holds, in the order in which the paths below it come."""
    names: list[str] = []
    problems: dict[str, str] = {}
    try:
        with os.scandir(source / folder.path) as entries:
            for entry in entries:
                name, problem = _judged(entry)
                names.append(name)
                if problem:
                    problems[name] = problem
    except OSError as error:
        yield Found(f"{folder.path}/", f"folder cannot be listed: {type(error).__name__}")
        return
    names.sort()
    start = f"{folder.path}/" if folder.path else ""
    for name in names:
        if (problem := problems.get(name)) or not name.endswith("/"):
            yield Found(start + name, problem)
        else:
            bare = name.rstrip("/")
            place = os.path.join(folder.place, bare)
            linked = name.endswith("//")
            yield _Folder(start + bare, os.path.realpath(place) if linked else place, linked)


def _judged(entry: os.DirEntry[str]) -> tuple[str, str | None]:
    """The name with what is wrong; a folder's ends with a slash, that of a link to one with two.

    So a folder sorts where the paths of its files do: ``b.txt`` comes before ``b/1``.
    """
    name = _readable(entry.name)
    try:
        is_folder, is_file = entry.is_dir(), entry.is_file()
    except OSError as error:
        return name, f"cannot be opened: {type(error).__name__}"
    if is_folder and name != entry.name:
        return f"{name}/", "folder's name is not UTF-8, its files are not listed: rename it"
    if is_folder:
        return f"{name}//" if entry.is_symlink() else f"{name}/", None
    if name != entry.name:
        return name, "name is not UTF-8: rename it"
    return name, None if is_file else "a link to nothing, or no regular file"


def _readable(name: str) -> str:
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "backslashreplace")
