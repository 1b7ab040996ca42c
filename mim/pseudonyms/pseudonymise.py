"""A copy of a DICOM folder, and of the registry, that names nobody and still joins.

Images go to ``out/dicom/<woman>/<study>/<image>.dcm``, tables to ``out/registry``. No table leads
from the copy back to the source: the key does, and who has only the copy has nothing.
"""

import shutil
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mim import __version__
from mim.dicom.pseudonym import load_or_make_key
from mim.dicom.rows import require_files, require_folder
from mim.dicom.tree import Found, walk
from mim.errors import InputError
from mim.pseudonyms.aliases import Aliases
from mim.pseudonyms.copies import UNFINISHED, Batch, Copied, copy_batch
from mim.pseudonyms.profile import EDITION
from mim.pseudonyms.settings import PseudonymiseSettings
from mim.pseudonyms.tables import cover_registry
from mim.schemas.pseudonymised import NOT_COPIED
from mim.schemas.table import read_json, write_json, write_table
from mim.vocab import Reason
from mim.workers.run import run
from mim.workers.settings import WorkersSettings

BATCH = 50
"""Files that a process copies at a time: worth sending, and few enough for the bar to move."""


class Tally:
    """What became of the files so far: 26 bytes for each, and a row for each that stays behind."""

    def __init__(self, aliases: Aliases) -> None:
        self.counts: Counter[str] = Counter()
        self.left: list[dict[str, object]] = []
        self._aliases = aliases
        self._places = array("Q")
        self._targets = array("Q")
        self._names = bytearray()

    def add(self, place: int, found: Found, result: Copied) -> None:
        """Count a file; ``place`` is its place in the order of all paths."""
        name = self._aliases.other("path", found.path)
        self.counts["files"] += 1
        if result.reason:
            self.left.append({"file": name, "reason": result.reason, "detail": result.detail})
            return
        self._places.append(place)
        self._targets.append(result.target)
        self._names += bytes.fromhex(name)
        self.counts["already there"] += not result.fresh
        self.counts["letters blanked"] += result.blanked
        self.counts["compressed anew"] += result.recompressed

    def rows(self) -> list[dict[str, object]]:
        """A row for each file left behind; of those with one target, all but the first are, too."""
        targets, places = np.array(self._targets), np.array(self._places)
        order = np.lexsort((places, targets))
        again = order[1:][targets[order][1:] == targets[order][:-1]]
        names = np.frombuffer(self._names, "V10")
        duplicate = {
            "reason": Reason.DUPLICATE_IMAGE,
            "detail": "same Patient ID, Study and SOP Instance UID as another file",
        }
        rows = [
            *self.left,
            *({"file": names[place].tobytes().hex(), **duplicate} for place in again),
        ]
        return sorted(rows, key=lambda row: str(row["file"]))


def pseudonymise_folder(
    source: Path,
    out: Path,
    key_file: Path,
    registry: Path | None,
    settings: PseudonymiseSettings,
    work: WorkersSettings,
) -> int:
    """Copy the mammograms below ``source``, and the registry's tables, under pseudonyms.

    A run that is started again goes on where it stopped. The key is made where there is none; it must
    not lie in ``out``. ``out/not_copied.parquet`` has a row with a reason for every file that stays
    behind, under the pseudonym of its path.

    Returns:
        Files that were not copied.

    Raises:
        InputError: a folder is missing, holds no file or lies in the wrong place; the key cannot be
            used; ``out`` was begun with another key or shift; the registry's tables are wrong.
    """
    _check_places(source, out, key_file, registry)
    aliases = Aliases(load_or_make_key(key_file), settings.shift_days)
    total = sum(1 for _ in tqdm(walk(source, out), "listing", unit="file", leave=False))
    require_files(source, total)
    about = _begin(out, aliases)
    if registry:
        cover_registry(registry, out / "registry", aliases)
    shutil.rmtree(out / UNFINISHED, ignore_errors=True)
    (out / UNFINISHED).mkdir()
    tally = Tally(aliases)
    batches = _batches(source, out, key_file, settings.shift_days)
    with tqdm(desc="copying", total=total, unit="file") as progress:
        for batch, results in run(copy_batch, batches, work):
            for place, found, result in zip(count(batch.first), batch.files, results, strict=False):
                tally.add(place, found, result)
            progress.update(len(results))
    shutil.rmtree(out / UNFINISHED)
    return _report(tally, out, about)


def _check_places(source: Path, out: Path, key_file: Path, registry: Path | None) -> None:
    require_folder(source)
    inside = out.resolve()
    for name, path in (("source", source), ("registry", registry), ("key", key_file)):
        if path and path.resolve().is_relative_to(inside):
            raise InputError(f"{name}={path}: lies in out={out}; keep it apart from the copy")


def _begin(out: Path, aliases: Aliases) -> dict[str, object]:
    """What is known about the copy from its first moment; refuses to mix two keys or shifts."""
    about: dict[str, object] = {
        "mim": __version__,
        "profile": f"DICOM PS3.15 {EDITION}",
        "shift_days": aliases.shift_days,
        "key": aliases.proof(),
    }
    path = out / "pseudonymised.json"
    if path.exists():
        before = read_json(path)
        for name in ("key", "shift_days"):
            if before.get(name) != about[name]:
                raise InputError(
                    f"out={out}: was begun with another {name}; a woman would get two names or two "
                    "shifts: give a new folder"
                )
    write_json(path, about)
    return about


def _batches(source: Path, out: Path, key_file: Path, shift_days: int) -> Iterator[Batch]:
    files = walk(source, out)
    first = 0
    while batch := tuple(islice(files, BATCH)):
        yield Batch(source, out, key_file, shift_days, batch, first)
        first += len(batch)


def _report(tally: Tally, out: Path, about: dict[str, object]) -> int:
    """Write and print what was left behind and why; how many files that are."""
    rows = tally.rows()
    write_table(NOT_COPIED.from_rows(rows), out / "not_copied.parquet")
    counts = tally.counts + Counter({"copied": tally.counts["files"] - len(rows)})
    counts.update(str(row["reason"]) for row in rows)
    write_json(out / "pseudonymised.json", {**about, "counts": dict(counts)})
    for name, number in counts.most_common():
        print(f"{number:>10}  {name}")
    return len(rows)
