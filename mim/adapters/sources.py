"""Finding and reading what a collection holds as it was downloaded: tables and DICOM headers."""

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import polars as pl

from mim.dicom.pseudonym import KEY_BYTES
from mim.dicom.rows import scan
from mim.dicom.tree import find_files
from mim.errors import InputError
from mim.schemas.images import IMAGES

SEPARATORS = ",;\t"
EXCEL = (".xls", ".xlsx")


def find_file(source: Path, names: Sequence[str], holds: str) -> Path:
    """The file of one of the published ``names``, in ``source`` or the nearest folders below it.

    Of several names the first one that is there counts. ``holds`` says what the folder should hold
    as downloaded, for whoever gave another one.

    Raises:
        InputError: there is no such file, the nearest folders hold several of one name, or a folder
            cannot be listed.
    """
    level, seen = [source], {source.resolve()}
    while level:
        entries = [entry for folder in level for entry in _listed(folder)]
        for name in names:
            found = [entry for entry in entries if entry.name == name and entry.is_file()]
            if len(found) > 1:
                raise InputError(f"{found[0]}: also there as {found[1]}; keep one of the two")
            if found:
                return found[0]
        level = [entry for entry in entries if entry.is_dir() and entry.resolve() not in seen]
        seen.update(folder.resolve() for folder in level)
    raise InputError(f"source={source}: holds no {' or '.join(names)}; expected {holds}")


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be listed ({type(error).__name__}); may you read it?"
        ) from None


def images_beside(table: Path, folder: str, holds: str) -> Path:
    """The folder of images that a collection has beside its table (``InputError``: there is none)."""
    images = table.parent / folder
    if not images.is_dir():
        raise InputError(f"{images}: no such folder; expected {holds}")
    return images


def list_files(source: Path, suffixes: Collection[str]) -> list[str]:
    """Paths below ``source`` (POSIX) of files with one of ``suffixes`` (lower case), in order."""
    return [
        file.path
        for file in find_files(source)
        if os.path.splitext(file.path)[1].lower() in suffixes
        # What macOS leaves beside files on foreign disks.
        and not file.path.rpartition("/")[2].startswith("._")
    ]


def read_cells(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> pl.DataFrame:
    """``columns`` and ``optional`` ones of a CSV, TSV, XLS or XLSX table (its first sheet).

    Every cell is text without blanks around it, and missing where it is empty; an optional column
    that lacks is missing throughout. The separator is the one of ``SEPARATORS`` that is most
    frequent in the header. Bytes that are not UTF-8 become marks of replacement.

    Raises:
        InputError: the file cannot be read as a table, lacks a column, or has no rows.
    """
    try:
        table = _excel(path) if path.suffix in EXCEL else _separated(path)
        names = {name.strip(): name for name in table.collect_schema().names()}
        if lacking := [name for name in columns if name not in names]:
            raise InputError(
                f"{path}: column '{lacking[0]}' is missing; expected the table as it was published, "
                f"with {', '.join(columns)}"
            )
        wanted = [
            (pl.col(names[name]) if name in names else pl.lit(None, pl.String))
            .str.strip_chars()
            .replace("", None)
            .alias(name)
            for name in (*columns, *optional)
        ]
        cells = table.select(wanted).filter(~pl.all_horizontal(pl.all().is_null())).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise InputError(f"{path}: cannot be read as a table; download it again") from error
    if cells.is_empty():
        raise InputError(f"{path}: no row below the header; download it again")
    return cells


def separator_of(path: Path) -> str:
    """The one of ``SEPARATORS`` that is most frequent in the header."""
    with path.open(encoding="utf-8", errors="replace") as file:
        counts = Counter(file.readline())
    return max(SEPARATORS, key=lambda mark: counts[mark])


def _separated(path: Path) -> pl.LazyFrame:
    separator = separator_of(path)
    return pl.scan_csv(path, separator=separator, infer_schema=False, encoding="utf8-lossy")


def _excel(path: Path) -> pl.LazyFrame:
    try:
        return pl.read_excel(path, infer_schema_length=0).lazy().cast(pl.String)
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: reading Excel needs fastexcel: pip install 'mim[adapt]', or save the sheet as "
            f"CSV under the name {path.with_suffix('.csv').name} beside it"
        ) from error
    except Exception as error:  # fastexcel has errors of its own
        raise InputError(f"{path}: cannot be read as a table; download it again") from error


def scan_headers(source: Path, columns: Sequence[str]) -> pl.DataFrame:
    """``columns`` of ``mim.schemas.images``, a row for each file below ``source``, usable or not."""
    # Nothing of the pseudonyms leaves this function, so their key need not be secret.
    rows = scan(source, None, bytes(KEY_BYTES))
    table = pl.from_arrow(IMAGES.from_rows(rows).select(list(columns)))
    assert isinstance(table, pl.DataFrame)
    return table


def compare(
    named: Collection[str], there: Collection[str], table: str, what: str = "images"
) -> list[str]:
    """Notices of what ``table`` names and the folder lacks, and of what is there and it does not name.

    Raises:
        InputError: the folder holds none of it.
    """
    named, there = set(named), set(there)
    if named.isdisjoint(there):
        raise InputError(
            f"{table}: the folder holds none of its {len(named)} {what}; "
            "give the folder that holds the images as they were downloaded"
        )
    notices = []
    if lacking := len(named - there):
        notices.append(
            f"{lacking} of the {len(named)} {what} in {table} are not in the folder; "
            "fine where only a part was downloaded"
        )
    if strange := len(there - named):
        notices.append(f"{strange} {what} in the folder are not in {table}; they join no exam")
    return notices
